"""The end of a run: recorded once, and told to whoever waits for it or is triggered by it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tidegate.clock import Clock
from tidegate.encoding import encode
from tidegate.errors import RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.lifetime import cancelled
from tidegate.manifest import Manifest
from tidegate.observer import Observer
from tidegate.patience import patiently
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.step import StepRecord
from tidegate.stores import Runs
from tidegate.system_event import announcements
from tidegate.waiting import Waiting

T = TypeVar("T")

logger = logging.getLogger("tidegate.engine")

# How much longer than its invocation a worker's lease holds: a live one never loses it.
LEASE_MARGIN_MS = 5_000
# For so long an announcement may be repeated: the runs that it started are kept for two days at
# least, and so start once. A schedule that stays may come much later.
_TOLD_MS = 2 * 86_400_000


@dataclass(frozen=True)
class Ending:
    """Ends runs.

    Attributes:
        function: the function.
        runs: the runs' records.
        waiting: what they wait for, and who waits for them.
        announce: stores and publishes system events.
        manifest: knows who listens to them.
        clock: the time.
        observer: is told of the end.
    """

    function: Function
    runs: Runs
    waiting: Waiting
    announce: Callable[[Sequence[AcceptedEvent]], None]
    manifest: Manifest
    clock: Clock
    observer: Observer

    def fail(
        self, run: Run, event: AcceptedEvent, failure: Failure, records: Iterable[StepRecord]
    ) -> None:
        """End a run that failed for good; as `end`."""
        self.end(run, event, Status.FAILED, encode(failure.as_dict()), records)

    def end(
        self,
        run: Run,
        event: AcceptedEvent,
        status: Status,
        output: str,
        records: Iterable[StepRecord],
    ) -> None:
        """End a run; one that is to be cancelled is, whatever it came to.

        Args:
            run: the run, with the lease held.
            event: the event that started it.
            status: its final status.
            output: JSON text of what it returned, or of its failure.
            records: its steps.

        Raises:
            RunLeasedError: the lease was lost.
            PlatformError: it could not be recorded or told.
        """
        now_ms = self.clock.now_ms()
        ended = replace(run, status=status, output=output, ended_ms=now_ms)
        if run.attempts and status != Status.CANCELLED:
            failure = failure_of(output) if status == Status.FAILED else None
            ended = ended.with_attempt(now_ms, failure)
        if not self.patiently(run, lambda: self.runs.end(run, ended)):
            self.cancel_or_lose(run, event, records)
            return
        duration_ms = (ended.ended_ms or 0) - (run.started_ms or 0)
        result = {"output": output}
        if status != Status.COMPLETED:
            result = {"error": str(failure_of(output))}
        log(f"run {status.lower()}", run, duration_ms=duration_ms, **result)
        self.observer.run_ended(ended)
        self.tell(ended, event, records)

    def cancel(
        self, run: Run, event: AcceptedEvent, failure: Failure, records: Iterable[StepRecord]
    ) -> None:
        """End a run that is cancelled, for that reason; as `end`."""
        self.end(run, event, Status.CANCELLED, encode(failure.as_dict()), records)

    def cancel_or_lose(self, run: Run, event: AcceptedEvent, records: Iterable[StepRecord]) -> None:
        """End a run that could not be recorded as it should be, if that is since it is cancelled.

        Raises:
            RunLeasedError: it is since the lease was lost.
            PlatformError: it could not be recorded or told.
        """
        now = self.runs.get(run.env, run.id)
        if now is None or now.lease != run.lease or now.has_ended or now.cancel_reason is None:
            raise lost(run)
        self.cancel(run, event, cancelled(now.cancel_reason), records)

    def tell(self, run: Run, event: AcceptedEvent, records: Iterable[StepRecord]) -> None:
        """Tell of a run's end whoever wants to know; doing it again is harmless.

        Args:
            run: the ended run.
            event: the event that started it.
            records: its steps, or those of them that still wait.

        Raises:
            PlatformError: not all were told; repeating the call is safe.
        """
        output = self.runs.output_of(run)
        self.waiting.report(run, event, output)
        self.release(run, records)
        if self.clock.now_ms() - (run.ended_ms or 0) >= _TOLD_MS:
            return
        events = announcements(run, event, output, self.manifest)
        if events:
            self.announce(events)

    def release(self, run: Run, records: Iterable[StepRecord]) -> None:
        """Let nothing wake or cancel a run any more; doing it again is harmless.

        Args:
            run: the run.
            records: its steps, or those of them that still wait.

        Raises:
            PlatformError: not everything was released; repeating the call is safe.
        """
        for record in records:
            if record.is_awaiting:
                self.waiting.stop(run, record)
        self.waiting.stop_cancels(run, self.function.cancel)

    def patiently(self, run: Run, call: Callable[[], T]) -> T:
        """Repeat a call while the lease holds: if it is given up an attempt is lost, and if the
        function has run, it will run again."""
        return patiently(call, self.clock, run.lease_until_ms - LEASE_MARGIN_MS)


def log(text: str, run: Run, **extra: object) -> None:
    """One line about a run."""
    ids = {"event_id": run.event_id, "attempt": run.attempt}
    logger.info(text, extra={"run_id": run.id, "function_id": run.function_id, **ids, **extra})


def lost(run: Run) -> RunLeasedError:
    """What a worker raises that lost its lease: its result is dropped, its message stays."""
    logger.warning(
        "lease lost: another worker took the run over, so this result is dropped",
        extra={"run_id": run.id, "function_id": run.function_id, "attempt": run.attempt},
    )
    return RunLeasedError(f"run {run.id} was taken over", retry_after_s=1)
