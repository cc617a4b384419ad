"""A function on a stage, its queue handled by hand, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from moto.backends import get_backend

from tests.aws.conftest import ENV, Stage, batch, record_of
from tidegate import registry
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.event_model import Event
from tidegate.function import Function, Handler, make_function
from tidegate.ids import run_id_of
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.message import EventMessage, decode_message
from tidegate.run import Run
from tidegate.trigger import TriggerEvent

TIMEOUT_MS = 120_000


class Deployed:
    """A function on a stage, and its runs."""

    def __init__(self, stage: Stage, handler: Handler, *others: Function, **options: Any) -> None:
        function = function_of(handler, **options)
        stage.deploy(function, *others)
        self._run(stage, function)

    @classmethod
    def all(cls, stage: Stage, *functions: Function) -> list[Deployed]:
        """Several functions on one stage."""
        stage.deploy(*functions)
        deployed = [cls.__new__(cls) for _ in functions]
        for one, function in zip(deployed, functions, strict=True):
            one._run(stage, function)
        return deployed

    def after(self, *functions: Function) -> Deployed:
        """The same function behind a deployment of others, which may have it in another form."""
        self.stage.deploy(*functions)
        now = {function.id: function for function in functions}
        own_id = self.function.id
        deployed = Deployed.__new__(Deployed)
        found = now.get(own_id) or registry.load_function(self.stage.manifest, own_id)
        deployed._run(self.stage, found)
        return deployed

    def _run(self, stage: Stage, function: Function) -> None:
        self.stage = stage
        self.function = function
        self.worker = stage.worker(function)

    def send(self, **event: Any) -> EventMessage:
        """Send an event and take the message that it puts into the function's queue."""
        self.stage.send({"name": "app/a", **event})
        [message] = self.stage.messages(self.function)
        return message

    def handle(self, *messages: EventMessage, receives: int = 1) -> list[str]:
        """Have the worker handle messages, and tell which ones must come again."""
        records = [record_of(message, receives) for message in messages]
        answer = self.worker.handle(batch(records), TIMEOUT_MS)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def run_of(self, message: EventMessage) -> Run:
        run = self._find(message)
        assert run is not None
        return run

    def _find(self, message: EventMessage) -> Run | None:
        run_id = run_id_of(ENV, self.function.id, message.event.internal_id)
        return self.stage.runs.get(ENV, message.rerun.run_id if message.rerun else run_id)

    def handle_due(self) -> int:
        """Handle what its queue and its schedules have for it now; what is due later stays."""
        handled = 0
        for message in waiting(self.stage, self.function):
            run = self._find(message)
            if run and (run.due_ms or 0) > self.stage.clock.ms and not message.wakes:
                self.worker.engine.delivery.at(run.due_ms or 0, message.encode(), run.id)
            else:
                assert self.handle(message) == []
                handled += 1
        return handled

    def drive(self) -> int:
        """Handle what comes into the queue, passing the time, until nothing more comes."""
        handled = 0
        for _ in range(100):
            messages = waiting(self.stage, self.function)
            if not messages:
                return handled
            for message in messages:
                run = self.run_of(message)
                self.stage.clock.ms = max(self.stage.clock.ms, run.due_ms or 0)
            assert self.handle(*messages) == []
            handled += len(messages)
        raise AssertionError("it never ends")


def waiting(stage: Stage, function: Function) -> list[EventMessage]:
    """Take the messages of a function's queue and of its schedules, due or not."""
    wiring = stage.cloud.wiring[function.id]
    messages = [decode_message(body) for body in bodies(wiring.queue_url)]
    for found in client("scheduler").list_schedules()["Schedules"]:
        name, group = found["Name"], found["GroupName"]
        schedule = client("scheduler").get_schedule(Name=name, GroupName=group)
        if schedule["Target"]["Arn"] != wiring.queue_arn:
            continue
        messages.append(decode_message(schedule["Target"]["Input"]))
        client("scheduler").delete_schedule(Name=name, GroupName=group)
    return messages


def bodies(queue_url: str) -> list[str]:
    """Take the messages out of a queue, also those that are delayed."""
    queue = get_backend("sqs")[ACCOUNT_ID][REGION].queues[queue_url.rpartition("/")[2]]
    found = [message.body for message in queue._messages.values()]
    queue.clear()
    return found


def match(stage: Stage) -> list[str]:
    """Have the matcher handle all messages of its queue, and give them."""
    found = bodies(stage.cloud.matcher.queue_url)
    records = [{"messageId": str(number), "body": body} for number, body in enumerate(found)]
    assert stage.matcher.handle(batch(records)) == {"batchItemFailures": []}
    return found


def settle(stage: Stage, *deployed: Deployed) -> None:
    """Let happen what can happen now, without time passing."""
    for _ in range(100):
        if not match(stage) and not sum(one.handle_due() for one in deployed):
            return
    raise AssertionError("it never settles")


def function_of(handler: Handler, **options: Any) -> Function:
    settings: dict[str, Any] = {
        "app_id": "test",
        "fn_id": "f",
        "trigger": TriggerEvent(event="app/a"),
        "name": None,
        "retries": None,
    }
    return make_function(handler, **(settings | options))


def counting(calls: list[Any], result: Any = None) -> Callable[[ContextSync], Any]:
    def handler(ctx: ContextSync) -> Any:
        calls.append(ctx)
        if isinstance(result, BaseException):
            raise result
        return result

    return handler


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: Any, **__: Any) -> Any:
        raise error

    return call


class ProcessDied(BaseException):
    """Stands for the end of the process: nothing behind it happens."""


def dies(patch: pytest.MonkeyPatch, at: str) -> None:
    """Make the process die at a call of AWS, such as `sns.publish_batch`."""
    service, operation = at.split(".")

    def die(**_: Any) -> None:
        raise ProcessDied

    patch.setattr(client(service), operation, die)  # type: ignore[call-overload]


def listener(stage: Stage, *names: str) -> Function:
    triggers = [TriggerEvent(event=name) for name in names]
    return function_of(lambda ctx: None, fn_id="listener", trigger=triggers)


def announced(stage: Stage, heard: Function) -> list[Event]:
    return [message.event.event for message in stage.messages(heard)]
