"""Runs: one record each, started once, driven by one worker at a time, ended once.

            put: absent                    update: my lease
(nothing) ───────────────▶ Running, leased ────────────────▶ Completed | Failed | Cancelled
    │                        ▲        │
    │ put: absent            │        │ update: my lease (a retry is due)
    ▼                        │        ▼
Scheduled, due ──────────────┴── Running, due
            update: no lease, or an expired one (its worker died)

Whoever cancels a run notes that in its record, whatever its state, and wakes it; the engine ends
it. A run of which that is noted is neither released nor ended otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tidegate.encoding import decode


class Status(StrEnum):
    """The state of a run, as Inngest's clients know it."""

    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Failure:
    """What went wrong in a function.

    Attributes:
        name: the exception's type.
        message: its message.
        stack: its traceback, as text.
    """

    name: str
    message: str
    stack: str = ""

    def as_dict(self) -> dict[str, str]:
        """The failure as it is shown: `name`, `message`, `stack`."""
        return {"name": self.name, "message": self.message, "stack": self.stack}

    def __str__(self) -> str:
        """The failure in one line."""
        return f"{self.name}: {self.message}" if self.message else self.name


@dataclass(frozen=True)
class Run:
    """A run of a function.

    Attributes:
        id: its ULID, derived from the function and the event.
        env: the environment of its event.
        function_id: the function.
        event_id: the internal id of the event that started it.
        status: where it stands.
        attempt: the attempt that runs, is due, or was the last; 0 for the first.
        queued_ms: when it was recorded, UTC ms.
        started_ms: when its first attempt began, if it has.
        ended_ms: when it ended, if it has.
        due_ms: when its next attempt is due, while it waits for one.
        lease: who drives it; empty when nobody does.
        lease_until_ms: when that worker is dead for certain.
        output: JSON text of what the function returned, or of its (latest) failure.
        output_key: where the output lies in the bucket, when it is too large for the record.
        cancel_reason: why it is to be cancelled, if it is.
        counted_ms: since when its attempts are counted, UTC ms: a step that was completed later
            gives a run whose worker dies all of them back.
        backs_off: whether what is due, or was last, is a retry of the function: nothing that it
            waits for makes that come sooner.
        cancels: the names of the events that cancel it, as the function had them at its beginning.
    """

    id: str
    env: str
    function_id: str
    event_id: str
    status: Status
    attempt: int
    queued_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    due_ms: int | None = None
    lease: str = ""
    lease_until_ms: int = 0
    output: str | None = None
    output_key: str | None = None
    cancel_reason: str | None = None
    counted_ms: int = 0
    backs_off: bool = False
    cancels: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ENDED


def failure_of(output: str | None) -> Failure:
    """The failure in the output of a failed run."""
    fields = decode(output or "{}") or {}
    return Failure(fields.get("name", "Error"), fields.get("message", ""), fields.get("stack", ""))
