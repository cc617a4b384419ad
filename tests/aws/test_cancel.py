"""Cancelling runs: by an event, by a call, by time; what it stops, releases and tells."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, ProcessDied, dies, listener, match, settle, waiting
from tidegate.aws import client
from tidegate.cancel import Cancel, Timeouts
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.errors import InvokeCancelledError, PlatformError
from tidegate.lifetime import ASK_EVERY_MS
from tidegate.look import StoredEvents
from tidegate.message import CronMessage, EventMessage
from tidegate.run import Run, Status, failure_of
from tidegate.trigger import TriggerEvent
from tidegate.wait import LOOK_AGAIN_S, Wait
from tidegate.wait_store import WaitStore

pytestmark = pytest.mark.storage

SYSTEM = ("inngest/function.cancelled", "inngest/function.finished", "inngest/function.failed")
DAY_MS = 86_400_000


def sleeper(ctx: ContextSync) -> str:
    ctx.step.sleep("rest", timedelta(days=3))
    return "awake"


def began(deployed: Deployed, **event: Any) -> EventMessage:
    """Send an event that starts a run, and let it come to where it waits."""
    message = deployed.send(**event)
    assert deployed.handle(message) == []
    return message


def cancel(stage: Stage, run: Run) -> Run | None:
    return stage.canceller.cancel(ENV, run.id, "by a test")


def rows(stage: Stage) -> int:
    return len(client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"])


def schedules() -> int:
    return len(client("scheduler").list_schedules()["Schedules"])


def reason_of(stage: Stage, run: Run) -> str:
    assert run.status == Status.CANCELLED
    failure = failure_of(stage.runs.output_of(run))
    assert failure.name == "RunCancelled"
    return failure.message


# --- by a call ------------------------------------------------------------------------------------


def test_a_sleeping_run_ends_at_once_and_its_schedule_is_gone(stage: Stage) -> None:
    deployed = Deployed(stage, sleeper)
    message = began(deployed)
    assert schedules() == 1
    cancelled = cancel(stage, deployed.run_of(message))
    assert cancelled is not None
    assert cancelled.status == Status.RUNNING, "the engine ends it"
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) == []
    run = deployed.run_of(message)
    assert reason_of(stage, run) == "cancelled: by a test"
    assert run.ended_ms == stage.clock.ms
    assert schedules() == 0
    assert waiting(stage, deployed.function) == []


def test_a_run_in_a_step_ends_behind_that_step(stage: Stage) -> None:
    ran: list[str] = []

    def handler(ctx: ContextSync) -> None:
        ctx.step.run("one", ran.append, "one")
        ctx.step.run("two", two, ctx.run_id)
        ctx.step.run("three", ran.append, "three")

    def two(run_id: str) -> None:
        run = stage.runs.get(ENV, run_id)
        assert run is not None
        cancel(stage, run)
        stage.clock.ms += ASK_EVERY_MS

    deployed = Deployed(stage, handler)
    message = began(deployed)
    assert ran == ["one"]
    run = deployed.run_of(message)
    assert reason_of(stage, run) == "cancelled: by a test"
    done = {record.step.name for record in stage.steps.load(run).values() if record.is_done}
    assert done >= {"one"}
    assert "three" not in done


@pytest.mark.parametrize("kind", ["sleep", "wait", "invoke", "send", "parallel", "return", "raise"])
def test_nothing_new_begins_behind_the_step_that_was_running(stage: Stage, kind: str) -> None:
    def handler(ctx: ContextSync) -> str:
        def stop() -> None:
            run = stage.runs.get(ENV, ctx.run_id)
            assert run is not None
            stage.runs.cancel(ENV, run.id, "by a test")
            stage.clock.ms += ASK_EVERY_MS

        ctx.step.run("stop", stop)
        if kind == "sleep":
            ctx.step.sleep("s", 1)
        elif kind == "wait":
            ctx.step.wait_for_event("w", event="app/b", timeout=1_000)
        elif kind == "invoke":
            ctx.step.invoke_by_id("i", function_id="listener")
        elif kind == "send":
            ctx.step.send_event("e", [])
        elif kind == "parallel":
            ctx.group.parallel((lambda: ctx.step.run("p", lambda: 1),))
        elif kind == "raise":
            raise ValueError("too late")
        return "returned"

    deployed = Deployed(stage, handler, listener(stage, "app/never"))
    message = began(deployed)
    run = deployed.run_of(message)
    assert reason_of(stage, run) == "cancelled: by a test"
    assert [record.step.name for record in stage.steps.load(run).values()] == ["stop"]
    assert rows(stage) == 0


def test_many_short_steps_do_not_hide_that_it_is_cancelled(stage: Stage) -> None:
    ran: list[int] = []

    def work(number: int, run_id: str) -> None:
        ran.append(number)
        stage.clock.ms += ASK_EVERY_MS // 4
        if number == 1:
            stage.runs.cancel(ENV, run_id, "by a test")

    def handler(ctx: ContextSync) -> None:
        for number in range(100):
            ctx.step.run(f"step {number}", work, number, ctx.run_id)

    deployed = Deployed(stage, handler)
    run = deployed.run_of(began(deployed))
    assert reason_of(stage, run) == "cancelled: by a test"
    assert len(ran) <= 2 + 4


def test_what_has_ended_stays_as_it_is(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: "done")
    message = began(deployed)
    run = deployed.run_of(message)
    assert cancel(stage, run) == run
    assert run.status == Status.COMPLETED
    assert stage.messages(deployed.function) == []


def test_there_is_nothing_to_cancel(stage: Stage) -> None:
    deployed = Deployed(stage, sleeper)
    [event_id] = stage.send({"name": "app/other"})
    assert stage.canceller.cancel(ENV, event_id, "by a test") is None
    assert stage.messages(deployed.function) == []


def test_a_run_that_is_due_later_never_starts(stage: Stage) -> None:
    ran: list[str] = []
    deployed = Deployed(stage, lambda ctx: ran.append(ctx.run_id))
    message = began(deployed, ts=stage.clock.ms + DAY_MS)
    assert deployed.run_of(message).status == Status.SCHEDULED
    cancel(stage, deployed.run_of(message))
    deployed.handle_due()
    run = deployed.run_of(message)
    assert reason_of(stage, run)
    assert run.started_ms is None
    assert ran == []
    assert schedules() == 0


def test_a_run_that_waits_for_its_retry_is_cancelled(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        raise ValueError("again")

    deployed = Deployed(stage, handler)
    message = began(deployed)
    cancel(stage, deployed.run_of(message))
    deployed.handle_due()
    assert reason_of(stage, deployed.run_of(message))
    assert deployed.drive() >= 0
    assert deployed.run_of(message).attempt == 1


def test_what_it_waits_for_is_released_and_wakes_nothing(stage: Stage) -> None:
    calls: list[int] = []

    def handler(ctx: ContextSync) -> None:
        calls.append(1)
        ctx.step.wait_for_event("w", event="app/b", timeout=timedelta(days=3))

    deployed = Deployed(stage, handler)
    message = began(deployed)
    match(stage)
    assert rows(stage) == 1
    cancel(stage, deployed.run_of(message))
    deployed.handle_due()
    assert rows(stage) == 0
    before = deployed.run_of(message)
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    assert deployed.run_of(message) == before
    assert calls == [1]


def test_cancelling_twice_and_waking_twice_changes_nothing(stage: Stage) -> None:
    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, sleeper, listening)
    message = began(deployed)
    run = deployed.run_of(message)
    cancel(stage, run)
    cancel(stage, run)
    wakes = stage.messages(deployed.function)
    assert len(wakes) == 2
    assert len(deployed.handle(*wakes)) <= 1, "the other one has the lease"
    ended = deployed.run_of(message)
    assert deployed.handle(*wakes) == []
    assert deployed.run_of(message) == ended
    told = {m.event.internal_id: m.event.name for m in stage.messages(listening)}
    assert sorted(told.values()) == sorted(SYSTEM[:2])


@pytest.mark.parametrize(
    "at",
    ["dynamodb.update_item", "scheduler.delete_schedule", "dynamodb.query", "sns.publish_batch"],
)
def test_a_worker_that_dies_while_it_cancels_does_it_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, sleeper, listening)
    message = began(deployed)
    cancel(stage, deployed.run_of(message))
    [wake] = stage.messages(deployed.function)
    with monkeypatch.context() as patch:
        dies(patch, at)
        with pytest.raises(ProcessDied):
            deployed.worker.engine.handle(wake, stage.clock.ms + 60_000)
    stage.clock.advance(seconds=400)
    deployed.worker.engine.handle(wake, stage.clock.ms + 60_000)
    assert reason_of(stage, deployed.run_of(message))
    told = {m.event.internal_id: m.event.name for m in stage.messages(listening)}
    assert sorted(told.values()) == sorted(SYSTEM[:2])


def forget_events(stage: Stage) -> None:
    """Delete all events, as DynamoDB and S3 do when their retention ends."""
    table, bucket = stage.settings.events_table, stage.settings.bucket
    for item in client("dynamodb").scan(TableName=table)["Items"]:
        key = {name: item[name] for name in ("pk", "sk")}
        client("dynamodb").delete_item(TableName=table, Key=key)
    for found in client("s3").list_objects_v2(Bucket=bucket, Prefix="events/").get("Contents", []):
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])


@pytest.mark.parametrize("text", ["small", "x" * 100_000], ids=["small", "large"])
def test_a_run_whose_event_is_gone_is_cancelled_and_that_is_told(stage: Stage, text: str) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.wait_for_event("w", event="app/c", timeout=timedelta(days=3))

    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, handler, listening, cancel=[Cancel(event="app/b")])
    message = began(deployed, data={"text": text})
    assert (rows(stage), schedules()) == (2, 1)
    forget_events(stage)
    cancel(stage, deployed.run_of(message))
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) == []
    assert reason_of(stage, deployed.run_of(message)) == "cancelled: by a test"
    assert (rows(stage), schedules()) == (0, 0)
    payloads = stage.store.payloads
    told = [m.with_body(payloads) for m in stage.messages(listening)]
    assert sorted(event.name for event in told) == sorted(SYSTEM[:2])
    assert [event.event.data["event"]["data"] for event in told] == [{"text": text}] * 2
    assert deployed.handle(wake) == [], "whatever wakes it later"
    assert stage.messages(listening) == []
    assert stage.dead(deployed.function) == []


def test_a_run_of_a_cron_whose_event_is_gone_is_cancelled_and_that_is_told(stage: Stage) -> None:
    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, sleeper, listening, trigger=TriggerCron(cron="0 9 * * *"))
    for found in client("scheduler").list_schedules()["Schedules"]:
        client("scheduler").delete_schedule(Name=found["Name"], GroupName=found["GroupName"])
    tick = CronMessage("0 9 * * *", ENV, stage.clock.ms // 60_000 * 60_000)
    deployed.worker.engine.handle(tick, stage.clock.ms + 60_000)
    [item] = client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]
    run = stage.runs.run_of(ENV, item)
    forget_events(stage)
    cancel(stage, run)
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) == []
    ended = stage.runs.get(ENV, run.id)
    assert ended is not None
    assert reason_of(stage, ended)
    assert sorted(m.event.name for m in stage.messages(listening)) == sorted(SYSTEM[:2])


def test_who_invoked_a_run_whose_event_is_gone_is_told(stage: Stage) -> None:
    child, parent, message, invoked = caller_and_called(stage)
    forget_events(stage)
    cancel(stage, child.run_of(invoked))
    [wake] = stage.messages(child.function)
    assert child.handle(wake) == []
    [told] = stage.messages(parent.function)
    assert parent.handle(told) == []
    run = parent.run_of(message)
    assert run.status == Status.COMPLETED
    assert "was cancelled" in str(stage.runs.output_of(run))


def test_a_cancellation_without_an_event_waits_for_the_message_that_has_it(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("short", timedelta(minutes=10))
        ctx.step.run("never", lambda: None)

    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, handler, listening)
    message = began(deployed)
    [later] = waiting(stage, deployed.function)
    forget_events(stage)
    cancel(stage, deployed.run_of(message))
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) != [], "the run's own message is in the queue"
    assert deployed.run_of(message).status == Status.RUNNING
    stage.clock.advance(seconds=600)
    assert deployed.handle(later) == []
    assert reason_of(stage, deployed.run_of(message))
    assert sorted(m.event.name for m in stage.messages(listening)) == sorted(SYSTEM[:2])
    assert deployed.handle(wake) == []
    assert stage.dead(deployed.function) == []


def test_a_run_that_has_no_message_left_ends_without_its_event(stage: Stage) -> None:
    deployed = Deployed(stage, sleeper)
    message = began(deployed)
    waiting(stage, deployed.function)
    forget_events(stage)
    cancel(stage, deployed.run_of(message))
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) == []
    assert reason_of(stage, deployed.run_of(message))


# --- by an event ----------------------------------------------------------------------------------


def cancelled_by(stage: Stage, *cancels: Cancel, handler: Any = sleeper) -> Deployed:
    return Deployed(stage, handler, cancel=cancels or (Cancel(event="app/b"),))


def test_an_event_cancels_the_run(stage: Stage) -> None:
    deployed = cancelled_by(stage)
    message = began(deployed)
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING
    stage.clock.advance(seconds=60)
    [event_id] = stage.send({"name": "app/b"})
    settle(stage, deployed)
    assert (
        reason_of(stage, deployed.run_of(message)) == f"cancelled: event 'app/b' ({event_id}) came"
    )
    assert rows(stage) == 0
    assert schedules() == 0


def test_the_expression_says_which_event(stage: Stage) -> None:
    deployed = cancelled_by(
        stage, Cancel(event="app/b", if_exp="async.data.order == event.data.order")
    )
    mine = began(deployed, data={"order": 1})
    other = began(deployed, data={"order": 2})
    stage.send({"name": "app/b", "data": {"order": 1}})
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(mine))
    assert deployed.run_of(other).status == Status.RUNNING


def test_any_of_several_events_cancels(stage: Stage) -> None:
    deployed = cancelled_by(stage, Cancel(event="app/b"), Cancel(event="app/c"))
    message = began(deployed)
    assert rows(stage) == 2
    stage.send({"name": "app/c"})
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(message))
    assert rows(stage) == 0


def test_an_event_of_before_cancels_nothing(stage: Stage) -> None:
    deployed = cancelled_by(stage)
    stage.send({"name": "app/b"})
    stage.clock.advance(seconds=0.1)
    message = began(deployed)
    settle(stage, deployed)
    stage.clock.advance(seconds=31)
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING


def test_an_event_that_came_while_the_run_was_in_the_queue_cancels_it(stage: Stage) -> None:
    deployed = cancelled_by(stage)
    message = deployed.send()
    stage.clock.advance(seconds=600)
    stage.send({"name": "app/b"})
    stage.clock.advance(seconds=600)
    assert deployed.handle(message) == []
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(message))


def test_its_time_may_be_over(stage: Stage) -> None:
    deployed = cancelled_by(stage, Cancel(event="app/b", timeout=timedelta(hours=1)))
    message = began(deployed)
    stage.clock.advance(hours=2)
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING


def test_a_run_that_is_due_later_is_cancelled_by_an_event(stage: Stage) -> None:
    deployed = cancelled_by(stage)
    message = began(deployed, ts=stage.clock.ms + DAY_MS)
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(message))


def test_a_run_that_is_due_later_looks_for_events_of_its_beginning_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cancelled_by(stage)
    began_ms = stage.clock.ms
    message = began(deployed, ts=began_ms + 30 * DAY_MS)
    match(stage)
    looks: list[tuple[int, int]] = []
    named = StoredEvents.named

    def noted(events: Any, env: str, name: str, first_ms: int, last_ms: int) -> Any:
        looks.append((first_ms, last_ms))
        return named(events, env, name, first_ms, last_ms)

    monkeypatch.setattr(StoredEvents, "named", noted)
    stage.clock.ms = began_ms + 30 * DAY_MS
    [later] = waiting(stage, deployed.function)
    assert deployed.handle(later) == []
    assert deployed.run_of(message).status == Status.RUNNING
    settle(stage, deployed)
    assert looks, "the worker that recorded it may have died before it asked for them"
    assert set(looks) == {(began_ms, began_ms + LOOK_AGAIN_S * 1000)}
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(message))


def test_a_run_that_ends_by_itself_listens_no_more(stage: Stage) -> None:
    deployed = cancelled_by(stage, handler=lambda ctx: "done")
    message = began(deployed)
    assert deployed.run_of(message).status == Status.COMPLETED
    assert rows(stage) == 0


@pytest.mark.parametrize("names", [["app/c", "app/b"], ["app/b"], ["app/d"], []], ids=str)
def test_a_run_listens_no_more_when_a_deployment_changed_what_cancels_it(
    stage: Stage, names: list[str]
) -> None:
    before = cancelled_by(stage, Cancel(event="app/b"), Cancel(event="app/c"))
    message = began(before)
    assert rows(stage) == 2
    after = Deployed(stage, sleeper, cancel=[Cancel(event=name) for name in names])
    assert after.drive() > 0
    assert after.run_of(message).status == Status.COMPLETED
    assert rows(stage) == 0


def test_a_run_that_ends_while_another_worker_begins_to_listen_listens_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cancelled_by(stage)
    message = deployed.send(ts=stage.clock.ms + DAY_MS)
    put = WaitStore.put

    def cancelled_before(waits: WaitStore, wait: Wait) -> None:
        if not deployed.run_of(message).has_ended:
            cancel(stage, deployed.run_of(message))
            assert deployed.handle(*stage.messages(deployed.function)) == []
            assert deployed.run_of(message).has_ended
        put(waits, wait)

    monkeypatch.setattr(WaitStore, "put", cancelled_before)
    assert deployed.handle(message) == []
    assert reason_of(stage, deployed.run_of(message))
    assert rows(stage) == 0


def test_of_two_messages_of_a_run_that_is_due_one_listens(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cancelled_by(stage, handler=lambda ctx: "done")
    message = deployed.send(ts=stage.clock.ms + DAY_MS)
    put, others = WaitStore.put, [_die, lambda: deployed.handle(message)]

    def other_first(waits: WaitStore, wait: Wait) -> None:
        if others:
            others.pop(0)()
        put(waits, wait)

    monkeypatch.setattr(WaitStore, "put", other_first)
    with pytest.raises(ProcessDied):
        deployed.worker.engine.handle(message, stage.clock.ms + 60_000)
    stage.clock.ms += DAY_MS
    assert deployed.handle(message) == []
    assert deployed.run_of(message).status == Status.COMPLETED
    assert (rows(stage), others) == (0, [])


def test_a_worker_that_dies_before_it_listens_does_so_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cancelled_by(stage)
    message = deployed.send()
    with monkeypatch.context() as patch:
        patch.setattr("tidegate.wait_store.WaitStore.put", _die)
        with pytest.raises(ProcessDied):
            deployed.worker.engine.handle(message, stage.clock.ms + 60_000)
    stage.clock.advance(seconds=10)
    stage.send({"name": "app/b"})
    stage.clock.advance(seconds=400)
    assert deployed.handle(message) == []
    settle(stage, deployed)
    assert reason_of(stage, deployed.run_of(message))


def test_a_wait_table_that_pauses_costs_no_attempt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = cancelled_by(stage)
    put, faults = stage.waits.__class__.put, iter([PlatformError("busy"), PlatformError("busy")])

    def busy(store: Any, wait: Any) -> None:
        for fault in faults:
            raise fault
        put(store, wait)

    monkeypatch.setattr("tidegate.wait_store.WaitStore.put", busy)
    message = began(deployed)
    assert rows(stage) == 1
    assert deployed.run_of(message).attempt == 0


def _die(*_: Any) -> None:
    raise ProcessDied


# --- by time --------------------------------------------------------------------------------------


def test_a_run_that_waited_too_long_for_its_start_is_cancelled(stage: Stage) -> None:
    ran: list[str] = []
    deployed = Deployed(
        stage, lambda ctx: ran.append(ctx.run_id), timeouts=Timeouts(start=timedelta(seconds=10))
    )
    late, early = deployed.send(), deployed.send()
    stage.clock.advance(seconds=10)
    assert deployed.handle(early) == []
    assert deployed.run_of(early).status == Status.COMPLETED
    stage.clock.advance(seconds=1)
    assert deployed.handle(late) == []
    run = deployed.run_of(late)
    assert "timeouts.start, 10000 ms" in reason_of(stage, run)
    assert run.started_ms is None
    assert len(ran) == 1


def test_the_time_to_start_counts_from_when_the_run_is_due(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: "done", timeouts=Timeouts(start=10_000))
    message = began(deployed, ts=stage.clock.ms + DAY_MS)
    deployed.drive()
    assert deployed.run_of(message).status == Status.COMPLETED
    late = began(deployed, ts=stage.clock.ms + DAY_MS)
    stage.clock.ms += DAY_MS + 11_000
    deployed.handle_due()
    assert "timeouts.start" in reason_of(stage, deployed.run_of(late))


def test_a_retry_is_no_late_start(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> str:
        if ctx.attempt == 0:
            raise ValueError("once")
        return "done"

    deployed = Deployed(stage, handler, timeouts=Timeouts(start=1_000))
    message = began(deployed)
    deployed.drive()
    assert deployed.run_of(message).status == Status.COMPLETED


def test_a_sleeping_run_is_cancelled_when_its_time_is_over(stage: Stage) -> None:
    deployed = Deployed(stage, sleeper, timeouts=Timeouts(finish=timedelta(hours=1)))
    start_ms = stage.clock.ms
    message = began(deployed)
    deployed.drive()
    run = deployed.run_of(message)
    assert "timeouts.finish, 3600000 ms" in reason_of(stage, run)
    assert run.ended_ms == start_ms + 3_600_000
    assert schedules() == 0


def test_a_retry_is_cut_by_the_time_to_finish(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        raise ValueError("always")

    deployed = Deployed(stage, handler, retries=20, timeouts=Timeouts(finish=timedelta(minutes=2)))
    start_ms = stage.clock.ms
    message = began(deployed)
    deployed.drive()
    assert "timeouts.finish" in reason_of(stage, deployed.run_of(message))
    assert deployed.run_of(message).ended_ms == start_ms + 120_000


def test_the_step_that_runs_when_time_is_over_is_the_last(stage: Stage) -> None:
    ran: list[str] = []

    def handler(ctx: ContextSync) -> None:
        ctx.step.run("long", lambda: stage.clock.advance(seconds=20))
        ctx.step.run("next", ran.append, "next")

    deployed = Deployed(stage, handler, timeouts=Timeouts(finish=10_000))
    message = began(deployed)
    run = deployed.run_of(message)
    assert "timeouts.finish" in reason_of(stage, run)
    assert ran == []
    [record] = stage.steps.load(run).values()
    assert record.is_done


def test_a_function_that_returns_behind_its_time_completes(stage: Stage) -> None:
    deployed = Deployed(
        stage, lambda ctx: stage.clock.advance(seconds=20), timeouts=Timeouts(finish=10_000)
    )
    message = began(deployed)
    assert deployed.run_of(message).status == Status.COMPLETED


# --- what is told ---------------------------------------------------------------------------------


def test_the_system_events(stage: Stage) -> None:
    listening = listener(stage, *SYSTEM)
    deployed = Deployed(stage, sleeper, listening)
    message = began(deployed, data={"n": 1})
    run = deployed.run_of(message)
    cancel(stage, run)
    deployed.handle_due()
    told = {m.event.name: json.loads(m.event.body) for m in stage.messages(listening)}
    assert set(told) == set(SYSTEM[:2])
    event = json.loads(message.event.body)
    common = {"function_id": "test-f", "run_id": run.id, "event": event, "events": [event]}
    assert told["inngest/function.cancelled"]["data"] == {
        **common,
        "_inngest": {"status": "Cancelled"},
    }
    assert told["inngest/function.cancelled"]["id"] == run.id
    assert told["inngest/function.finished"]["data"]["_inngest"] == {"status": "Cancelled"}
    assert told["inngest/function.finished"]["id"] != run.id


def test_cancelled_runs_of_the_event_of_cancellation_announce_no_other(stage: Stage) -> None:
    listening = listener(stage, "inngest/function.finished", "inngest/function.cancelled")
    deployed = Deployed(
        stage, sleeper, listening, trigger=TriggerEvent(event="inngest/function.cancelled")
    )
    first = Deployed(stage, sleeper, deployed.function, listening, fn_id="first")
    message = began(first)
    cancel(stage, first.run_of(message))
    [wake] = stage.messages(first.function)
    assert first.handle(wake) == []
    [told] = stage.messages(deployed.function)
    assert told.event.name == "inngest/function.cancelled"
    stage.messages(listening)
    assert deployed.handle(told) == []
    cancel(stage, deployed.run_of(told))
    [wake] = stage.messages(deployed.function)
    assert deployed.handle(wake) == []
    assert reason_of(stage, deployed.run_of(told))
    assert [m.event.name for m in stage.messages(listening)] == ["inngest/function.finished"]


def caller_and_called(stage: Stage) -> tuple[Deployed, Deployed, EventMessage, EventMessage]:
    """The function that is invoked, its caller, and their messages; both runs wait."""
    child = Deployed(stage, sleeper, fn_id="child", trigger=[])

    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.invoke("call", function=child.function)
        except InvokeCancelledError as error:
            return str(error)
        return "not told"

    parent = Deployed(stage, handler, child.function)
    message = began(parent)
    [invoked] = stage.messages(child.function)
    assert child.handle(invoked) == []
    return child, parent, message, invoked


def test_who_invoked_it_is_told(stage: Stage) -> None:
    child, parent, message, invoked = caller_and_called(stage)
    cancel(stage, child.run_of(invoked))
    settle(stage, child, parent)
    run = parent.run_of(message)
    assert run.status == Status.COMPLETED
    assert "was cancelled" in str(stage.runs.output_of(run))
