"""Runs that last longer than records, events and payloads are kept otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from tests.aws.conftest import Stage
from tests.aws.deployed import Deployed, listener, match, settle, waiting
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.errors import RequestError, RetryAfterError
from tidegate.ids import random_ulid
from tidegate.manifest import bucket_lifecycle_days
from tidegate.message import CronMessage, decode_message
from tidegate.payload import PayloadStore
from tidegate.run import Rerun, Status
from tidegate.schedule import Delivery
from tidegate.step import StepId
from tidegate.trigger import TriggerEvent

pytestmark = pytest.mark.storage

DAY = timedelta(days=1)
DAY_MS = 86_400_000
LARGE = {"text": "x" * 100_000}


def forget_what_is_over(stage: Stage) -> None:
    """Delete what DynamoDB deletes by TTL."""
    settings = stage.settings
    for table in (settings.runs_table, "tidegate-steps", settings.events_table):
        for item in client("dynamodb").scan(TableName=table)["Items"]:
            if int(item["expires_at"]["N"]) <= stage.clock.ms // 1000:
                key = {name: item[name] for name in ("pk", "sk")}
                client("dynamodb").delete_item(TableName=table, Key=key)


def forget_event_bodies(stage: Stage) -> None:
    """Delete the large bodies of events, as the bucket does when their retention ends."""
    bucket = stage.settings.bucket
    for found in client("s3").list_objects_v2(Bucket=bucket, Prefix="events/")["Contents"]:
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])


def forget_what_is_old(stage: Stage, written_ms: dict[str, int]) -> None:
    """Delete the objects whose time is over, as the bucket's lifecycle rules do."""
    bucket, days = stage.settings.bucket, bucket_lifecycle_days(stage.settings.retention_days)
    for found in client("s3").list_objects_v2(Bucket=bucket).get("Contents", []):
        folder = found["Key"].partition("/")[0]
        if written_ms[found["Key"]] + days[folder] * DAY_MS <= stage.clock.ms:
            client("s3").delete_object(Bucket=bucket, Key=found["Key"])


def note_writing(stage: Stage, patch: pytest.MonkeyPatch, written_ms: dict[str, int]) -> None:
    """Note when each object of the bucket was written, from which on its lifecycle counts."""
    put = PayloadStore.put

    def noted(payloads: PayloadStore, key: str, text: str) -> None:
        written_ms[key] = stage.clock.ms
        put(payloads, key, text)

    patch.setattr(PayloadStore, "put", noted)


def waits_long(ctx: ContextSync) -> str:
    ctx.step.wait_for_event("b", event="app/b", timeout=300 * DAY)
    ctx.step.sleep("a moment", 60_000)
    return "done"


def schedules() -> list[str]:
    return [found["Name"] for found in client("scheduler").list_schedules()["Schedules"]]


def test_an_event_that_is_waited_for_recalls_the_timeouts_schedule(stage: Stage) -> None:
    deployed = Deployed(stage, waits_long)
    message = deployed.send()
    deployed.handle(message)
    assert len(schedules()) == 1
    stage.send({"name": "app/b"})
    match(stage)
    assert deployed.handle(*stage.messages(deployed.function)) == []
    assert schedules() == []
    deployed.drive()
    assert deployed.run_of(message).status == Status.COMPLETED


def test_a_schedule_that_cannot_be_recalled_holds_up_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, waits_long)
    message = deployed.send()
    deployed.handle(message)
    stage.send({"name": "app/b"})
    match(stage)
    [wake] = stage.messages(deployed.function)

    def refuse(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="scheduler")

    with monkeypatch.context() as patch:
        patch.setattr(client("scheduler"), "delete_schedule", refuse)
        assert deployed.handle(wake) == []
    assert deployed.run_of(message).attempt == 0
    stage.clock.advance(seconds=60)
    # One after the other: what the schedule that stays delivers comes behind the end.
    for later in waiting(stage, deployed.function):
        assert deployed.handle(later) == []
    assert deployed.run_of(message).status == Status.COMPLETED


@pytest.mark.parametrize("kind", ["event", "cron"])
def test_a_message_that_resumes_a_run_starts_none_when_that_is_long_over(
    stage: Stage, kind: str
) -> None:
    began: list[str] = []

    def handler(ctx: ContextSync) -> str:
        began.append(ctx.run_id)
        return waits_long(ctx)

    trigger = TriggerCron(cron="0 9 * * *") if kind == "cron" else TriggerEvent(event="app/a")
    deployed = Deployed(stage, handler, trigger=trigger)
    for name in schedules():
        client("scheduler").delete_schedule(Name=name, GroupName="tidegate")
    if kind == "cron":
        tick = CronMessage("0 9 * * *", "dev", stage.clock.ms // 60_000 * 60_000)
        deployed.worker.engine.handle(tick, stage.clock.ms + 120_000)
    else:
        deployed.handle(deployed.send())
    late = timeouts_message()
    stage.send({"name": "app/b"})
    match(stage)
    for message in waiting(stage, deployed.function):
        deployed.worker.engine.handle(message, stage.clock.ms + 120_000)
    stage.clock.advance(seconds=60)
    for message in waiting(stage, deployed.function):
        deployed.worker.engine.handle(message, stage.clock.ms + 120_000)
    before = len(began)
    stage.clock.advance(days=300)
    forget_what_is_over(stage)
    deployed.worker.engine.handle(late, stage.clock.ms + 120_000)
    assert len(began) == before
    assert client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"] == []


def test_a_schedule_that_is_made_behind_the_cancellation_changes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run can be taken, and ended, as soon as its record says that it waits."""
    listening = listener(stage, "inngest/function.cancelled", "inngest/function.finished")
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("long", 60 * DAY), listening)
    message = deployed.send()
    at = Delivery.at

    def cancelled_before(delivery: Delivery, *arguments: Any) -> None:
        if deployed.run_of(message).cancel_reason is None:
            stage.canceller.cancel("dev", deployed.run_of(message).id, "by a test")
            assert deployed.handle(*stage.messages(deployed.function)) == []
            assert deployed.run_of(message).status == Status.CANCELLED
        at(delivery, *arguments)

    monkeypatch.setattr(Delivery, "at", cancelled_before)
    assert deployed.handle(message) == []
    assert len(schedules()) == 1, "it was made when nobody could recall it any more"
    assert len(stage.messages(listening)) == 2
    stage.clock.advance(days=60)
    forget_what_is_over(stage)
    [late] = waiting(stage, deployed.function)
    assert deployed.handle(late) == []
    assert client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"] == []
    assert stage.messages(listening) == [], "those that were started by the end may be forgotten"
    assert stage.dead(deployed.function) == []


def timeouts_message() -> Any:

    [name] = schedules()
    found = client("scheduler").get_schedule(Name=name, GroupName="tidegate")
    return decode_message(found["Target"]["Input"])


def test_a_large_output_is_kept_through_all_sleeps(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def handler(ctx: ContextSync) -> int:
        text = ctx.step.run("text", lambda: ran.append(1) or "x" * 100_000)
        for _ in range(4):
            ctx.step.sleep("long", 366 * DAY)
        return len(text)

    written_ms: dict[str, int] = {}
    note_writing(stage, monkeypatch, written_ms)
    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    for _ in range(4):
        stage.clock.ms = deployed.run_of(message).due_ms or 0
        forget_what_is_old(stage, written_ms)
        forget_what_is_over(stage)
        assert deployed.handle(*waiting(stage, deployed.function)) == []
    run = deployed.run_of(message)
    assert (run.status, run.output, ran) == (Status.COMPLETED, "100000", [1])


def test_what_has_ended_is_kept_no_longer_than_the_retention(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> str:
        ctx.step.wait_for_event("b", event="app/b", timeout=300 * DAY)
        return "x" * 100_000

    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    stage.clock.advance(days=3)
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    run = deployed.run_of(message)
    assert run.status == Status.COMPLETED
    stage.clock.advance(days=stage.settings.retention_days - 1)
    forget_what_is_over(stage)
    assert deployed.run_of(message) == run
    stage.clock.advance(days=2)
    forget_what_is_over(stage)
    assert client("dynamodb").scan(TableName=stage.settings.runs_table)["Items"] == []


def test_steps_are_kept_through_late_retries(stage: Stage) -> None:
    ran: list[int] = []

    def handler(ctx: ContextSync) -> str:
        text = ctx.step.run("text", lambda: ran.append(1) or "x" * 100_000)
        if ctx.attempt < 20:
            raise RetryAfterError("not yet", DAY)
        return text[:1]

    written_ms: dict[str, int] = {}
    stage = replace(stage, settings=replace(stage.settings, retention_days=2))
    deployed = Deployed(stage, handler, retries=20)
    with pytest.MonkeyPatch.context() as patch:
        note_writing(stage, patch, written_ms)
        message = deployed.send()
        deployed.handle(message)
        for _ in range(20):
            stage.clock.ms = deployed.run_of(message).due_ms or 0
            forget_what_is_old(stage, written_ms)
            forget_what_is_over(stage)
            assert deployed.handle(*waiting(stage, deployed.function)) == []
    assert (deployed.run_of(message).output, ran) == ('"x"', [1])


def test_the_steps_of_a_rerun_do_not_need_those_of_the_original(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def write() -> str:
        ran.append(1)
        stage.clock.advance(seconds=1)
        return "x" * 100_000

    def handler(ctx: ContextSync) -> int:
        text = ctx.step.run("text", write)
        ctx.step.run("next", lambda: None)
        return len(text)

    written_ms: dict[str, int] = {}
    note_writing(stage, monkeypatch, written_ms)
    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    original = deployed.run_of(message)
    stage.clock.advance(days=stage.settings.retention_days - 1)
    rerun = Rerun(random_ulid(stage.clock.ms), original.id)
    stage.rerunner.rerun(original, rerun, from_step=StepId("next").hashed)
    stage.clock.advance(days=3)
    forget_what_is_old(stage, written_ms)
    [again] = stage.messages(deployed.function)
    assert deployed.handle(again) == []
    assert (deployed.run_of(again).output, ran) == ("100000", [1])


def test_a_rerun_that_needs_what_is_gone_is_refused(stage: Stage) -> None:
    def write() -> str:
        stage.clock.advance(seconds=1)
        return "x" * 100_000

    def handler(ctx: ContextSync) -> None:
        ctx.step.run("text", write)
        ctx.step.run("next", lambda: None)

    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    original = deployed.run_of(message)
    [kept] = client("s3").list_objects_v2(Bucket=stage.settings.bucket)["Contents"]
    client("s3").delete_object(Bucket=stage.settings.bucket, Key=kept["Key"])
    rerun = Rerun(random_ulid(stage.clock.ms), original.id)
    with pytest.raises(RequestError, match=r"run again from there: payload .* is gone"):
        stage.rerunner.rerun(original, rerun, from_step=StepId("next").hashed)
    assert stage.messages(deployed.function) == []


def test_a_sleep_that_is_over_is_kept_through_the_next_one(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("short", 3 * DAY)
        ctx.step.sleep("long", 60 * DAY)

    deployed = Deployed(stage, handler)
    start_ms = stage.clock.ms
    message = deployed.send()
    deployed.handle(message)
    for _ in range(5):
        for later in waiting(stage, deployed.function):
            stage.clock.ms = max(stage.clock.ms, deployed.run_of(message).due_ms or 0)
            forget_what_is_over(stage)
            deployed.handle(later)
    assert deployed.run_of(message).status == Status.COMPLETED
    assert stage.clock.ms - start_ms == 63 * DAY_MS


def test_a_large_event_is_kept_for_a_run_of_many_short_sleeps(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> int:
        for _ in range(80):
            ctx.step.sleep("half a day", DAY / 2)
        return len(ctx.event.data["text"])

    deployed = Deployed(stage, handler)
    message = deployed.send(data=LARGE)
    deployed.handle(message)
    forgotten = False
    for _ in range(100):
        if not forgotten and stage.clock.ms > message.event.received_ms + 31 * DAY_MS:
            forget_event_bodies(stage)
            forgotten = True
        for later in waiting(stage, deployed.function):
            stage.clock.ms = max(stage.clock.ms, deployed.run_of(message).due_ms or 0)
            assert deployed.handle(later) == []
    assert forgotten
    assert deployed.run_of(message).status == Status.COMPLETED


@pytest.mark.parametrize("timeout", [timedelta(hours=1), 3 * DAY])
def test_a_run_of_a_large_event_waits_after_the_events_retention(
    stage: Stage, timeout: timedelta
) -> None:
    def handler(ctx: ContextSync) -> Any:
        ctx.step.sleep("long", 40 * DAY)
        found = ctx.step.wait_for_event("b", event="app/b", timeout=timeout)
        return (found and found.name, len(ctx.event.data["text"]))

    deployed = Deployed(stage, handler)
    message = deployed.send(data=LARGE)
    deployed.handle(message)
    stage.clock.ms = deployed.run_of(message).due_ms or 0
    forget_event_bodies(stage)
    forget_what_is_over(stage)
    settle(stage, deployed)
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    run = deployed.run_of(message)
    assert run.status == Status.COMPLETED, run.output
    assert run.output == '["app/b",100000]'
