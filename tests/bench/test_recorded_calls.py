from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.dynamodb_units import Units, item_bytes
from bench.prices import dollars, http_chunks, message_chunks
from bench.recorded_calls import Recorder
from tidegate.aws import client, concurrently
from tidegate.local.cloud import Cloud
from tidegate.local.wiring import PREFIX

EVENTS = f"{PREFIX}-events"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    cloud = Cloud()
    cloud.start()
    try:
        with Recorder() as made:
            yield made
    finally:
        cloud.stop()


def put(key: str, size: int = 0) -> None:
    item = {"pk": {"S": key}, "sk": {"S": "s"}, "text": {"S": "x" * size}}
    client("dynamodb").put_item(TableName=EVENTS, Item=item)  # type: ignore[arg-type]


def get(key: str, consistent: bool = True) -> None:
    client("dynamodb").get_item(
        TableName=EVENTS, Key={"pk": {"S": key}, "sk": {"S": "s"}}, ConsistentRead=consistent
    )


def units(recorder: Recorder) -> list[Units]:
    return [call.units for call in recorder.calls]


def test_calls_beside_each_other_are_one_round_trip(recorder: Recorder) -> None:
    with recorder.during("ingest"):
        concurrently(put, ["a", "b", "c"])
        put("d")
    assert sorted(call.round_trips for call in recorder.calls) == [1, 1, 1, 2]
    assert {call.stage for call in recorder.calls} == {"ingest"}


def test_what_follows_a_call_in_a_thread_is_behind_it(recorder: Recorder) -> None:
    def twice(key: str) -> None:
        put(key)
        get(key)

    with recorder.during("worker"):
        put("first")
        concurrently(twice, ["a", "b"])
        get("a")
    assert sorted(call.round_trips for call in recorder.calls) == [1, 2, 2, 3, 3, 4]


def test_each_invocation_begins_anew(recorder: Recorder) -> None:
    for stage in ("ingest", "worker"):
        with recorder.during(stage):
            put("a")
    assert [(call.stage, call.round_trips) for call in recorder.calls] == [
        ("ingest", 1),
        ("worker", 1),
    ]


def test_units_follow_the_size_of_the_item(recorder: Recorder) -> None:
    put("small", 900)
    put("large", 4_900)
    put("large", 100)  # the larger one of before and after counts
    get("large")
    put("large", 4_900)
    get("large")
    get("large", consistent=False)
    get("none")
    assert units(recorder) == [
        Units(write=1),
        Units(write=5),
        Units(write=5),
        Units(read=1),
        Units(write=5),
        Units(read=2),
        Units(read=1),
        Units(read=1),
    ]


def test_a_write_whose_condition_fails_is_charged(recorder: Recorder) -> None:
    put("a", 2_000)
    with pytest.raises(client("dynamodb").exceptions.ConditionalCheckFailedException):
        client("dynamodb").put_item(
            TableName=EVENTS,
            Item={"pk": {"S": "a"}, "sk": {"S": "s"}},
            ConditionExpression="attribute_not_exists(pk)",
        )
    assert units(recorder) == [Units(write=2), Units(write=2)]


def test_a_query_is_charged_for_what_it_goes_through(recorder: Recorder) -> None:
    for number in range(10):
        item = {"pk": {"S": "p"}, "sk": {"S": str(number)}, "text": {"S": "x" * 1_000}}
        client("dynamodb").put_item(TableName=EVENTS, Item=item)  # type: ignore[arg-type]
    client("dynamodb").query(
        TableName=EVENTS,
        KeyConditionExpression="pk = :p",
        FilterExpression="attribute_exists(nothing)",
        ExpressionAttributeValues={":p": {"S": "p"}},
        ConsistentRead=True,
    )
    assert units(recorder)[-1] == Units(read=3)


def test_sizes_of_items() -> None:
    item = {"pk": {"S": "äb"}, "n": {"N": "1760000000001"}, "yes": {"BOOL": True}}
    assert item_bytes(item) == (2 + 3) + (1 + 8) + (3 + 1)
    assert item_bytes({"l": {"L": [{"S": "ab"}]}}) == 1 + 3 + 1 + 2


def test_the_size_of_a_batch_is_what_is_charged(recorder: Recorder) -> None:
    topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
    entries = [{"Id": str(n), "Message": "x" * 10_000} for n in range(10)]
    client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)  # type: ignore[arg-type]
    assert recorder.calls[-1].usage == {"SNS publish": 2}


def test_prices() -> None:
    assert dollars({"DynamoDB write unit": 1_000_000, "SQS request": 500_000}) == pytest.approx(
        0.825
    )
    assert [message_chunks(size) for size in (0, 65_536, 65_537)] == [1, 1, 2]
    assert [http_chunks(size) for size in (0, 524_288, 524_289)] == [1, 1, 2]
