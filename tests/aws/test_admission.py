"""No event is lost and none is published under two ids, whatever fails in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import ENV, Stage
from tidegate.aws import client
from tidegate.errors import PlatformError, RequestError
from tidegate.event_model import Event
from tidegate.function import Function, make_function
from tidegate.ids import Seed, ulid_ms
from tidegate.manifest import bucket_lifecycle_days
from tidegate.trigger import TriggerEvent

pytestmark = pytest.mark.storage

SEED = Seed(1_743_130_137_367, bytes(10))


@pytest.fixture
def listener(stage: Stage) -> Function:
    """A function that everything below `app/` reaches."""
    function = make_function(
        lambda ctx: None,
        app_id="test",
        fn_id="listener",
        trigger=TriggerEvent(event="app/*"),
        name=None,
        retries=0,
    )
    stage.deploy(function)
    return function


def fails(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, operation)


class ProcessDied(BaseException):
    """Stands for the end of the process: nothing that is written behind it happens."""


def published_ids(stage: Stage, listener: Function) -> list[str]:
    return [message.event.internal_id for message in stage.messages(listener)]


def test_event_is_stored_and_published(stage: Stage, listener: Function) -> None:
    [internal_id] = stage.send({"name": "app/a", "data": {"n": 9007199254740993}})
    [message] = stage.messages(listener)
    assert message.event.internal_id == internal_id
    stored = stage.store.get(ENV, internal_id, stage.clock.now_ms())
    assert stored is not None
    assert stored.event == message.event.event
    assert stored.event == Event(
        name="app/a", data={"n": 9007199254740993}, id=internal_id, ts=stage.clock.ms
    )


def test_seed_gives_the_ids_of_the_wire_reference(stage: Stage) -> None:
    events = [{"name": "app/a"}, {"name": "app/b"}]
    expected = ["01JQDAE4RQ0000000000000001", "01JQDAE4RQ0000000000000002"]
    assert stage.send(*events, seed=SEED) == expected
    assert stage.send(*events, seed=SEED) == expected


def test_unseeded_ids_are_ordered_within_a_request_and_carry_the_time(stage: Stage) -> None:
    ids = stage.send(*[{"name": "app/a"}] * 50)
    assert len(set(ids)) == 50
    assert {ulid_ms(internal_id) for internal_id in ids} == {stage.clock.ms}


def test_duplicate_gets_the_originals_id_and_is_not_published(
    stage: Stage, listener: Function
) -> None:
    [first] = stage.send({"name": "app/a", "id": "one"})
    [second] = stage.send({"name": "app/b", "id": "one", "data": {"other": True}})
    assert second == first
    [message] = stage.messages(listener)
    assert message.event.name == "app/a"


def test_two_with_one_id_in_a_request_are_duplicates(stage: Stage, listener: Function) -> None:
    ids = stage.send(
        {"name": "app/a", "id": "one"}, {"name": "app/b"}, {"name": "app/c", "id": "one"}
    )
    assert ids[0] == ids[2] != ids[1]
    assert sorted(published_ids(stage, listener)) == sorted(ids[:2])


def test_environments_do_not_share_ids(stage: Stage) -> None:
    [here] = stage.send({"name": "app/a", "id": "one"})
    [there] = stage.send({"name": "app/a", "id": "one"}, env="feature/x")
    assert here != there
    assert stage.store.get("feature/x", here, stage.clock.ms) is None


def test_id_is_free_again_after_24_hours_though_dynamodb_still_has_it(
    stage: Stage, listener: Function
) -> None:
    [first] = stage.send({"name": "app/a", "id": "one"})
    stage.clock.advance(hours=24, seconds=-1)
    assert stage.send({"name": "app/a", "id": "one"}) == [first]
    stage.clock.advance(seconds=1)
    [later] = stage.send({"name": "app/a", "id": "one"})
    assert later != first
    assert published_ids(stage, listener) == [first, later]


def test_very_long_ids_are_told_apart(stage: Stage) -> None:
    [first] = stage.send({"name": "app/a", "id": "x" * 5_000})
    [second] = stage.send({"name": "app/a", "id": "x" * 5_001})
    assert first != second
    assert stage.send({"name": "app/a", "id": "x" * 5_000}) == [first]


@pytest.mark.parametrize("error", [fails("PublishBatch"), ProcessDied()])
def test_retry_publishes_what_was_claimed_but_not_published(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(**_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(client("sns"), "publish_batch", broken)
        with pytest.raises((PlatformError, ProcessDied)):
            stage.send({"name": "app/a", "id": "one"}, seed=SEED)
    assert published_ids(stage, listener) == []
    stage.clock.advance(hours=3)
    ids = stage.send({"name": "app/a", "id": "one"})
    assert ids == [SEED.ulid(1)], "the original's id is kept"
    assert published_ids(stage, listener) == ids
    assert stage.store.contains(ENV, ids[0])
    stage.send({"name": "app/a", "id": "one"})
    assert published_ids(stage, listener) == [], "now it is a duplicate"


def test_retry_publishes_again_when_the_store_failed(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> None:
        raise fails("BatchWriteItem")

    with monkeypatch.context() as patch:
        patch.setattr(client("dynamodb"), "batch_write_item", broken)
        with pytest.raises(PlatformError):
            stage.send({"name": "app/a", "id": "one"})
    first = published_ids(stage, listener)
    ids = stage.send({"name": "app/a", "id": "one"})
    assert published_ids(stage, listener) == ids == first


def test_event_without_id_is_not_published_before_it_is_stored(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> None:
        raise fails("BatchWriteItem")

    monkeypatch.setattr(client("dynamodb"), "batch_write_item", broken)
    with pytest.raises(PlatformError):
        stage.send({"name": "app/a"})
    assert published_ids(stage, listener) == []


def test_senders_racing_with_one_id_get_one_event(stage: Stage, listener: Function) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: stage.send({"name": "app/a", "id": "one"}), range(16)))
    assert len({internal_id for [internal_id] in answers}) == 1
    assert set(published_ids(stage, listener)) == set(answers[0])


def test_large_event_goes_through_the_bucket(stage: Stage, listener: Function) -> None:
    data = {"text": "x" * 300_000}
    [internal_id] = stage.send({"name": "app/a", "data": data})
    [record] = stage.queued(listener)
    assert len(record["body"]) < 1_000
    message = stage.messages(listener)
    assert message == []
    stored = stage.store.get(ENV, internal_id, stage.clock.ms)
    assert stored is not None
    assert stored.event.data == data


@pytest.mark.parametrize("days", [0, 1, 2, 31, 32, 92, 100, 366, 367, 3_000])
def test_body_of_a_future_event_is_kept_until_then_and_not_for_years(
    stage: Stage, listener: Function, days: int
) -> None:
    late = stage.clock.ms + days * 86_400_000
    stage.send({"name": "app/a", "ts": late, "data": {"text": "x" * 100_000}})
    [message] = stage.messages(listener)
    folder = (message.body_key or "").partition("/")[0]
    kept = bucket_lifecycle_days(stage.settings.retention_days)[folder]
    assert days <= kept - stage.settings.retention_days <= (4 * days or 1 if days <= 366 else 3_650)


def test_5000_events_in_one_request(stage: Stage, listener: Function) -> None:
    ids = stage.send(*[{"name": "app/a", "data": {"n": n}} for n in range(5_000)])
    assert len(set(ids)) == 5_000
    assert sorted(published_ids(stage, listener)) == sorted(ids)
    assert stage.store.contains(ENV, ids[0])
    assert stage.store.contains(ENV, ids[-1])


def test_batches_stay_below_what_sns_takes(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    publish_batch = client("sns").publish_batch

    def measured(**call: Any) -> Any:
        entries = call["PublishBatchRequestEntries"]
        sizes.append(sum(len(entry["Message"].encode()) for entry in entries))
        return publish_batch(**call)

    monkeypatch.setattr(client("sns"), "publish_batch", measured)
    stage.send(*[{"name": "app/a", "data": {"text": "é" * 30_000}} for _ in range(12)])
    assert max(sizes) <= 256 * 1024
    assert len(sizes) < 12, "several events share a call"


def test_unprocessed_items_are_written_again(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_write_item = client("dynamodb").batch_write_item
    calls = 0

    def partial(RequestItems: dict[str, list[Any]]) -> Any:
        nonlocal calls
        calls += 1
        [(table, items)] = RequestItems.items()
        keep = len(items) // 2
        batch_write_item(RequestItems={table: items[: keep + 1]})
        return {"UnprocessedItems": {table: items[keep + 1 :]} if items[keep + 1 :] else {}}

    monkeypatch.setattr(client("dynamodb"), "batch_write_item", partial)
    ids = stage.send(*[{"name": "app/a"}] * 20)
    assert calls > 1
    assert all(stage.store.contains(ENV, internal_id) for internal_id in ids)


def test_failed_entries_are_published_again(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_batch = client("sns").publish_batch
    failed_once: set[str] = set()

    def partial(TopicArn: str, PublishBatchRequestEntries: list[Any]) -> Any:
        bad = [e for e in PublishBatchRequestEntries if e["Id"] not in failed_once][:3]
        failed_once.update(e["Id"] for e in bad)
        good = [e for e in PublishBatchRequestEntries if e not in bad]
        if good:
            publish_batch(TopicArn=TopicArn, PublishBatchRequestEntries=good)
        return {"Failed": [{"Id": e["Id"], "Code": "Throttled", "SenderFault": False} for e in bad]}

    monkeypatch.setattr(client("sns"), "publish_batch", partial)
    ids = stage.send(*[{"name": "app/a"}] * 10)
    assert sorted(published_ids(stage, listener)) == sorted(ids)


def test_what_stays_unprocessed_is_an_error_after_bounded_patience(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        client("dynamodb"),
        "batch_write_item",
        lambda RequestItems: {"UnprocessedItems": RequestItems},
    )
    with pytest.raises(PlatformError, match="1 of 1 were refused"):
        stage.send({"name": "app/a"})
    assert sum(stage.clock.slept_s) < 5


def test_what_stays_unpublished_is_an_error(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        client("sns"),
        "publish_batch",
        lambda TopicArn, PublishBatchRequestEntries: {
            "Failed": [{"Id": entry["Id"]} for entry in PublishBatchRequestEntries]
        },
    )
    with pytest.raises(PlatformError, match="could not be published"):
        stage.send({"name": "app/a"})


def test_events_of_a_function_are_checked_as_any_other(stage: Stage) -> None:
    with pytest.raises(RequestError, match=r"events\[1\]: name"):
        stage.admission.send(ENV, [Event(name="app/a"), Event(name="inngest/x")], SEED)


def test_event_of_another_name_waits_until_the_first_is_settled(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(client("sns"), "publish_batch", raises(ProcessDied()))
        with pytest.raises(ProcessDied):
            stage.send({"name": "app/a", "id": "one"}, seed=SEED)
    with pytest.raises(PlatformError, match="on its way"):
        stage.send({"name": "app/b", "id": "one"})
    assert published_ids(stage, listener) == []
    stage.clock.advance(seconds=31)
    assert stage.send({"name": "app/b", "id": "one"}) == [SEED.ulid(1)]
    assert published_ids(stage, listener) == [SEED.ulid(1)]


def test_repeated_request_publishes_again_without_asking(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = stage.send({"name": "app/a", "id": "one"}, seed=SEED)
    monkeypatch.setattr(client("dynamodb"), "get_item", raises(AssertionError("not needed")))
    assert stage.send({"name": "app/a", "id": "one"}, seed=SEED) == ids
    assert published_ids(stage, listener) == ids * 2


def test_throttled_calls_are_repeated(
    stage: Stage, listener: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_batch = client("sns").publish_batch
    left = [1, 2]

    def throttled(**call: Any) -> Any:
        if left:
            left.pop()
            raise fails("PublishBatch")
        return publish_batch(**call)

    monkeypatch.setattr(client("sns"), "publish_batch", throttled)
    assert stage.send({"name": "app/a"}) == published_ids(stage, listener)


def raises(error: BaseException) -> Callable[..., Any]:
    def call(**_: Any) -> Any:
        raise error

    return call
