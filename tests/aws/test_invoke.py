"""A function invokes another one and gets what it returns, or why it did not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, function_of, settle, waiting
from tidegate import (
    Context,
    ContextSync,
    FunctionNotFoundError,
    InvokeCancelledError,
    InvokeError,
    InvokeTimeoutError,
    NonRetriableError,
    ParallelMode,
)
from tidegate.aws import client
from tidegate.errors import PlatformError
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.invocation import Invocation
from tidegate.message import EventMessage
from tidegate.run import Run, Status
from tidegate.trigger import TriggerEvent


def callee(handler: Callable[[ContextSync], Any], **options: Any) -> Function:
    """A function that nothing but an invocation starts."""
    return function_of(handler, **{"fn_id": "callee", "trigger": [], "retries": 0} | options)


def deployed_pair(
    stage: Stage, caller: Callable[[Any], Any], called: Function
) -> tuple[Deployed, Deployed]:
    one, other = Deployed.all(stage, function_of(caller, fn_id="caller"), called)
    return one, other


def ended(caller: Deployed, *others: Deployed, **event: Any) -> Run:
    """Send an event, let everything happen, and give the caller's run."""
    message = caller.send(**event)
    assert caller.handle(message) == []
    settle(caller.stage, caller, *others)
    return caller.run_of(message)


def output(stage: Stage, run: Run) -> Any:
    assert run.status == Status.COMPLETED, run
    return json.loads(stage.runs.output_of(run) or "")


def waiting_rows(stage: Stage) -> int:
    return len(client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"])


def only_run(deployed: Deployed) -> Run:
    """The one run of a function."""
    items = client("dynamodb").scan(TableName=deployed.stage.settings.runs_table)["Items"]
    [run] = [
        run
        for run in (deployed.stage.runs.run_of(ENV, item) for item in items)
        if run.function_id == deployed.function.id
    ]
    return run


def test_the_result_of_the_other_function(stage: Stage) -> None:
    seen: list[Any] = []

    def called(ctx: ContextSync) -> Any:
        seen.append(ctx.event)
        ctx.step.run("work", lambda: None)
        return {"twice": 2 * ctx.event.data["n"]}

    function = callee(called)

    def caller(ctx: ContextSync) -> Any:
        return ctx.step.invoke("double", function=function, data={"n": 21}, v="2")

    one, other = deployed_pair(stage, caller, function)
    began_ms = stage.clock.ms
    run = ended(one, other)
    assert output(stage, run) == {"twice": 42}
    assert stage.clock.ms == began_ms
    [event] = seen
    assert (event.name, event.v) == ("inngest/function.invoked", "2")
    [record] = stage.steps.load(run).values()
    about = event.data.pop("_inngest")
    assert event.data == {"n": 21}
    assert about == {
        "fn_id": "test-callee",
        "correlation_id": f"{run.id}.{record.step.hashed}",
        "expire": began_ms + 365 * 86_400_000,
        "name": "double",
        "source_app_id": "test",
        "source_fn_id": "test-caller",
    }
    assert json.loads(record.memo or "") == {"data": {"twice": 42}}
    assert stage.store.get(ENV, event.id, stage.clock.ms) is not None, "it is an event like others"
    assert waiting_rows(stage) == 0


def test_async_functions_invoke_by_id(stage: Stage) -> None:
    async def caller(ctx: Context) -> Any:
        mine = await ctx.step.invoke_by_id("mine", function_id="callee")
        named = await ctx.step.invoke_by_id("named", app_id="test", function_id="callee")
        return [mine, named]

    one, other = deployed_pair(stage, caller, callee(lambda ctx: ctx.run_id))
    first, second = output(stage, ended(one, other))
    assert first != second


def test_triggers_of_the_invoked_function_do_not_matter(stage: Stage) -> None:
    function = callee(lambda ctx: "invoked", trigger=function_of(lambda ctx: None).triggers)

    def caller(ctx: ContextSync) -> Any:
        return ctx.step.invoke("other", function=function)

    [one, other, third] = Deployed.all(
        stage, function_of(caller, fn_id="caller"), function, callee(lambda ctx: 1, fn_id="third")
    )
    message = one.send()
    [own] = stage.messages(function)
    one.handle(message)
    assert stage.messages(third.function) == []
    assert other.handle(own) == []
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) == "invoked"


def test_large_data_and_large_results(stage: Stage) -> None:
    function = callee(lambda ctx: ctx.event.data["text"] * 2)

    def caller(ctx: ContextSync) -> Any:
        return len(ctx.step.invoke("other", function=function, data={"text": "x" * 200_000}))

    assert output(stage, ended(*deployed_pair(stage, caller, function))) == 400_000


# --- what can go wrong --------------------------------------------------------------------------


def test_the_failure_of_the_other_function_can_be_caught(stage: Stage) -> None:
    def called(ctx: ContextSync) -> None:
        raise NonRetriableError("no stock")

    function = callee(called)
    caught: list[InvokeError] = []

    def caller(ctx: ContextSync) -> str:
        try:
            ctx.step.invoke("other", function=function)
        except InvokeError as error:
            caught.append(error)
        return "went on"

    one, other = deployed_pair(stage, caller, function)
    assert output(stage, ended(one, other)) == "went on"
    assert type(caught[0]) is InvokeError
    assert (caught[0].name, caught[0].message) == ("NonRetriableError", "no stock")
    assert "raise NonRetriableError" in caught[0].stack


def test_a_failure_that_is_not_caught_fails_the_caller_at_once(stage: Stage) -> None:
    def called(ctx: ContextSync) -> None:
        raise ValueError("no stock")

    function = callee(called)
    one, other = deployed_pair(
        stage, lambda ctx: ctx.step.invoke("other", function=function), function
    )
    run = ended(one, other)
    assert run.status == Status.FAILED
    assert json.loads(run.output or "")["message"] == "no stock"


def test_an_unknown_function_is_an_error_at_once(stage: Stage) -> None:
    caught: list[Exception] = []

    def caller(ctx: ContextSync) -> None:
        for app_id in (None, "billing"):
            try:
                ctx.step.invoke_by_id(f"{app_id}", app_id=app_id, function_id="pay")
            except FunctionNotFoundError as error:
                caught.append(error)

    one, other = deployed_pair(stage, caller, callee(lambda ctx: None))
    output(stage, ended(one, other))
    assert [str(error) for error in caught] == [
        "could not find function with ID: test-pay",
        "could not find function with ID: billing-pay",
    ]
    assert waiting_rows(stage) == 0


def test_a_function_that_takes_too_long(stage: Stage) -> None:
    def called(ctx: ContextSync) -> str:
        ctx.step.sleep("long", timedelta(hours=2))
        return "late"

    function = callee(called)

    def caller(ctx: ContextSync) -> str:
        try:
            return str(ctx.step.invoke("other", function=function, timeout=timedelta(hours=1)))
        except InvokeTimeoutError as error:
            ctx.step.sleep("rest", timedelta(hours=3))
            return error.name

    one, other = deployed_pair(stage, caller, function)
    message = one.send()
    one.handle(message)
    settle(stage, one, other)
    stage.clock.advance(hours=1)
    settle(stage, one, other)
    assert waiting_rows(stage) == 0
    stage.clock.advance(hours=1)
    settle(stage, one, other)
    assert only_run(other).status == Status.COMPLETED, "it goes on all the same"
    stage.clock.advance(hours=3)
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) == "InngestInvokeTimeoutError"


def test_a_cancelled_run_is_an_error_of_its_own(stage: Stage) -> None:
    function = callee(lambda ctx: ctx.step.sleep("long", timedelta(days=1)))
    caught: list[Exception] = []

    def caller(ctx: ContextSync) -> None:
        try:
            ctx.step.invoke("other", function=function)
        except InvokeCancelledError as error:
            caught.append(error)

    one, other = deployed_pair(stage, caller, function)
    message = one.send()
    one.handle(message)
    settle(stage, one, other)
    run = only_run(other)
    event = stage.store.get(ENV, run.event_id, stage.clock.ms)
    assert event is not None
    other.worker.engine.waiting.report(replace(run, status=Status.CANCELLED), event, None)
    settle(stage, one, other)
    output(stage, one.run_of(message))
    assert "was cancelled" in str(caught[0])


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"timeout": timedelta(days=367)}, "waits for more than 366 days"),
        ({"data": [1]}, "is no JSON object"),
        ({"data": {"a": object()}}, "JSON cannot hold"),
    ],
)
def test_bad_arguments_are_named(stage: Stage, options: dict[str, Any], fault: str) -> None:
    function = callee(lambda ctx: None)
    one, other = deployed_pair(
        stage, lambda ctx: ctx.step.invoke("other", function=function, **options), function
    )
    run = ended(one, other)
    assert run.status == Status.FAILED
    assert fault in json.loads(run.output or "")["message"]
    assert "'other'" in json.loads(run.output or "")["message"]


# --- at least once, and once --------------------------------------------------------------------


def test_invocations_beside_each_other(stage: Stage) -> None:
    function = callee(lambda ctx: ctx.event.data["n"])

    def caller(ctx: ContextSync) -> Any:
        def branch(n: int) -> Any:
            return ctx.step.invoke("same id", function=function, data={"n": n})

        return ctx.group.parallel([lambda n=n: branch(n) for n in range(3)])

    assert output(stage, ended(*deployed_pair(stage, caller, function))) == [0, 1, 2]


def test_a_race_between_an_invocation_and_an_event(stage: Stage) -> None:
    function = callee(lambda ctx: ctx.step.sleep("long", timedelta(days=1)))

    def caller(ctx: ContextSync) -> Any:
        branches: list[Callable[[], Any]] = [
            lambda: ctx.step.invoke("other", function=function),
            lambda: ctx.step.wait_for_event("stop", event="app/stop", timeout=1_000_000),
        ]
        return ctx.group.parallel(branches, ParallelMode.RACE)[0].data

    one, other = deployed_pair(stage, caller, function)
    message = one.send()
    one.handle(message)
    settle(stage, one, other)
    stage.send({"name": "app/stop", "data": {"now": True}})
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) == {"now": True}
    assert waiting_rows(stage) == 0


def test_an_invocation_that_is_delivered_twice_runs_once(stage: Stage) -> None:
    ran: list[str] = []
    function = callee(lambda ctx: ran.append(ctx.run_id))
    one, other = deployed_pair(
        stage, lambda ctx: ctx.step.invoke("other", function=function), function
    )
    message = one.send()
    one.handle(message)
    [invoked] = waiting(stage, function)
    assert other.handle(invoked) == []
    assert other.handle(invoked) == []
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) is None
    assert len(ran) == 1


def test_a_caller_that_dies_while_it_invokes_invokes_the_same_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    function = callee(lambda ctx: ran.append(ctx.run_id))
    one, other = deployed_pair(
        stage, lambda ctx: ctx.step.invoke("other", function=function), function
    )
    message = one.send()

    def die(*_: Any) -> None:
        raise PlatformError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(type(stage.steps), "put", die)
        assert one.handle(message)
    stage.clock.advance(seconds=300)
    assert one.handle(message) == []
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) is None
    assert len(ran) == 1


def test_a_worker_that_dies_behind_the_end_tells_the_caller_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = callee(lambda ctx: "result")
    one, other = deployed_pair(
        stage, lambda ctx: ctx.step.invoke("other", function=function), function
    )
    message = one.send()
    one.handle(message)
    [invoked] = waiting(stage, function)

    def die(*_: Any) -> None:
        raise PlatformError("out of order")

    for method, owner in (("put", stage.steps), ("send_to", stage.bus), ("delete", stage.waits)):
        with monkeypatch.context() as patch:
            patch.setattr(type(owner), method, die)
            assert other.handle(invoked)
    assert only_run(other).status == Status.COMPLETED
    assert other.handle(invoked) == []
    settle(stage, one, other)
    assert output(stage, one.run_of(message)) == "result"
    assert waiting_rows(stage) == 0


def test_an_invocation_of_another_function_is_not_taken(stage: Stage) -> None:
    """A new subscription's filter may be some minutes late."""
    function = callee(lambda ctx: "result")
    one, _ = deployed_pair(stage, lambda ctx: ctx.step.invoke("other", function=function), function)
    message = one.send()
    one.handle(message)
    [invoked] = waiting(stage, function)
    assert one.handle(invoked) == []
    items = client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]
    assert len(items) == 1


def test_only_events_of_this_name_are_invocations() -> None:
    event = AcceptedEvent("i", ENV, "app/a", 0, 0, '{"data":{"_inngest":{"fn_id":"x"}}}')
    assert Invocation.of(event) is None
    assert EventMessage.of(event).wakes is False


def test_functions_are_triggered_by_invocations_and_none_by_those_of_such_a_run(
    stage: Stage,
) -> None:
    """Whoever is triggered by invocations and invokes would start itself for ever."""
    seen: list[str] = []

    def watching(ctx: ContextSync) -> None:
        seen.append(ctx.event.data["_inngest"]["name"])
        ctx.step.invoke_by_id("of the watcher", function_id="callee")

    caller, called, watcher = Deployed.all(
        stage,
        function_of(lambda ctx: ctx.step.invoke_by_id("own", function_id="callee"), fn_id="caller"),
        callee(lambda ctx: "done"),
        function_of(
            watching, fn_id="watcher", trigger=TriggerEvent(event="inngest/function.invoked")
        ),
    )
    run = ended(caller, called, watcher)
    assert output(stage, run) == "done"
    assert seen[:1] == ["own"]
    assert set(seen) == {"own"}
    items = client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]
    runs = [stage.runs.run_of(ENV, item).function_id for item in items]
    assert sorted(runs) == ["test-callee", "test-callee", "test-caller", "test-watcher"]


def test_a_function_that_is_triggered_by_invocations_and_invoked_runs_once(stage: Stage) -> None:
    caller, called = deployed_pair(
        stage,
        lambda ctx: ctx.step.invoke_by_id("own", function_id="callee"),
        callee(lambda ctx: "done", trigger=TriggerEvent(event="inngest/function.invoked")),
    )
    run = ended(caller, called)
    assert output(stage, run) == "done"
    assert only_run(called).status == Status.COMPLETED
