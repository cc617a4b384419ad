"""Listening for what cancels a run: begun when it is recorded, and again where that is in doubt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tidegate.clock import Clock
from tidegate.ending import Ending
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.run import Run
from tidegate.stores import Runs
from tidegate.waiting import Waiting


@dataclass(frozen=True)
class Listening:
    """Lets events cancel the runs of a function.

    Attributes:
        function: the function.
        runs: its runs' records.
        waiting: what they wait for.
        ending: ends them.
        clock: the time.
    """

    function: Function
    runs: Runs
    waiting: Waiting
    ending: Ending
    clock: Clock

    def begin(self, run: Run, event: AcceptedEvent, *, is_repeated: bool = False) -> None:
        """Let events cancel a run that this worker drives. Doing it again is harmless.

        Args:
            run: the run, with the lease held.
            event: the event that started it.
            is_repeated: whether it may have been done before.

        Raises:
            PlatformError: not all was stored.
        """
        cancels = self.function.cancel
        if not cancels:
            return

        def listen() -> None:
            now_ms = self.clock.now_ms()
            self.waiting.listen_for_cancels(run, event, cancels, now_ms, is_repeated=is_repeated)

        self.ending.patiently(run, listen)

    def begin_unleased(
        self, run: Run, event: AcceptedEvent, deadline_ms: int, *, is_repeated: bool = False
    ) -> None:
        """As `begin`, for a run that is due later: whoever ends it meanwhile does not see this.

        Args:
            run: the run.
            event: the event that started it.
            deadline_ms: until when this invocation lasts, UTC ms.
            is_repeated: whether it may have been done before.

        Raises:
            PlatformError: not all was stored.
        """
        if not self.function.cancel:
            return
        self.begin(replace(run, lease_until_ms=deadline_ms), event, is_repeated=is_repeated)
        now = self.runs.get(run.env, run.id)
        if now is not None and now.has_ended:
            self.ending.release(now, ())
