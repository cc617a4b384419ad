"""A function's `on_failure` is a function of its own, started when a run has failed for good."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import (
    Deployed,
    ProcessDied,
    announced,
    counting,
    dies,
    function_of,
    listener,
    settle,
    waiting,
)
from tests.aws.rest import Rest, load_handler
from tidegate import Context, ContextSync, InvokeError, NonRetriableError, TriggerEvent
from tidegate.aws import client
from tidegate.event_model import Event
from tidegate.function import Function
from tidegate.run import Status


def failure_of(function: Function) -> Function:
    assert function.on_failure is not None
    return function.on_failure


def deployed(stage: Stage, function: Function, *others: Function) -> list[Deployed]:
    return Deployed.all(stage, function, failure_of(function), *others)


def test_it_gets_the_event_and_the_error_when_all_attempts_have_failed(stage: Stage) -> None:
    seen: list[Event] = []

    def on_failure(ctx: ContextSync) -> str:
        seen.append(ctx.event)
        return ctx.step.run("clean up", lambda: "cleaned")

    function = function_of(
        counting([], ValueError("no luck")), name="The job", retries=1, on_failure=on_failure
    )
    main, failure = deployed(stage, function)
    message = main.send(id="mine", data={"n": 1})
    main.handle(message)
    settle(stage, main, failure)
    assert seen == [], "it is tried again"
    stage.clock.advance(hours=1)
    settle(stage, main, failure)
    run = main.run_of(message)
    assert run.status == Status.FAILED
    [event] = seen
    assert event.name == "inngest/function.failed"
    assert (event.data["function_id"], event.data["run_id"]) == ("test-f", run.id)
    assert (event.data["event"]["id"], event.data["event"]["data"]) == ("mine", {"n": 1})
    assert event.data["events"] == [event.data["event"]]
    assert event.data["error"]["name"] == "ValueError"
    assert event.data["error"]["message"] == "no luck"


def test_it_may_be_async_and_its_function_not(stage: Stage) -> None:
    seen: list[str] = []

    async def on_failure(ctx: Context) -> None:
        seen.append(await ctx.step.run("note", lambda: ctx.event.name))

    function = function_of(counting([], NonRetriableError("no")), on_failure=on_failure)
    main, failure = deployed(stage, function)
    main.handle(main.send())
    settle(stage, main, failure)
    assert seen == ["inngest/function.failed"]


def test_runs_that_complete_and_failures_of_others_do_not_start_it(stage: Stage) -> None:
    calls: list[Any] = []
    fine = function_of(counting([]), on_failure=counting(calls))
    broken = function_of(counting([], ValueError()), fn_id="broken", retries=0)
    main, failure, other = deployed(stage, fine, broken)
    stage.send({"name": "app/a"})
    settle(stage, main, failure, other)
    assert calls == []
    assert stage.cloud.wiring.keys() == {"test-f", "test-f-failure", "test-broken"}


def test_it_is_tried_again_when_it_fails_and_starts_nothing_when_it_has_failed(
    stage: Stage,
) -> None:
    calls: list[Any] = []
    function = function_of(
        counting([], ValueError()), retries=0, on_failure=counting(calls, ValueError("me too"))
    )
    heard = listener(stage, "inngest/*")
    main, failure, _ = deployed(stage, function, heard)
    main.handle(main.send())
    for _ in range(10):
        settle(stage, main, failure)
        stage.clock.advance(hours=1)
    told = sorted((event.name, event.data["function_id"]) for event in announced(stage, heard))
    assert told == [
        ("inngest/function.failed", "test-f"),
        ("inngest/function.finished", "test-f"),
    ]
    assert len(calls) == 5
    assert {ctx.run_id for ctx in calls} == {calls[0].run_id}


def test_a_worker_that_dies_before_telling_tells_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    function = function_of(
        counting([], ValueError()), retries=0, on_failure=counting(calls, "seen")
    )
    main, failure = deployed(stage, function)
    message = main.send()
    with monkeypatch.context() as patch:
        dies(patch, "sns.publish_batch")
        with pytest.raises(ProcessDied):
            main.handle(message)
    main.handle(message)
    main.handle(message)
    settle(stage, main, failure)
    assert len(calls) == 1
    run = stage.runs.get(ENV, calls[0].run_id)
    assert run is not None
    assert json.loads(run.output or "") == "seen"


def test_the_rest_api_lists_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(stage, function_of(counting([]), name="The job", on_failure=counting([])))
    rest = Rest(load_handler(stage, monkeypatch))
    listed = {function["id"]: function for function in rest.get("/v1/functions").data}
    assert listed["test-f-failure"]["name"] == "The job (failure)"
    assert listed["test-f-failure"]["retries"] == 4
    assert listed["test-f-failure"]["triggers"] == [
        {
            "event": "inngest/function.failed",
            "expression": "event.data.function_id == 'test-f'",
        }
    ]


# --- runs whose large event is gone ---------------------------------------------------------------


def lose_bodies(stage: Stage) -> None:
    bucket = stage.settings.bucket
    for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])


@pytest.mark.parametrize("begun", [False, True])
def test_an_invoked_run_whose_large_event_is_gone_fails_and_tells(
    stage: Stage, begun: bool
) -> None:
    def child_handler(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", timedelta(days=3))

    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.invoke("call", function=child_function, data={"text": "x" * 100_000})
        except InvokeError as error:
            return error.name
        return "not told"

    child_function = function_of(child_handler, fn_id="child", trigger=[], on_failure=counting([]))
    function = function_of(handler)
    child, failure, parent = Deployed.all(
        stage, child_function, failure_of(child_function), function
    )
    message = parent.send()
    assert parent.handle(message) == []
    [invoked] = stage.messages(child.function)
    if begun:
        assert child.handle(invoked) == []
        stage.clock.advance(days=3)
        [invoked] = waiting(stage, child.function)
    lose_bodies(stage)
    assert child.handle(invoked) == []
    run = child.run_of(invoked)
    assert "EventGone" in (run.output or "")
    assert len(stage.dead(child.function)) == 1
    [told] = stage.messages(failure.function)
    assert (told.event.event.data["run_id"], told.event.event.data["error"]["name"]) == (
        run.id,
        "EventGone",
    )
    assert told.event.event.data["event"]["name"] == "inngest/function.invoked"
    settle(stage, parent)
    assert json.loads(parent.run_of(message).output or "") == "EventGone"


@pytest.mark.parametrize("expression", [None, "event.data.text != ''"])
def test_a_large_event_that_is_gone_before_its_run_starts_fails_it_if_it_surely_would(
    stage: Stage, expression: str | None
) -> None:
    function = function_of(
        counting([]),
        trigger=TriggerEvent(event="app/a", expression=expression),
        on_failure=counting([]),
    )
    main, failure = deployed(stage, function)
    message = main.send(data={"text": "x" * 100_000})
    lose_bodies(stage)
    assert main.handle(message) == []
    assert len(stage.dead(function)) == 1
    is_sure = expression is None
    assert len(stage.messages(failure.function)) == is_sure
    assert main.handle(replace(message, resumes=True)) == []
    assert len(client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"]) == is_sure


def test_a_worker_that_dies_before_it_tells_of_an_event_that_is_gone_does_so_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = function_of(counting([]), on_failure=counting([]))
    main, failure = deployed(stage, function)
    message = main.send(data={"text": "x" * 100_000})
    lose_bodies(stage)
    with monkeypatch.context() as patch:
        dies(patch, "sns.publish_batch")
        with pytest.raises(ProcessDied):
            main.worker.engine.handle(message, stage.clock.ms + 60_000)
    assert main.run_of(message).status == Status.FAILED
    assert stage.messages(failure.function) == []
    assert main.handle(message) == []
    assert len(stage.messages(failure.function)) == 1
