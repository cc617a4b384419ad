"""Runs functions in memory and in virtual time, by the engine that runs them on AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tidegate.admission import Admission
from tidegate.engine import Engine
from tidegate.errors import ConfigurationError, TidegateError
from tidegate.event import check_events
from tidegate.event_model import Event, plain_events
from tidegate.function import MAX_RETRIES, Function
from tidegate.ids import Seed, run_id_of
from tidegate.manifest import Manifest
from tidegate.matcher import Matcher
from tidegate.message import CronMessage, decode_message
from tidegate.run import Failure, Run, Status
from tidegate.testing.memory import (
    MemoryDedup,
    MemoryEvents,
    MemoryPayloads,
    MemoryRuns,
    MemorySteps,
    MemoryWaits,
)
from tidegate.testing.mocks import MockedWaiting, Mocks
from tidegate.testing.result import Result, result_of
from tidegate.testing.start import After, Given, Start, invocation_of, tick_of
from tidegate.testing.timeline import (
    MATCHER,
    OUTSIDE,
    Due,
    MemoryLooks,
    MemoryQueue,
    MemoryTopic,
    Timeline,
    VirtualClock,
)
from tidegate.testing.watch import Seen, WatchedHost
from tidegate.tick import tick_event
from tidegate.wake import Waker

ENV = "test"
START = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT_LIMIT = 10_000
_TIMEOUT_MS = 120_000


class EndlessRunError(TidegateError):
    """Runs went on and on; the message says which, and how to allow more."""


def run(
    function: Function,
    events: Given | Sequence[Given] = (),
    *,
    data: Mapping[str, Any] | None = None,
    functions: Sequence[Function] = (),
    steps: Mapping[str, Any] | None = None,
    allow_unused: bool = False,
    now: datetime | int = START,
    attempts: int | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Result:
    """Run a function to its end, without AWS and without waiting.

    Steps, retries, sleeps, waits, limits and sent events are those of production: the same engine
    runs them over a store in memory. Time is virtual: it goes at once to whatever is due next. The
    same call gives the same result, ids and times included.

    Args:
        function: the function.
        events: an event that starts it, or several: the run of the first one is the result. An
            `After` among those behind it is sent later. Without an event to begin with, the
            function is started by its cron, the first of them, at `now` in full minutes.
        data: starts the function by an invocation with this data instead, whatever its triggers.
        functions: other functions, which are triggered by the same events, by those that are sent
            meanwhile, and by system events such as `inngest/function.failed`, or are invoked.
        steps: replaces steps by id, in all functions: with a value, a callable that is called in
            place of the step's own, or an exception to raise; for `wait_for_event`, with the event
            or None. `"id:1"` is the second use of `id`.
        allow_unused: whether some of `steps` may be left unused; otherwise the result has failed
            with the error `UnusedMock`.
        now: the time at which the events are sent, UTC: a datetime (a naive one is UTC), or ms.
        attempts: how often the function and each of its steps are tried, 1 to 21, instead of what
            the function says.
        limit: how many messages may be handled: each start, sleep and retry takes one.

    Raises:
        ConfigurationError: the arguments cannot work; the message says why.
        EventEncodingError: the data of an event cannot be written as JSON.
        RequestError: an event is not valid.
        EndlessRunError: the limit is reached.
    """
    function = _with_attempts(function, attempts)
    start = Start.of(function, events, data)
    stage = _Stage(_together(function, functions), Mocks(steps or {}), _ms(now))
    event_id = stage.begin(function, start)
    stage.play(limit)
    first = stage.result_for(function, event_id, start)
    others = tuple(stage.result(run) for run in stage.runs.all() if run.id != first.run_id)
    unused = [] if allow_unused else stage.mocks.unused
    return replace(_without_unused(first, unused), runs=others)


class _Stage:
    """Functions over stores in memory.

    Args:
        functions: the functions.
        mocks: the steps that are replaced.
        now_ms: when it begins, UTC ms.
    """

    def __init__(self, functions: Sequence[Function], mocks: Mocks, now_ms: int) -> None:
        payloads = MemoryPayloads()
        self.mocks = mocks
        self.began_ms = now_ms
        self.clock = VirtualClock(now_ms)
        self.timeline = Timeline()
        self.runs = MemoryRuns(payloads)
        self.steps = MemorySteps()
        self.events = MemoryEvents(payloads)
        self.seen: dict[str, Seen] = {}
        topic = MemoryTopic(self.timeline, functions, self.clock)
        waits = MemoryWaits()
        self.admission = Admission(MemoryDedup(), self.events, topic, waits, self.clock)
        waker = Waker(self.runs, self.steps, waits, topic, self.clock)
        self.matcher = Matcher(waker, self.events, answer=lambda _: None)
        manifest = Manifest.of(functions)
        looks = MemoryLooks(self.timeline, self.clock)
        self.waiting = MockedWaiting(waker, self.admission, manifest, looks, mocks)
        self.later: list[After] = []
        self.engines = {function.id: self._engine(function, manifest) for function in functions}

    def _engine(self, function: Function, manifest: Manifest) -> Engine:
        return Engine(
            function=function,
            host=WatchedHost(function, self.admission.send, self.seen, self.mocks),
            runs=self.runs,
            steps=self.steps,
            waiting=self.waiting,
            dedup=self.admission.dedup,
            delivery=MemoryQueue(self.timeline, function.id),
            store=self.events.put,
            announce=self.admission.deliver,
            manifest=manifest,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    def begin(self, function: Function, start: Start) -> str:
        """Start a function; gives the internal id of the event that does."""
        now_ms = self.began_ms
        if start.events:
            event_id = self.send(start.events, "testing")[0]
        elif start.data is not None:
            event = invocation_of(function, start.data, ENV, now_ms)
            self.admission.deliver_to(function.id, event)
            event_id = event.internal_id
        else:
            tick = tick_of(function, ENV, now_ms)
            self.timeline.push(now_ms, function.id, tick.encode())
            event_id = tick_event(tick, function.id, 0).internal_id
        for number, after in enumerate(start.later):
            self.timeline.push(now_ms + after.delay_ms, OUTSIDE, str(number))
        self.later.extend(start.later)
        return event_id

    def send(self, events: Sequence[Event], *seed: str) -> list[str]:
        """Send events from outside; gives their internal ids, which follow from the seed."""
        checked = check_events([event.model_dump() for event in events])
        return self.admission.admit(ENV, checked, Seed.derived(self.clock.now_ms(), *seed))

    def play(self, limit: int) -> None:
        """Handle what is due, in order of time, until nothing is."""
        due = self.timeline.pop()
        for _ in range(limit):
            if due is None:
                return
            self.clock.go_to(due.ms)
            self._handle(due)
            if self.mocks.fault is not None:
                raise self.mocks.fault
            due = self.timeline.pop()
        if due is not None:
            raise EndlessRunError(self._endless(due, limit))

    def _handle(self, due: Due) -> None:
        if due.function_id == OUTSIDE:
            after = self.later[int(due.text)]
            self.send(plain_events(after.event), "testing", due.text)
        elif due.function_id == MATCHER:
            self.matcher.accept(due.text)
        else:
            deadline_ms = self.clock.now_ms() + _TIMEOUT_MS
            self.engines[due.function_id].handle(decode_message(due.text), deadline_ms)

    def _endless(self, due: Due, limit: int) -> str:
        passed_days = (self.clock.now_ms() - self.began_ms) / 86_400_000
        return (
            f"{limit} messages were handled and the runs still go on, after {passed_days:.1f} days "
            f"of virtual time and with {len(self.runs.all())} runs; next is {self._next(due)}. Do "
            "functions trigger each other, or does one retry or sleep in a loop? If this is meant, "
            "pass a higher limit=…"
        )

    def _next(self, due: Due) -> str:
        if due.function_id in (MATCHER, OUTSIDE):
            return "an event that comes from outside or is waited for"
        message = decode_message(due.text)
        if isinstance(message, CronMessage):
            event = tick_event(message, due.function_id, 0)
        else:
            event = message.event
        run = self.runs.get(ENV, run_id_of(ENV, due.function_id, event.internal_id))
        steps = 0 if run is None else len(self.steps.load(run))
        return f"{due.function_id!r} for event {event.name!r}, which has {steps} steps so far"

    def result_for(self, function: Function, event_id: str, start: Start) -> Result:
        """What came of the run that an event started.

        Raises:
            ConfigurationError: it started none.
        """
        run = self.runs.get(ENV, run_id_of(ENV, function.id, event_id))
        if run is None:
            raise ConfigurationError(
                f"event {start.events[0].name!r} does not start {function.id!r}: the expression of "
                "its trigger does not hold for this event"
            )
        return self.result(run)

    def result(self, run: Run) -> Result:
        """What came of a run."""
        return result_of(
            run,
            self.events.get(ENV, run.event_id).event,
            self.runs.output_of(run),
            self.steps.load(run),
            self.seen.get(run.id) or Seen(),
            self.began_ms,
        )


def _together(function: Function, others: Sequence[Function]) -> list[Function]:
    functions = {function.id: function}
    for other in others:
        if not isinstance(other, Function):
            raise ConfigurationError(_no_function(other))
        functions.setdefault(other.id, other)
    for one in list(functions.values()):
        if one.on_failure is not None:
            functions.setdefault(one.on_failure.id, one.on_failure)
    return list(functions.values())


def _with_attempts(function: Function, attempts: int | None) -> Function:
    if not isinstance(function, Function):
        raise ConfigurationError(_no_function(function))
    if attempts is None:
        return function
    if not 1 <= attempts <= MAX_RETRIES + 1:
        raise ConfigurationError(f"attempts={attempts}: it is a number from 1 to {MAX_RETRIES + 1}")
    return replace(function, retries=attempts - 1)


def _no_function(thing: Any) -> str:
    return f"{thing!r} is no function; decorate it with @client.create_function(…)"


def _without_unused(result: Result, unused: Sequence[str]) -> Result:
    """The result; failed if it completed though mocks were left unused."""
    if not unused or result.error is not None:
        return result
    listed = ", ".join(repr(name) for name in unused)
    has = ", ".join(repr(name) for name in result.steps) or "none"
    message = (
        f"the run completed, but no step ran with the mocked id {listed}; its steps are: {has}. "
        "Correct the id (sleeps need no mock), or pass allow_unused=True"
    )
    return replace(result, status=Status.FAILED, output=None, error=Failure("UnusedMock", message))


def _ms(moment: datetime | int) -> int:
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
