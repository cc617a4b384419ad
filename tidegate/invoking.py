"""Invoking a function from outside: its event is stored and sent to that function alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.bus import Bus
from tidegate.clock import Clock
from tidegate.event import AcceptedEvent, event_body
from tidegate.event_store import EventStore
from tidegate.ids import random_ulid
from tidegate.invocation import INVOKED
from tidegate.manifest import Manifest
from tidegate.message import EventMessage


@dataclass(frozen=True)
class Invoker:
    """Invokes functions.

    Attributes:
        events: where the event is stored that starts the run.
        bus: where it is published.
        manifest: knows who else listens to invocations.
        clock: the time.
    """

    events: EventStore
    bus: Bus
    manifest: Manifest
    clock: Clock

    def invoke(
        self, env: str, function_id: str, data: Mapping[str, Any], user: Mapping[str, Any]
    ) -> AcceptedEvent:
        """The event that starts the function's run, stored and published.

        Args:
            env: the environment of the run.
            function_id: a registered function.
            data: a checked event's data.
            user: a checked event's user.

        Raises:
            PlatformError: it could not be stored or published; nothing has started unless it was
                published.
        """
        event = _invoked_event(env, function_id, data, user, self.clock.now_ms())
        self.events.put_payloads([event])
        self.events.put([event])
        self.bus.send_to(function_id, EventMessage.of(event))
        if self.manifest.listens_to(INVOKED):
            self.bus.publish([event])
        return event


def _invoked_event(
    env: str, function_id: str, data: Mapping[str, Any], user: Mapping[str, Any], now_ms: int
) -> AcceptedEvent:
    internal_id = random_ulid(now_ms)
    # No correlation id: nobody waits for the end of the run.
    about = {"fn_id": function_id, "type": "api"}
    return AcceptedEvent(
        internal_id=internal_id,
        env=env,
        name=INVOKED,
        received_ms=now_ms,
        ts=now_ms,
        body=event_body(
            name=INVOKED,
            data={**data, "_inngest": about},
            event_id=internal_id,
            ts=now_ms,
            user=user,
        ),
    )
