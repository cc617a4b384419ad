"""Stores in memory that keep the same conditions as those on AWS.

Records are immutable, so what is given out can never change what is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from tidegate.encoding import encode
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent
from tidegate.large import body_key, is_large, payload_key
from tidegate.manifest import OUTPUTS, RUNS
from tidegate.run import Failure, Run, Status
from tidegate.step import StepRecord, StepState
from tidegate.stores import Claim
from tidegate.wait import Wait, WaitKey

WINDOW_S = 24 * 3600


class MemoryPayloads:
    """Large texts."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, key: str) -> str:
        """The text under a key; DeadLetterError if there is none."""
        try:
            return self._texts[key]
        except KeyError:
            raise DeadLetterError(f"payload {key} is gone; its retention has ended") from None

    def put(self, key: str, text: str) -> None:
        """Store a text."""
        self._texts[key] = text


@dataclass
class MemoryRuns:
    """The runs' records.

    Attributes:
        payloads: where large outputs are.
    """

    payloads: MemoryPayloads
    _runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, run: Run) -> Run | None:
        """Record a run unless it is recorded already; gives the one that is."""
        new = replace(run, output=None, output_key=None, ended_ms=None)
        with self._lock:
            stored = self._runs.setdefault((run.env, run.id), new)
        if stored is new or (stored.lease and stored.lease == run.lease):
            return None
        return stored

    def take(self, old: Run, new: Run) -> bool:
        """Lease a run that is as it was seen; False when it has changed since."""
        with self._lock:
            stored = self._runs.get((new.env, new.id))
            if stored is None:
                return False
            if (stored.status, stored.attempt, stored.lease) != (
                old.status,
                old.attempt,
                old.lease,
            ):
                # Repeated, as after an answer that was lost, it is done already; so below.
                return stored.lease == new.lease
            self._put(
                replace(
                    stored,
                    status=new.status,
                    attempt=new.attempt,
                    counted_ms=new.counted_ms,
                    lease=new.lease,
                    lease_until_ms=new.lease_until_ms,
                    leased_ms=new.leased_ms,
                    attempts=new.attempts,
                    started_ms=new.started_ms,
                    due_ms=None,
                )
            )
            return True

    def release(
        self, run: Run, due_ms: int, *, attempt: int, failure: Failure | None = None
    ) -> bool:
        """Give up the lease until the run is due; False when that may not be."""
        with self._lock:
            stored = self._runs.get((run.env, run.id))
            if stored is None:
                return False
            if not _is_leased(stored, run):
                done = ("", due_ms, attempt)
                return (stored.lease, stored.due_ms, stored.attempt) == done
            if stored.cancel_reason is not None:
                return False
            stored = replace(stored, attempt=attempt, lease="", lease_until_ms=0, due_ms=due_ms)
            backs_off = failure is not None
            stored = replace(stored, counted_ms=run.counted_ms, backs_off=backs_off)
            if failure is not None:
                output = encode(failure.as_dict())
                stored = replace(stored, output=output, output_key=None, attempts=run.attempts)
            self._put(stored)
            return True

    def end(self, run: Run, ended: Run) -> bool:
        """End a run; False when that may not be."""
        output = ended.output or "null"
        key = payload_key(RUNS, run.env, run.id) if is_large(output) else None
        with self._lock:
            stored = self._runs.get((run.env, run.id))
            if stored is None:
                return False
            if not _is_leased(stored, run):
                return (stored.lease, stored.status) == (run.lease, ended.status)
            if stored.cancel_reason is not None and ended.status != Status.CANCELLED:
                return False
            if key is not None:
                self.payloads.put(key, output)
            self._put(
                replace(
                    stored,
                    status=ended.status,
                    ended_ms=ended.ended_ms,
                    lease_until_ms=0,
                    due_ms=None,
                    output=None if key else output,
                    output_key=key,
                    attempts=ended.attempts,
                )
            )
            return True

    def cancel(self, env: str, run_id: str, reason: str) -> Run | None:
        """Note that a run is to be cancelled, unless it has ended; gives it as it now stands."""
        with self._lock:
            stored = self._runs.get((env, run_id))
            if stored is None or stored.has_ended or stored.cancel_reason is not None:
                return stored
            self._put(replace(stored, cancel_reason=reason))
            return self._runs[env, run_id]

    def get(self, env: str, run_id: str) -> Run | None:
        """The run with that id, if there is one."""
        return self._runs.get((env, run_id))

    def all(self) -> list[Run]:
        """Every run, in the order in which they were recorded."""
        return list(self._runs.values())

    def output_of(self, run: Run) -> str | None:
        """JSON text of a run's output, wherever it lies."""
        return self.payloads.get(run.output_key) if run.output_key else run.output

    def _put(self, run: Run) -> None:
        self._runs[run.env, run.id] = run


def _is_leased(stored: Run, run: Run) -> bool:
    return stored.lease == run.lease and stored.status == Status.RUNNING


class MemorySteps:
    """The records of the runs' steps."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str], dict[str, StepRecord]] = {}
        self._lock = threading.Lock()

    def load(self, run: Run) -> dict[str, StepRecord]:
        """Every step of a run, by its hashed id."""
        with self._lock:
            return dict(self._steps.get((run.env, run.id), {}))

    def put(self, run: Run, record: StepRecord) -> StepRecord:
        """Record a step unless it is done already, and give it as it now stands."""
        hashed = record.step.hashed
        if record.memo is not None and is_large(record.memo):
            key = payload_key(OUTPUTS, run.env, f"{run.id}-{hashed}")
            record = replace(record, memo_key=key)
        with self._lock:
            steps = self._steps.setdefault((run.env, run.id), {})
            first = steps.get(hashed)
            if first is not None and first.state != StepState.WAITING:
                return first
            steps[hashed] = record
            return record

    def keep(self, run: Run, records: list[StepRecord], until_ms: int) -> None:
        """Nothing is forgotten here."""


class MemoryDedup:
    """Who came first with a sender's id, or with a key of a function."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], Claim] = {}
        self._limited: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    def claim(
        self,
        env: str,
        key: str,
        internal_id: str,
        event_name: str,
        now_ms: int,
        *,
        function_id: str = "",
        is_limited: bool = False,
        by_name: bool = False,
    ) -> Claim:
        """Claim a sender's id, or a key of a function; the first claim wins for 24 hours."""
        space = (env, function_id, key, *([event_name] if by_name else []))
        with self._lock:
            first = self._first.get(space)
            is_over = first is None or first.first_ms <= now_ms - WINDOW_S * 1000
            if first is not None and space in self._limited and not is_limited:
                is_over = is_over or first.event_name != event_name
            if first is not None and not is_over:
                return replace(first, is_first=first.internal_id == internal_id)
            claim = Claim(internal_id, True, event_name, now_ms)
            self._first[space] = claim
            (self._limited.add if is_limited else self._limited.discard)(space)
            return claim


class MemoryEvents:
    """Accepted events.

    Attributes:
        payloads: where large bodies are.
    """

    def __init__(self, payloads: MemoryPayloads) -> None:
        self.payloads = payloads
        self._events: dict[tuple[str, str], AcceptedEvent] = {}

    def put_payloads(self, events: Sequence[AcceptedEvent]) -> None:
        """Store the bodies that are too large for a message."""
        for event in events:
            if is_large(event.body):
                self.payloads.put(body_key(event), event.body)

    def put(self, events: Sequence[AcceptedEvent]) -> None:
        """Store events; storing again is harmless."""
        self._events.update({(event.env, event.internal_id): event for event in events})

    def contains(self, env: str, internal_id: str) -> bool:
        """Whether an event is stored, which proves that it was published."""
        return (env, internal_id) in self._events

    def get(self, env: str, internal_id: str) -> AcceptedEvent:
        """The event with that internal id."""
        return self._events[env, internal_id]

    def named(
        self, env: str, event_name: str, first_ms: int, last_ms: int
    ) -> Iterator[AcceptedEvent]:
        """The stored events of a name that were received in a time, both ends included, UTC ms."""
        for event in list(self._events.values()):
            is_named = (event.env, event.name) == (env, event_name)
            if is_named and first_ms <= event.received_ms <= last_ms:
                yield event


class MemoryWaits:
    """What runs wait for."""

    def __init__(self) -> None:
        self._waits: dict[WaitKey, Wait] = {}

    def put(self, wait: Wait) -> None:
        """Store a wait; storing again is harmless."""
        self._waits[wait.key] = wait

    def delete(self, key: WaitKey) -> None:
        """Forget a wait, if it is there."""
        self._waits.pop(key, None)

    def get(self, key: WaitKey) -> Wait | None:
        """The wait with that key, if it is there."""
        return self._waits.get(key)

    def is_awaited(self, env: str, event_name: str) -> bool:
        """Whether any run may wait for events of a name."""
        return any(self.waiting_for(env, event_name))

    def waiting_for(self, env: str, event_name: str) -> Iterator[list[Wait]]:
        """The waits for events of a name, those that are past their time included, in pages."""
        waits = list(self._waits.values())
        yield [wait for wait in waits if (wait.env, wait.event_name) == (env, event_name)]
