"""Bulk jobs: what is done to runs, events or dead letters of a function, with its progress.

A job is worked on in slices. Each slice does a few pages of runs, the newest first, notes how far
it came, and asks for the next one by a message. Whatever comes twice finds what was noted:

    message ──▶ page: act on each run ──▶ note: cursor from here to there, counts ──▶ … ──▶ message
                      (repeatable)              (only if the cursor is still here)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.encoding import decode, encode
from tidegate.errors import DeadLetterError
from tidegate.expression import Expression

# The cursor of a job that has been through all runs; no ULID is like it.
AT_END = "end"


class JobKind(StrEnum):
    """What is done, to runs, events or dead letters."""

    REPLAY = "replay"
    EVENT_REPLAY = "event_replay"
    CANCELLATION = "cancellation"
    REDRIVE = "redrive"
    DEAD_LETTER_DELETION = "dead_letter_deletion"
    RECOVERY = "recovery"


class JobStatus(StrEnum):
    """Where a job stands."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    STOPPED = "Stopped"


# What is about a function's dead letters, not its runs or events.
OF_DEAD_LETTERS = frozenset({JobKind.REDRIVE, JobKind.DEAD_LETTER_DELETION})


@dataclass(frozen=True)
class Progress:
    """What a page of a job did.

    Attributes:
        cursor: where the job goes on; `AT_END` when it is over.
        found: how many runs, events or letters it concerned.
        done: with how many of them it was done; the others are skipped.
        note: why one was skipped, if one was.
        pause_s: how long the job rests behind it, in whole seconds.
    """

    cursor: str
    found: int = 0
    done: int = 0
    note: str | None = None
    pause_s: int = 0


@dataclass(frozen=True)
class BulkJob:
    """A job.

    Attributes:
        id: its ULID.
        env: the environment whose runs it is about.
        kind: what is done to them.
        function_id: the function whose runs they are.
        app_id: the function's app, if the job was asked for with it.
        from_ms: the first millisecond of the time, UTC. A run belongs to the time that its id has,
            a dead letter to the one when it was sent.
        until_ms: the millisecond before which the time ends.
        run_statuses: what a run must be for the job to concern it; empty where it is not about
            runs.
        expression: what must hold of its event; None takes all.
        created_ms: when it was asked for, UTC ms.
        event_name: of replayed events, the one name that it is about; None takes all.
        per_second: how many runs it starts, or letters it moves, in a second, at the most; None as
            many as it can.
        message_ids: of dead letters, the ones that it is about; empty takes all.
        status: where it stands.
        ended_ms: when it was completed or stopped.
        cursor: the run, or event, behind which it goes on; empty at first, `AT_END` at the end.
        found: runs, events or letters so far that it concerns.
        done: those of them that it has started again, resumed, cancelled, moved or deleted.
        skipped: those with which that could not be done.
        note: why that was so with the last of these.
        slice: in a message, the number of the slice that it asks for; in the record, of the newest
            one that was asked for.
    """

    id: str
    env: str
    kind: JobKind
    function_id: str
    app_id: str | None
    from_ms: int
    until_ms: int
    run_statuses: tuple[str, ...]
    expression: Expression | None
    created_ms: int
    event_name: str | None = None
    per_second: int | None = None
    message_ids: tuple[str, ...] = ()
    status: JobStatus = JobStatus.RUNNING
    ended_ms: int | None = None
    cursor: str = ""
    found: int = 0
    done: int = 0
    skipped: int = 0
    note: str | None = None
    slice: int = 0

    def encode(self) -> str:
        """JSON text of what was asked for, without the progress."""
        expression = self.expression
        return encode(
            {
                "id": self.id,
                "env": self.env,
                "kind": self.kind,
                "function_id": self.function_id,
                "app_id": self.app_id,
                "from_ms": self.from_ms,
                "until_ms": self.until_ms,
                "run_statuses": self.run_statuses,
                "expression": expression and [expression.text, expression.meaning],
                "created_ms": self.created_ms,
                "event_name": self.event_name,
                "per_second": self.per_second,
                "message_ids": self.message_ids,
                "slice": self.slice,
            }
        )

    @classmethod
    def decode(cls, text: str) -> BulkJob:
        """The job in a JSON text, at its beginning."""
        fields: dict[str, Any] = decode(text)
        expression = fields["expression"]
        return cls(
            **fields
            | {
                "kind": JobKind(fields["kind"]),
                "run_statuses": tuple(fields["run_statuses"]),
                # A job may be older than the code that works on it.
                "message_ids": tuple(fields.get("message_ids", ())),
                "expression": Expression(*expression) if expression else None,
            }
        )


@dataclass(frozen=True)
class JobMessage:
    """Asks for a slice of a job. It has all of the job, so that the job need not be recorded yet.

    Attributes:
        job: the job; its progress is in its record.
    """

    job: BulkJob

    _PREFIX = '{"job":'

    def encode(self) -> str:
        """The message's text."""
        return f"{self._PREFIX}{self.job.encode()}}}"

    @classmethod
    def is_in(cls, text: str) -> bool:
        """Whether a text is such a message."""
        return text.startswith(cls._PREFIX)

    @classmethod
    def decode(cls, text: str) -> JobMessage:
        """The message in a text.

        Raises:
            DeadLetterError: it is none.
        """
        try:
            return cls(BulkJob.decode(text[len(cls._PREFIX) : -1]))
        except (ValueError, TypeError, KeyError) as error:
            raise DeadLetterError(
                f"not a slice of a bulk job: {type(error).__name__}: {error}"
            ) from None
