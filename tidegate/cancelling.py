"""Cancelling a run by a call: noted in its record, and the engine that it wakes ends it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from tidegate.event import AcceptedEvent
from tidegate.event_store import EventStore
from tidegate.large import payload_key
from tidegate.manifest import EVENTS
from tidegate.message import EventMessage
from tidegate.run import Run
from tidegate.run_message import stored_message
from tidegate.stores import Runs, Topic
from tidegate.tracing import NO_ORIGIN

logger = logging.getLogger("tidegate.cancelling")


@dataclass(frozen=True)
class Canceller:
    """Cancels runs.

    Attributes:
        runs: the runs' records.
        events: the events that started them.
        bus: where the message goes that wakes a run.
    """

    runs: Runs
    events: EventStore
    bus: Topic

    def cancel(self, env: str, run_id: str, reason: str) -> Run | None:
        """Cancel a run; one that has ended stays as it is.

        A run that sleeps or waits ends within moments, one that is in a step behind that step.

        Args:
            env: its environment.
            run_id: its id.
            reason: why, for people.

        Returns:
            The run as it stands; None if there is none.

        Raises:
            PlatformError: it could not be noted, or the run not woken; repeating it is safe.
        """
        run = self.runs.cancel(env, run_id, reason)
        if run is None or run.has_ended:
            return run
        self.bus.send_to(run.function_id, replace(self._message(run), wakes=True))
        logger.info(
            "run to be cancelled",
            extra={"run_id": run.id, "function_id": run.function_id, "reason": reason},
        )
        return run

    def _message(self, run: Run) -> EventMessage:
        """The message of a run, also if its event's retention has ended."""
        return stored_message(run, self.events) or _without_body(run)


def _without_body(run: Run) -> EventMessage:
    """What wakes a run whose event is no longer stored: it finds no body, and ends without one."""
    event = AcceptedEvent(
        internal_id=run.event_id,
        env=run.env,
        name="gone",
        received_ms=run.queued_ms,
        ts=run.queued_ms,
        body="",
        origin=NO_ORIGIN,
    )
    key = payload_key(EVENTS, run.env, run.event_id)
    return EventMessage(event, key, rerun=run.rerun)
