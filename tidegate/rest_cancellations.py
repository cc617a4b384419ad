"""Cancellations in the REST API: all runs of a function in a time that have not ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind
from tidegate.errors import ConfigurationError, RequestError
from tidegate.expression import Expression, compile_expression
from tidegate.ids import random_ulid
from tidegate.manifest import FunctionManifest, Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_field import text
from tidegate.rest_jobs import JobObject, Jobs
from tidegate.rest_operation import operation
from tidegate.rest_query import PageQuery, moment
from tidegate.run import Status

# How far the clock of who asks may be ahead of ours.
_AHEAD_MS = 5_000
# A run may have begun any time ago, since it may sleep for a year and do so again.
_LOOKED_BACK_MS = 732 * 86_400_000
MAX_EXPRESSION_LENGTH = 10_000


# Which of it must be sent is checked for all of it at once, below.
CancellationBody = TypedDict(
    "CancellationBody",
    {
        "app_id": NotRequired[Annotated[str, text("The function's app")]],
        "function_id": NotRequired[
            Annotated[str, text("The function, as `<function>` or as `<app>-<function>`")]
        ],
        "started_after": NotRequired[
            Annotated[int, moment("The first moment in which the runs began; two years ago")]
        ],
        "started_before": NotRequired[
            Annotated[int, moment("The moment before which the runs began, at most now")]
        ],
        "if": NotRequired[
            Annotated[
                str,
                text(
                    "An expression that must hold of the run's event, `event`",
                    max_length=MAX_EXPRESSION_LENGTH,
                ),
            ]
        ],
    },
)


@dataclass(frozen=True)
class CancellationEndpoints:
    """What cancels runs in bulk; checks and texts are those of Inngest.

    Attributes:
        jobs: starts and finds jobs.
        manifest: what is registered.
    """

    jobs: Jobs
    manifest: Manifest

    @operation("GET", "/v1/cancellations", list[JobObject], tag="Cancellations", query=PageQuery)
    def list_cancellations(self, call: Call) -> Result:
        """The newest cancellations."""
        return self.jobs.list(call, JobKind.CANCELLATION)

    @operation("GET", "/v1/cancellations/<job_id>", JobObject, tag="Cancellations")
    def get_cancellation(self, call: Call) -> Result:
        """One cancellation, with its progress."""
        return self.jobs.get(call, JobKind.CANCELLATION)

    @operation("DELETE", "/v1/cancellations/<job_id>", JobObject, tag="Cancellations")
    def stop_cancellation(self, call: Call) -> Result:
        """Stop a cancellation; what it has done stays done."""
        return self.jobs.stop(call, JobKind.CANCELLATION)

    @operation(
        "POST",
        "/v1/cancellations",
        JobObject,
        tag="Cancellations",
        body=CancellationBody,
        status=201,
        refusals={404: "there is no such function"},
    )
    def start_cancellation(self, call: Call) -> Result:
        """Cancel all runs of a function that have not ended."""
        try:
            body = parse_body(CancellationBody, call.body)
        except RequestError as error:
            raise RequestError(400, f"Invalid cancellation request: {error.message}") from None
        until_ms = _checked_end(body, call.now_ms)
        function = self._function(body)
        from_ms = body.get("started_after")
        job = BulkJob(
            id=random_ulid(call.now_ms),
            env=call.env,
            kind=JobKind.CANCELLATION,
            function_id=function.id,
            app_id=body["app_id"],
            from_ms=max(until_ms - _LOOKED_BACK_MS, 0) if from_ms is None else from_ms,
            until_ms=until_ms,
            run_statuses=(Status.SCHEDULED, Status.RUNNING),
            expression=expression_of(body.get("if")),
            created_ms=call.now_ms,
        )
        return self.jobs.start(job)

    def _function(self, body: CancellationBody) -> FunctionManifest:
        """The function, named with its app or without; one that was removed may have runs, too."""
        app_id, name = body["app_id"], body["function_id"]
        for function_id in (name, f"{app_id}-{name}"):
            function = self.manifest.deployed_function(function_id)
            if function is not None and function.is_of(app_id):
                return function
        raise RequestError(404, "function not found")


def _checked_end(body: CancellationBody, now_ms: int) -> int:
    """When the time ends, UTC ms.

    Raises:
        RequestError: 400; all that is wrong, a line each.
    """
    before_ms, after_ms = body.get("started_before"), body.get("started_after")
    required = ("app_id", "function_id", "started_before")
    faults = [f"{name} is required" for name in required if body.get(name) in (None, "")]
    if before_ms is None:
        pass
    elif before_ms > now_ms + _AHEAD_MS:
        faults.append("started_before must be in the past")
    elif after_ms is not None and after_ms >= before_ms:
        faults.append("started_after must be before started_before")
    if faults or before_ms is None:
        raise RequestError(400, "\n".join(faults))
    return before_ms


def expression_of(text: str | None) -> Expression | None:
    """The expression that a job is limited by, read; None without one.

    Raises:
        RequestError: 400, it cannot be read.
    """
    if not text:
        return None
    try:
        return compile_expression(text)
    except ConfigurationError as error:
        raise RequestError(400, f"invalid expression: {error}") from None
