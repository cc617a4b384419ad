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

import uuid
from dataclasses import dataclass, replace
from enum import StrEnum

from tidegate.attempt import Attempt, Attempts, and_one
from tidegate.encoding import decode
from tidegate.ids import ulid_ms


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
class Rerun:
    """What makes a run one that repeats another.

    Its id is not derived from its event, or it would be the run that it repeats. It carries the
    time when the rerun was asked for. Late first runs of events are the exception.

    Attributes:
        run_id: its id.
        original_run_id: the run that it repeats, of the same function and event; None for the
            first run of an event that is replayed, whose id is the one that its event gives it.
        replay_id: the replay that it is a part of, if it is.
        sent_ms: when it was asked for, where its id does not tell, UTC ms.
    """

    run_id: str
    original_run_id: str | None
    replay_id: str | None = None
    sent_ms: int | None = None

    @property
    def asked_ms(self) -> int:
        """When it was asked for, UTC ms."""
        return ulid_ms(self.run_id) if self.sent_ms is None else self.sent_ms


@dataclass(frozen=True)
class Run:
    """A run of a function.

    Attributes:
        id: its ULID, derived from the function and the event; a rerun has one of its own.
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
        leased_ms: when it began, or the last one did, if it has.
        output: JSON text of what the function returned, or of its (latest) failure.
        output_key: where the output lies in the bucket, when it is too large for the record.
        cancel_reason: why it is to be cancelled, if it is.
        counted_ms: since when its attempts are counted, UTC ms: a step that was completed later
            gives a run whose worker dies all of them back.
        backs_off: whether what is due, or was last, is a retry of the function: nothing that it
            waits for makes that come sooner.
        cancels: the names of the events that cancel it, as the function had them at its beginning.
        original_run_id: the run that it repeats, if it is a rerun.
        replay_id: the replay that it is a part of, if it is.
        reruns: of the run that its event started, the ids of all that repeat it, or repeat those.
        event_name: the name of the event that started it; empty in records of before it was kept.
        cron: the expression whose tick started it, if one did.
        attempts: how it was tried, if more than once, apart from its steps; the last ten.
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
    original_run_id: str | None = None
    replay_id: str | None = None
    reruns: tuple[str, ...] = ()
    event_name: str = ""
    cron: str | None = None
    leased_ms: int | None = None
    attempts: Attempts = ()

    @property
    def rerun(self) -> Rerun | None:
        """What makes it a rerun; None when its event started it."""
        if self.original_run_id is None and self.replay_id is None:
            return None
        sent_ms = self.queued_ms if self.original_run_id is None else None
        return Rerun(self.id, self.original_run_id, self.replay_id, sent_ms)

    def with_attempt(self, ended_ms: int, failure: Failure | None = None) -> Run:
        """The run with the present attempt in its list.

        Args:
            ended_ms: when the attempt ended, UTC ms.
            failure: why it failed, if it did.
        """
        started_ms = self.leased_ms or self.started_ms or self.queued_ms
        one = Attempt.of(self.attempt, started_ms, ended_ms, failure)
        return replace(self, attempts=and_one(self.attempts, one))

    def leased(self, now_ms: int, until_ms: int) -> Run:
        """The run as the one drives it who has its lease, a new one, until that time, UTC ms."""
        return replace(
            self,
            status=Status.RUNNING,
            started_ms=self.started_ms or now_ms,
            due_ms=None,
            lease=uuid.uuid4().hex,
            leased_ms=now_ms,
            lease_until_ms=until_ms,
        )

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in ENDED


def failure_of(output: str | None) -> Failure:
    """The failure in the output of a failed run."""
    fields = decode(output or "{}") or {}
    return Failure(fields.get("name", "Error"), fields.get("message", ""), fields.get("stack", ""))
