"""Invoking a function from another: the event that starts it, and what its caller gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.effect import Invoke
from tidegate.encoding import decode, encode
from tidegate.errors import (
    FunctionNotFoundError,
    InvokeCancelledError,
    InvokeError,
    InvokeTimeoutError,
)
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import derived_ulid
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.step import StepState, data_memo

INVOKED = "inngest/function.invoked"

_KINDS: dict[str, type[InvokeError]] = {
    "timeout": InvokeTimeoutError,
    "cancelled": InvokeCancelledError,
    "unknown": FunctionNotFoundError,
}


@dataclass(frozen=True)
class Invocation:
    """What an invoked run knows of its caller.

    Attributes:
        function_id: the function that is invoked.
        run_id: the run that called it, of the same environment; empty when no run did, but a
            call of the REST API.
        step_hash: the hashed id of that run's step.
    """

    function_id: str
    run_id: str = ""
    step_hash: str = ""

    @classmethod
    def of(cls, event: AcceptedEvent) -> Invocation | None:
        """The invocation in the event of a run; None when the run was not invoked.

        Nobody outside can send such an event: its name and `_inngest` are reserved.
        """
        if event.name != INVOKED:
            return None
        about = decode(event.body)["data"].get("_inngest")
        if about is None:
            # All that is left is its name; see `EventMessage.without_data`.
            return None
        run_id, _, step_hash = about.get("correlation_id", "").partition(".")
        return cls(about["fn_id"], run_id, step_hash)


def invoked_event(
    run: Run, effect: Invoke, function_id: str, caller_app_id: str, now_ms: int
) -> AcceptedEvent:
    """The event that starts the invoked run; at every repetition it is the same one.

    Args:
        run: the run that invokes.
        effect: what it asks for.
        function_id: the function that is invoked.
        caller_app_id: the app of the function that invokes.
        now_ms: the time, UTC ms.
    """
    step_hash = effect.step.hashed
    internal_id = derived_ulid(run.started_ms or run.queued_ms, INVOKED, run.env, run.id, step_hash)
    about = {
        "fn_id": function_id,
        "correlation_id": f"{run.id}.{step_hash}",
        "expire": effect.until_ms,
        "name": effect.step.name,
        "source_app_id": caller_app_id,
        "source_fn_id": run.function_id,
    }
    return AcceptedEvent(
        internal_id=internal_id,
        env=run.env,
        name=INVOKED,
        received_ms=now_ms,
        ts=now_ms,
        body=event_body(
            name=INVOKED,
            data=decode(effect.data) | {"_inngest": about},
            event_id=internal_id,
            ts=now_ms,
            v=effect.v,
        ),
    )


def result_of(run: Run, output: str | None) -> tuple[StepState, str]:
    """What the caller's step becomes when the invoked run has ended, and its memo.

    Args:
        run: the invoked run.
        output: JSON text of its output, or of its failure.
    """
    if run.status == Status.COMPLETED:
        return StepState.COMPLETED, data_memo(output or "null")
    if run.status == Status.FAILED:
        return StepState.FAILED, failure_memo(failure_of(output))
    message = f"run {run.id} of function {run.function_id!r} was cancelled"
    return StepState.FAILED, failure_memo(Failure("RunCancelled", message), "cancelled")


def timeout_memo(step_name: str) -> str:
    """The memo of a step whose invoked function did not end in time."""
    message = f"step {step_name!r}: the invoked function did not end in time"
    return failure_memo(Failure("InngestInvokeTimeoutError", message), "timeout")


def unknown_memo(function_id: str) -> str:
    """The memo of a step that invokes a function which is not there."""
    failure = Failure("Error", f"could not find function with ID: {function_id}")
    return failure_memo(failure, "unknown")


def failure_memo(failure: Failure, kind: str = "") -> str:
    """The memo of a step that has no result to give, for a reason of some kind."""
    return encode({"error": failure.as_dict() | ({"kind": kind} if kind else {})})


def invoke_error(error: dict[str, Any]) -> InvokeError:
    """The exception for the `error` of such a memo."""
    raised = _KINDS.get(error.get("kind", ""), InvokeError)
    return raised(error["message"], name=error["name"], stack=error.get("stack", ""))
