"""What a function is given: its event, its run, a logger and its steps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from tidegate.event import DataT, Event
from tidegate.event_model import Sendable, plain_events

# Sends the events of the step with that id, and returns their internal ids.
StepSender = Callable[[str, Sequence[Event]], list[str]]
Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


class StepSync:
    """The steps of a function written with `def`."""

    def __init__(self, send: StepSender) -> None:
        self._send = send

    def send_event(self, step_id: str, events: Sendable | Sequence[Sendable]) -> list[str]:
        """Send events from within the function; when it is tried again they are not sent twice.

        Args:
            step_id: a name for this step, unique within the function.
            events: one event or several, also as instances of the classes that declare them.

        Returns:
            Their internal ids, in order.

        Raises:
            RequestError: an event is not valid; the message names it by its index.
            EventEncodingError: an event of a class cannot be written as JSON.
            PlatformError: they could not be stored or published; the function is tried again.
        """
        return self._send(step_id, plain_events(events))


class Step:
    """The steps of a function written with `async def`."""

    def __init__(self, send: StepSender) -> None:
        self._send = send

    async def send_event(self, step_id: str, events: Sendable | Sequence[Sendable]) -> list[str]:
        """As `StepSync.send_event`, awaited."""
        return await asyncio.to_thread(self._send, step_id, plain_events(events))


@dataclass(frozen=True)
class ContextSync(Generic[DataT]):
    """What a function written with `def` is given.

    `ContextSync` alone has events whose data is a dict, `ContextSync[CartCheckedOut]` events whose
    data is an instance of the class that declares them.

    Attributes:
        event: the event that started the run.
        events: all events of the run; at present always just that one.
        run_id: the run's ULID.
        attempt: 0 at the first try, 1 at the first retry, and so on.
        logger: a logger whose lines carry the run's id, the function and the attempt.
        step: its steps.
    """

    event: Event[DataT]
    events: list[Event[DataT]]
    run_id: str
    attempt: int
    logger: Logger
    step: StepSync


@dataclass(frozen=True)
class Context(Generic[DataT]):
    """What a function written with `async def` is given; see `ContextSync`."""

    event: Event[DataT]
    events: list[Event[DataT]]
    run_id: str
    attempt: int
    logger: Logger
    step: Step
