"""The journal of a run: the engine's decision on each step that the function asks for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from tidegate.attempt import Attempt, and_one
from tidegate.backoff import retry_delay_ms
from tidegate.clock import Clock
from tidegate.concurrency import concurrently
from tidegate.effect import Invoke, Sleep, StepEffect, StepErred, StepRan, WaitForEvent
from tidegate.errors import Abandoned, Aborted, PlatformError, StepUsageError
from tidegate.invocation import timeout_memo
from tidegate.observer import Observer
from tidegate.patience import patiently
from tidegate.run import Failure, Run
from tidegate.step import (
    MAX_STATE_BYTES,
    Op,
    StepId,
    StepRecord,
    StepState,
    data_memo,
    error_memo,
)

T = TypeVar("T")

logger = logging.getLogger("tidegate.journal")


class Steps(Protocol):
    """Where a run's steps are recorded."""

    def load(self, run: Run) -> dict[str, StepRecord]:
        """Every step of a run, by its hashed id."""

    def put(self, run: Run, record: StepRecord) -> StepRecord:
        """Record a step unless it is done already, and give it as it now stands."""

    def keep(self, run: Run, records: list[StepRecord], until_ms: int) -> None:
        """See to it that a run's steps are kept until it goes on, UTC ms."""


class Outside(Protocol):
    """What a run waits for outside of itself; all of it may be repeated."""

    def listen(self, effect: WaitForEvent, now_ms: int) -> None:
        """Let events complete the step from now on."""

    def invoke(self, effect: Invoke, now_ms: int) -> str | None:
        """Start another function's run, whose end completes the step.

        Returns:
            None, or the memo of the failed step when there is no such function.
        """

    def stop(self, record: StepRecord) -> None:
        """Let nothing complete the step any more."""


class Journal:
    """What a host asks about the steps of one run, and tells about them.

    It may be used by several threads, for steps that run beside each other.

    Args:
        run: the run.
        records: its steps so far, by hashed id.
        steps: where they are recorded.
        outside: what it waits for outside of itself.
        max_attempts: how often a step is tried.
        max_steps: how many steps the run may have.
        hand_over_ms: when no new step must begin in this invocation, UTC ms.
        clock: the time.
        jitter: gives random numbers from 0 to 1, for the backoff.
        why_stop: why the run is to be cancelled, if it is; asked whenever a step has ended.
        observer: is told of each step that was tried.

    Attributes:
        has_progressed: whether a step was completed.
        stopped: why the run is to be cancelled; no new step begins then.
    """

    def __init__(
        self,
        run: Run,
        records: dict[str, StepRecord],
        steps: Steps,
        outside: Outside,
        *,
        max_attempts: int,
        max_steps: int,
        hand_over_ms: int,
        clock: Clock,
        jitter: Callable[[], float],
        why_stop: Callable[[], Failure | None],
        observer: Observer,
    ) -> None:
        self.has_progressed = False
        self.stopped: Failure | None = None
        self._run = run
        self._records = records
        self._steps = steps
        self._outside = outside
        self._max_attempts = max_attempts
        self._max_steps = max_steps
        self._hand_over_ms = hand_over_ms
        self._clock = clock
        self._jitter = jitter
        self._why_stop = why_stop
        self._observer = observer
        self._lock = threading.Lock()
        self._waiting: dict[str, StepRecord] = {}
        self._state_bytes = sum(len(record.memo or "") for record in records.values())
        self._hands_over = False

    def now_ms(self) -> int:
        """The time, UTC ms."""
        return self._clock.now_ms()

    def begin_call(self) -> None:
        """The function is called anew: what it waits for is found out anew."""
        self._ask_to_go_on()
        self._waiting.clear()
        self._hands_over = False

    def recall(self, step: StepId, op: Op) -> StepRecord | None:
        """What became of a step, if anything.

        Raises:
            StepUsageError: it was a step of another kind before.
        """
        record = self._records.get(step.hashed)
        if record is None:
            return None
        if record.op != op:
            raise StepUsageError(
                f"step {step.name!r} is a {op.value} now and was a {record.op.value} when this "
                "run came here before; give the new step an id of its own"
            )
        return self._as_of_now(record)

    def record(self, effect: StepEffect) -> StepRecord:
        """Decide on an effect, and record it.

        Returns:
            The step as it now stands; while it waits the function cannot go on behind it.

        Raises:
            Aborted: the run has too many steps, or too much output.
            Abandoned: it could not be recorded.
        """
        self._check_limits(effect.step)
        decided = self._decided(effect)
        if not isinstance(effect, StepRan | StepErred):
            return self._as_of_now(self._put(decided))
        # Beside each other, so that asking takes no time of its own.
        calls: list[Callable[[], Any]] = [partial(self._put, decided), self._ask_to_go_on]
        record, _ = concurrently(lambda call: call(), calls)
        return self._as_of_now(record)

    def must_hand_over(self) -> bool:
        """Whether the invocation's time is nearly up, so that no new step must begin."""
        if self._clock.now_ms() >= self._hand_over_ms:
            self._hands_over = True
        return self._hands_over

    def records(self) -> list[StepRecord]:
        """Every step of the run."""
        return list(self._records.values())

    def awaiting(self) -> list[StepRecord]:
        """The steps that something outside of the run is to complete."""
        return [record for record in self._records.values() if record.is_awaiting]

    def due_ms(self) -> int:
        """When the function can go on, UTC ms; the present if it only ran out of time."""
        dues = [record.due_ms for record in self._waiting.values() if record.due_ms is not None]
        return self._clock.now_ms() if self._hands_over or not dues else min(dues)

    def _ask_to_go_on(self) -> None:
        stopped = self._patiently(self._why_stop)
        with self._lock:
            self.stopped = self.stopped or stopped

    def _put(self, record: StepRecord) -> StepRecord:
        record = self._patiently(lambda: self._steps.put(self._run, record))
        with self._lock:
            self._records[record.step.hashed] = record
            self._state_bytes += len(record.memo or "")
            if record.is_done:
                self.has_progressed = True
        logger.debug(
            "step recorded",
            extra={
                "step": record.step.name,
                "op": record.op,
                "state": record.state,
                "attempt": record.attempt,
                "due_ms": record.due_ms,
            },
        )
        return record

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat a call while there is time: the step has run, and if that is not recorded it
        will run again."""
        try:
            return patiently(call, self._clock, self._hand_over_ms)
        except PlatformError as error:
            raise Abandoned(error) from error

    def _as_of_now(self, record: StepRecord) -> StepRecord:
        if record.is_done:
            return record
        if (record.due_ms or 0) > self._clock.now_ms():
            with self._lock:
                self._waiting[record.step.hashed] = record
            return record
        if record.op == Op.SLEEP:
            # That it is over needs no writing: the time it was due is recorded.
            return replace(
                record, state=StepState.COMPLETED, ended_ms=record.due_ms, memo="null", due_ms=None
            )
        return self._timed_out(record) if record.is_awaiting else replace(record, due_ms=None)

    def _timed_out(self, record: StepRecord) -> StepRecord:
        """Complete a step for which nothing came in time, unless something did just now."""
        ended = replace(record, ended_ms=record.due_ms, due_ms=None)
        if record.op == Op.INVOKE:
            memo = timeout_memo(record.step.name)
            ended = replace(ended, state=StepState.FAILED, memo=memo)
        else:
            ended = replace(ended, state=StepState.COMPLETED, memo="null")
        ended = self._put(ended)
        self._patiently(lambda: self._outside.stop(record))
        return ended

    def _decided(self, effect: StepEffect) -> StepRecord:
        now_ms = self._clock.now_ms()
        if isinstance(effect, Sleep):
            return self._sleep(effect, now_ms)
        if isinstance(effect, WaitForEvent):
            return self._wait_for_event(effect, now_ms)
        if isinstance(effect, Invoke):
            return self._invoke(effect, now_ms)
        return self._tried(effect, now_ms)

    def _tried(self, effect: StepRan | StepErred, now_ms: int) -> StepRecord:
        before = self._records.get(effect.step.hashed)
        attempt = before.attempt if before is not None else 0
        failure = effect.failure if isinstance(effect, StepErred) else None
        self._observer.step_tried(self._run, effect.step.name, effect.started_ms, now_ms, failure)
        this = Attempt.of(attempt, effect.started_ms, now_ms, failure)
        attempts = and_one(before.attempts if before is not None else (), this)
        record = StepRecord(
            effect.step,
            Op.RUN,
            StepState.COMPLETED,
            started_ms=before.started_ms if before is not None else effect.started_ms,
            ended_ms=now_ms,
            attempt=attempt,
            # Of a step that was tried once all of it is in the record already.
            attempts=attempts if attempt else (),
        )
        if isinstance(effect, StepRan):
            return replace(record, memo=data_memo(effect.output))
        if effect.retriable and attempt + 1 < self._max_attempts:
            self._observer.retried()
            return replace(
                record,
                state=StepState.WAITING,
                ended_ms=None,
                attempt=attempt + 1,
                due_ms=self._retry_ms(effect, attempt, now_ms),
                attempts=attempts,
            )
        return replace(record, state=StepState.FAILED, memo=error_memo(effect.failure))

    def _sleep(self, effect: Sleep, now_ms: int) -> StepRecord:
        record = StepRecord(
            effect.step, Op.SLEEP, StepState.WAITING, now_ms, due_ms=effect.until_ms
        )
        if effect.until_ms > now_ms:
            return record
        return replace(record, state=StepState.COMPLETED, ended_ms=now_ms, due_ms=None, memo="null")

    def _wait_for_event(self, effect: WaitForEvent, now_ms: int) -> StepRecord:
        # The record comes last: as long as it is not there, all of this is done again.
        self._patiently(lambda: self._outside.listen(effect, now_ms))
        return StepRecord(
            effect.step,
            Op.WAIT_FOR_EVENT,
            StepState.WAITING,
            now_ms,
            due_ms=effect.until_ms,
            event_name=effect.event_name,
        )

    def _invoke(self, effect: Invoke, now_ms: int) -> StepRecord:
        memo = self._patiently(lambda: self._outside.invoke(effect, now_ms))
        record = StepRecord(
            effect.step, Op.INVOKE, StepState.WAITING, now_ms, due_ms=effect.until_ms
        )
        if memo is None:
            return record
        return replace(record, state=StepState.FAILED, ended_ms=now_ms, due_ms=None, memo=memo)

    def _retry_ms(self, effect: StepErred, attempt: int, now_ms: int) -> int:
        if effect.retry_after is not None:
            return effect.retry_after.due_ms(now_ms)
        return now_ms + retry_delay_ms(attempt, self._jitter())

    def _check_limits(self, step: StepId) -> None:
        if step.hashed not in self._records and len(self._records) >= self._max_steps:
            raise Aborted(
                "TooManySteps",
                f"step {step.name!r} would be the run's step number {len(self._records) + 1}, and "
                f"{self._max_steps} are allowed; use fewer, larger steps, or split the function",
            )
        if self._state_bytes > MAX_STATE_BYTES:
            raise Aborted(
                "TooMuchState",
                f"the run's steps returned {self._state_bytes} bytes in all before step "
                f"{step.name!r}, and {MAX_STATE_BYTES} are allowed; return references, not data",
            )
