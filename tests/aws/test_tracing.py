"""Logs joined by ids, from the request to the step, and the trace that reaches the function."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import TIMEOUT_MS, Deployed, function_of, settle
from tests.aws.rest import Rest, load_handler
from tests.gateway import ask, request
from tidegate.context import Context, ContextSync
from tidegate.event_model import Event
from tidegate.ids import random_ulid
from tidegate.ingest import Ingest
from tidegate.key import OpenKeys
from tidegate.logs import log_to
from tidegate.message import EventMessage
from tidegate.run import Rerun
from tidegate.trigger import TriggerEvent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = ("request_id", "event_id", "run_id", "function_id", "attempt", "step")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(stage: Stage) -> Iterator[Lines]:
    """What a Lambda's log says, line by line."""
    stream = io.StringIO()
    logger = logging.getLogger("tidegate")
    logger.handlers[:] = []
    log_to(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.handlers[:] = []


def post(stage: Stage, *events: dict[str, Any], **headers: str) -> list[str]:
    """The internal ids of events that a request brings."""
    answer = ask(
        Ingest(OpenKeys(ENV), stage.admission, 1_000_000).handle,
        request(list(events), headers=headers),
    )
    assert answer.status == 200
    return list(answer.content["ids"])


def take(deployed: Deployed) -> EventMessage:
    [message] = deployed.stage.messages(deployed.function)
    return message


def of(lines: Lines, message: str) -> list[dict[str, Any]]:
    return [line for line in lines() if line["message"] == message]


def test_one_line_of_a_step_has_all_ids(stage: Stage, lines: Lines) -> None:
    def charge(ctx: ContextSync) -> None:
        ctx.logger.info("charging")
        logging.getLogger("tidegate.function").info("charging by a logger of its own")

    deployed = Deployed(stage, lambda ctx: ctx.step.run("charge", charge, ctx))
    [event_id] = post(stage, {"name": "app/a"})
    message = take(deployed)
    deployed.handle(message)
    run = deployed.run_of(message)
    for text in ("charging", "charging by a logger of its own"):
        [line] = of(lines, text)
        assert {name: line[name] for name in IDS} == {
            "request_id": "request-1",
            "event_id": event_id,
            "run_id": run.id,
            "function_id": "test-f",
            "attempt": 0,
            "step": "charge",
        }


def test_lines_of_a_run_are_joined(stage: Stage, lines: Lines) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.logger.info("hello"))
    [event_id] = post(stage, {"name": "app/a"})
    message = take(deployed)
    deployed.handle(message)
    [received] = of(lines, "event received")
    assert (received["request_id"], received["event_id"]) == ("request-1", event_id)
    for text in ("run started", "hello", "run completed"):
        [line] = of(lines, text)
        assert (line["request_id"], line["event_id"]) == ("request-1", event_id)
        assert (line["run_id"], line["attempt"]) == (deployed.run_of(message).id, 0)
        assert "step" not in line


def test_async_steps_beside_each_other_log_their_own_names(stage: Stage, lines: Lines) -> None:
    async def handler(ctx: Context) -> None:
        async def work(name: str) -> None:
            ctx.logger.info("working on %s", name)

        await ctx.group.parallel(
            (lambda: ctx.step.run("a", work, "a"), lambda: ctx.step.run("b", work, "b"))
        )

    deployed = Deployed(stage, handler)
    post(stage, {"name": "app/a"})
    deployed.handle(take(deployed))
    told = {line["message"]: line["step"] for line in lines() if "working" in line["message"]}
    assert told == {"working on a": "a", "working on b": "b"}


def test_a_refused_request_is_logged_with_its_id(stage: Stage, lines: Lines) -> None:
    ingest = Ingest(OpenKeys(ENV), stage.admission, 1_000_000)
    assert ask(ingest.handle, request([{"name": ""}])).status == 400
    [line] = of(lines, "request refused")
    assert line["request_id"] == "request-1"


def test_a_message_that_comes_again_is_logged_with_its_ids(
    stage: Stage, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, lambda ctx: None)
    [event_id] = post(stage, {"name": "app/a"})
    message = take(deployed)

    def fails(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr("tidegate.engine.Engine.handle", fails)
        assert len(deployed.handle(message)) == 1
    [line] = of(lines, "message comes again")
    assert (line["request_id"], line["event_id"]) == ("request-1", event_id)


def test_the_trace_reaches_the_function(stage: Stage) -> None:
    seen = []
    deployed = Deployed(
        stage, lambda ctx: seen.append((ctx.traceparent, ctx.tracestate, ctx.request_id))
    )
    post(stage, {"name": "app/a"}, traceparent=PARENT, tracestate="vendor=1")
    deployed.handle(take(deployed))
    assert seen == [(PARENT, "vendor=1", "request-1")]


def test_a_function_sees_no_trace_that_is_none(stage: Stage) -> None:
    seen = []
    deployed = Deployed(stage, lambda ctx: seen.append((ctx.traceparent, ctx.tracestate)))
    post(stage, {"name": "app/a"}, traceparent="nonsense", tracestate="vendor=1")
    deployed.handle(take(deployed))
    assert seen == [(None, None)]


@pytest.mark.parametrize("size", [10, 300_000])
def test_the_trace_is_the_same_after_a_sleep_a_wait_and_a_rerun(stage: Stage, size: int) -> None:
    seen: list[str | None] = []

    def handler(ctx: ContextSync) -> None:
        seen.append(ctx.traceparent)
        ctx.step.sleep("nap", timedelta(hours=1))
        ctx.step.wait_for_event("answer", event="app/b", timeout=timedelta(hours=1))

    deployed = Deployed(stage, handler)
    [event_id] = post(stage, {"name": "app/a", "data": {"x": "x" * size}}, traceparent=PARENT)
    message = take(deployed)
    deployed.handle(message)
    stage.clock.advance(seconds=3_600)
    deployed.handle_due()
    run = deployed.run_of(message)
    other = PARENT.replace("b7ad", "aaaa")
    post(stage, {"name": "app/b"}, traceparent=other)
    settle(stage, deployed)
    run_id = random_ulid(stage.clock.ms)
    stage.rerunner.rerun(deployed.run_of(message), Rerun(run_id, run.id))
    deployed.handle(*stage.messages(deployed.function))
    assert deployed.run_of(message).status == "Completed"
    again = stage.runs.get(ENV, run_id)
    assert again is not None
    assert again.status == "Running"
    assert len(seen) > 3
    assert set(seen) == {PARENT}
    assert run.event_id == event_id


def test_events_and_runs_that_a_run_starts_are_in_its_trace(stage: Stage, lines: Lines) -> None:
    seen = []
    listener = function_of(
        lambda ctx: seen.append((ctx.event.name, ctx.traceparent, ctx.request_id)),
        fn_id="listener",
        trigger=TriggerEvent(event="app/child"),
    )

    def handler(ctx: ContextSync) -> None:
        ctx.step.send_event("tell", Event(name="app/child"))
        ctx.step.invoke("call", function=listener)

    caller, called = Deployed.all(stage, function_of(handler), listener)
    post(stage, {"name": "app/a"}, traceparent=PARENT)
    caller.handle(take(caller))
    called.handle(*stage.messages(listener))
    assert sorted(seen) == [
        ("app/child", PARENT, "request-1"),
        ("inngest/function.invoked", PARENT, "request-1"),
    ]
    child = next(one for one in of(lines, "event received") if one["event_name"] == "app/child")
    assert (child["step"], child["function_id"]) == ("tell", "test-f")
    assert child["run_id"] != child["event_id"]


def test_the_rest_api_shows_the_request_and_joins_its_own(
    stage: Stage, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("nap", timedelta(hours=1)))
    [event_id] = post(stage, {"name": "app/a"}, traceparent=PARENT)
    message = take(deployed)
    deployed.handle(message)
    rest = Rest(load_handler(stage, monkeypatch))
    shown = rest.get(f"/v1/events/{event_id}").data
    assert (shown["request_id"], shown["traceparent"]) == ("request-1", PARENT)
    rest.delete(f"/v1/runs/{deployed.run_of(message).id}")
    [line] = of(lines, "run to be cancelled")
    assert (line["request_id"], line["run_id"]) == ("r1", deployed.run_of(message).id)


def test_an_invocation_by_the_rest_api_has_its_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    deployed = Deployed(stage, lambda ctx: seen.append((ctx.traceparent, ctx.request_id)))
    rest = Rest(load_handler(stage, monkeypatch))
    rest.get("/v1/functions/test-f/invoke", method="POST", body={}, headers={"traceparent": PARENT})
    deployed.handle(take(deployed))
    assert seen == [(PARENT, "r1")]


def test_a_run_of_a_cron_has_no_request(stage: Stage) -> None:
    seen: list[Any] = []
    deployed = Deployed(stage, lambda ctx: seen.append((ctx.traceparent, ctx.request_id)))
    stage.send({"name": "app/a"})
    deployed.worker.handle(batch(stage.queued(deployed.function)), TIMEOUT_MS)
    assert seen == [(None, None)]
