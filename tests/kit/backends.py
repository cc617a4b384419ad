"""What the engine stores in, on AWS (moto) and in memory, and a process on it that can die."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from moto.backends import get_backend

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import TIMEOUT_MS, function_of, waiting
from tests.clock import FakeClock
from tidegate.admission import Admission
from tidegate.engine import Engine
from tidegate.errors import RunLeasedError
from tidegate.event import check_events
from tidegate.function import Function
from tidegate.host import PythonHost
from tidegate.ids import run_id_of
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.look import LookQueue
from tidegate.manifest import Manifest
from tidegate.message import EventMessage, decode_message
from tidegate.run import Run
from tidegate.schedule import Delivery
from tidegate.settings import Settings
from tidegate.step import StepId, StepRecord
from tidegate.testing.memory import (
    MemoryDedup,
    MemoryEvents,
    MemoryPayloads,
    MemoryRuns,
    MemorySteps,
    MemoryWaits,
)
from tidegate.testing.timeline import MemoryLooks, MemoryQueue, MemoryTopic, Timeline
from tidegate.trigger import TriggerEvent
from tidegate.waiting import Waiting
from tidegate.wake import Waker

LISTENED = ("app/b", "inngest/function.finished")
LISTENER = function_of(
    lambda ctx: None, fn_id="listener", trigger=[TriggerEvent(event=name) for name in LISTENED]
)
# Its handler is another one in each test; only its id and triggers matter here.
SUBJECT = function_of(lambda ctx: None)


class Backend(Protocol):
    """Stores, the queues of `SUBJECT` and `LISTENER`, and a clock."""

    clock: FakeClock
    runs: Any
    steps: Any
    dedup: Any
    events: Any
    topic: Any
    waits: Any
    looks: Any

    def queue(self) -> Any:
        """The queue of `SUBJECT`."""

    def forget(self) -> None:
        """Forget all runs and steps."""

    def take(self, function: Function) -> list[EventMessage]:
        """Take what is in a function's queue, due or not."""


class MemoryBackend:
    """In memory."""

    def __init__(self) -> None:
        payloads = MemoryPayloads()
        self.clock = FakeClock()
        self.runs = MemoryRuns(payloads)
        self.steps = MemorySteps()
        self.dedup = MemoryDedup()
        self.events = MemoryEvents(payloads)
        self._timeline = Timeline()
        self.topic = MemoryTopic(self._timeline, [SUBJECT, LISTENER], self.clock)
        self.waits = MemoryWaits()
        self.looks = MemoryLooks(self._timeline, self.clock)
        self._taken: dict[str, list[EventMessage]] = {SUBJECT.id: [], LISTENER.id: []}

    def forget(self) -> None:
        self.runs._runs.clear()
        self.steps._steps.clear()

    def queue(self) -> MemoryQueue:
        return MemoryQueue(self._timeline, SUBJECT.id)

    def take(self, function: Function) -> list[EventMessage]:
        while (due := self._timeline.pop()) is not None:
            self._taken[due.function_id].append(decode_message(due.text))
        taken, self._taken[function.id] = self._taken[function.id], []
        return taken


class MotoBackend:
    """On AWS, as moto has it."""

    def __init__(self, stage: Stage) -> None:
        stage.deploy(SUBJECT, LISTENER)
        self._stage = stage
        self.clock = stage.clock
        self.runs, self.steps = stage.runs, stage.steps
        self.dedup, self.events = stage.admission.dedup, stage.store
        self.waits, self.looks = stage.waits, LookQueue(stage.settings.matcher_queue_url)
        self.topic = stage.admission.bus

    def forget(self) -> None:
        # moto goes through all items of a table for each query.
        tables = get_backend("dynamodb")[ACCOUNT_ID][REGION].tables
        for store in (self.runs, self.steps):
            tables[store.table].items.clear()

    def queue(self) -> Delivery:
        settings = Settings.read(self._stage.cloud.worker_environment(SUBJECT.id))
        return Delivery.of(settings, self.clock)

    def take(self, function: Function) -> list[EventMessage]:
        if function.id == SUBJECT.id:
            return waiting(self._stage, function)
        return self._stage.messages(function)


class ProcessDied(BaseException):
    """The process is dead: whatever it does next fails, too."""


WRITES = {
    "runs": ("create", "take", "release", "end"),
    "steps": ("put", "keep"),
    "queue": ("at",),
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
    """Counts how often each step's final output is stored."""

    def __init__(self, steps: Any) -> None:
        self._steps = steps
        self.stored: Counter[str] = Counter()
        self.load = steps.load
        self.keep = steps.keep

    def put(self, run: Run, record: StepRecord) -> StepRecord:
        before = self.load(run).get(record.step.hashed)
        now = self._steps.put(run, record)
        # It gives back what it was given, or else the record that was first.
        if record.is_done and (before is None or not before.is_done):
            self.stored[record.step.hashed] += 1
        return now


@dataclass
class Played:
    """What came of a run.

    Attributes:
        run: its record.
        output: JSON text of its output.
        records: its steps.
        sent: the messages that reached the listener, by the event's internal id.
        stored: how often each step's output was stored.
        executed_again: the steps that ran although their output was stored.
    """

    run: Run
    output: str | None
    records: dict[str, StepRecord]
    sent: dict[str, EventMessage]
    stored: Counter[str]
    executed_again: list[str]

    def names_sent(self) -> list[str]:
        return sorted(message.event.name for message in self.sent.values())


class Player:
    """Plays one run of a function on a backend, by a process that may die."""

    def __init__(self, backend: Backend, process: Process, **options: Any) -> None:
        self.backend = backend
        self.process = process
        self.options = options
        self.steps = CountingSteps(backend.steps)
        self.executed_again: list[str] = []

    def executes(self, name: str, index: int = 0) -> None:
        """Note that a step's handler runs."""
        if StepId(name, index).hashed in self.steps.stored:
            self.executed_again.append(name)

    def play(self, handler: Callable[..., Any], **event: Any) -> Played:
        """Send an event, and handle messages until none is left."""
        backend, process = self.backend, self.process
        backend.forget()
        function = function_of(handler, **self.options)
        outside = Admission(
            backend.dedup, backend.events, backend.topic, backend.waits, backend.clock
        )
        [event_id] = outside.admit(ENV, check_events([{"name": "app/a", **event}]), None)
        run_id = run_id_of(ENV, function.id, event_id)
        engine = self._engine(function)
        queue = backend.take(SUBJECT)
        for _ in range(1_000):
            if not queue:
                break
            message = queue.pop(0)
            run = backend.runs.get(ENV, run_id)
            if run is not None:
                backend.clock.ms = max(backend.clock.ms, run.due_ms or 0)
            try:
                engine.handle(message, backend.clock.ms + TIMEOUT_MS)
            except ProcessDied:
                # Another process gets the message when its visibility timeout is over.
                process.is_dead = False
                backend.clock.advance(seconds=6 * TIMEOUT_MS / 1000)
                queue.insert(0, message)
            except RunLeasedError as error:
                backend.clock.advance(seconds=error.retry_after_s)
                queue.append(message)
            queue += backend.take(SUBJECT)
        run = backend.runs.get(ENV, run_id)
        assert run is not None
        assert run.has_ended, run
        assert not queue
        return Played(
            run,
            backend.runs.output_of(run),
            backend.steps.load(run),
            {m.event.internal_id: m for m in backend.take(LISTENER)},
            self.steps.stored,
            self.executed_again,
        )

    def _engine(self, function: Function) -> Engine:
        backend, through = self.backend, self.process.through
        admission = Admission(
            through("dedup", backend.dedup),
            through("events", backend.events),
            through("topic", backend.topic),
            through("waits", backend.waits),
            backend.clock,
        )
        manifest = Manifest.of([SUBJECT, LISTENER])
        runs, steps = through("runs", backend.runs), through("steps", self.steps)
        waker = Waker(runs, steps, admission.waits, admission.bus, backend.clock)
        return Engine(
            function=function,
            host=PythonHost(function, admission.send),
            runs=runs,
            steps=steps,
            waiting=Waiting(waker, admission, manifest, through("looks", backend.looks)),
            dedup=admission.dedup,
            delivery=through("queue", backend.queue()),
            store=admission.store.put,
            announce=admission.deliver,
            manifest=manifest,
            clock=backend.clock,
            jitter=lambda: 0.0,
        )
