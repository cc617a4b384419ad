"""Runs whose event is not where a message says: what has it all the same, or their end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.clock import Clock
from tidegate.encoding import encode
from tidegate.ending import Ending, log
from tidegate.errors import DeadLetterError, RunLeasedError
from tidegate.journal import Steps
from tidegate.large import DAY_MS
from tidegate.lifetime import cancelled
from tidegate.message import Message, decode_message
from tidegate.run import Failure, Run, Status
from tidegate.stores import Queue, Runs

# What is due within this is no longer in Scheduler, but in the queue.
_SOON_MS = 20 * 60_000
# How long after a message another one comes that lets it go first.
_AGAIN_S = 60


@dataclass(frozen=True)
class GoneEvent:
    """Goes on with runs whose event is gone.

    Attributes:
        runs: the runs' records.
        steps: the records of their steps.
        delivery: the function's queue.
        ending: ends runs.
        clock: the time.
    """

    runs: Runs
    steps: Steps
    delivery: Queue
    ending: Ending
    clock: Clock

    def own_message(self, run: Run) -> Message | None:
        """The message that resumes a run when it is due, to wake it now; it has its event.

        Args:
            run: the run, which nobody drives.

        Returns:
            None when there is no such message.

        Raises:
            RunLeasedError: it is on its way, so that whatever else wakes the run is to wait.
            PlatformError: Scheduler did not answer.
        """
        text = None if run.due_ms is None else self.delivery.arranged(run.due_ms, run.id)
        if text is not None:
            return replace(decode_message(text), wakes=True)
        # That of a worker that died comes again, too.
        left_ms = (run.lease_until_ms if run.lease else run.due_ms or 0) - self.clock.now_ms()
        if not -DAY_MS < left_ms <= _SOON_MS:
            return None
        left_s = max(left_ms, 0) // 1000 + _AGAIN_S
        raise RunLeasedError(f"the message of run {run.id} is on its way", retry_after_s=left_s)

    def end(self, run: Run, mine: Run, error: DeadLetterError) -> None:
        """End a run that can never have its event.

        Args:
            run: the run, as it was seen.
            mine: the same with a lease.
            error: what says that the event is gone.

        Raises:
            DeadLetterError: unless it was to be cancelled anyway.
            PlatformError: not all was recorded; repeating the call is safe.
        """
        status, failure = Status.FAILED, Failure("EventGone", str(error))
        if run.cancel_reason is not None:
            status, failure = Status.CANCELLED, cancelled(run.cancel_reason)
        output = encode(failure.as_dict())
        ended = replace(mine, status=status, output=output, ended_ms=self.clock.now_ms())
        self.ending.release(run, self.steps.load(run).values())
        if run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        if self.runs.take(run, mine) and self.runs.end(mine, ended):
            log(
                f"run {status.lower()}", run, attempt=run.attempt, duration_ms=0, error=str(failure)
            )
        if status == Status.FAILED:
            raise error
