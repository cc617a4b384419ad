"""A stage with several topics: each event reaches the functions that want it, wherever they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, function_of, settle
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.errors import PlatformError
from tidegate.function import Function
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.trigger import TriggerEvent


def fn(fn_id: str, *patterns: str, **options: Any) -> Function:
    triggers = [TriggerEvent(event=pattern) for pattern in patterns]
    return function_of(lambda ctx: None, fn_id=fn_id, trigger=triggers, **options)


def deploy(stage: Stage, shards: dict[Function, int]) -> None:
    """Provision functions, each in its shard, and tell the stage of the topics."""
    functions = Manifest.of(shards).functions
    by_id = {function.id: shard for function, shard in shards.items()}
    stage.manifest = Manifest(tuple(replace(f, shard=by_id[f.id]) for f in functions))
    stage.cloud.provision(stage.manifest)
    stage.settings = replace(stage.settings, topic_arns=stage.cloud.topic_arns)


def names(stage: Stage, function: Function) -> list[str]:
    return [message.event.name for message in stage.messages(function)]


@pytest.fixture
def published(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The topic's number and the number of messages of each call."""
    calls = []
    publish = client("sns").publish_batch

    def publish_batch(**call: Any) -> Any:
        shard = stage.settings.topic_arns.index(call["TopicArn"])
        calls.append((shard, len(call["PublishBatchRequestEntries"])))
        return publish(**call)

    monkeypatch.setattr(client("sns"), "publish_batch", publish_batch)
    return calls


def test_an_event_goes_to_the_topics_where_somebody_wants_it(
    stage: Stage, published: list[tuple[int, int]]
) -> None:
    exact, wild, other = fn("exact", "app/a"), fn("wild", "app/*"), fn("other", "app/b")
    deploy(stage, {exact: 0, wild: 1, other: 2})
    stage.send({"name": "app/a"}, {"name": "app/b"}, {"name": "app/a"})
    assert sorted(published) == [(0, 2), (1, 3), (2, 1)]
    assert names(stage, exact) == ["app/a", "app/a"]
    assert sorted(names(stage, wild)) == ["app/a", "app/a", "app/b"]
    assert names(stage, other) == ["app/b"]


def test_an_event_that_nobody_wants_goes_to_the_first_topic_alone(
    stage: Stage, published: list[tuple[int, int]]
) -> None:
    deploy(stage, {fn("a", "app/a"): 0, fn("b", "app/b"): 1})
    stage.send({"name": "app/else"})
    assert published == [(0, 1)]


def test_ten_events_of_a_shard_are_one_call(stage: Stage, published: list[tuple[int, int]]) -> None:
    deploy(stage, {fn("a", "app/a"): 0, fn("b", "app/b"): 1})
    stage.send(*({"name": "app/b"} for _ in range(12)))
    assert sorted(published) == [(1, 2), (1, 10)]


def test_what_resumes_a_function_that_was_removed_goes_to_its_topic(
    stage: Stage, published: list[tuple[int, int]]
) -> None:
    def sleeps(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", 86_400_000)

    one, other = fn("one", "app/a"), function_of(sleeps, fn_id="other")
    deploy(stage, {one: 0, other: 1})
    stage.send({"name": "app/a"})
    [message] = stage.messages(other)
    stage.worker(other).engine.handle(message, stage.clock.ms + 60_000)
    run_id = run_id_of(ENV, other.id, message.event.internal_id)
    removed = replace(Manifest(()).keeping([other.id]).removed[0], shard=1)
    stage.manifest = Manifest(Manifest.of([one]).functions, (removed,))
    stage.cloud.provision(stage.manifest)
    published.clear()
    stage.canceller.cancel(ENV, run_id, "by a test")
    assert published == [(1, 1)]
    assert len(stage.messages(other)) == 1


def test_what_is_sent_to_a_function_alone_goes_to_its_topic(
    stage: Stage, published: list[tuple[int, int]]
) -> None:
    here, there = fn("here", "app/a"), fn("there", "app/a")
    deploy(stage, {here: 0, there: 1})
    stage.send({"name": "app/a"})
    [message] = stage.messages(there)
    stage.messages(here)
    published.clear()
    stage.bus.send_to(there.id, message)
    assert published == [(1, 1)]
    assert names(stage, there) == ["app/a"]
    assert names(stage, here) == []


def test_a_run_waits_for_an_event_that_only_another_shard_wants(stage: Stage) -> None:
    def wait(ctx: ContextSync) -> Any:
        found = ctx.step.wait_for_event("approval", event="app/approved", timeout=60_000)
        return found and found.name

    waiting = function_of(wait, fn_id="waiting", trigger=TriggerEvent(event="app/a"))
    deploy(stage, {fn("first", "app/x"): 0, waiting: 1, fn("approved", "app/approved"): 2})
    deployed = Deployed.__new__(Deployed)
    deployed._run(stage, waiting)
    message = deployed.send()
    assert deployed.handle(message) == []
    stage.send({"name": "app/approved"})
    settle(stage, deployed)
    assert deployed.run_of(message).status == "Completed"


def test_a_function_that_changes_its_shard_loses_nothing(stage: Stage) -> None:
    moving, staying = fn("moving", "app/a"), fn("staying", "app/a")
    deploy(stage, {moving: 0, staying: 0})
    stage.send({"name": "app/a"})
    deploy(stage, {moving: 1, staying: 0})
    stage.send({"name": "app/a"})
    assert len(names(stage, moving)) == len(names(stage, staying)) == 2
    topics = [one["TopicArn"] for one in client("sns").list_subscriptions()["Subscriptions"]]
    assert len(topics) == 3, "no subscription is left behind on its old topic"


def test_no_event_is_accepted_that_one_of_its_topics_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = fn("first", "app/a"), fn("second", "app/a")
    deploy(stage, {first: 0, second: 1})
    publish = client("sns").publish_batch

    def publish_batch(**call: Any) -> Any:
        if call["TopicArn"] == stage.settings.topic_arns[1]:
            raise ClientError({"Error": {"Code": "InternalError"}}, "PublishBatch")
        return publish(**call)

    with monkeypatch.context() as patch:
        patch.setattr(client("sns"), "publish_batch", publish_batch)
        with pytest.raises(PlatformError):
            stage.send({"name": "app/a", "id": "order-1"})
    [internal_id] = stage.send({"name": "app/a", "id": "order-1"})
    assert {m.event.internal_id for m in stage.messages(first)} == {internal_id}, "the same run"
    assert [m.event.internal_id for m in stage.messages(second)] == [internal_id]


def test_a_topic_that_is_not_known_yet_is_a_passing_fault(stage: Stage) -> None:
    topics = stage.settings.topic_arns
    deploy(stage, {fn("a", "app/a"): 0, fn("b", "app/b"): 1})
    stage.settings = replace(stage.settings, topic_arns=topics)
    with pytest.raises(PlatformError, match="topic of shard 1 is not known") as caught:
        stage.send({"name": "app/b"})
    assert caught.value.is_passing
    assert stage.send({"name": "app/a"})


def test_a_manifest_keeps_the_shards() -> None:
    [function] = Manifest.of([fn("a", "app/*")]).functions
    manifest = Manifest((replace(function, shard=3),))
    assert Manifest.decode(manifest.encode()).shards_of("app/a") == {3}
    assert manifest.shards == 4
    assert manifest.shards_of("shop/a") == set()
