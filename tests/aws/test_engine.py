"""A run starts once, is tried on schedule and ends once, whatever its messages do."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import (
    Deployed,
    counting,
    waiting,
)
from tidegate.aws import client
from tidegate.context import Context, ContextSync
from tidegate.errors import NonRetriableError, RetryAfterError
from tidegate.event_model import Event
from tidegate.run import Status
from tidegate.trigger import TriggerEvent

pytestmark = pytest.mark.storage


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


def test_run_goes_on_though_its_trigger_was_changed(stage: Stage) -> None:
    calls: list[Any] = []
    before = Deployed(stage, counting(calls, ValueError()), retries=1)
    message = before.send()
    before.handle(message)
    after = Deployed(stage, counting(calls, "done"), trigger=TriggerEvent(event="app/new"))
    [again] = waiting(stage, after.function)
    stage.clock.ms = before.run_of(message).due_ms or 0
    assert after.handle(again) == []
    assert len(calls) == 2
    assert before.run_of(message).status == Status.COMPLETED


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
