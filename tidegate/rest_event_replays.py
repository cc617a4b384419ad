"""Replays of events in the REST API: what is stored of a time, given to one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.errors import RequestError
from tidegate.event import MAX_NAME_LENGTH
from tidegate.ids import random_ulid
from tidegate.manifest import FunctionManifest, Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_cancellations import MAX_EXPRESSION_LENGTH, expression_of
from tidegate.rest_field import text, whole_number
from tidegate.rest_functions import registered_function
from tidegate.rest_jobs import JobObject, Jobs, past_time
from tidegate.rest_operation import operation
from tidegate.rest_query import PageQuery, moment

MAX_PER_SECOND = 1_000

EventReplayBody = TypedDict(
    "EventReplayBody",
    {
        "function_id": Annotated[str, text("The function that gets the events")],
        "from": Annotated[int, moment("The first moment of the time in which they were received")],
        "until": NotRequired[
            Annotated[
                int, moment("The moment before which it ends; now, if it is not sent or lies ahead")
            ]
        ],
        "event_name": NotRequired[
            Annotated[
                str,
                text(
                    "The one name of the events; all that trigger the function without",
                    max_length=MAX_NAME_LENGTH,
                ),
            ]
        ],
        "if": NotRequired[
            Annotated[
                str,
                text("An expression that must hold of an event", max_length=MAX_EXPRESSION_LENGTH),
            ]
        ],
        "per_second": NotRequired[
            Annotated[
                int,
                whole_number(
                    "How many runs are started in a second, at the most", 1, MAX_PER_SECOND
                ),
            ]
        ],
    },
)


@dataclass(frozen=True)
class EventReplayEndpoints:
    """What gives stored events to functions in bulk.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    @operation("GET", "/v1/event_replays", list[JobObject], tag="Replays", query=PageQuery)
    def list_event_replays(self, call: Call) -> Result:
        """The newest replays of events."""
        return self.jobs.list(call, JobKind.EVENT_REPLAY)

    @operation("GET", "/v1/event_replays/<job_id>", JobObject, tag="Replays")
    def get_event_replay(self, call: Call) -> Result:
        """One replay of events, with its progress."""
        return self.jobs.get(call, JobKind.EVENT_REPLAY)

    @operation("DELETE", "/v1/event_replays/<job_id>", JobObject, tag="Replays")
    def stop_event_replay(self, call: Call) -> Result:
        """Stop a replay of events; what it has done stays done."""
        return self.jobs.stop(call, JobKind.EVENT_REPLAY)

    @operation(
        "POST",
        "/v1/event_replays",
        JobObject,
        tag="Replays",
        body=EventReplayBody,
        status=201,
        refusals={404: "there is no such function"},
    )
    def start_event_replay(self, call: Call) -> Result:
        """Give all events of a time that trigger a function to it, as it is now."""
        body = parse_body(EventReplayBody, call.body)
        function = self._function(body["function_id"], body.get("event_name"))
        from_ms, until_ms = past_time(body["from"], body.get("until"), call.now_ms)
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.EVENT_REPLAY,
            function_id=function.id,
            app_id=None,
            from_ms=from_ms,
            until_ms=until_ms,
            run_statuses=(),
            expression=expression_of(body.get("if")),
            created_ms=call.now_ms,
            event_name=body.get("event_name"),
            per_second=body.get("per_second"),
        )
        return self.jobs.start(job)

    def _function(self, function_id: str, event_name: str | None) -> FunctionManifest:
        function = registered_function(self.manifest, function_id)
        if not function.triggers:
            raise RequestError(400, f"function_id: no event triggers {function_id!r}")
        if event_name is not None and not any(one.matches(event_name) for one in function.triggers):
            raise RequestError(400, f"event_name: {event_name!r} does not trigger {function_id!r}")
        return function
