"""Idempotency: for 24 hours one event alone starts a run of a function, of all that have its key.

The hours are those in which the events were received: when their messages are handled, which may
come late and come again, changes nothing.

The key is claimed before the run is recorded, in the event's name. Whoever dies in between leaves
a claim of the same event, whose message comes again and goes on:

    event A   claims key ✓ ─ ─ dies ┄┄ redelivered: claimed by A ✓ ─ ─ creates its run
    event B            claims key ✗ ─ ─ starts nothing
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.expression import ExpressionError
from tidegate.function import Function
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.observer import Observer
from tidegate.run import Failure
from tidegate.stores import Dedup, Runs
from tidegate.waiting import Waiting

logger = logging.getLogger("tidegate.engine")


@dataclass(frozen=True)
class Idempotency:
    """Lets one event of a key start a run of a function.

    Attributes:
        function: the function.
        dedup: where keys are claimed.
        runs: the function's runs.
        waiting: tells the caller of an invoked run that it does not start.
        manifest: has the expression, read already.
        observer: is told of events that start nothing.
    """

    function: Function
    dedup: Dedup
    runs: Runs
    waiting: Waiting
    manifest: Manifest
    observer: Observer

    def admits(self, event: AcceptedEvent) -> bool:
        """Whether an event may start its run, or has started it already.

        Args:
            event: the event, with its body.

        Raises:
            PlatformError: its key could not be claimed, or its caller not be told; repeating the
                call is safe.
        """
        if self.function.idempotency is None:
            return True
        # Once started a run goes on, also when its key has expired and is another event's.
        if self.runs.get(event.env, run_id_of(event.env, self.function.id, event.internal_id)):
            return True
        key = self._key(self.function.idempotency, event)
        if key is None:
            return True
        claim = self.dedup.claim(
            event.env,
            key,
            event.internal_id,
            event.name,
            event.received_ms,
            function_id=self.function.id,
        )
        if not claim.is_first:
            self._skip(event, claim.internal_id)
        return claim.is_first

    def _key(self, text: str, event: AcceptedEvent) -> str | None:
        """The key of an event; None when it has none."""
        expression = self.manifest.expression(self.function.id, text)
        try:
            value = expression.value(event=decode(event.body), now_ms=event.received_ms)
        except ExpressionError as error:
            # To lose an event is worse than to run twice for it.
            logger.warning(
                "idempotency expression failed: the event starts its run",
                extra={
                    "function_id": self.function.id,
                    "event_id": event.internal_id,
                    "event_name": event.name,
                    "error": error.without_values,
                },
            )
            return None
        return None if value is None or value is False else key_text(value)

    def _skip(self, event: AcceptedEvent, first_id: str) -> None:
        function_id = self.function.id
        logger.info(
            "run skipped",
            extra={
                "function_id": function_id,
                "event_id": event.internal_id,
                "event_name": event.name,
                "first_event_id": first_id,
            },
        )
        self.observer.events_duplicate(1)
        message = (
            f"function {function_id!r} did not start: in the last 24 hours event {first_id} "
            "started it with the same idempotency key"
        )
        self.waiting.refuse(event, Failure("RunSkipped", message))


def key_text(value: Any) -> str:
    """The text of a key: values that are equal in an expression have the same one.

    Args:
        value: what an expression gave; what JSON does not have, such as a time, counts as its text.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    # There is one kind of number: 1 is 1.0.
    return int(value) if isinstance(value, float) and value.is_integer() else value
