"""What starts the functions under test: events now and later, a cron's tick, an invocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tidegate.effect import Invoke
from tidegate.errors import ConfigurationError
from tidegate.event import AcceptedEvent
from tidegate.event_model import Event, EventModel, Sendable, plain_events
from tidegate.function import Function
from tidegate.ids import derived_ulid
from tidegate.invocation import INVOKED, invoked_event
from tidegate.message import CronMessage
from tidegate.run import Run, Status
from tidegate.serialise import serialise
from tidegate.step import MAX_WAIT_MS, StepId

_MINUTE_MS = 60_000


@dataclass(frozen=True)
class After:
    """An event that is sent from outside while runs go on.

    Attributes:
        delay: how much virtual time passes before, from the start: ms, or a timedelta.
        event: the event, also as an instance of the class that declares it.

    Raises:
        ConfigurationError: one of them cannot be.
    """

    delay: timedelta | int
    event: Sendable

    def __post_init__(self) -> None:
        is_delay = isinstance(self.delay, int | timedelta) and not isinstance(self.delay, bool)
        if not is_delay or self.delay_ms < 0:
            raise ConfigurationError(
                f"After({self.delay!r}, …): pass a timedelta, or milliseconds, from 0"
            )
        if not isinstance(self.event, Event | EventModel):
            raise ConfigurationError(f"After(…, {self.event!r}): pass an Event")

    @property
    def delay_ms(self) -> int:
        """The delay in milliseconds."""
        if isinstance(self.delay, timedelta):
            return self.delay // timedelta(milliseconds=1)
        return self.delay


Given = Sendable | After


@dataclass(frozen=True)
class Start:
    """How a test begins.

    Attributes:
        events: the events that are sent at once; the first one starts the function. None of them:
            its cron starts it, or an invocation.
        later: the events that are sent later.
        data: the data of the invocation, if it is one.
    """

    events: Sequence[Event]
    later: Sequence[After]
    data: Mapping[str, Any] | None

    @classmethod
    def of(
        cls, function: Function, given: Given | Sequence[Given], data: Mapping[str, Any] | None
    ) -> Start:
        """The start that a test asks for.

        Raises:
            ConfigurationError: this does not start the function.
            EventEncodingError: the data of an event cannot be written as JSON.
        """
        items = [given] if isinstance(given, Event | EventModel | After) else list(given)
        for index, item in enumerate(items):
            if not isinstance(item, Event | EventModel | After):
                raise ConfigurationError(f"events[{index}] is {item!r}; pass an Event or After(…)")
        now = [item for item in items if not isinstance(item, After)]
        start = cls(plain_events(now), [item for item in items if isinstance(item, After)], data)
        fault = _fault(function, start, begins_later=bool(items) and isinstance(items[0], After))
        if fault:
            raise ConfigurationError(fault)
        return start


def _fault(function: Function, start: Start, *, begins_later: bool) -> str | None:
    """Why this does not start the function; None when it does."""
    if start.data is not None:
        if start.events:
            return "data= starts the function by an invocation, so its own event cannot start it"
        is_data = isinstance(start.data, Mapping)
        return None if is_data else f"data={start.data!r} is no JSON object; pass a dict"
    if not start.events and function.crons:
        return None
    if begins_later:
        return "events[0] is an After(…); the first event starts the function, so pass it as it is"
    if not start.events:
        hint = "events=Event(name='…')" if function.triggers else "data={…}, as an invocation does"
        return f"no event starts {function.id!r}; pass {hint}"
    name = start.events[0].name
    if any(trigger.matches(name) for trigger in function.triggers):
        return None
    fault = f"event {name!r} does not start {function.id!r}, which is"
    if name == INVOKED or not (function.triggers or function.crons):
        return f"{fault} invoked by run(function, data={{…}})"
    starts = [trigger.event for trigger in function.triggers]
    listed = ", ".join(map(repr, starts + [cron.cron for cron in function.crons]))
    hint = "; leave out the event, and its cron starts it" if function.crons else ""
    return f"{fault} triggered by {listed}{hint}"


def tick_of(function: Function, env: str, now_ms: int) -> CronMessage:
    """The tick of a function's first cron, at the full minute of a time (UTC ms)."""
    return CronMessage(function.crons[0].cron, env, now_ms - now_ms % _MINUTE_MS)


def invocation_of(
    function: Function, data: Mapping[str, Any], env: str, now_ms: int
) -> AcceptedEvent:
    """The event by which a function is invoked, as if by the step `invoke` of another one.

    Raises:
        OutputError: JSON cannot hold the data.
    """
    caller = Run(
        id=derived_ulid(now_ms, "testing", env),
        env=env,
        function_id="test",
        event_id="",
        status=Status.RUNNING,
        attempt=0,
        queued_ms=now_ms,
    )
    effect = Invoke(StepId("invoke"), function.id, serialise(data, "data="), now_ms + MAX_WAIT_MS)
    return invoked_event(caller, effect, function.id, function.app_id, now_ms)
