"""What a new version of a function changes for runs that began before it, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import Deployed, function_of, match, settle
from tidegate import Cancel, Client, ContextSync, EventModel, Timeouts, TriggerEvent
from tidegate.function import Function
from tidegate.message import EventMessage
from tidegate.run import Failure, Run, Status, failure_of

DAY = timedelta(days=1)
HOUR_MS = 3_600_000

Handler = Callable[[ContextSync], Any]


def asleep(ctx: ContextSync) -> str:
    ctx.step.sleep("rest", 3 * DAY)
    return "rested"


def begun(stage: Stage, handler: Handler, **options: Any) -> tuple[Deployed, EventMessage]:
    """A function, and a run of it that waits."""
    deployed = Deployed(stage, handler, **options)
    message = deployed.send()
    assert deployed.handle(message) == []
    match(stage)
    return deployed, message


def changed(deployed: Deployed, handler: Handler, *others: Function, **options: Any) -> Deployed:
    return deployed.after(function_of(handler, **options), *others)


def output(deployed: Deployed, message: EventMessage) -> Any:
    run = deployed.run_of(message)
    assert run.status == Status.COMPLETED, run
    return json.loads(deployed.stage.runs.output_of(run) or "")


def failure(deployed: Deployed, run: Run) -> Failure:
    return failure_of(deployed.stage.runs.output_of(run))


def test_a_sleep_ends_when_it_was_to_end(stage: Stage) -> None:
    deployed, message = begun(stage, asleep)

    def longer(ctx: ContextSync) -> str:
        ctx.step.sleep("rest", 30 * DAY)
        return "rested well"

    now = changed(deployed, longer)
    stage.clock.advance(days=3)
    assert now.handle_due() == 1
    assert output(now, message) == "rested well"


def test_what_is_waited_for_stays_what_it_was(stage: Stage) -> None:
    def waits(name: str, days: int) -> Handler:
        def handler(ctx: ContextSync) -> Any:
            event = ctx.step.wait_for_event("answer", event=name, timeout=days * DAY)
            return event and event.name

        return handler

    deployed, message = begun(stage, waits("app/old", 3))
    due_ms = deployed.run_of(message).due_ms
    now = changed(deployed, waits("app/new", 30))
    stage.send({"name": "app/new"})
    settle(stage, now)
    assert now.run_of(message).due_ms == due_ms
    stage.send({"name": "app/old"})
    settle(stage, now)
    assert output(now, message) == "app/old"


def test_a_wait_ends_when_it_was_to_end(stage: Stage) -> None:
    def waits(days: int) -> Handler:
        return lambda ctx: ctx.step.wait_for_event("b", event="app/b", timeout=days * DAY)

    deployed, message = begun(stage, waits(3))
    now = changed(deployed, waits(30))
    stage.clock.advance(days=3)
    now.handle_due()
    assert output(now, message) is None


def test_an_id_that_becomes_another_kind_of_step_fails_the_run(stage: Stage) -> None:
    deployed, message = begun(stage, asleep)
    now = changed(deployed, lambda ctx: ctx.step.run("rest", lambda: "other"))
    stage.clock.advance(days=3)
    now.handle_due()
    run = now.run_of(message)
    assert run.status == Status.FAILED
    assert "step 'rest'" in failure(now, run).message


def test_a_finish_timeout_counts_for_runs_that_began_before_it(stage: Stage) -> None:
    deployed, message = begun(stage, asleep)
    now = changed(deployed, asleep, timeouts=Timeouts(finish=DAY))
    stage.clock.advance(days=2)
    assert now.handle_due() == 0, "a run that sleeps is not looked at"
    stage.clock.advance(days=1)
    now.handle_due()
    run = now.run_of(message)
    assert run.status == Status.CANCELLED
    assert "timeouts.finish" in failure(now, run).message


def test_a_cancellation_counts_for_runs_that_begin_behind_it(stage: Stage) -> None:
    deployed, before = begun(stage, asleep)
    now = changed(deployed, asleep, cancel=[Cancel(event="app/stop")])
    after = now.send()
    now.handle(after)
    match(stage)
    stage.clock.advance(seconds=1)
    stage.send({"name": "app/stop"})
    settle(stage, now)
    assert now.run_of(before).status == Status.RUNNING
    assert now.run_of(after).status == Status.CANCELLED


def test_a_cancellation_that_is_gone_still_counts_for_runs_that_began_with_it(
    stage: Stage,
) -> None:
    deployed, before = begun(stage, asleep, cancel=[Cancel(event="app/stop")])
    now = changed(deployed, asleep)
    after = now.send()
    now.handle(after)
    stage.clock.advance(seconds=1)
    stage.send({"name": "app/stop"})
    settle(stage, now)
    assert now.run_of(before).status == Status.CANCELLED
    assert now.run_of(after).status == Status.RUNNING


@pytest.mark.parametrize(("retries", "status"), [(1, Status.FAILED), (9, Status.RUNNING)])
def test_the_new_number_of_retries_counts(stage: Stage, retries: int, status: Status) -> None:
    def fails(ctx: ContextSync) -> None:
        ctx.step.run("call", lambda: 1 / 0)

    deployed, message = begun(stage, fails, retries=4)
    for _ in range(2):
        stage.clock.advance(hours=1)
        deployed.handle_due()
    assert deployed.run_of(message).status == Status.RUNNING
    now = changed(deployed, fails, retries=retries)
    stage.clock.advance(hours=1)
    now.handle_due()
    assert now.run_of(message).status == status


def test_what_happens_on_failure_is_what_the_new_code_says(stage: Stage) -> None:
    told: list[str] = []

    def fails(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", DAY)
        raise ConnectionError("no answer")

    def tell(ctx: ContextSync) -> None:
        told.append(ctx.event.data["error"]["message"])

    deployed, message = begun(stage, fails, retries=0)
    function = function_of(fails, retries=0, on_failure=tell)
    assert function.on_failure is not None
    now = deployed.after(function, function.on_failure)
    stage.clock.advance(days=1)
    now.handle_due()
    assert now.run_of(message).status == Status.FAILED
    failed = stage.messages(function.on_failure)
    stage.worker(function.on_failure).engine.handle(failed[0], stage.clock.ms + HOUR_MS)
    assert told == ["no answer"]


def test_an_event_that_no_longer_fits_its_class_fails_the_run(stage: Stage) -> None:
    class Order(EventModel, name="app/a"):
        number: int

    client = Client(app_id="test")

    @client.create_function(fn_id="f", trigger=TriggerEvent(event=Order))
    def typed(ctx: ContextSync[Order]) -> int:
        return ctx.event.data.number

    deployed, message = begun(stage, asleep)
    now = deployed.after(typed)
    stage.clock.advance(days=3)
    now.handle_due()
    run = now.run_of(message)
    assert run.status == Status.FAILED
    assert "number" in failure(now, run).message


def test_an_event_in_the_queue_starts_what_the_new_triggers_want(stage: Stage) -> None:
    deployed = Deployed(stage, asleep)
    message = deployed.send()
    now = changed(deployed, asleep, trigger=TriggerEvent(event="app/other"))
    assert now.handle(message) == []
    assert now._find(message) is None
    back = changed(now, asleep)
    assert back.handle(message) == []
    assert back.run_of(message).status == Status.RUNNING


def test_who_is_in_a_step_ends_it_and_the_new_code_goes_on(stage: Stage) -> None:
    during: list[list[str]] = []

    def old(ctx: ContextSync) -> str:
        def slow() -> str:
            nonlocal now
            # What a deployment calls is not what the worker calls.
            now = Context().run(changed, deployed, new)
            during.append(now.handle(message))
            return "of the old code"

        a = ctx.step.run("a", slow)
        ctx.step.sleep("rest", DAY)
        return f"{a}, old"

    def new(ctx: ContextSync) -> str:
        a = ctx.step.run("a", lambda: "of the new code")
        ctx.step.sleep("rest", DAY)
        return f"{a}, new"

    deployed = now = Deployed(stage, old)
    message = deployed.send()
    assert deployed.handle(message) == []
    assert len(during) == 1
    assert during[0], "the message comes again"
    stage.clock.advance(days=1)
    now.handle_due()
    assert output(now, message) == "of the old code, new"
