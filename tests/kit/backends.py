"""What the engine stores in, on AWS and in memory, and a process on it that can die."""

from __future__ import annotations

from typing import Any, Protocol

from moto.backends import get_backend

from tests.aws.conftest import Stage
from tests.aws.deployed import bodies, function_of, waiting
from tests.clock import FakeClock
from tidegate.aws import client
from tidegate.function import Function
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.look import LookQueue, StoredEvents
from tidegate.message import EventMessage
from tidegate.schedule import Delivery
from tidegate.settings import Settings
from tidegate.testing.memory import (
    MemoryDedup,
    MemoryEvents,
    MemoryPayloads,
    MemoryRuns,
    MemorySteps,
    MemoryWaits,
)
from tidegate.testing.timeline import MATCHER, MemoryLooks, MemoryQueue, MemoryTopic, Timeline
from tidegate.trigger import TriggerEvent

LISTENED = ("app/b", "inngest/function.finished")
LISTENER = function_of(
    lambda ctx: None, fn_id="listener", trigger=[TriggerEvent(event=name) for name in LISTENED]
)
# Their handlers are others in each test; only their ids and triggers matter here.
SUBJECT = function_of(lambda ctx: None)
CALLEE = function_of(lambda ctx: None, fn_id="callee", trigger=[])
FUNCTIONS = (SUBJECT, LISTENER, CALLEE)


class Backend(Protocol):
    """Stores, the queues of `FUNCTIONS` and of the matcher, and a clock."""

    clock: FakeClock
    runs: Any
    steps: Any
    dedup: Any
    events: Any
    topic: Any
    waits: Any
    looks: Any
    past: Any

    def queue(self, function: Function = SUBJECT) -> Any:
        """The queue of a function."""

    def forget(self) -> None:
        """Forget all runs, steps, waits and events."""

    def take(self, function: Function) -> list[EventMessage]:
        """Take what is in a function's queue, due or not."""

    def take_matchers(self) -> list[str]:
        """Take what is in the matcher's queue, due or not."""


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
        self.topic = MemoryTopic(self._timeline, FUNCTIONS, self.clock)
        self.waits = MemoryWaits()
        self.looks = MemoryLooks(self._timeline, self.clock)
        self.past = self.events
        self._taken: dict[str, list[str]] = {MATCHER: []} | {one.id: [] for one in FUNCTIONS}

    def forget(self) -> None:
        for stored in (self.runs._runs, self.steps._steps, self.waits._waits, self.events._events):
            stored.clear()

    def queue(self, function: Function = SUBJECT) -> MemoryQueue:
        return MemoryQueue(self._timeline, function.id)

    def take(self, function: Function) -> list[EventMessage]:
        return [EventMessage.decode(text) for text in self._take(function.id)]

    def take_matchers(self) -> list[str]:
        return self._take(MATCHER)

    def _take(self, queue: str) -> list[str]:
        while (due := self._timeline.pop()) is not None:
            self._taken[due.function_id].append(due.text)
        taken, self._taken[queue] = self._taken[queue], []
        return taken


class AwsBackend:
    """On AWS, as moto has it; the tables may be in another engine."""

    def __init__(self, stage: Stage) -> None:
        stage.deploy(*FUNCTIONS)
        self._stage = stage
        self.clock = stage.clock
        self.runs, self.steps = stage.runs, stage.steps
        self.dedup, self.events = stage.admission.dedup, stage.store
        self.waits, self.looks = stage.waits, LookQueue(stage.cloud.matcher.queue_url)
        self.topic = stage.admission.bus
        self.past = StoredEvents(stage.store)

    def forget(self) -> None:
        in_moto = get_backend("dynamodb")[ACCOUNT_ID][REGION].tables
        for store in (self.runs, self.steps, self.waits, self.events):
            if store.table in in_moto:
                in_moto[store.table].items.clear()
            else:
                _empty(store.table)

    def queue(self, function: Function = SUBJECT) -> Delivery:
        settings = Settings.read(self._stage.cloud.worker_environment(function.id))
        return Delivery.of(settings, self.clock)

    def take(self, function: Function) -> list[EventMessage]:
        if function.id == LISTENER.id:
            return self._stage.messages(function)
        return waiting(self._stage, function)

    def take_matchers(self) -> list[str]:
        return bodies(self._stage.cloud.matcher.queue_url)


def _empty(table: str) -> None:
    """Delete all items of a table on a server."""
    for page in client("dynamodb").get_paginator("scan").paginate(TableName=table):
        for item in page["Items"]:
            key = {name: item[name] for name in ("pk", "sk") if name in item}
            client("dynamodb").delete_item(TableName=table, Key=key)
