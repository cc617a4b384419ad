"""Replays in the REST API: all failed runs of a function in a time, started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.ids import random_ulid
from tidegate.manifest import Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_field import some_of, text
from tidegate.rest_functions import registered_function
from tidegate.rest_jobs import JobObject, Jobs, past_time
from tidegate.rest_operation import operation
from tidegate.rest_query import PageQuery, moment
from tidegate.run import Status

ReplayBody = TypedDict(
    "ReplayBody",
    {
        "function_id": Annotated[str, text("The function whose runs are started again")],
        "from": Annotated[int, moment("The first moment of the time in which they began")],
        "until": NotRequired[
            Annotated[
                int, moment("The moment before which it ends; now, if it is not sent or lies ahead")
            ]
        ],
        "status": Annotated[
            list[str],
            some_of(
                "What the runs must have come to",
                [Status.FAILED.value, Status.CANCELLED.value],
                [Status.FAILED.value],
            ),
        ],
    },
)


@dataclass(frozen=True)
class ReplayEndpoints:
    """What starts runs again in bulk.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    @operation("GET", "/v1/replays", list[JobObject], tag="Replays", query=PageQuery)
    def list_replays(self, call: Call) -> Result:
        """The newest replays."""
        return self.jobs.list(call, JobKind.REPLAY)

    @operation("GET", "/v1/replays/<job_id>", JobObject, tag="Replays")
    def get_replay(self, call: Call) -> Result:
        """One replay, with its progress."""
        return self.jobs.get(call, JobKind.REPLAY)

    @operation("DELETE", "/v1/replays/<job_id>", JobObject, tag="Replays")
    def stop_replay(self, call: Call) -> Result:
        """Stop a replay; what it has done stays done."""
        return self.jobs.stop(call, JobKind.REPLAY)

    @operation(
        "POST",
        "/v1/replays",
        JobObject,
        tag="Replays",
        body=ReplayBody,
        status=201,
        refusals={404: "there is no such function"},
    )
    def start_replay(self, call: Call) -> Result:
        """Start all runs of a function again that failed in a time."""
        body = parse_body(ReplayBody, call.body)
        function = registered_function(self.manifest, body["function_id"])
        from_ms, until_ms = past_time(body["from"], body.get("until"), call.now_ms)
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.REPLAY,
            function_id=function.id,
            app_id=None,
            from_ms=from_ms,
            until_ms=until_ms,
            run_statuses=tuple(dict.fromkeys(body["status"])),
            expression=None,
            created_ms=call.now_ms,
        )
        return self.jobs.start(job)
