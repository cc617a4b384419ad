"""What runs send from within, and what is announced of them."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from tests.aws.conftest import Stage, batch, record_of
from tests.aws.deployed import (
    TIMEOUT_MS,
    Deployed,
    ProcessDied,
    announced,
    counting,
    dies,
    function_of,
    listener,
)
from tidegate.context import Context, ContextSync
from tidegate.errors import NonRetriableError
from tidegate.event_model import Event
from tidegate.run import Status
from tidegate.trigger import TriggerEvent


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
