"""The matcher: brings events to the runs that wait for them.

Its queue gets the events whose name somebody waits for, and the looks at past events that each new
wait asks for. `tidegate.matcher_worker` handles its batches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidegate.concurrency import concurrently
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError
from tidegate.event import PROBE, AcceptedEvent
from tidegate.message import EventMessage
from tidegate.step import StepState
from tidegate.stores import PastEvents
from tidegate.tracing import came_from, logged
from tidegate.wait import LOOK_AGAIN_S, LookMessage, Wait, WaitKey
from tidegate.wake import Waker

logger = logging.getLogger("tidegate.matcher")


@dataclass(frozen=True)
class Matcher:
    """Completes the steps that wait for events.

    Attributes:
        waker: completes steps and wakes runs; has the wait store.
        events: the events of the past.
        answer: notes that a probe has arrived.
    """

    waker: Waker
    events: PastEvents
    answer: Callable[[AcceptedEvent], None]

    def match(self, event: AcceptedEvent) -> None:
        """Wake every run that waits for an event.

        Raises:
            PlatformError: not all were woken; repeating the call is safe.
        """
        for page in self.waker.waits.waiting_for(event.env, event.name):
            met = [wait for wait in page if self._is_met(wait, event)]
            concurrently(lambda wait: self._complete(wait, event), met)

    def look(self, key: WaitKey) -> None:
        """Wake a run that waits for an event which came while its wait was being stored.

        Raises:
            PlatformError: the look was not completed; repeating it is safe.
        """
        wait = self.waker.waits.get(key)
        if wait is None:
            return
        last_ms = wait.stored_ms + LOOK_AGAIN_S * 1000
        around = self.events.named(wait.env, wait.event_name, wait.first_ms, last_ms)
        met = [event for event in around if self._is_met(wait, event)]
        if met:
            self._complete(wait, min(met, key=lambda event: (event.received_ms, event.internal_id)))

    def accept(self, text: str) -> None:
        """Do what a message of an event, or one that asks for a look, wants.

        Raises:
            PlatformError: it was not all done; repeating it is safe.
            DeadLetterError: it can never be done.
        """
        look = LookMessage.decode(text)
        if look is not None:
            self.look(look.key)
        else:
            message = EventMessage.decode(text)
            with came_from(message.origin), logged(event_id=message.event.internal_id):
                if message.event.name == PROBE:
                    self.answer(message.event)
                self.match(message.with_body(self.events.payloads))

    def _is_met(self, wait: Wait, event: AcceptedEvent) -> bool:
        if not wait.is_in_time(event):
            return False
        incoming = decode(event.body)
        if not wait.condition.expression:
            return wait.condition.holds({}, incoming, event.received_ms)
        return self._expression_holds(wait, event, incoming)

    def _expression_holds(self, wait: Wait, event: AcceptedEvent, incoming: Any) -> bool:
        """As `Condition.holds`; an expression that fails concerns its own run alone."""
        from tidegate.expression import ExpressionError

        try:
            return wait.condition.holds(self._started_by(wait), incoming, event.received_ms)
        except (ExpressionError, DeadLetterError) as error:
            why = error.without_values if isinstance(error, ExpressionError) else str(error)
            logger.warning(
                "expression failed: the event counts as not the one that is waited for",
                extra={
                    "run_id": wait.run_id,
                    "function_id": wait.function_id,
                    "step": wait.step.name,
                    "event_id": event.internal_id,
                    "error": why,
                },
            )
            return False

    def _started_by(self, wait: Wait) -> dict[str, Any]:
        """The event that started the waiting run."""
        body = EventMessage.decode(wait.message).with_body(self.events.payloads).body
        return dict(decode(body))

    def _complete(self, wait: Wait, event: AcceptedEvent) -> None:
        if wait.cancels:
            self.waker.cancel(wait, f"event {event.name!r} ({event.internal_id}) came")
        else:
            self.waker.complete(wait, StepState.COMPLETED, event.body)
