"""Running a run again: what the new run is, what it begins with, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import (
    Deployed,
    ProcessDied,
    announced,
    dies,
    function_of,
    listener,
    match,
    settle,
    waiting,
)
from tests.aws.rest import Answer, Rest, load_handler
from tidegate.aws import client
from tidegate.cancel import Cancel, Timeouts
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.errors import NonRetriableError
from tidegate.ids import is_ulid, random_ulid, run_id_of, ulid_ms
from tidegate.message import CronMessage, EventMessage, decode_message
from tidegate.partition import item_key
from tidegate.rerun_notes import MAX_RERUNS, RerunNotes
from tidegate.run import Rerun, Run, Status
from tidegate.step import StepId
from tidegate.trigger import TriggerEvent

pytestmark = pytest.mark.storage

DAY_MS = 86_400_000


class Asked:
    """A deployed function whose runs are run again by calls of the REST API."""

    def __init__(self, deployed: Deployed, patch: pytest.MonkeyPatch) -> None:
        self.deployed = deployed
        self.stage = deployed.stage
        self.rest = Rest(load_handler(deployed.stage, patch))

    def ran(self, **event: Any) -> Run:
        """The run of a new event, once it has come to where it ends or waits."""
        message = self.deployed.send(**event)
        self.deployed.handle(message)
        settle(self.stage, self.deployed)
        return self.deployed.run_of(message)

    def ask(self, run_id: str, from_step: str | None = None) -> Answer:
        body = {} if from_step is None else {"from_step": StepId(from_step).hashed}
        return self.rest.post(f"/v1/runs/{run_id}/rerun", body)

    def again(self, run: Run, from_step: str | None = None) -> Run:
        """The rerun of a run, once it has come to where it ends or waits."""
        answer = self.ask(run.id, from_step)
        assert answer.status == 201, answer.body
        settle(self.stage, self.deployed)
        return self.now(answer.data["run_id"])

    def now(self, run_id: str) -> Run:
        run = self.stage.runs.get(ENV, run_id)
        assert run is not None
        return run

    def output(self, run: Run) -> Any:
        return json.loads(self.stage.runs.output_of(run) or "null")


Ask = Callable[..., Asked]


@pytest.fixture
def asked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Ask:
    def make(handler: Any, *others: Any, **options: Any) -> Asked:
        return Asked(Deployed(stage, handler, *others, **options), monkeypatch)

    return make


def broken(ctx: ContextSync) -> None:
    raise NonRetriableError("no")


class Work:
    """A function of three steps, each a second long, the last of which can be mended."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ran: list[str] = []
        self.is_broken = True

    def step(self, name: str) -> str:
        self.ran.append(name)
        self.stage.clock.advance(seconds=1)
        if name == "three" and self.is_broken:
            raise NonRetriableError("three is broken")
        return f"{name} {len(self.ran)}"

    def __call__(self, ctx: ContextSync) -> list[str]:
        results = []
        for name in ("one", "two", "three"):
            results.append(ctx.step.run(name, self.step, name))
            self.stage.clock.advance(seconds=1)
        return results


# --- what a rerun is ------------------------------------------------------------------------------


def test_a_rerun_is_a_new_run_of_the_same_event(stage: Stage, asked: Ask) -> None:
    seen: list[Any] = []

    def handler(ctx: ContextSync) -> str:
        seen.append((ctx.event.data, ctx.event.id))
        if len(seen) == 1:
            raise NonRetriableError("at first")
        return "fine"

    one = asked(handler)
    first = one.ran(data={"n": 1})
    stage.clock.advance(hours=2)
    answer = one.ask(first.id)
    assert answer.status == 201
    made = answer.data
    assert is_ulid(made["run_id"])
    assert made["run_id"] != first.id
    assert ulid_ms(made["run_id"]) == stage.clock.ms
    assert (made["original_run_id"], made["status"]) == (first.id, "Scheduled")
    assert made["event_id"] == first.event_id
    settle(stage, one.deployed)
    shown = one.rest.get(f"/v1/runs/{made['run_id']}").data
    assert (shown["status"], shown["output"]) == ("Completed", "fine")
    assert (shown["original_run_id"], shown["replay_id"]) == (first.id, None)
    assert seen[0] == seen[1]
    assert one.now(first.id).status == Status.FAILED


def test_the_runs_of_an_event_are_listed_with_their_reruns(stage: Stage, asked: Ask) -> None:
    one = asked(broken)
    first = one.ran()
    second = one.again(first)
    third = one.again(second)
    assert third.original_run_id == second.id
    listed = one.rest.get(f"/v1/events/{first.event_id}/runs").data
    assert {run["run_id"] for run in listed} == {first.id, second.id, third.id}
    originals = {run["run_id"]: run["original_run_id"] for run in listed}
    assert originals == {first.id: None, second.id: first.id, third.id: second.id}


def test_an_event_is_run_again_so_often_and_not_more(stage: Stage, asked: Ask) -> None:
    one = asked(broken)
    first = one.ran()
    ids = [random_ulid(stage.clock.ms) for _ in range(MAX_RERUNS)]
    client("dynamodb").update_item(
        TableName=stage.settings.runs_table,
        Key=item_key(ENV, first.id),
        UpdateExpression="ADD reruns :ids",
        ExpressionAttributeValues={":ids": {"SS": ids}},
    )
    answer = one.ask(first.id)
    assert answer.status == 409
    assert "has been run again 1000 times" in answer.body["error"]
    assert stage.messages(one.deployed.function) == []
    # Noting one of them again is no further rerun.
    RerunNotes(stage.settings.runs_table).add(first, ids[7])


def test_a_completed_and_a_cancelled_run_can_be_run_again(stage: Stage, asked: Ask) -> None:
    calls: list[str] = []

    def handler(ctx: ContextSync) -> int:
        calls.append(ctx.run_id)
        ctx.step.sleep("rest", timedelta(hours=1))
        return len(calls)

    one = asked(handler)
    slept = one.ran()
    stage.canceller.cancel(ENV, slept.id, "by a test")
    settle(stage, one.deployed)
    assert one.now(slept.id).status == Status.CANCELLED
    second = one.again(slept)
    assert second.status == Status.RUNNING
    assert second.cancel_reason is None
    one.deployed.drive()
    second = one.now(second.id)
    assert second.status == Status.COMPLETED
    third = one.again(second)
    one.deployed.drive()
    assert one.now(third.id).status == Status.COMPLETED
    assert len(set(calls)) == 3


def test_a_repeated_message_starts_nothing_twice(stage: Stage, asked: Ask) -> None:
    calls: list[str] = []
    one = asked(lambda ctx: calls.append(ctx.run_id))
    first = one.ran()
    assert one.ask(first.id).status == 201
    [message] = stage.messages(one.deployed.function)
    for _ in range(3):
        assert one.deployed.handle(message) == []
    assert len(calls) == 2
    assert len(set(calls)) == 2


# --- the engine's machinery -----------------------------------------------------------------------


def test_a_rerun_sleeps_waits_invokes_and_is_retried(stage: Stage, asked: Ask) -> None:
    calls: list[str] = []

    def handler(ctx: ContextSync) -> Any:
        ctx.step.sleep("short", timedelta(minutes=5))
        ctx.step.sleep("long", timedelta(days=3))
        event = ctx.step.wait_for_event("wait", event="app/b", timeout=timedelta(days=3))
        back = ctx.step.invoke_by_id("invoke", function_id="callee", data={"n": 4})
        calls.append(ctx.run_id)
        if len(calls) % 2:
            raise ValueError("once more")
        return [event.data if event else None, back]

    callee = function_of(lambda ctx: ctx.event.data["n"] + 1, fn_id="callee", trigger=[])
    one = asked(handler, callee)
    other = Deployed.__new__(Deployed)
    other._run(stage, callee)

    def finish(run_id: str) -> Any:
        for _ in range(100):
            run = one.now(run_id)
            if run.has_ended:
                return one.output(run)
            if stage.steps.load(run).get(StepId("wait").hashed) and "b" not in sent:
                sent.add("b")
                stage.send({"name": "app/b", "data": {"x": 1}})
            elif run.due_ms:
                stage.clock.ms = max(stage.clock.ms, min(run.due_ms, stage.clock.ms + DAY_MS))
            settle(stage, one.deployed, other)
        raise AssertionError("it never ends")

    sent: set[str] = set()
    first = one.ran()
    assert finish(first.id) == [{"x": 1}, 5]
    sent.clear()
    answer = one.ask(first.id)
    settle(stage, one.deployed, other)
    assert finish(answer.data["run_id"]) == [{"x": 1}, 5]
    assert set(calls) == {first.id, answer.data["run_id"]}
    assert one.now(first.id).status == Status.COMPLETED
    assert waiting(stage, one.deployed.function) == []
    assert client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"] == []


def test_a_rerun_that_sleeps_is_cancelled_at_once_and_no_other_run(
    stage: Stage, asked: Ask
) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", timedelta(days=3))

    one = asked(handler)
    first = one.ran()
    one.deployed.drive()
    second, third = one.again(one.now(first.id)), one.again(one.now(first.id))
    one.rest.delete(f"/v1/runs/{second.id}")
    settle(stage, one.deployed)
    assert one.now(second.id).status == Status.CANCELLED
    assert one.now(third.id) == third
    assert one.now(first.id).status == Status.COMPLETED


def test_a_rerun_is_cancelled_by_a_call_also_when_its_event_is_gone(
    stage: Stage, asked: Ask
) -> None:
    def handler(ctx: ContextSync) -> None:
        if ctx.run_id != first_id:
            ctx.step.sleep("rest", timedelta(days=300))

    first_id = ""
    one = asked(handler)
    message = one.deployed.send()
    first_id = run_id_of(ENV, one.deployed.function.id, message.event.internal_id)
    one.deployed.handle(message)
    second = one.again(one.now(first_id))
    assert second.status == Status.RUNNING
    client("dynamodb").delete_item(
        TableName=stage.settings.events_table, Key=item_key(ENV, message.event.internal_id)
    )
    one.rest.delete(f"/v1/runs/{second.id}")
    settle(stage, one.deployed)
    assert one.now(second.id).status == Status.CANCELLED
    assert one.now(first_id).status == Status.COMPLETED


def test_what_cancelled_the_first_run_does_not_cancel_its_rerun(stage: Stage, asked: Ask) -> None:
    def handler(ctx: ContextSync) -> str:
        ctx.step.sleep("rest", timedelta(days=1))
        return "awake"

    one = asked(handler, cancel=[Cancel(event="app/stop", timeout=timedelta(hours=1))])
    first = one.ran()
    stage.clock.advance(seconds=1)
    stage.send({"name": "app/stop"})
    settle(stage, one.deployed)
    assert one.now(first.id).status == Status.CANCELLED
    # The first run is listened for no longer; its rerun is, from now on.
    stage.clock.advance(hours=5)
    second = one.again(first)
    stage.clock.advance(seconds=31)
    match(stage)
    settle(stage, one.deployed)
    assert one.now(second.id).status == Status.RUNNING
    stage.send({"name": "app/stop"})
    settle(stage, one.deployed)
    assert one.now(second.id).status == Status.CANCELLED


def test_time_to_start_counts_from_when_the_rerun_was_asked_for(stage: Stage, asked: Ask) -> None:
    one = asked(lambda ctx: "done", timeouts=Timeouts(start=timedelta(minutes=1)))
    first = one.ran()
    stage.clock.advance(hours=1)
    assert one.again(first).status == Status.COMPLETED
    late = one.ask(first.id).data["run_id"]
    stage.clock.advance(seconds=61)
    settle(stage, one.deployed)
    assert one.now(late).status == Status.CANCELLED


def test_neither_idempotency_nor_triggers_hold_a_rerun_back(stage: Stage, asked: Ask) -> None:
    calls: list[str] = []

    def handler(ctx: ContextSync) -> None:
        calls.append(ctx.run_id)

    one = asked(handler, idempotency="event.data.key")
    first = one.ran(data={"key": "k"})
    one.deployed.handle(one.deployed.send(data={"key": "k"}))
    assert len(calls) == 1
    stage.clock.advance(hours=1)
    assert one.again(first).status == Status.COMPLETED
    picky = function_of(
        handler, trigger=TriggerEvent(event="app/other", expression="event.data.never")
    )
    one.deployed = Deployed.all(stage, picky)[0]
    assert one.again(first).status == Status.COMPLETED
    assert len(calls) == 3


def test_a_rerun_needs_its_original_no_longer(stage: Stage, asked: Ask) -> None:
    """Nor may another event's claim of the idempotency key hold it back then."""
    calls: list[str] = []

    def handler(ctx: ContextSync) -> None:
        calls.append(ctx.run_id)

    one = asked(handler, idempotency="event.data.key")
    first = one.ran(data={"key": "k"})
    stage.clock.advance(hours=25)
    one.ran(data={"key": "k"})
    made = one.ask(first.id).data
    client("dynamodb").delete_item(TableName=stage.settings.runs_table, Key=item_key(ENV, first.id))
    settle(stage, one.deployed)
    assert one.now(made["run_id"]).status == Status.COMPLETED
    assert len(calls) == 3


def test_the_rerun_of_a_cron_has_the_time_of_its_tick(stage: Stage, asked: Ask) -> None:
    one = asked(lambda ctx: ctx.event.data["scheduledAt"], trigger=TriggerCron(cron="0 5 * * *"))
    scheduled_ms = stage.clock.ms - stage.clock.ms % 60_000
    tick = CronMessage("0 5 * * *", ENV, scheduled_ms)
    one.deployed.worker.engine.handle(tick, stage.clock.ms + 60_000)
    [item] = client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]
    first = one.now(item["sk"]["S"])
    answer = one.ask(first.id)
    one.deployed.handle(*stage.messages(one.deployed.function))
    second = one.now(answer.data["run_id"])
    assert second.status == Status.COMPLETED
    assert one.output(second) == one.output(first) == "2025-10-09T08:53:00Z"


def test_a_rerun_of_an_event_that_is_due_later_waits_for_it(stage: Stage, asked: Ask) -> None:
    one = asked(lambda ctx: "done")
    first = one.ran(ts=stage.clock.ms + DAY_MS)
    stage.canceller.cancel(ENV, first.id, "by a test")
    settle(stage, one.deployed)
    second = one.again(one.now(first.id))
    assert (second.status, second.due_ms) == (Status.SCHEDULED, first.due_ms)
    one.deployed.drive()
    assert one.now(second.id).status == Status.COMPLETED


def test_the_end_of_a_rerun_is_announced(stage: Stage, asked: Ask) -> None:
    heard = listener(stage, "inngest/function.failed")
    one = asked(broken, heard)
    first = one.ran()
    second = one.again(first)
    told = [event.data["run_id"] for event in announced(stage, heard)]
    assert told == [first.id, second.id]


def test_a_rerun_of_an_invoked_run_tells_no_caller_twice(stage: Stage, asked: Ask) -> None:
    results: list[Any] = []

    def caller(ctx: ContextSync) -> None:
        results.append(ctx.step.invoke_by_id("i", function_id="callee"))

    called = function_of(lambda ctx: ctx.run_id, fn_id="callee", trigger=[])
    one = asked(caller, called)
    other = Deployed.__new__(Deployed)
    other._run(stage, called)
    one.deployed.handle(one.deployed.send())
    [message] = stage.messages(called)
    other.handle(message)
    settle(stage, one.deployed, other)
    answer = one.ask(other.run_of(message).id)
    assert answer.status == 201
    settle(stage, one.deployed, other)
    assert one.now(answer.data["run_id"]).status == Status.COMPLETED
    assert results == [other.run_of(message).id]


def test_a_worker_that_dies_is_replaced(
    stage: Stage, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(stage)
    one = asked(work)
    first = one.ran()
    work.is_broken = False
    for at in ("dynamodb.put_item", "dynamodb.query", "dynamodb.update_item"):
        work.ran.clear()
        made = one.ask(first.id, "two").data
        [message] = stage.messages(one.deployed.function)
        with monkeypatch.context() as patch:
            dies(patch, at)
            with pytest.raises(ProcessDied):
                one.deployed.worker.engine.handle(message, stage.clock.ms + 60_000)
        stage.clock.advance(seconds=400)
        assert one.deployed.handle(message) == []
        settle(stage, one.deployed)
        assert one.now(made["run_id"]).status == Status.COMPLETED
        assert "one" not in work.ran


# --- from a step ----------------------------------------------------------------------------------


def test_from_a_step_keeps_what_had_ended_before_it(stage: Stage, asked: Ask) -> None:
    work = Work(stage)
    one = asked(work)
    first = one.ran()
    assert first.status == Status.FAILED
    work.is_broken = False
    second = one.again(first, "three")
    assert work.ran == ["one", "two", "three", "three"]
    assert one.output(second) == ["one 1", "two 2", "three 4"]
    third = one.again(second, "two")
    assert work.ran[4:] == ["two", "three"]
    assert one.output(third) == ["one 1", "two 5", "three 6"]
    assert one.output(one.again(third)) == ["one 7", "two 8", "three 9"]


def test_parallel_steps_that_ended_later_run_anew(stage: Stage, asked: Ask) -> None:
    ran: list[str] = []

    def work(name: str, seconds: int) -> str:
        ran.append(name)
        stage.clock.advance(seconds=seconds)
        return name

    def handler(ctx: ContextSync) -> Any:
        ctx.step.run("before", work, "before", 1)
        both = ctx.group.parallel(
            tuple((lambda n=n: ctx.step.run(n, work, n, 1)) for n in ("left", "right"))
        )
        return [*both, ctx.step.run("after", work, "after", 1)]

    one = asked(handler)
    first = one.ran()
    records = stage.steps.load(first)
    left, right = records[StepId("left").hashed], records[StepId("right").hashed]
    ran.clear()
    second = one.again(first, "left")
    expected = {"left", "after"}
    if (right.ended_ms or 0) > left.started_ms:
        expected.add("right")
    assert set(ran) == expected
    assert one.output(second) == ["left", "right", "after"]


def test_sleeps_waits_and_failures_that_were_over_stay_over(stage: Stage, asked: Ask) -> None:
    ran: list[str] = []

    def fail() -> None:
        ran.append("fail")
        raise NonRetriableError("caught")

    def handler(ctx: ContextSync) -> Any:
        ctx.step.sleep("rest", timedelta(days=1))
        event = ctx.step.wait_for_event("wait", event="app/b", timeout=timedelta(days=1))
        stage.clock.advance(seconds=1)
        try:
            ctx.step.run("fail", fail)
        except Exception as error:
            ran.append(str(error))
        stage.clock.advance(seconds=1)
        ctx.step.run("last", ran.append, "last")
        return event.data if event else None

    one = asked(handler)
    first = one.ran()
    stage.clock.advance(days=1)
    settle(stage, one.deployed)
    stage.send({"name": "app/b", "data": {"x": 1}})
    settle(stage, one.deployed)
    first = one.now(first.id)
    assert first.status == Status.COMPLETED
    ran.clear()
    second = one.again(first, "last")
    assert second.status == Status.COMPLETED, "it neither sleeps nor waits"
    assert one.output(second) == {"x": 1}
    assert ran == ["caught", "last"]
    assert client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"] == []


def test_large_results_are_shared(stage: Stage, asked: Ask) -> None:
    big = "x" * 200_000

    def handler(ctx: ContextSync) -> int:
        text = ctx.step.run("big", lambda: big)
        stage.clock.advance(seconds=1)
        return ctx.step.run("count", lambda: len(text))

    one = asked(handler)
    first = one.ran(data={"pad": big})
    second = one.again(first, "count")
    assert one.output(second) == len(big)
    names = {record.step.name for record in stage.steps.load(second).values()}
    assert names == {"big", "count"}


def test_the_copies_are_kept_as_long_as_the_new_run(stage: Stage, asked: Ask) -> None:
    one = asked(Work(stage))
    first = one.ran()
    stage.clock.advance(days=10)
    second = one.again(first, "three")
    record = stage.steps.load(second)[StepId("one").hashed]
    assert record.kept_ms >= second.queued_ms + stage.settings.retention_s * 1000 - 1000


def test_a_rerun_whose_event_is_lost_on_its_way_fails(stage: Stage, asked: Ask) -> None:
    one = asked(broken)
    first = one.ran(data={"pad": "x" * 200_000})
    made = one.ask(first.id).data
    bucket = stage.settings.bucket
    for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])
    one.deployed.handle(*stage.messages(one.deployed.function))
    run = one.now(made["run_id"])
    assert (run.status, run.original_run_id) == (Status.FAILED, first.id)
    assert one.output(run)["name"] == "EventGone"
    assert one.now(first.id).attempt == first.attempt


def test_there_is_no_such_step(stage: Stage, asked: Ask) -> None:
    one = asked(Work(stage))
    first = one.ran()
    answer = one.ask(first.id, "four")
    assert answer.status == 404
    assert answer.body["error"].startswith(f"Step not found: {StepId('four').hashed}")
    assert stage.messages(one.deployed.function) == []


# --- what cannot be -------------------------------------------------------------------------------


def test_a_run_that_has_not_ended_is_not_run_again(stage: Stage, asked: Ask) -> None:
    one = asked(lambda ctx: ctx.step.sleep("rest", timedelta(days=1)))
    for event in ({}, {"ts": stage.clock.ms + DAY_MS}):
        run = one.ran(**event)
        waiting(stage, one.deployed.function)
        answer = one.ask(run.id)
        assert answer.status == 409
        state = run.status.lower()
        assert answer.body["error"].startswith(f"run {run.id} is still {state}; it can be run")
        assert stage.messages(one.deployed.function) == []


@pytest.mark.parametrize("size", [1, 200_000])
def test_an_event_that_is_no_longer_stored_runs_nothing(
    stage: Stage, asked: Ask, size: int
) -> None:
    one = asked(broken)
    first = one.ran(data={"pad": "x" * size})
    if size > 1:
        bucket = stage.settings.bucket
        for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
            client("s3").delete_object(Bucket=bucket, Key=found["Key"])
    else:
        item = client("dynamodb").scan(TableName=stage.settings.events_table)["Items"][0]
        item["expires_at"] = {"N": str(stage.clock.ms // 1000)}
        client("dynamodb").put_item(TableName=stage.settings.events_table, Item=item)
    answer = one.ask(first.id)
    assert answer.status == 410
    assert f"its event {first.event_id} is no longer stored" in answer.body["error"]
    assert stage.messages(one.deployed.function) == []


def test_a_function_that_is_gone_runs_nothing(
    stage: Stage, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = asked(broken)
    first = one.ran()
    stage.deploy(function_of(broken, fn_id="other"))
    answer = Asked(one.deployed, monkeypatch).ask(first.id)
    assert answer.status == 409
    assert "function 'test-f' is not registered any more" in answer.body["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("nope", {}, 400, "Invalid run ID: nope"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", {}, 404, "Run not found"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", {"from": "x"}, 400, "unknown field 'from'"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", {"from_step": "three"}, 400, "from_step: "),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "[]", 400, "the body must be a JSON object"),
    ],
)
def test_what_cannot_be_is_refused(
    asked: Ask, path: str, body: Any, status: int, text: str
) -> None:
    answer = asked(broken).rest.post(f"/v1/runs/{path}/rerun", body)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.body["error"].startswith(text)


def test_runs_of_another_environment_are_not_there(
    stage: Stage, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = asked(broken)
    first = one.ran()
    answer = one.rest.get(
        f"/v1/runs/{first.id}/rerun", method="POST", headers={"x-inngest-env": "other"}
    )
    assert answer.status == 404
    assert stage.messages(one.deployed.function) == []


@pytest.mark.parametrize(
    "at", ["dynamodb.batch_write_item", "dynamodb.update_item", "sns.publish_batch"]
)
def test_a_request_that_dies_has_started_nothing_and_can_be_repeated(
    stage: Stage, asked: Ask, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    work = Work(stage)
    one = asked(work)
    first = one.ran()
    work.is_broken = False
    with monkeypatch.context() as patch:
        dies(patch, at)
        with pytest.raises(ProcessDied):
            one.ask(first.id, "three")
    assert stage.messages(one.deployed.function) == []
    listed = one.rest.get(f"/v1/events/{first.event_id}/runs").data
    assert [run["run_id"] for run in listed] == [first.id]
    second = one.again(first, "three")
    assert one.output(second) == ["one 1", "two 2", "three 4"]


def test_a_message_keeps_what_makes_it_a_rerun(stage: Stage) -> None:
    [event_id] = stage.send({"name": "app/a"})
    event = stage.store.get(ENV, event_id, stage.clock.ms)
    assert event is not None
    rerun = Rerun(random_ulid(stage.clock.ms), random_ulid(1), random_ulid(2))
    message = EventMessage.of(event, rerun)
    assert decode_message(message.encode()) == message
    assert "rerun" not in EventMessage.of(event).encode()
    later = message.kept_until(stage.clock.ms + 900_000, stage.store.payloads)
    assert decode_message(later.encode()).rerun == rerun
