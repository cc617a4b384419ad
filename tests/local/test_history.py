"""The dev server drops what is long over, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.conftest import stage as stage
from tests.aws.deployed import Deployed, counting, function_of, listener, raising
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.errors import NonRetriableError
from tidegate.ids import random_ulid
from tidegate.local import history
from tidegate.local.cloud import BUCKET
from tidegate.local.history import History
from tidegate.message import EventMessage
from tidegate.run import Rerun, Status

LARGE = "x" * 70_000


def trim(stage: Stage, events: int = 0, **bounds: int) -> int:
    """Drop what is beyond some bounds; gives how many events that were."""
    return History(stage.cloud.tables, BUCKET, stage.clock, events=events, **bounds).trim()


def tables(stage: Stage) -> dict[str, int]:
    """How many items each table has, if any."""
    described = {
        what: client("dynamodb").describe_table(TableName=name)["Table"]["ItemCount"]
        for what, name in stage.cloud.tables.items()
    }
    return {what: count for what, count in described.items() if count}


def objects() -> list[str]:
    return [one["Key"] for one in client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def stored(stage: Stage, message: EventMessage) -> bool:
    return stage.store.contains(message.event.env, message.event.internal_id)


def two_steps(ctx: ContextSync) -> str:
    ctx.step.run("a", lambda: 1)
    return ctx.step.run("b", lambda: "done")


def test_the_oldest_that_are_over_are_dropped_with_all_that_they_started(stage: Stage) -> None:
    deployed = Deployed(stage, two_steps)
    messages = []
    for number in range(5):
        messages.append(deployed.send(id=f"id-{number}"))
        assert deployed.handle(messages[-1]) == []
        stage.clock.advance(seconds=1)
    assert tables(stage) == {"dedup": 5, "events": 5, "runs": 5, "steps": 10}
    stage.clock.advance(seconds=60)
    assert trim(stage, 5) == 0
    assert trim(stage, 2) == 3
    assert tables(stage) == {"dedup": 2, "events": 2, "runs": 2, "steps": 4}
    assert [stored(stage, message) for message in messages] == [False, False, False, True, True]
    assert deployed.run_of(messages[3]).status == Status.COMPLETED
    assert trim(stage, 2) == 0


def test_large_payloads_go_and_they_count(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run("s", lambda: LARGE) + "y")
    for number in range(3):
        assert deployed.handle(deployed.send(data={"pad": LARGE})) == []
        stage.clock.advance(seconds=1 + number)
    assert len(objects()) == 9, "of each the event, the step and the output"
    stage.clock.advance(seconds=60)
    assert trim(stage, 100, max_bytes=500_000) == 1
    assert len(objects()) == 6
    assert trim(stage, 100, max_bytes=100_000) == 2
    assert objects() == []
    assert tables(stage) == {}


def asleep(stage: Stage) -> EventMessage:
    """A run that sleeps."""
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("nap", 3_600_000))
    message = deployed.send()
    assert deployed.handle(message) == []
    deployed.stage.receive(stage.cloud.wiring[deployed.function.id].queue_url)
    return message


def in_the_queue_of_another_function(stage: Stage) -> EventMessage:
    """A run has ended, and another function has not got the event yet."""
    deployed = Deployed(stage, counting([]), listener(stage, "app/a"))
    message = deployed.send()
    assert deployed.handle(message) == []
    return message


def being_handled(stage: Stage) -> EventMessage:
    """A message that somebody has received and not deleted."""
    deployed = Deployed(stage, counting([]))
    stage.send({"name": "app/a"})
    url = stage.cloud.wiring[deployed.function.id].queue_url
    [message] = client("sqs").receive_message(QueueUrl=url)["Messages"]
    return EventMessage.decode(message["Body"])


def dead(stage: Stage) -> EventMessage:
    """A message in the dead-letter queue."""
    deployed = Deployed(stage, counting([]))
    message = deployed.send()
    client("sqs").send_message(
        QueueUrl=stage.cloud.wiring[deployed.function.id].dead_letter_url,
        MessageBody=message.encode(),
    )
    return message


def scheduled(stage: Stage) -> EventMessage:
    """A message that Scheduler is to deliver."""
    deployed = Deployed(stage, counting([]))
    message = deployed.send()
    due_ms = stage.clock.ms + 86_400_000
    deployed.worker.engine.delivery.at(due_ms, message.encode(), message.event.internal_id)
    return message


def to_be_repeated(stage: Stage) -> EventMessage:
    """A run that has ended, and whose rerun has been noted and not begun."""
    deployed = Deployed(stage, counting([]))
    message = deployed.send()
    assert deployed.handle(message) == []
    run = deployed.run_of(message)
    stage.clock.advance(seconds=1)
    stage.rerunner.rerun(run, Rerun(random_ulid(stage.clock.ms), run.id))
    stage.receive(stage.cloud.wiring[deployed.function.id].queue_url)
    return message


@pytest.mark.parametrize(
    "unfinished",
    [asleep, in_the_queue_of_another_function, being_handled, dead, scheduled, to_be_repeated],
)
def test_what_is_unfinished_is_never_dropped(stage: Stage, unfinished: Any) -> None:
    message = unfinished(stage)
    before = tables(stage)
    stage.clock.advance(days=20)
    assert trim(stage) == 0
    assert tables(stage) == before
    assert stored(stage, message)


def test_a_message_that_can_only_resume_a_run_that_has_ended_keeps_nothing(stage: Stage) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send()
    assert deployed.handle(message) == []
    later = message.kept_until(stage.clock.ms, stage.store.payloads)
    url = stage.cloud.wiring[deployed.function.id].queue_url
    client("sqs").send_message(QueueUrl=url, MessageBody=later.encode())
    stage.clock.advance(seconds=60)
    assert trim(stage) == 1
    assert deployed.handle(later) == [], "it is of no use, and does no harm"
    assert tables(stage) == {}


def test_what_has_just_happened_is_kept(stage: Stage) -> None:
    deployed = Deployed(stage, counting([]))
    assert deployed.handle(deployed.send()) == []
    stage.send({"name": "app/unwanted"})
    stage.send({"name": "app/awaited"})
    waiting = Deployed(
        stage, lambda ctx: ctx.step.wait_for_event("w", event="app/awaited", timeout=86_400_000)
    )
    assert waiting.handle(waiting.send()) == []
    for seconds, dropped in ((10, 0), (1, 1), (18, 0), (2, 1), (28, 0), (2, 1)):
        stage.clock.advance(seconds=seconds)
        assert trim(stage) == dropped
    assert tables(stage) == {"events": 1, "runs": 1, "steps": 1, "waits": 1}


def test_a_duplicate_of_what_was_dropped_is_an_event_of_its_own(stage: Stage) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls), idempotency="event.data.key")
    first = deployed.send(id="mine", data={"key": "k"})
    assert deployed.handle(first) == []
    stage.clock.advance(seconds=60)
    assert trim(stage, 1) == 0
    assert stage.send({"name": "app/a", "id": "mine"}) == [first.event.internal_id]
    assert stage.queued(deployed.function) == []
    assert trim(stage, 0) == 1
    second = deployed.send(id="mine", data={"key": "k"})
    assert second.event.internal_id != first.event.internal_id
    assert deployed.handle(second) == []
    assert len(calls) == 2


def test_failures_are_over_too(stage: Stage) -> None:
    deployed = Deployed(stage, raising(NonRetriableError("no")))
    assert deployed.handle(deployed.send()) == []
    stage.clock.advance(seconds=60)
    assert trim(stage) == 1
    assert tables(stage) == {}


def test_of_other_environments_too(stage: Stage) -> None:
    stage.deploy(function_of(counting([])))
    stage.send({"name": "app/unwanted"}, env="feature/a b#c")
    stage.clock.advance(seconds=60)
    assert trim(stage) == 1
    assert tables(stage) == {}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(history, "_AGAIN_S", 0.02)
    monkeypatch.setattr(history, "_GROWN_ITEMS", 3)


@pytest.mark.usefixtures("impatient")
def test_it_is_done_by_itself(stage: Stage) -> None:
    stage.deploy(function_of(counting([])))
    keeper = History(stage.cloud.tables, BUCKET, stage.clock, events=2)
    keeper.start()
    stage.send(*({"name": "app/unwanted"} for _ in range(6)))
    assert tables(stage) == {"events": 6}
    stage.clock.advance(seconds=60)
    end = time.monotonic() + 30
    while tables(stage) != {"events": 2} and time.monotonic() < end:
        time.sleep(0.01)
    keeper.stop()
    assert tables(stage) == {"events": 2}


def test_partitions_with_nothing_in_them_go(stage: Stage) -> None:
    deployed = Deployed(stage, two_steps)
    assert deployed.handle(deployed.send()) == []
    stage.clock.advance(seconds=60)
    trim(stage)
    keeper = History(stage.cloud.tables, BUCKET, stage.clock)
    for name in ("events", "runs", "steps", "waits"):
        assert not keeper._table(name).items
