"""Steps: their ids, and the record of what became of each.

Ids and the stored shapes (`memo`) are those of Inngest's SDK protocol, so that a run's steps mean
the same to a function in this process and to one behind a URL.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tidegate.attempt import Attempts
from tidegate.encoding import encode
from tidegate.run import Failure

DEFAULT_MAX_STEPS = 1_000
MAX_MAX_STEPS = 10_000
MAX_STATE_BYTES = 32 * 1024 * 1024
MAX_WAIT_MS = 366 * 86_400_000
# The records of a step and of a wait have its id in them, and DynamoDB takes 400 KB.
MAX_STEP_ID_LENGTH = 1_000


class Op(StrEnum):
    """What kind of step it is, by its opcode."""

    RUN = "StepRun"
    SLEEP = "Sleep"
    WAIT_FOR_EVENT = "WaitForEvent"
    INVOKE = "InvokeFunction"


# Steps that something outside of the run completes.
# Whoever completes a step has another clock than the worker.
_CLOCKS_DIFFER_MS = 5_000
AWAITING = frozenset({Op.WAIT_FOR_EVENT, Op.INVOKE})


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "Waiting"
    COMPLETED = "Completed"
    FAILED = "Failed"


@dataclass(frozen=True)
class StepId:
    """A step's id.

    Attributes:
        name: what the function calls it.
        index: 0 for its first use in a run, 1 for the second, and so on.
    """

    name: str
    index: int = 0

    @property
    def hashed(self) -> str:
        """SHA-1 of the name, or of `name:1`, `name:2` for repeated use, in lower-case hex."""
        text = f"{self.name}:{self.index}" if self.index else self.name
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class StepIds:
    """Tells steps of one name apart by counting their uses, in the order in which they happen.

    The third use of `a` and the first of `a:2` have the same text to hash; the later one of them
    counts on.
    """

    def __init__(self) -> None:
        self._uses: Counter[str] = Counter()
        self._taken: frozenset[str] = frozenset()

    def peek(self, name: str) -> StepId:
        """The id of the next use of a name."""
        index = self._uses[name]
        while (step := StepId(name, index)).hashed in self._taken:
            index += 1
        return step

    def next(self, name: str) -> StepId:
        """The id of the next use of a name, which this is."""
        step = self.peek(name)
        self._uses[name] = step.index + 1
        self._taken |= {step.hashed}
        return step

    def mark(self) -> StepIds:
        """The uses so far, to go back to."""
        copy = StepIds()
        copy.back_to(self)
        return copy

    def back_to(self, mark: StepIds) -> None:
        """Forget the uses since a mark."""
        self._uses = mark._uses.copy()
        self._taken = mark._taken


@dataclass(frozen=True)
class StepRecord:
    """What became of a step.

    Attributes:
        step: its id.
        op: what kind it is.
        state: where it stands.
        started_ms: when it was first recorded or began, UTC ms.
        ended_ms: when it was completed or failed for good; None while it waits.
        attempt: for a step that runs: the attempt that is next while it waits, else the last one.
        due_ms: when waiting ends by itself: the sleep is over, the retry due, the time-out reached.
        memo: JSON text in the protocol's shape; None while it waits.
        memo_key: where the memo lies in the bucket when it is too large for the record.
        event_name: the name of the event that it waits for, if it waits for one.
        kept_ms: until when it is kept at least, UTC ms.
        attempts: how it was tried, if more than once; the last ten.
    """

    step: StepId
    op: Op
    state: StepState
    started_ms: int
    ended_ms: int | None = None
    attempt: int = 0
    due_ms: int | None = None
    memo: str | None = None
    memo_key: str | None = None
    event_name: str = ""
    kept_ms: int = 0
    attempts: Attempts = ()

    @property
    def is_done(self) -> bool:
        """Whether its memo is final."""
        return self.state != StepState.WAITING

    def ended_by(self, now_ms: int) -> int | None:
        """When it ended, if it has by then (UTC ms); that a sleep is over is not recorded."""
        if self.op == Op.SLEEP and not self.is_done and (self.due_ms or 0) <= now_ms:
            return self.due_ms
        return self.ended_ms

    @property
    def is_awaiting(self) -> bool:
        """Whether something outside of the run is to complete it."""
        return not self.is_done and self.op in AWAITING


def any_met(records: Mapping[str, StepRecord], since_ms: int) -> bool:
    """Whether something outside of a run has completed one of its steps since then.

    Args:
        records: its steps, by hashed id.
        since_ms: when its worker last looked, UTC ms.
    """
    ends = (one.ended_ms or 0 for one in records.values() if one.is_done and one.op in AWAITING)
    return any(end_ms >= since_ms - _CLOCKS_DIFFER_MS for end_ms in ends)


def data_memo(output: str) -> str:
    """The memo of a step that gave JSON text as its output."""
    return f'{{"data":{output}}}'


def error_memo(failure: Failure) -> str:
    """The memo of a step that failed for good."""
    return encode({"error": failure.as_dict()})
