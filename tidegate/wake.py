"""Waking runs: what they wait for has happened, so their step is completed and they go on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from tidegate.clock import Clock
from tidegate.journal import Steps
from tidegate.message import EventMessage
from tidegate.step import StepRecord, StepState
from tidegate.stores import Runs, Topic, Waits
from tidegate.wait import Wait

logger = logging.getLogger("tidegate.wake")


@dataclass(frozen=True)
class Waker:
    """Completes the steps of waiting runs from outside.

    Attributes:
        runs: the runs' records.
        steps: the records of their steps.
        waits: what they wait for.
        bus: where the messages go that wake them.
        clock: the time.
    """

    runs: Runs
    steps: Steps
    waits: Waits
    bus: Topic
    clock: Clock

    def complete(self, wait: Wait, state: StepState, memo: str) -> None:
        """Complete the step of a wait, wake its run, and forget the wait.

        In that order: whoever dies on the way does it all again, and the first output wins.

        Args:
            wait: the wait.
            state: whether the step is completed or has failed.
            memo: JSON text in the protocol's shape.

        Raises:
            PlatformError: it was not all done; repeating the call is safe.
        """
        run = self.runs.get(wait.env, wait.run_id)
        if run is not None and not run.has_ended:
            record = StepRecord(
                wait.step,
                wait.op,
                state,
                started_ms=wait.since_ms,
                ended_ms=self.clock.now_ms(),
                memo=memo,
                event_name=wait.event_name,
            )
            self.steps.put(run, record)
            self._wake(wait)
            logger.info(
                "run woken",
                extra={
                    "run_id": wait.run_id,
                    "function_id": wait.function_id,
                    "step": wait.step.name,
                },
            )
        self.waits.delete(wait.key)

    def cancel(self, wait: Wait, reason: str) -> None:
        """Cancel the run of a wait, wake it so that it ends, and forget the wait.

        Args:
            wait: the wait.
            reason: why, for people.

        Raises:
            PlatformError: it was not all done; repeating the call is safe.
        """
        run = self.runs.cancel(wait.env, wait.run_id, reason)
        if run is not None and not run.has_ended:
            self._wake(wait)
        self.waits.delete(wait.key)

    def _wake(self, wait: Wait) -> None:
        message = EventMessage.decode(wait.message)
        self.bus.send_to(wait.function_id, replace(message, wakes=True))
