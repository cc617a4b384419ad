"""Recoveries in the REST API: what waits goes on whose messages may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.ids import random_ulid
from tidegate.manifest import Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_field import text
from tidegate.rest_functions import deployed_function
from tidegate.rest_jobs import JobObject, Jobs, past_time
from tidegate.rest_operation import operation
from tidegate.rest_query import PageQuery, moment
from tidegate.run import Status

RecoveryBody = TypedDict(
    "RecoveryBody",
    {
        "function_id": Annotated[str, text("The function whose messages may be lost")],
        "from": Annotated[
            int, moment("The first moment of the time in which lost events were received")
        ],
        "until": NotRequired[
            Annotated[
                int, moment("The moment before which it ends; now, if it is not sent or lies ahead")
            ]
        ],
    },
)


@dataclass(frozen=True)
class RecoveryEndpoints:
    """What sends the messages of a function again.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    @operation("GET", "/v1/recoveries", list[JobObject], tag="Recoveries", query=PageQuery)
    def list_recoveries(self, call: Call) -> Result:
        """The newest recoveries."""
        return self.jobs.list(call, JobKind.RECOVERY)

    @operation("GET", "/v1/recoveries/<job_id>", JobObject, tag="Recoveries")
    def get_recovery(self, call: Call) -> Result:
        """One recovery, with its progress."""
        return self.jobs.get(call, JobKind.RECOVERY)

    @operation("DELETE", "/v1/recoveries/<job_id>", JobObject, tag="Recoveries")
    def stop_recovery(self, call: Call) -> Result:
        """Stop a recovery; what it has done stays done."""
        return self.jobs.stop(call, JobKind.RECOVERY)

    @operation(
        "POST",
        "/v1/recoveries",
        JobObject,
        tag="Recoveries",
        body=RecoveryBody,
        status=201,
        refusals={404: "there is no such function"},
    )
    def start_recovery(self, call: Call) -> Result:
        """Resume all runs of a function that have not ended, and start those of lost events."""
        body = parse_body(RecoveryBody, call.body)
        # One that was removed may have runs that wait, too.
        function = deployed_function(self.manifest, body["function_id"])
        from_ms, until_ms = past_time(body["from"], body.get("until"), call.now_ms)
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.RECOVERY,
            function_id=function.id,
            app_id=None,
            from_ms=from_ms,
            until_ms=until_ms,
            run_statuses=(Status.SCHEDULED, Status.RUNNING),
            expression=None,
            created_ms=call.now_ms,
        )
        return self.jobs.start(job)
