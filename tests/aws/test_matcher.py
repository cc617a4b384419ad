"""What the matcher gets, what it costs, and what it does with what is broken."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import botocore.client
import pytest

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import Deployed, bodies, function_of, match, settle
from tidegate import ContextSync, Event
from tidegate.event_store import EventStore
from tidegate.run import Status


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Counts the calls of AWS, by operation and table."""
    counted: Counter[tuple[str, str]] = Counter()
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def counting(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        counted[operation, str(arguments.get("TableName", "")).removeprefix("tidegate-")] += 1
        return call(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", counting)
    return counted


def wait(ctx: ContextSync) -> Any:
    found = ctx.step.wait_for_event("b", event="app/b", timeout=timedelta(hours=1))
    return found and found.data


def test_an_event_that_nobody_waits_for_costs_one_read_and_reaches_no_matcher(
    stage: Stage, calls: Counter[tuple[str, str]]
) -> None:
    stage.send({"name": "app/b"})
    assert calls == {
        ("Query", "waits"): 1,
        ("BatchWriteItem", ""): 1,
        ("PublishBatch", ""): 1,
    }
    assert bodies(stage.cloud.matcher.queue_url) == []


def test_each_name_of_a_request_is_asked_for_once(
    stage: Stage, calls: Counter[tuple[str, str]]
) -> None:
    stage.send(*({"name": f"app/{n % 2}", "id": f"{n % 7}-{n % 2}"} for n in range(40)))
    assert calls["Query", "waits"] == 2


def test_only_awaited_events_reach_the_matcher(stage: Stage) -> None:
    deployed = Deployed(stage, wait)
    deployed.handle(deployed.send())
    bodies(stage.cloud.matcher.queue_url)
    ids = stage.send({"name": "app/b"}, {"name": "app/c"}, {"name": "app/b", "id": "mine"})
    found = bodies(stage.cloud.matcher.queue_url)
    assert len(found) == 2
    assert all(any(i in body for body in found) for i in (ids[0], ids[2]))
    stage.send({"name": "app/b"}, env="other")
    assert bodies(stage.cloud.matcher.queue_url) == []


def test_events_that_functions_send_are_waited_for(stage: Stage) -> None:
    def sender(ctx: ContextSync) -> None:
        ctx.step.send_event("send", Event(name="app/b", data={"n": 1}))

    one, other = Deployed.all(
        stage, function_of(wait, fn_id="waits"), function_of(sender, fn_id="sends")
    )
    message = one.send()
    assert one.handle(message) == []
    settle(stage, one, other)
    run = one.run_of(message)
    assert (run.status, run.output) == (Status.COMPLETED, '{"n":1}')


def test_the_matcher_is_given_nothing_once_the_wait_is_over(stage: Stage) -> None:
    deployed = Deployed(stage, wait)
    deployed.handle(deployed.send())
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    stage.send({"name": "app/b"})
    assert bodies(stage.cloud.matcher.queue_url) == []


def test_who_waits_since_a_slow_request_asked_is_asked_about_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request takes so long that a wait which began meanwhile no longer looks for its event."""
    deployed = Deployed(stage, wait)
    message = deployed.send()
    put = EventStore.put

    def slow(store: EventStore, events: Any) -> None:
        if events:
            monkeypatch.setattr(EventStore, "put", put)
            assert deployed.handle(message) == []
            assert len(match(stage)) == 2, "both looks"
            stage.clock.advance(seconds=60)
        put(store, events)

    monkeypatch.setattr(EventStore, "put", slow)
    stage.send({"name": "app/b", "data": {"n": 1}, "id": "with-an-id"})
    settle(stage, deployed)
    assert deployed.run_of(message).output == '{"n":1}'


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"look":["env"]}', '{"env":"dev"}'])
def test_a_broken_message_comes_again_alone(stage: Stage, body: str) -> None:
    deployed = Deployed(stage, wait)
    message = deployed.send()
    deployed.handle(message)
    bodies(stage.cloud.matcher.queue_url)
    stage.send({"name": "app/b", "data": {"n": 1}})
    [good] = bodies(stage.cloud.matcher.queue_url)
    records = [{"messageId": "bad", "body": body}, {"messageId": "good", "body": good}]
    answer = stage.matcher.handle(batch(records))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    settle(stage, deployed)
    assert deployed.run_of(message).output == '{"n":1}'


def test_a_wait_of_a_run_that_has_ended_is_forgotten(stage: Stage) -> None:
    deployed = Deployed(stage, wait)
    message = deployed.send()
    deployed.handle(message)
    [row] = next(stage.waits.waiting_for(ENV, "app/b"))
    stage.send({"name": "app/b"})
    settle(stage, deployed)
    stage.waits.put(row)
    stage.send({"name": "app/b"})
    assert len(match(stage)) == 1
    assert not stage.waits.is_awaited(ENV, "app/b")
    assert bodies(stage.cloud.wiring[deployed.function.id].queue_url) == []
