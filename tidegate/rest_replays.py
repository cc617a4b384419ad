"""Replays in the REST API: all failed runs of a function in a time, started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.errors import RequestError
from tidegate.ids import random_ulid
from tidegate.manifest import Manifest
from tidegate.rest_body import Moment, parse_body
from tidegate.rest_call import Call, Result, Routes
from tidegate.rest_jobs import Jobs
from tidegate.run import Status


class ReplayBody(BaseModel):
    """What may be sent.

    Attributes:
        function_id: the function whose runs are started again.
        from_ms: `from`, the first moment.
        until_ms: `until`, the moment before which they end; now, if it is not sent or lies ahead.
        statuses: `status`, what the runs must have come to.
    """

    model_config = ConfigDict(extra="forbid")

    function_id: str
    from_ms: Annotated[Moment, Field(alias="from")]
    until_ms: Annotated[Moment | None, Field(alias="until")] = None
    statuses: Annotated[
        list[Literal["Failed", "Cancelled"]], Field(alias="status", min_length=1)
    ] = [Status.FAILED.value]


@dataclass(frozen=True)
class ReplayEndpoints:
    """What starts runs again in bulk.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    def routes(self) -> Routes:
        """The paths."""
        return self.jobs.routes("/v1/replays", JobKind.REPLAY, self.create)

    def create(self, call: Call) -> Result:
        """Start a replay."""
        body = parse_body(ReplayBody, call.body)
        function = self.manifest.function(body.function_id)
        if function is None:
            raise RequestError(404, f"Function not found: {body.function_id}; see /v1/functions")
        # The runs that it starts belong to the time from now on, and must not be replayed by it.
        until_ms = min(call.now_ms if body.until_ms is None else body.until_ms, call.now_ms)
        if body.from_ms >= until_ms:
            raise RequestError(400, "from must be earlier than until, and than now")
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.REPLAY,
            function_id=function.id,
            app_id=None,
            from_ms=body.from_ms,
            until_ms=until_ms,
            run_statuses=tuple(dict.fromkeys(body.statuses)),
            expression=None,
            created_ms=call.now_ms,
        )
        return self.jobs.start(job)
