"""A run starts once, is tried on schedule and ends once, whatever its messages do."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.backends import get_backend

from tests.aws.conftest import ENV, Stage, batch, record_of
from tidegate.aws import client
from tidegate.context import Context, ContextSync
from tidegate.errors import NonRetriableError, PlatformError, RetryAfterError
from tidegate.event import Event
from tidegate.function import Function, Handler, make_function
from tidegate.ids import run_id_of
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.message import EventMessage, decode_message
from tidegate.run import Run, Status
from tidegate.run_store import RunStore
from tidegate.trigger import TriggerEvent

TIMEOUT_MS = 120_000


class Deployed:
    """A function on a stage, and its runs."""

    def __init__(self, stage: Stage, handler: Handler, **options: Any) -> None:
        self.stage = stage
        self.function = function_of(handler, **options)
        stage.deploy(self.function)
        self.worker = stage.worker(self.function)

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
        run_id = run_id_of(ENV, self.function.id, message.event.internal_id)
        run = self.stage.runs.get(ENV, run_id)
        assert run is not None
        return run

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
    queue_name = stage.cloud.wiring[function.id].queue_url.rpartition("/")[2]
    queue = get_backend("sqs")[ACCOUNT_ID][REGION].queues[queue_name]
    messages = [decode_message(message.body) for message in queue._messages.values()]
    queue.clear()
    for found in client("scheduler").list_schedules()["Schedules"]:
        name, group = found["Name"], found["GroupName"]
        schedule = client("scheduler").get_schedule(Name=name, GroupName=group)
        messages.append(decode_message(schedule["Target"]["Input"]))
        client("scheduler").delete_schedule(Name=name, GroupName=group)
    return messages


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
    def call(*_: Any) -> Any:
        raise error

    return call


def test_run_is_recorded_with_its_output(stage: Stage) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, {"n": 9007199254740993}))
    message = deployed.send(data={"x": 1})
    assert deployed.handle(message) == []
    [ctx] = calls
    assert ctx.event == Event(
        name="app/a", data={"x": 1}, id=message.event.internal_id, ts=message.event.ts
    )
    assert ctx.events == [ctx.event]
    assert ctx.attempt == 0
    run = deployed.run_of(message)
    assert ctx.run_id == run.id
    assert run.status == Status.COMPLETED
    assert run.output == '{"n":9007199254740993}'
    assert run.started_ms == run.ended_ms == stage.clock.ms


def test_async_functions_share_one_event_loop(stage: Stage) -> None:
    loops: list[Any] = []

    async def handler(ctx: Context) -> str:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return ctx.event.name

    deployed = Deployed(stage, handler)
    first, second = deployed.send(), deployed.send()
    assert deployed.handle(first, second) == []
    assert deployed.run_of(second).output == '"app/a"'
    assert loops[0] is loops[1]


def test_message_that_comes_twice_starts_once(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send()
    for _ in range(3):
        assert deployed.handle(message) == []
    assert len(calls) == 1


def test_message_handled_by_many_workers_at_once_starts_once(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: deployed.handle(message), range(16)))
    assert len(calls) == 1
    assert deployed.run_of(message).status == Status.COMPLETED


def test_batch_runs_side_by_side(stage: Stage) -> None:
    together = threading.Barrier(3)
    deployed = Deployed(stage, lambda ctx: together.wait(timeout=10))
    assert deployed.handle(deployed.send(), deployed.send(), deployed.send()) == []


def test_several_matching_triggers_start_one_run(stage: Stage) -> None:
    calls: list[Any] = []
    triggers = [TriggerEvent(event="app/a"), TriggerEvent(event="app/*")]
    deployed = Deployed(stage, counting(calls), trigger=triggers)
    deployed.handle(deployed.send())
    assert len(calls) == 1


def test_event_that_the_filter_let_through_by_mistake_is_dropped(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send()
    other = replace(message, event=replace(message.event, name="app/other"))
    assert deployed.handle(other) == []
    assert calls == []


def test_failed_attempts_follow_the_schedule_and_the_last_one_fails_the_run(stage: Stage) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, ValueError("boom")), retries=12)
    message = deployed.send()
    start_ms = stage.clock.ms
    assert deployed.handle(message) == []
    run = deployed.run_of(message)
    assert (run.status, run.attempt, run.ended_ms) == (Status.RUNNING, 1, None)
    due = []
    for _ in range(12):
        [again] = waiting(stage, deployed.function)
        due_ms = deployed.run_of(message).due_ms
        assert due_ms is not None
        due.append((due_ms - start_ms) // 1000)
        start_ms = stage.clock.ms = due_ms
        deployed.handle(again)
    assert due == [15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200, 7_200, 7_200]
    assert [ctx.attempt for ctx in calls] == list(range(13))
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    failure = json.loads(run.output or "")
    assert (failure["name"], failure["message"]) == ("ValueError", "boom")
    assert "raise result" in failure["stack"]
    assert "host.py" not in failure["stack"]
    assert waiting(stage, deployed.function) == []


def test_success_after_failures(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> str:
        if ctx.attempt < 2:
            raise ValueError("not yet")
        return "done"

    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    assert deployed.drive() == 2
    run = deployed.run_of(message)
    assert (run.status, run.attempt, run.output) == (Status.COMPLETED, 2, '"done"')


@pytest.mark.parametrize("retries", [0, 1, 20])
def test_retries_option(stage: Stage, retries: int) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, ValueError()), retries=retries)
    deployed.handle(deployed.send())
    deployed.drive()
    assert len(calls) == retries + 1


@pytest.mark.parametrize("error", [NonRetriableError("no"), SystemExit(3)])
def test_errors_that_end_the_attempt(stage: Stage, error: BaseException) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, error), retries=1)
    message = deployed.send()
    assert deployed.handle(message) == []
    deployed.drive()
    assert len(calls) == (1 if isinstance(error, NonRetriableError) else 2)
    assert deployed.run_of(message).status == Status.FAILED


def test_retry_after_sets_the_delay(stage: Stage) -> None:
    deployed = Deployed(stage, counting([], RetryAfterError("later", 90_000)))
    message = deployed.send()
    deployed.handle(message)
    assert deployed.run_of(message).due_ms == stage.clock.ms + 90_000


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({1, 2}, "Object of type set"),
        (float("nan"), "Out of range float"),
        ("\ud800", "surrogates not allowed"),
        ("x" * (4 * 1024 * 1024), "at most 4194304 are kept"),
    ],
)
def test_output_that_cannot_be_kept_fails_without_retry(
    stage: Stage, output: Any, reason: str
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, output))
    message = deployed.send()
    deployed.handle(message)
    deployed.drive()
    assert len(calls) == 1
    failure = json.loads(deployed.run_of(message).output or "")
    assert failure["name"] == "OutputError"
    assert "test-f" in failure["message"]
    assert reason in failure["message"]


def test_large_output_goes_to_the_bucket(stage: Stage) -> None:
    deployed = Deployed(stage, counting([], "x" * 300_000))
    message = deployed.send()
    deployed.handle(message)
    run = deployed.run_of(message)
    assert run.output is None
    assert stage.runs.output_of(run) == json.dumps("x" * 300_000)


def test_large_event_reaches_the_function_whole(stage: Stage) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls))
    deployed.handle(deployed.send(data={"text": "x" * 300_000}))
    assert calls[0].event.data == {"text": "x" * 300_000}


# --- crashes and faults of the platform ---------------------------------------------------------


class ProcessDied(BaseException):
    """Stands for the end of the process: nothing behind it happens."""


def dies(patch: pytest.MonkeyPatch, at: str) -> None:
    """Make the process die at a call of AWS, such as `sns.publish_batch`."""
    service, operation = at.split(".")

    def die(**_: Any) -> None:
        raise ProcessDied

    patch.setattr(client(service), operation, die)  # type: ignore[call-overload]


def test_worker_that_dies_is_replaced_and_the_attempt_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, "done"), retries=1)
    message = deployed.send()
    with monkeypatch.context() as patch:
        dies(patch, "dynamodb.update_item")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    assert deployed.run_of(message).status == Status.RUNNING
    assert deployed.handle(message) != [], "the dead worker's lease still holds: it stays queued"
    assert len(calls) == 1
    stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
    assert deployed.handle(message) == []
    assert [ctx.attempt for ctx in calls] == [0, 1]
    assert deployed.run_of(message).status == Status.COMPLETED


def test_run_whose_workers_all_die_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls), retries=2)
    message = deployed.send()
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "end", raising(ProcessDied()))
            with pytest.raises(ProcessDied):
                deployed.handle(message)
        stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
    assert deployed.handle(message) == []
    assert len(calls) == 3
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    assert "WorkerDied" in (run.output or "")


def test_retry_that_was_recorded_but_not_sent_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, ValueError()), retries=1)
    message = deployed.send()
    with monkeypatch.context() as patch:
        dies(patch, "sqs.send_message")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    assert waiting(stage, deployed.function) == []
    assert deployed.handle(message) == [], "redelivered before the retry is due"
    assert len(calls) == 1
    assert deployed.drive() == 1
    assert [ctx.attempt for ctx in calls] == [0, 1]


def test_result_of_a_worker_that_lost_its_lease_is_dropped(stage: Stage) -> None:
    other: list[Callable[[], None]] = []

    def handler(ctx: ContextSync) -> str:
        if other:
            other.pop()()
        return f"attempt {ctx.attempt}"

    deployed = Deployed(stage, handler)
    message = deployed.send()

    def overtake() -> None:
        stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
        deployed.handle(message)

    other.append(overtake)
    assert deployed.handle(message) == []
    assert deployed.run_of(message).output == '"attempt 1"'


def test_result_is_kept_through_a_short_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, "done"))
    message = deployed.send()
    update_item = client("dynamodb").update_item
    faults = [1, 2, 3]

    def flaky(**call: Any) -> Any:
        if faults:
            faults.pop()
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "UpdateItem")
        return update_item(**call)

    monkeypatch.setattr(client("dynamodb"), "update_item", flaky)
    assert deployed.handle(message) == []
    assert len(calls) == 1
    assert deployed.run_of(message).output == '"done"'


def test_fault_before_the_start_leaves_the_message_in_the_queue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send()
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "create", raising(PlatformError("down")))
        assert deployed.handle(message) == [f"message-{message.event.internal_id}"]
    assert calls == []
    assert deployed.handle(message) == []
    assert len(calls) == 1


# --- messages that can never be handled ---------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"internal_id": 5}', '{"name": "app/a"}', "hello"]
)
def test_message_that_is_none_is_dead_lettered_with_the_reason(
    stage: Stage, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    deployed = Deployed(stage, counting([]))
    record = {"messageId": "m", "receiptHandle": "r", "body": body or " ", "attributes": {}}
    good = deployed.send()
    with caplog.at_level(logging.INFO, "tidegate"):
        answer = deployed.worker.handle(batch([record, record_of(good)]), TIMEOUT_MS)
    assert answer == {"batchItemFailures": []}
    [dead] = stage.dead(deployed.function)
    assert dead["body"] == (body or " ")
    assert "not a message of an event" in dead["messageAttributes"]["reason"]["StringValue"]
    assert "message dead-lettered" in caplog.text
    assert deployed.run_of(good).status == Status.COMPLETED, "it blocks no other"


def test_event_whose_payload_is_gone_is_dead_lettered(stage: Stage) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send(data={"text": "x" * 100_000})
    assert message.body_key is not None
    client("s3").delete_object(Bucket=stage.settings.bucket, Key=message.body_key)
    assert deployed.handle(message) == []
    [dead] = stage.dead(deployed.function)
    assert "is gone" in dead["messageAttributes"]["reason"]["StringValue"]


# --- delays -------------------------------------------------------------------------------------


def test_future_ts_within_15_minutes_waits_in_sqs(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send(ts=stage.clock.ms + 600_000)
    assert deployed.handle(message) == []
    run = deployed.run_of(message)
    assert (run.status, run.started_ms, calls) == (Status.SCHEDULED, None, [])
    assert client("scheduler").list_schedules()["Schedules"] == []
    [later] = waiting(stage, deployed.function)
    stage.clock.advance(seconds=600)
    deployed.handle(later)
    assert len(calls) == 1
    run = deployed.run_of(message)
    assert (run.status, run.started_ms) == (Status.COMPLETED, message.event.ts)


def test_future_ts_beyond_that_waits_in_scheduler(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    due_ms = stage.clock.ms + 3 * 86_400_000
    message = deployed.send(ts=due_ms)
    assert deployed.handle(message) == []
    assert deployed.handle(message) == [], "a second delivery arranges nothing more"
    [found] = client("scheduler").list_schedules()["Schedules"]
    schedule = client("scheduler").get_schedule(Name=found["Name"], GroupName=found["GroupName"])
    assert schedule["ActionAfterCompletion"] == "DELETE"
    wiring = stage.cloud.wiring[deployed.function.id]
    assert schedule["Target"]["Arn"] == wiring.queue_arn
    [later] = waiting(stage, deployed.function)
    stage.clock.ms = due_ms - 60_000
    assert deployed.handle(later) == []
    assert calls == [], "Scheduler came early on purpose; SQS waits for the rest"
    [later] = waiting(stage, deployed.function)
    stage.clock.ms = due_ms - 400
    assert deployed.handle(later) == []
    assert len(calls) == 1
    assert stage.clock.slept_s == [0.4]
    assert deployed.run_of(message).started_ms == due_ms


# --- sending from within and system events ------------------------------------------------------


def listener(stage: Stage, *names: str) -> Function:
    triggers = [TriggerEvent(event=name) for name in names]
    return function_of(lambda ctx: None, fn_id="listener", trigger=triggers)


def test_events_sent_from_within_are_the_same_at_every_attempt(stage: Stage) -> None:
    sent: list[list[str]] = []

    def handler(ctx: ContextSync) -> None:
        first = ctx.step.send_event("notify", Event(name="app/b", data={"n": 1}))
        second = ctx.step.send_event("notify", [Event(name="app/b"), Event(name="app/b")])
        sent.append(first + second)
        if ctx.attempt == 0:
            raise ValueError("after sending")

    deployed = Deployed(stage, handler)
    heard = listener(stage, "app/b")
    stage.deploy(deployed.function, heard)
    deployed.handle(deployed.send())
    stage.clock.advance(hours=1)
    deployed.drive()
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert len(set(sent[0])) == 3
    assert {message.event.internal_id for message in stage.messages(heard)} == set(sent[0])


def test_async_step_sends_too(stage: Stage) -> None:
    async def handler(ctx: Context) -> list[str]:
        return await ctx.step.send_event("notify", Event(name="app/b"))

    deployed = Deployed(stage, handler)
    heard = listener(stage, "app/b")
    stage.deploy(deployed.function, heard)
    message = deployed.send()
    deployed.handle(message)
    [notified] = stage.messages(heard)
    assert json.loads(deployed.run_of(message).output or "") == [notified.event.internal_id]


def test_bad_event_from_within_fails_without_retry(stage: Stage) -> None:
    deployed = Deployed(
        stage, lambda ctx: ctx.step.send_event("x", Event(name="inngest/function.failed"))
    )
    message = deployed.send()
    deployed.handle(message)
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    assert "events[0]: name: names starting with 'inngest/' are reserved" in (run.output or "")


def announced(stage: Stage, heard: Function) -> list[Event]:
    return [message.event.event for message in stage.messages(heard)]


def test_failed_run_is_announced(stage: Stage) -> None:
    deployed = Deployed(stage, counting([], NonRetriableError("no")))
    heard = listener(stage, "inngest/function.failed", "inngest/function.finished")
    deployed.stage.deploy(deployed.function, heard)
    deployed.worker = stage.worker(deployed.function)
    message = deployed.send(id="mine", data={"x": 1})
    deployed.handle(message)
    failed, finished = sorted(announced(stage, heard), key=lambda event: event.name)
    run = deployed.run_of(message)
    assert (failed.name, failed.id) == ("inngest/function.failed", run.id)
    assert failed.data["function_id"] == "test-f"
    assert failed.data["run_id"] == run.id
    assert failed.data["event"]["id"] == "mine"
    assert failed.data["events"] == [failed.data["event"]]
    error = failed.data["error"]
    assert (error["name"], error["message"], error["error"]) == (
        "NonRetriableError",
        "no",
        "NonRetriableError",
    )
    assert failed.data["_inngest"] == {"status": "Failed"}
    assert finished.name == "inngest/function.finished"
    assert finished.data == failed.data


def test_finished_run_is_announced_again_when_its_worker_died_before(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([], {"ok": True}))
    heard = listener(stage, "inngest/*")
    stage.deploy(deployed.function, heard)
    deployed.worker = stage.worker(deployed.function)
    message = deployed.send()
    with monkeypatch.context() as patch:
        dies(patch, "sns.publish_batch")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    assert announced(stage, heard) == []
    assert deployed.handle(message) == []
    assert deployed.handle(message) == []
    first, second = announced(stage, heard)
    assert first == second, "the same event, so it starts nothing twice"
    assert first.name == "inngest/function.finished"
    assert first.data["result"] == {"ok": True}


def test_nothing_is_published_that_nobody_wants(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send()
    dies(monkeypatch, "sns.publish_batch")
    assert deployed.handle(message) == []


def test_system_events_do_not_recur(stage: Stage) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting([], ValueError()), retries=0)
    heard = function_of(
        counting(calls, ValueError()),
        fn_id="listener",
        retries=0,
        trigger=TriggerEvent(event="inngest/*"),
    )
    stage.deploy(deployed.function, heard)
    deployed.worker = stage.worker(deployed.function)
    deployed.handle(deployed.send())
    for message in stage.messages(heard):
        stage.worker(heard).handle(batch([record_of(message)]), TIMEOUT_MS)
    assert len(calls) == 2
    assert stage.messages(heard) == []


def test_log_lines_carry_the_ids(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.logger.info("hello"))
    message = deployed.send()
    with caplog.at_level(logging.INFO, "tidegate"):
        deployed.handle(message)
    run = deployed.run_of(message)
    [line] = [record for record in caplog.records if record.message == "hello"]
    assert (line.run_id, line.function_id, line.attempt) == (run.id, "test-f", 0)  # type: ignore[attr-defined]
    texts = [record.message for record in caplog.records]
    assert texts.index("run started") < texts.index("hello") < texts.index("run completed")


def test_stack_is_the_users_own(stage: Stage) -> None:
    def inner() -> None:
        sys.intern(5)  # type: ignore[arg-type]

    deployed = Deployed(stage, lambda ctx: inner(), retries=0)
    message = deployed.send()
    deployed.handle(message)
    stack = json.loads(deployed.run_of(message).output or "")["stack"]
    assert stack.splitlines()[-1].startswith("TypeError")
    assert stack.count("File ") == 2
