"""Cancellations in the REST API: all runs of a function in a time that have not ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.errors import ConfigurationError, RequestError
from tidegate.expression import Expression, compile_expression
from tidegate.ids import random_ulid
from tidegate.manifest import FunctionManifest, Manifest
from tidegate.rest_body import Moment, parse_body
from tidegate.rest_call import Call, Result, Routes
from tidegate.rest_jobs import Jobs
from tidegate.run import Status

# How far the clock of who asks may be ahead of ours.
_AHEAD_MS = 5_000
# A run may have begun any time ago, since it may sleep for a year and do so again.
_LOOKED_BACK_MS = 732 * 86_400_000
MAX_EXPRESSION_LENGTH = 10_000


class CancellationBody(BaseModel):
    """What may be sent; which of it must be is checked for all of it at once."""

    model_config = ConfigDict(extra="forbid")

    app_id: str = ""
    function_id: str = ""
    started_after: Moment | None = None
    started_before: Moment | None = None
    if_exp: Annotated[str | None, Field(alias="if", max_length=MAX_EXPRESSION_LENGTH)] = None


@dataclass(frozen=True)
class CancellationEndpoints:
    """What cancels runs in bulk; checks and texts are those of Inngest.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    def routes(self) -> Routes:
        """The paths."""
        return self.jobs.routes("/v1/cancellations", JobKind.CANCELLATION, self.create)

    def create(self, call: Call) -> Result:
        """Start a cancellation."""
        try:
            body = parse_body(CancellationBody, call.body)
        except RequestError as error:
            raise RequestError(400, f"Invalid cancellation request: {error.message}") from None
        until_ms = _checked_end(body, call.now_ms)
        function = self._function(body)
        from_ms = body.started_after
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.CANCELLATION,
            function_id=function.id,
            app_id=function.app_id,
            from_ms=max(until_ms - _LOOKED_BACK_MS, 0) if from_ms is None else from_ms,
            until_ms=until_ms,
            run_statuses=(Status.SCHEDULED, Status.RUNNING),
            expression=_expression(body.if_exp),
            created_ms=call.now_ms,
        )
        return self.jobs.start(job)

    def _function(self, body: CancellationBody) -> FunctionManifest:
        """The function, named with its app or without."""
        for function_id in (body.function_id, f"{body.app_id}-{body.function_id}"):
            function = self.manifest.function(function_id)
            if function is not None and function.app_id == body.app_id:
                return function
        raise RequestError(404, "function not found")


def _checked_end(body: CancellationBody, now_ms: int) -> int:
    """When the time ends, UTC ms.

    Raises:
        RequestError: 400; all that is wrong, a line each.
    """
    before_ms = body.started_before
    faults = []
    if not body.app_id:
        faults.append("app_id is required")
    if not body.function_id:
        faults.append("function_id is required")
    if before_ms is None:
        faults.append("started_before is required")
    elif before_ms > now_ms + _AHEAD_MS:
        faults.append("started_before must be in the past")
    elif body.started_after is not None and body.started_after >= before_ms:
        faults.append("started_after must be before started_before")
    if faults or before_ms is None:
        raise RequestError(400, "\n".join(faults))
    return before_ms


def _expression(text: str | None) -> Expression | None:
    if not text:
        return None
    try:
        return compile_expression(text)
    except ConfigurationError as error:
        raise RequestError(400, f"invalid expression: {error}") from None
