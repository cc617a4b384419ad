"""How long a run may go on: until it is cancelled, its function is removed, or its time is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.clock import Clock
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.run import Failure, Rerun, Run

# A run's record is read this often while the run goes on. Read behind each step, however short, it
# would add a fifth to what the step costs.
ASK_EVERY_MS = 100


@dataclass(frozen=True)
class Lifetime:
    """Tells when the runs of a function are to be cancelled.

    Attributes:
        function: the function.
        clock: the time.
    """

    function: Function
    clock: Clock

    def why_late(self, event: AcceptedEvent, rerun: Rerun | None) -> Failure | None:
        """Why a run that has not started will not, if it waited for too long or has no function.

        Args:
            event: the event that starts it.
            rerun: what makes it a rerun, if it is one.
        """
        if self.function.is_removed:
            return Failure("FunctionRemoved", f"function {self.function.id!r} was removed")
        since_ms = event.received_ms if rerun is None else rerun.asked_ms
        waited_ms = self.clock.now_ms() - max(since_ms, event.ts)
        start_ms = self.function.timeouts.start
        if start_ms is None or waited_ms <= start_ms:
            return None
        return cancelled(f"it had not started after timeouts.start, {start_ms} ms")

    def why_over(self, run: Run, event: AcceptedEvent) -> Failure | None:
        """Why a run is not to go on, if it is not.

        Args:
            run: the run, as its record is now.
            event: the event that started it.
        """
        if run.cancel_reason is not None:
            return cancelled(run.cancel_reason)
        if run.started_ms is None or self.function.is_removed:
            return self.why_late(event, run.rerun)
        if self.clock.now_ms() >= self.finish_ms(run):
            finish_ms = self.function.timeouts.finish
            return cancelled(f"it had not finished after timeouts.finish, {finish_ms} ms")
        return None

    def finish_ms(self, run: Run) -> float:
        """When a run is cancelled that has not finished, UTC ms; infinite without a time-out."""
        finish_ms = self.function.timeouts.finish
        return math.inf if finish_ms is None else (run.started_ms or 0) + finish_ms


class Watch:
    """Tells a run that goes on whether it is to stop, from what is known of its record.

    What is known is at most 100 ms old, so a step that took longer than that is never followed by
    another one of a run that was cancelled meanwhile. Several threads may ask.

    Args:
        lifetime: of the run's function.
        run: the run as it was recorded just now.
        event: the event that started it.
        read: gives the run as it is recorded; None if it is not any more.
    """

    def __init__(
        self, lifetime: Lifetime, run: Run, event: AcceptedEvent, read: Callable[[], Run | None]
    ) -> None:
        self._lifetime = lifetime
        self._event = event
        self._read = read
        self._known = lifetime.clock.now_ms(), run

    def why_stop(self) -> Failure | None:
        """Why the run is to stop, if it is.

        Raises:
            PlatformError: its record could not be read.
        """
        now_ms = self._lifetime.clock.now_ms()
        read_ms, run = self._known
        if now_ms - read_ms >= ASK_EVERY_MS:
            run = self._read() or run
            self._known = now_ms, run
        return self._lifetime.why_over(run, self._event)


def cancelled(reason: str) -> Failure:
    """What a run is ended with that was cancelled."""
    return Failure("RunCancelled", f"cancelled: {reason}")
