"""A function is removed while its runs sleep, wait or are to be retried: they end, visibly."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import (
    Deployed,
    announced,
    function_of,
    listener,
    match,
    settle,
    waiting,
)
from tests.aws.rest import Rest, load_handler
from tidegate.aws import client
from tidegate.cancel import Cancel
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.function import Function
from tidegate.ids import random_ulid
from tidegate.message import CronMessage
from tidegate.rest_call import rfc3339
from tidegate.run import Rerun, Run, Status, failure_of
from tidegate.trigger import TriggerEvent

DAY = timedelta(days=1)
OTHER = function_of(lambda ctx: None, fn_id="other", trigger=TriggerEvent(event="app/other"))

Handler = Callable[[ContextSync], Any]


def sleeps(ctx: ContextSync) -> str:
    ctx.step.run("first", lambda: 1)
    ctx.step.sleep("rest", 3 * DAY)
    return "never reached"


def waits(ctx: ContextSync) -> str:
    ctx.step.wait_for_event("b", event="app/b", timeout=30 * DAY)
    return "never reached"


def fails(ctx: ContextSync) -> str:
    raise ConnectionError("try again")


def ended(stage: Stage, deployed: Deployed, message: Any) -> Run:
    """The run of a message, which the removal has ended."""
    run = deployed.run_of(message)
    assert run.status == Status.CANCELLED
    assert not run.lease_until_ms
    why = failure_of(stage.runs.output_of(run))
    assert str(why) == f"FunctionRemoved: function {run.function_id!r} was removed"
    return run


def waits_left(stage: Stage) -> int:
    return len(client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"])


@pytest.mark.parametrize(
    "handler", [sleeps, waits, fails], ids=["sleeps", "waits for an event", "is to be retried"]
)
def test_a_run_ends_when_it_would_go_on(stage: Stage, handler: Handler) -> None:
    deployed = Deployed(stage, handler, cancel=[Cancel(event="app/stop")])
    message = deployed.send()
    assert deployed.handle(message) == []
    assert waits_left(stage) > 0
    gone = deployed.after(OTHER)
    assert gone.run_of(message).status == Status.RUNNING
    stage.clock.ms = deployed.run_of(message).due_ms or 0
    assert gone.handle_due() > 0
    ended(stage, gone, message)
    assert waits_left(stage) == 0
    assert client("scheduler").list_schedules()["Schedules"] == []
    assert waiting(stage, gone.function) == []
    assert stage.dead(gone.function) == []


def test_a_run_ends_when_the_event_comes_that_it_waits_for(stage: Stage) -> None:
    deployed = Deployed(stage, waits)
    message = deployed.send()
    deployed.handle(message)
    match(stage)
    gone = deployed.after(OTHER)
    stage.send({"name": "app/b"})
    settle(stage, gone)
    ended(stage, gone, message)
    assert client("scheduler").list_schedules()["Schedules"] == [], "the time-out is recalled"


def test_a_run_that_is_due_later_ends(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send(ts=stage.clock.ms + 86_400_000)
    deployed.handle(message)
    assert deployed.run_of(message).status == Status.SCHEDULED
    gone = deployed.after(OTHER)
    stage.clock.advance(days=1)
    gone.handle_due()
    assert ended(stage, gone, message).started_ms is None


def test_a_run_whose_worker_dies_with_the_function_ends(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    deployed.handle(message)
    run = deployed.run_of(message)
    held = replace(run, lease="a", lease_until_ms=stage.clock.ms + 60_000, due_ms=None)
    assert stage.runs.take(run, held)
    gone = deployed.after(OTHER)
    assert gone.handle(message) != [], "whoever drives it may end it"
    assert gone.run_of(message).status == Status.RUNNING
    stage.clock.advance(seconds=61)
    assert gone.handle(message) == []
    ended(stage, gone, message)


def test_the_end_is_announced(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send(data={"n": 1})
    deployed.handle(message)
    heard = listener(stage, "inngest/function.cancelled", "inngest/function.finished")
    gone = deployed.after(heard)
    stage.clock.advance(days=3)
    gone.handle_due()
    run = ended(stage, gone, message)
    told = {event.name: event.data for event in announced(stage, heard)}
    assert told.keys() == {"inngest/function.cancelled", "inngest/function.finished"}
    for data in told.values():
        assert (data["function_id"], data["run_id"]) == ("test-f", run.id)
        assert data["event"]["data"] == {"n": 1}


def pair(stage: Stage, callee: Handler) -> tuple[Deployed, Deployed, list[str], Function]:
    """A function that invokes another one, what it is told of that, and the function itself."""
    told: list[str] = []
    called = function_of(callee, fn_id="callee", trigger=[])

    def calls(ctx: ContextSync) -> None:
        try:
            ctx.step.invoke("call", function=called, data={"n": 1})
        except Exception as error:
            told.append(type(error).__name__)

    caller = function_of(calls, fn_id="caller")
    one, other = Deployed.all(stage, caller, called)
    assert one.handle(one.send()) == []
    return one, other, told, caller


def test_the_caller_of_a_run_that_sleeps_is_told(stage: Stage) -> None:
    one, other, told, caller = pair(stage, sleeps)
    settle(stage, one, other)
    gone = other.after(caller)
    stage.clock.advance(days=3)
    settle(stage, one, gone)
    assert told == ["InvokeCancelledError"]


def test_an_invocation_that_has_not_started_is_recorded_and_its_caller_told(stage: Stage) -> None:
    one, other, told, caller = pair(stage, sleeps)
    [invocation] = stage.messages(other.function)
    gone = other.after(caller)
    assert gone.handle(invocation) == []
    run = ended(stage, gone, invocation)
    assert (run.started_ms, stage.steps.load(run)) == (None, {})
    settle(stage, one, gone)
    assert told == ["InvokeCancelledError"]


def test_who_invokes_it_from_then_on_is_told_at_once(stage: Stage) -> None:
    told: list[str] = []

    def calls(ctx: ContextSync) -> None:
        try:
            ctx.step.invoke_by_id("call", function_id="f")
        except Exception as error:
            told.append(type(error).__name__)

    caller = function_of(calls, fn_id="caller", trigger=TriggerEvent(event="app/c"))
    Deployed(stage, sleeps).after(caller)
    one = Deployed.all(stage, caller)[0]
    one.handle(one.send(name="app/c"))
    assert told == ["FunctionNotFoundError"]


def test_a_rerun_that_was_asked_for_is_recorded(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: "done")
    # Of an event with a later time, too: that is no reason to wait.
    message = deployed.send(ts=stage.clock.ms + 500)
    deployed.handle(message)
    original = deployed.run_of(message)
    stage.clock.ms = original.queued_ms
    stage.rerunner.rerun(original, Rerun(random_ulid(stage.clock.ms), original.id))
    gone = deployed.after(OTHER)
    [rerun] = stage.messages(gone.function)
    before_ms = stage.clock.ms
    assert gone.handle(rerun) == []
    assert stage.clock.ms == before_ms
    assert ended(stage, gone, rerun).original_run_id == original.id
    assert deployed.run_of(message).status == Status.COMPLETED


def test_an_event_that_has_started_nothing_is_dropped(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    gone = deployed.after(OTHER)
    with caplog.at_level(logging.INFO, "tidegate.engine"):
        assert gone.handle(message) == []
    assert gone._find(message) is None
    [line] = [r for r in caplog.records if "dropped" in r.getMessage()]
    assert (line.function_id, line.event_id) == ("test-f", message.event.internal_id)  # type: ignore[attr-defined]
    stage.send({"name": "app/a"})
    assert stage.messages(gone.function) == [], "its queue is not subscribed to its events"
    assert stage.dead(gone.function) == []


def test_its_crons_are_gone_and_a_late_tick_is_dropped(stage: Stage) -> None:
    trigger = TriggerCron(cron="0 9 * * *")
    deployed = Deployed(stage, sleeps, trigger=trigger)
    minute_ms = stage.clock.ms // 60_000 * 60_000
    gone = deployed.after(OTHER)
    assert client("scheduler").list_schedules()["Schedules"] == []
    gone.worker.engine.handle(CronMessage("0 9 * * *", ENV, minute_ms), stage.clock.ms + 60_000)
    assert client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"] == []


def test_a_run_of_a_cron_ends(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps, trigger=TriggerCron(cron="0 9 * * *"))
    for found in client("scheduler").list_schedules()["Schedules"]:
        client("scheduler").delete_schedule(Name=found["Name"], GroupName=found["GroupName"])
    minute_ms = stage.clock.ms // 60_000 * 60_000
    deployed.worker.engine.handle(CronMessage("0 9 * * *", ENV, minute_ms), stage.clock.ms + 60_000)
    gone = deployed.after(OTHER)
    stage.clock.advance(days=3)
    [tick] = waiting(stage, gone.function)
    gone.worker.engine.handle(tick, stage.clock.ms + 60_000)
    [item] = client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]
    assert item["status"]["S"] == "Cancelled"


def test_a_run_whose_event_is_gone_ends_as_removed(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send(data={"text": "x" * 100_000})
    deployed.handle(message)
    bucket = stage.settings.bucket
    for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])
    gone = deployed.after(OTHER)
    stage.clock.advance(days=3)
    gone.handle_due()
    ended(stage, gone, message)
    assert stage.dead(gone.function) == []


def test_a_function_that_comes_back_goes_on_with_what_is_left(stage: Stage) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    deployed.handle(message)
    gone = deployed.after(OTHER)
    stage.clock.advance(days=2)
    assert gone.handle_due() == 0, "that of a run which is not due only waits"
    done: list[int] = []

    def again(ctx: ContextSync) -> str:
        ctx.step.run("first", lambda: done.append(1))
        ctx.step.sleep("rest", 3 * DAY)
        return "back"

    back = gone.after(function_of(again), OTHER)
    stage.clock.advance(days=1)
    back.drive()
    run = back.run_of(message)
    assert (run.status, json.loads(stage.runs.output_of(run) or "")) == (Status.COMPLETED, "back")
    assert done == []
    assert back.handle(back.send()) == []
    assert done == [1]


# --- looking at it, and acting --------------------------------------------------------------------


def test_a_cancellation_ends_at_once_what_sleeps(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, sleeps)
    messages = [deployed.send() for _ in range(3)]
    assert deployed.handle(*messages) == []
    stage.clock.advance(seconds=1)
    gone = deployed.after(OTHER)
    rest = Rest(load_handler(stage, monkeypatch))
    shown = rest.get("/v1/functions/test-f").data
    body = {
        "app_id": shown["app_id"],
        "function_id": shown["id"],
        "started_before": rfc3339(stage.clock.ms),
    }
    job = rest.post("/v1/cancellations", body).data
    settle(stage, gone)
    assert rest.get(f"/v1/cancellations/{job['id']}").data["done"] == 3
    assert {gone.run_of(message).status for message in messages} == {Status.CANCELLED}
    assert client("scheduler").list_schedules()["Schedules"] == []


def test_a_removed_function_is_shown_as_removed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    deployed.handle(message)
    stage.clock.advance(seconds=1)
    deployed.after(OTHER)
    rest = Rest(load_handler(stage, monkeypatch))
    listed = rest.get("/v1/functions").data
    assert [(one["id"], one.get("removed")) for one in listed] == [
        ("test-other", None),
        ("test-f", True),
    ]
    shown = rest.get("/v1/functions/test-f").data
    assert (shown["triggers"], shown["removed"], shown["app_id"]) == ([], True, "test")
    stats = rest.get("/v1/functions/test-f/stats").data
    assert sum(bucket["running"] for bucket in stats["buckets"]) == 1
    [run] = rest.get(f"/v1/events/{message.event.internal_id}/runs").data
    assert (run["function_id"], run["status"]) == ("test-f", "Running")
    assert rest.get("/v1/runs", {"function_id": "test-f"}).data[0]["run_id"] == run["run_id"]


def test_nothing_starts_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    deployed.handle(message)
    gone = deployed.after(OTHER)
    stage.clock.advance(days=3)
    gone.handle_due()
    run = ended(stage, gone, message)
    rest = Rest(load_handler(stage, monkeypatch))
    error = rest.get(f"/v1/runs/{run.id}").data["output"]
    assert error["name"] == "FunctionRemoved"
    rerun = rest.post(f"/v1/runs/{run.id}/rerun")
    assert (rerun.status, rerun.body["error"]) == (
        409,
        f"run {run.id} cannot be run again: function 'test-f' is not registered any more",
    )
    since = {"function_id": "test-f", "from": rfc3339(stage.clock.ms - 1)}
    for answer in (
        rest.post("/v1/functions/test-f/invoke", {}),
        rest.post("/v1/replays", since),
        rest.post("/v1/event_replays", since),
    ):
        assert answer.status == 404
        assert answer.body["error"] == (
            "Function not found: test-f was removed, so nothing can start it"
        )
    assert stage.messages(gone.function) == []
