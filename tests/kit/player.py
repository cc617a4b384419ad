"""Plays a run on a backend, by processes that can die at each of their writes and sends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.aws.conftest import ENV
from tests.aws.deployed import TIMEOUT_MS, function_of
from tests.kit.backends import CALLEE, FUNCTIONS, LISTENER, SUBJECT, Backend
from tidegate.admission import Admission
from tidegate.engine import Engine
from tidegate.errors import RunLeasedError
from tidegate.event import check_events
from tidegate.function import Function
from tidegate.host import PythonHost
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.matcher import Matcher
from tidegate.message import EventMessage
from tidegate.run import Run
from tidegate.step import StepId, StepRecord
from tidegate.testing.timeline import MATCHER
from tidegate.waiting import Waiting
from tidegate.wake import Waker


class ProcessDied(BaseException):
    """The process is dead: whatever it does next fails, too."""


WRITES = {
    "runs": ("create", "take", "release", "end", "cancel"),
    "steps": ("put", "keep"),
    "queue": ("at", "forget"),
    "dedup": ("claim",),
    "events": ("put", "put_payloads"),
    "topic": ("publish", "send_to"),
    "waits": ("put", "delete"),
    "looks": ("ask",),
}


@dataclass
class Process:
    """A process that dies at some of its writes and sends.

    Attributes:
        deaths: at which write (counted from 0) it dies, and whether `before` or `after` it.
        writes: what it wrote so far.
    """

    deaths: dict[int, str] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    is_dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def through(self, part: str, thing: Any) -> Any:
        """A part of the backend, as this process reaches it."""
        return _Reached(self, part, thing)

    def call(self, name: str, is_write: bool, call: Callable[[], Any]) -> Any:
        """Make a call, or die."""
        with self._lock:
            if self.is_dead:
                raise ProcessDied
            death = self.deaths.get(len(self.writes)) if is_write else None
            if is_write:
                self.writes.append(name)
            self.is_dead = death is not None
        if death == "before":
            raise ProcessDied
        result = call()
        if death == "after":
            raise ProcessDied
        return result


class _Reached:
    def __init__(self, process: Process, part: str, thing: Any) -> None:
        self._process, self._part, self._thing = process, part, thing

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found):
            return found
        is_write = name in WRITES[self._part]

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._process.call(
                f"{self._part}.{name}", is_write, lambda: found(*args, **kwargs)
            )

        return call


class CountingSteps:
    """Counts how often the final output of each run's steps is stored."""

    def __init__(self, steps: Any) -> None:
        self._steps = steps
        self.stored: Counter[tuple[str, str]] = Counter()
        self.load = steps.load
        self.keep = steps.keep

    def put(self, run: Run, record: StepRecord) -> StepRecord:
        before = self.load(run).get(record.step.hashed)
        now = self._steps.put(run, record)
        # It gives back what it was given, or else the record that was first.
        if record.is_done and (before is None or not before.is_done):
            self.stored[run.id, record.step.hashed] += 1
        return now


@dataclass
class Played:
    """What came of a run.

    Attributes:
        run: its record.
        output: JSON text of its output.
        records: its steps.
        sent: the messages that reached the listener, by the event's internal id.
        stored: how often the output of each of its steps was stored.
        executed_again: the steps that ran although their output was stored.
        invoked: the runs that it invoked.
    """

    run: Run
    output: str | None
    records: dict[str, StepRecord]
    sent: dict[str, EventMessage]
    stored: Counter[str]
    executed_again: list[str]
    invoked: list[Run]

    def names_sent(self) -> list[str]:
        return sorted(message.event.name for message in self.sent.values())


@dataclass(frozen=True)
class Posted:
    """A message on its way.

    Attributes:
        to: the id of the function that it is for; `MATCHER` for the matcher.
        text: the message.
        visible_ms: when it can be received, UTC ms.
    """

    to: str
    text: str
    visible_ms: int


@dataclass(frozen=True)
class Later:
    """An event that is sent from outside while a run goes on.

    Attributes:
        ms: how long after the beginning.
        name: its name.
        data: its data.
    """

    ms: int
    name: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """A new version of the function, which takes its queue and its runs over.

    Attributes:
        ms: how long after the beginning; a process that dies before is followed by it, too.
        handler: what the function does from then on.
        options: how it is registered.
    """

    ms: int
    handler: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)


class Player:
    """Plays one run of a function on a backend, by processes of which one may die.

    The engines of the function and of the one that it invokes and the matcher take turns.
    """

    def __init__(self, backend: Backend, process: Process, **options: Any) -> None:
        self.backend = backend
        self.process = process
        self.options = options
        self.steps = CountingSteps(backend.steps)
        self.executed_again: list[str] = []
        self.run_id = ""
        self.has_died = False
        self._on_the_way: list[Posted] = []

    def executes(self, name: str, index: int = 0, run_id: str = "") -> None:
        """Note that a step's handler runs."""
        if (run_id or self.run_id, StepId(name, index).hashed) in self.steps.stored:
            self.executed_again.append(name)

    def play(
        self,
        handler: Callable[..., Any],
        *,
        called: Callable[..., Any] = lambda ctx: None,
        later: Sequence[Later] = (),
        deployment: Deployment | None = None,
        **event: Any,
    ) -> Played:
        """Send an event, and handle messages until none is left.

        Args:
            handler: what the function does.
            called: what the function does that it may invoke.
            later: what is sent from outside meanwhile.
            deployment: what takes the function's place on the way.
            event: the event.
        """
        backend = self.backend
        backend.forget()
        subject = function_of(handler, **self.options)
        callee = function_of(called, **self.options | {"fn_id": "callee", "trigger": []})
        outside = Admission(
            backend.dedup, backend.events, backend.topic, backend.waits, backend.clock
        )
        [event_id] = outside.admit(ENV, check_events([{"name": "app/a", **event}]), None)
        self.run_id = run_id_of(ENV, subject.id, event_id)
        engines = {function.id: self._engine(function) for function in (subject, callee)}
        matcher = Matcher(
            engines[subject.id].waiting.waker, backend.past, answer=lambda probe: None
        )
        to_come = [(backend.clock.ms + one.ms, one) for one in sorted(later, key=lambda o: o.ms)]
        invoked: dict[str, None] = {}
        began_ms = backend.clock.ms
        for _ in range(1_000):
            self._take()
            turn = min(self._on_the_way, key=self._due_ms, default=None)
            due_ms = self._due_ms(turn) if turn is not None else None
            if due_ms is None and self._has_ended():
                break
            if to_come and (due_ms is None or to_come[0][0] <= due_ms):
                backend.clock.ms = max(backend.clock.ms, to_come[0][0])
                one = to_come.pop(0)[1]
                outside.admit(ENV, check_events([{"name": one.name, "data": one.data}]), None)
                continue
            if turn is None or due_ms is None:
                break
            if deployment and (self.has_died or due_ms >= began_ms + deployment.ms):
                changed = function_of(deployment.handler, **self.options | deployment.options)
                engines[subject.id] = self._engine(changed)
                deployment = None
            backend.clock.ms = due_ms
            if turn.to == callee.id:
                invoked[self._run_id(turn)] = None
            self._on_the_way.remove(turn)
            self._handle(turn, engines, matcher)
        run = backend.runs.get(ENV, self.run_id)
        assert run is not None
        assert run.has_ended, run
        assert not self._on_the_way
        return Played(
            run,
            backend.runs.output_of(run),
            backend.steps.load(run),
            {m.event.internal_id: m for m in backend.take(LISTENER)},
            Counter({key[1]: n for key, n in self.steps.stored.items() if key[0] == run.id}),
            self.executed_again,
            [found for run_id in invoked if (found := backend.runs.get(ENV, run_id))],
        )

    def _has_ended(self) -> bool:
        run = self.backend.runs.get(ENV, self.run_id)
        return run is not None and run.has_ended

    def _take(self) -> None:
        """Take what was sent."""
        now_ms, backend = self.backend.clock.ms, self.backend
        for function in (SUBJECT, CALLEE):
            for message in backend.take(function):
                self._on_the_way.append(Posted(function.id, message.encode(), now_ms))
        self._on_the_way += [Posted(MATCHER, text, now_ms) for text in backend.take_matchers()]

    def _due_ms(self, delivery: Posted) -> int:
        """When a message is handled, UTC ms; what is delayed comes when its run is due."""
        at_ms = max(delivery.visible_ms, self.backend.clock.ms)
        if delivery.to == MATCHER or EventMessage.decode(delivery.text).wakes:
            return at_ms
        run = self.backend.runs.get(ENV, self._run_id(delivery))
        return at_ms if run is None else max(at_ms, run.due_ms or 0)

    def _run_id(self, delivery: Posted) -> str:
        event = EventMessage.decode(delivery.text).event
        return run_id_of(ENV, delivery.to, event.internal_id)

    def _handle(self, delivery: Posted, engines: dict[str, Engine], matcher: Matcher) -> None:
        """Handle a message; if the process dies it comes again after its visibility timeout."""
        clock = self.backend.clock
        try:
            if delivery.to == MATCHER:
                matcher.accept(delivery.text)
            else:
                message = EventMessage.decode(delivery.text)
                engines[delivery.to].handle(message, clock.ms + TIMEOUT_MS)
        except ProcessDied:
            self.process.is_dead, self.has_died = False, True
            self._again(delivery, 6 * TIMEOUT_MS)
        except RunLeasedError as error:
            self._again(delivery, error.retry_after_s * 1000)

    def _again(self, delivery: Posted, after_ms: int) -> None:
        self._on_the_way.append(replace(delivery, visible_ms=self.backend.clock.ms + after_ms))

    def _engine(self, function: Function) -> Engine:
        backend, through = self.backend, self.process.through
        admission = Admission(
            through("dedup", backend.dedup),
            through("events", backend.events),
            through("topic", backend.topic),
            through("waits", backend.waits),
            backend.clock,
        )
        manifest = Manifest.of(FUNCTIONS)
        runs, steps = through("runs", backend.runs), through("steps", self.steps)
        waker = Waker(runs, steps, admission.waits, admission.bus, backend.clock)
        return Engine(
            function=function,
            host=PythonHost(function, admission.send),
            runs=runs,
            steps=steps,
            waiting=Waiting(waker, admission, manifest, through("looks", backend.looks)),
            dedup=admission.dedup,
            delivery=through("queue", backend.queue(function)),
            store=admission.store.put,
            announce=admission.deliver,
            manifest=manifest,
            clock=backend.clock,
            jitter=lambda: 0.0,
        )
