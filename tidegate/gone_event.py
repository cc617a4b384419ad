"""Runs whose event is not where a message says: what has it all the same, or their end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.ending import Ending, lost
from tidegate.errors import DeadLetterError, RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.journal import Steps
from tidegate.large import DAY_MS
from tidegate.lifetime import Lifetime
from tidegate.message import EventMessage, Message, decode_message
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.stores import Queue, Runs

# What is due within this is no longer in Scheduler, but in the queue.
_SOON_MS = 20 * 60_000
# How long after a message another one comes that lets it go first.
_AGAIN_S = 60
_GONE = "EventGone"


@dataclass(frozen=True)
class GoneEvent:
    """Goes on with runs whose event is gone.

    Attributes:
        runs: the runs' records.
        steps: the records of their steps.
        delivery: the function's queue.
        ending: ends runs.
        lifetime: tells which are to be cancelled anyway.
    """

    runs: Runs
    steps: Steps
    delivery: Queue
    ending: Ending
    lifetime: Lifetime

    def own_message(self, run: Run, message: EventMessage) -> Message | None:
        """The message that resumes a run when it is due, to wake it now; it has its event.

        Args:
            run: the run, which nobody drives.
            message: what wakes it.

        Returns:
            None when there is no such message.

        Raises:
            RunLeasedError: it is on its way, so that whatever else wakes the run is to wait.
            PlatformError: Scheduler did not answer.
        """
        if not message.wakes:
            return None
        text = None if run.due_ms is None else self.delivery.arranged(run.due_ms, run.id)
        if text is not None:
            own = replace(decode_message(text), wakes=True)
            return None if own == message else own
        # That of a worker that died comes again, too.
        due_ms = run.lease_until_ms if run.lease else run.due_ms or 0
        left_ms = due_ms - self.lifetime.clock.now_ms()
        if not -DAY_MS < left_ms <= _SOON_MS:
            return None
        left_s = max(left_ms, 0) // 1000 + _AGAIN_S
        raise RunLeasedError(f"the message of run {run.id} is on its way", retry_after_s=left_s)

    def tell_again(self, run: Run, message: EventMessage, error: DeadLetterError) -> None:
        """Tell of the end of a run, if its end is that its event is gone.

        The worker that ended it may have died before. Of another end more was told than could be
        told now.

        Args:
            run: the run, which has ended.
            message: what came for it.
            error: what says that the event is gone.

        Raises:
            DeadLetterError: unless the message was to wake the run.
            PlatformError: not all was told; repeating the call is safe.
        """
        if message.wakes:
            return
        if run.status == Status.FAILED and failure_of(run.output).name == _GONE:
            self.ending.tell(run, message.without_data(), self.steps.load(run).values())
        raise error

    def end(self, run: Run, mine: Run, event: AcceptedEvent, error: DeadLetterError) -> None:
        """End a run that can never have its event.

        Args:
            run: the run, as it was seen.
            mine: the same with a lease.
            event: what is left of the event.
            error: what says that the event is gone.

        Raises:
            DeadLetterError: unless it is cancelled anyway.
            RunLeasedError: somebody else has the run.
            PlatformError: not all was recorded or told; repeating the call is safe.
        """
        if not self.runs.take(run, mine):
            raise lost(run)
        if run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        records = self.ending.patiently(mine, lambda: self.steps.load(mine)).values()
        why = self.lifetime.why_over(run, event)
        if why is not None:
            self.ending.cancel(mine, event, why, records)
        else:
            self.ending.fail(mine, event, Failure(_GONE, str(error)), records)
            raise error
