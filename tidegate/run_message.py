"""The message of a run, made anew of the event that is stored: any message of a run will do."""

from __future__ import annotations

from tidegate.errors import DeadLetterError
from tidegate.event_store import EventStore
from tidegate.message import EventMessage
from tidegate.run import Run


def stored_message(run: Run, events: EventStore) -> EventMessage | None:
    """The message of a run; None when its event is no longer stored.

    Args:
        run: the run.
        events: the events, also those whose retention has ended as long as they are there.

    Raises:
        PlatformError: AWS did not answer.
    """
    try:
        event = events.get(run.env, run.event_id, now_ms=0)
    except DeadLetterError:
        return None
    return None if event is None else EventMessage.of(event, run.rerun)
