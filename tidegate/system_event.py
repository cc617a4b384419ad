"""System events: what Tidegate itself announces of a run, for functions to be triggered by."""

from __future__ import annotations

from typing import Any

from tidegate.encoding import decode
from tidegate.event import AcceptedEvent, event_body
from tidegate.function import FAILED as FAILED
from tidegate.ids import derived_ulid
from tidegate.invocation import Invocation
from tidegate.manifest import Manifest
from tidegate.run import Failure, Run, Status, failure_of

FINISHED = "inngest/function.finished"
CANCELLED = "inngest/function.cancelled"


def announcements(
    run: Run, event: AcceptedEvent, output: str | None, manifest: Manifest
) -> list[AcceptedEvent]:
    """The system events of a run that has ended, as far as any function is triggered by them.

    Announcing again is harmless: the ids are derived from the run. Runs that were themselves
    started by an end announce nothing, and those that were started by a cancellation no other one,
    or two functions could call each other for ever. An event that no function wants is not
    published, so a run costs nothing for it.

    Args:
        run: the ended run.
        event: the event that started it.
        output: JSON text of the run's output, or of its failure.
        manifest: knows what functions are triggered by.
    """
    if event.name in (FINISHED, FAILED):
        return []
    names = [FINISHED]
    if run.status == Status.FAILED:
        names = [FAILED, FINISHED]
    elif run.status == Status.CANCELLED and event.name != CANCELLED:
        names = [CANCELLED, FINISHED]
    return [_event(name, run, event, output) for name in names if manifest.listens_to(name)]


def _event(name: str, run: Run, event: AcceptedEvent, output: str | None) -> AcceptedEvent:
    ended_ms = run.ended_ms or run.queued_ms
    internal_id = derived_ulid(ended_ms, name, run.env, run.id)
    started_by = decode(event.body)
    data: dict[str, Any] = {
        "function_id": run.function_id,
        "run_id": run.id,
        "event": started_by,
        "events": [started_by],
        "_inngest": {"status": str(run.status)},
    }
    if run.status == Status.FAILED:
        data["error"] = _error(failure_of(output))
    elif run.status == Status.COMPLETED:
        data["result"] = decode(output or "null")
    invocation = Invocation.of(event)
    if invocation is not None and invocation.run_id:
        data["correlation_id"] = f"{invocation.run_id}.{invocation.step_hash}"
    return AcceptedEvent(
        internal_id=internal_id,
        env=run.env,
        name=name,
        received_ms=ended_ms,
        ts=ended_ms,
        body=event_body(
            name=name,
            data=data,
            event_id=internal_id if name == FINISHED else run.id,
            ts=ended_ms,
        ),
    )


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.name, **failure.as_dict()}
