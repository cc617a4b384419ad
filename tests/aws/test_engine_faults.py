"""A run survives crashes, faults of the platform, lost answers and messages that are none."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.aws.conftest import Stage, batch, record_of
from tests.aws.deployed import (
    TIMEOUT_MS,
    Deployed,
    ProcessDied,
    announced,
    counting,
    dies,
    listener,
    raising,
    waiting,
)
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.effect import RunComplete, RunEffect
from tidegate.errors import PlatformError
from tidegate.event_model import Event
from tidegate.host import Host
from tidegate.journal import Journal
from tidegate.message import EventMessage
from tidegate.run import Run, Status
from tidegate.run_store import RunStore

pytestmark = pytest.mark.storage


def test_worker_that_dies_is_replaced_and_the_attempt_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, "done"), retries=1)
    message = deployed.send()
    with monkeypatch.context() as patch:
        dies(patch, "dynamodb.update_item")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    assert deployed.run_of(message).status == Status.RUNNING
    assert deployed.handle(message) != [], "the dead worker's lease still holds: it stays queued"
    assert len(calls) == 1
    stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
    assert deployed.handle(message) == []
    assert [ctx.attempt for ctx in calls] == [0, 1]
    assert deployed.run_of(message).status == Status.COMPLETED


def test_run_whose_workers_all_die_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls), retries=2)
    message = deployed.send()
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "end", raising(ProcessDied()))
            with pytest.raises(ProcessDied):
                deployed.handle(message)
        stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
    assert deployed.handle(message) == []
    assert len(calls) == 3
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    assert "WorkerDied" in (run.output or "")


@pytest.mark.parametrize("kind", ["run", "sleep", "wait"])
@pytest.mark.parametrize("retries", [1, 2])
def test_each_completed_step_gives_a_run_whose_workers_die_its_attempts_back(
    stage: Stage, retries: int, kind: str
) -> None:
    deaths: list[int] = []

    def handler(ctx: ContextSync) -> str:
        for number in range(4):
            if kind == "run":
                ctx.step.run(f"step {number}", work, stage)
            elif kind == "sleep":
                ctx.step.sleep(f"rest {number}", 60_000)
            else:
                ctx.step.wait_for_event(f"wait {number}", event="app/never", timeout=60_000)
            if deaths.count(number) < retries:
                deaths.append(number)
                return "dies"
        return "done"

    deployed = dying(Deployed(stage, handler, retries=retries))
    message = deployed.send()
    drive_through_deaths(deployed, message)
    assert len(deaths) == 4 * retries
    assert deployed.run_of(message).output == '"done"'


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_is_stuck_behind_its_steps_fails_after_all_its_attempts(
    stage: Stage, fails: bool
) -> None:
    attempts: list[int] = []

    def handler(ctx: ContextSync) -> str:
        ctx.step.run("step", work, stage)
        attempts.append(ctx.attempt)
        if fails and len(attempts) == 1:
            raise ValueError("what fails behind the step counts, too")
        return "dies"

    deployed = dying(Deployed(stage, handler, retries=2))
    message = deployed.send()
    drive_through_deaths(deployed, message)
    assert attempts == [0, 1, 2]
    assert "WorkerDied" in (deployed.run_of(message).output or "")


def work(stage: Stage) -> None:
    stage.clock.advance(seconds=1)


@dataclass(frozen=True)
class DyingHost:
    """Calls a function in a process that dies when it returns "dies"."""

    host: Host

    def call(self, run: Run, event: Event, journal: Journal) -> RunEffect:
        effect = self.host.call(run, event, journal)
        if isinstance(effect, RunComplete) and effect.output == '"dies"':
            raise ProcessDied
        return effect


def dying(deployed: Deployed) -> Deployed:
    engine = deployed.worker.engine
    engine = replace(engine, host=DyingHost(engine.host))
    deployed.worker = replace(deployed.worker, engine=engine)
    return deployed


def drive_through_deaths(deployed: Deployed, message: EventMessage) -> None:
    """Handle a run's message until the run has ended, each dead worker's lease kept in time."""
    clock = deployed.stage.clock
    for _ in range(100):
        with contextlib.suppress(ProcessDied):
            deployed.handle(message)
        run = deployed.run_of(message)
        if run.has_ended:
            return
        clock.ms = max(clock.ms, run.due_ms or 0, run.lease_until_ms)
    raise AssertionError("it never ends")


def test_retry_that_was_recorded_but_not_sent_is_sent(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[ContextSync] = []
    deployed = Deployed(stage, counting(calls, ValueError()), retries=1)
    message = deployed.send()
    with monkeypatch.context() as patch:
        dies(patch, "sqs.send_message")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    assert waiting(stage, deployed.function) == []
    assert deployed.handle(message) == [], "redelivered before the retry is due"
    assert len(calls) == 1
    assert deployed.drive() == 1
    assert [ctx.attempt for ctx in calls] == [0, 1]


def test_result_of_a_worker_that_lost_its_lease_is_dropped(stage: Stage) -> None:
    other: list[Callable[[], None]] = []

    def handler(ctx: ContextSync) -> str:
        if other:
            other.pop()()
        return f"attempt {ctx.attempt}"

    deployed = Deployed(stage, handler)
    message = deployed.send()

    def overtake() -> None:
        stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
        deployed.handle(message)

    other.append(overtake)
    assert deployed.handle(message) != [], "its message stays, in case the other one dies"
    assert deployed.run_of(message).output == '"attempt 1"'
    assert deployed.handle(message) == []


def test_result_is_kept_through_a_short_fault(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, "done"))
    message = deployed.send()
    update_item = client("dynamodb").update_item
    faults = [1, 2, 3]

    def flaky(**call: Any) -> Any:
        if faults:
            faults.pop()
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "UpdateItem")
        return update_item(**call)

    monkeypatch.setattr(client("dynamodb"), "update_item", flaky)
    assert deployed.handle(message) == []
    assert len(calls) == 1
    assert deployed.run_of(message).output == '"done"'


def test_fault_before_the_start_leaves_the_message_in_the_queue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send()
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "create", raising(PlatformError("down")))
        assert deployed.handle(message) == [f"message-{message.event.internal_id}"]
    assert calls == []
    assert deployed.handle(message) == []
    assert len(calls) == 1


# --- messages that can never be handled ---------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"internal_id": 5}', '{"name": "app/a"}', "hello"]
)
def test_message_that_is_none_is_dead_lettered_with_the_reason(
    stage: Stage, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    deployed = Deployed(stage, counting([]))
    record = {"messageId": "m", "receiptHandle": "r", "body": body or " ", "attributes": {}}
    good = deployed.send()
    with caplog.at_level(logging.INFO, "tidegate"):
        answer = deployed.worker.handle(batch([record, record_of(good)]), TIMEOUT_MS)
    assert answer == {"batchItemFailures": []}
    [dead] = stage.dead(deployed.function)
    assert dead["body"] == (body or " ")
    assert "not a message of an event" in dead["messageAttributes"]["reason"]["StringValue"]
    assert "message dead-lettered" in caplog.text
    assert deployed.run_of(good).status == Status.COMPLETED, "it blocks no other"


def test_event_whose_payload_is_gone_is_dead_lettered(stage: Stage) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send(data={"text": "x" * 100_000})
    assert message.body_key is not None
    client("s3").delete_object(Bucket=stage.settings.bucket, Key=message.body_key)
    assert deployed.handle(message) == []
    [dead] = stage.dead(deployed.function)
    assert "is gone" in dead["messageAttributes"]["reason"]["StringValue"]


# --- answers that are lost ----------------------------------------------------------------------


def loses_answers(monkeypatch: pytest.MonkeyPatch, operation: str, times: int = 1) -> list[int]:
    """Let the next calls of DynamoDB be applied, and their answers be lost."""
    real = getattr(client("dynamodb"), operation)
    left = list(range(times))

    def call(**arguments: Any) -> Any:
        answer = real(**arguments)
        if left:
            left.pop()
            raise ReadTimeoutError(endpoint_url="https://dynamodb")
        return answer

    monkeypatch.setattr(client("dynamodb"), operation, call)
    return left


def test_run_whose_creation_was_not_confirmed_starts_when_the_message_comes_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore repeats such a call by itself; the store must know its own write."""
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, "done"), retries=0)
    message = deployed.send()
    real = client("dynamodb").put_item

    def twice(**arguments: Any) -> Any:
        with contextlib.suppress(ClientError):
            real(**arguments)
        return real(**arguments)

    monkeypatch.setattr(client("dynamodb"), "put_item", twice)
    assert deployed.handle(message) == []
    assert len(calls) == 1
    assert deployed.run_of(message).output == '"done"'


def test_end_that_was_not_confirmed_is_announced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([], "done"))
    heard = listener(stage, "inngest/function.finished")
    stage.deploy(deployed.function, heard)
    deployed.worker = stage.worker(deployed.function)
    message = deployed.send()
    left = loses_answers(monkeypatch, "update_item")
    assert deployed.handle(message) == []
    assert left == []
    assert len(announced(stage, heard)) == 1


def test_retry_that_was_not_confirmed_is_delivered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls, ValueError()), retries=1)
    message = deployed.send()
    left = loses_answers(monkeypatch, "update_item")
    assert deployed.handle(message) == []
    assert left == []
    deployed.drive()
    assert len(calls) == 2
    assert deployed.run_of(message).status == Status.FAILED


def test_lease_that_was_not_confirmed_is_held(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    deployed = Deployed(stage, counting(calls))
    message = deployed.send(ts=stage.clock.ms + 60_000)
    deployed.handle(message)
    [later] = waiting(stage, deployed.function)
    stage.clock.advance(seconds=60)
    real = client("dynamodb").update_item
    repeated: list[Any] = []

    def twice(**arguments: Any) -> Any:
        if not repeated:
            repeated.append(real(**arguments))
        return real(**arguments)

    monkeypatch.setattr(client("dynamodb"), "update_item", twice)
    assert deployed.handle(later) == []
    assert len(calls) == 1


def test_what_waiting_does_not_mend_is_not_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, counting([]))
    message = deployed.send()

    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "UpdateItem")

    monkeypatch.setattr(client("dynamodb"), "update_item", denied)
    assert deployed.handle(message) != []
    assert stage.clock.slept_s == []


@pytest.mark.parametrize("operation", ["query", "batch_write_item"])
def test_a_short_fault_of_the_steps_costs_no_attempt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """Steps are read when a run goes on, and kept for longer before it sleeps for long."""

    def handler(ctx: ContextSync) -> str:
        ctx.step.run("a", lambda: 1)
        ctx.step.sleep("short", 60_000)
        ctx.step.sleep("long", 40 * 86_400_000)
        return "done"

    deployed = Deployed(stage, handler, retries=0)
    message = deployed.send()
    assert deployed.handle(message) == []
    [later] = waiting(stage, deployed.function)
    stage.clock.advance(seconds=60)
    call = getattr(client("dynamodb"), operation)
    faults = [1, 2, 3]

    def flaky(**arguments: Any) -> Any:
        if faults:
            faults.pop()
            raise ClientError({"Error": {"Code": "InternalServerError"}}, operation)
        return call(**arguments)

    monkeypatch.setattr(client("dynamodb"), operation, flaky)
    assert deployed.handle(later) == []
    assert not faults
    deployed.drive()
    assert deployed.run_of(message).output == '"done"'


def test_a_message_whose_event_is_gone_does_not_end_a_run_that_a_worker_drives(
    stage: Stage,
) -> None:
    sent_back: list[str] = []

    def handler(ctx: ContextSync) -> str:
        gone = EventMessage(replace(message.event, body=""), "events/none", wakes=True)
        sent_back.extend(deployed.handle(gone))
        return "done"

    deployed = Deployed(stage, handler)
    message = deployed.send()
    assert deployed.handle(message) == []
    assert len(sent_back) == 1
    assert deployed.run_of(message).output == '"done"'
