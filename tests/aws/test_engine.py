"""A run starts once, is tried on schedule and ends once, whatever its messages do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.aws.conftest import Stage, batch, record_of
from tests.aws.deployed import TIMEOUT_MS, Deployed, counting, function_of, raising, waiting
from tidegate.aws import client
from tidegate.context import Context, ContextSync
from tidegate.errors import NonRetriableError, PlatformError, RetryAfterError
from tidegate.event import Event
from tidegate.function import Function
from tidegate.run import Status
from tidegate.run_store import RunStore
from tidegate.trigger import TriggerEvent


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
        (object(), "Unable to serialize unknown type"),
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
    assert deployed.handle(message) != [], "its message stays, in case the other one dies"
    assert deployed.run_of(message).output == '"attempt 1"'
    assert deployed.handle(message) == []


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


# --- answers that are lost ----------------------------------------------------------------------


def loses_answers(monkeypatch: pytest.MonkeyPatch, operation: str, times: int = 1) -> list[int]:
    """Let the next calls of DynamoDB be applied, and their answers be lost."""
    real = getattr(client("dynamodb"), operation)
    left = list(range(times))

    def call(**arguments: Any) -> Any:
        answer = real(**arguments)
        if left:
            left.pop()
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return answer

    monkeypatch.setattr(client("dynamodb"), operation, call)
    return left


def test_run_whose_creation_was_not_confirmed_starts_when_the_message_comes_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore repeats such a call by itself; the store must know its own write."""
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, "done"), retries=0)
    message = deployed.send()
    real = client("dynamodb").put_item

    def twice(**arguments: Any) -> Any:
        with contextlib.suppress(ClientError):
            real(**arguments)
        return real(**arguments)

    monkeypatch.setattr(client("dynamodb"), "put_item", twice)
    assert deployed.handle(message) == []
    assert len(calls) == 1
    assert deployed.run_of(message).output == '"done"'


def test_end_that_was_not_confirmed_is_announced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([], "done"))
    heard = listener(stage, "inngest/function.finished")
    stage.deploy(deployed.function, heard)
    deployed.worker = stage.worker(deployed.function)
    message = deployed.send()
    left = loses_answers(monkeypatch, "update_item")
    assert deployed.handle(message) == []
    assert left == []
    assert len(announced(stage, heard)) == 1


def test_retry_that_was_not_confirmed_is_delivered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, ValueError()), retries=1)
    message = deployed.send()
    left = loses_answers(monkeypatch, "update_item")
    assert deployed.handle(message) == []
    assert left == []
    deployed.drive()
    assert len(calls) == 2
    assert deployed.run_of(message).status == Status.FAILED


def test_lease_that_was_not_confirmed_is_held(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send(ts=stage.clock.ms + 60_000)
    deployed.handle(message)
    [later] = waiting(stage, deployed.function)
    stage.clock.advance(seconds=60)
    real = client("dynamodb").update_item
    repeated: list[Any] = []

    def twice(**arguments: Any) -> Any:
        if not repeated:
            repeated.append(real(**arguments))
        return real(**arguments)

    monkeypatch.setattr(client("dynamodb"), "update_item", twice)
    assert deployed.handle(later) == []
    assert len(calls) == 1


def test_what_waiting_does_not_mend_is_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send()

    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")

    monkeypatch.setattr(client("dynamodb"), "update_item", denied)
    assert deployed.handle(message) != []
    assert stage.clock.slept_s == []


# --- what functions throw -----------------------------------------------------------------------


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NonRetriableError("file \udcff is gone"), "file ? is gone"),
        (NonRetriableError("x" * 300_000), "characters left out"),
        (UnspeakableError(), "its message cannot be had"),
    ],
)
def test_failures_are_stored_whatever_they_say(
    stage: Stage, error: Exception, message: str
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, error), retries=0)
    sent = deployed.send()
    assert deployed.handle(sent) == []
    run = deployed.run_of(sent)
    assert run.status == Status.FAILED
    assert message in json.loads(run.output or "")["message"]
    assert len(run.output or "") < 50_000
    assert len(calls) == 1


def test_sys_exit_in_a_coroutine_ends_its_attempt_alone(stage: Stage) -> None:
    async def leaves(ctx: Context) -> None:
        sys.exit(3)

    async def stays(ctx: Context) -> str:
        return "still here"

    first = Deployed(stage, leaves, retries=0)
    message = first.send()
    assert first.handle(message) == []
    assert first.run_of(message).status == Status.FAILED
    second = Deployed(stage, stays)
    message = second.send()
    assert second.handle(message) == []
    assert second.run_of(message).output == '"still here"'


@pytest.mark.parametrize("after", [1500.5, "30", None, True])
def test_retry_after_takes_times_only(after: Any) -> None:
    with pytest.raises(TypeError, match="whole milliseconds, a timedelta or a datetime"):
        RetryAfterError("later", after)


def test_run_that_waits_for_its_event_while_that_is_lost_is_failed(stage: Stage) -> None:
    deployed = Deployed(stage, counting([], ValueError()))
    message = deployed.send(data={"text": "x" * 100_000})
    deployed.handle(message)
    [again] = waiting(stage, deployed.function)
    assert again.body_key is not None
    client("s3").delete_object(Bucket=stage.settings.bucket, Key=again.body_key)
    assert deployed.handle(again) == []
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    assert "is gone" in (run.output or "")
    assert len(stage.dead(deployed.function)) == 1


def test_ts_a_moment_ahead_starts_in_the_same_invocation(stage: Stage) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    deployed.handle(deployed.send(ts=stage.clock.ms + 300))
    assert len(calls) == 1
    assert stage.clock.slept_s == [0.3]
