"""What is counted of growth: reads of the matcher and of listings, calls beside other functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.computed_tables import ComputedTables
from bench.grown_stores import ENV, EVENTS, EVERY_MS, EventsOfShard, event_id
from bench.growth import PAGES, matched, page
from bench.scenarios import fan_out
from tidegate.aws import client
from tidegate.local.cloud import Cloud
from tidegate.local.wiring import PREFIX
from tidegate.partition import SHARDS, days_back, partition_of

OLDEST_MS = 1_760_000_000_000


@pytest.fixture
def filled() -> Iterator[list[EventsOfShard]]:
    """A few partitions of the million events, in moto; both forget about it afterwards."""
    days = days_back(ENV, OLDEST_MS + 86_400_000, OLDEST_MS)
    found = [EventsOfShard.of(key, OLDEST_MS) for shards in days for key in shards[:1]]
    partitions = [one for one in found if one is not None]
    cloud = Cloud()
    cloud.start()
    for partition in partitions:
        for number in range(40):
            client("dynamodb").put_item(TableName=f"{PREFIX}-events", Item=partition.item(number))
    yield partitions
    cloud.stop()


def queries(partition: EventsOfShard) -> Iterator[dict[str, Any]]:
    """Queries of a partition's first forty items, as the product makes them."""
    ids = [partition.item(number)["sk"]["S"] for number in (0, 3, 20, 39)]
    for forward in (True, False):
        for oldest, newest in ((ids[0], ids[3]), (ids[1], ids[2]), (ids[2], ids[1])):
            values = {":pk": partition.key, ":oldest": oldest, ":newest": newest}
            query = {
                "KeyConditionExpression": "pk = :pk AND sk BETWEEN :oldest AND :newest",
                "ScanIndexForward": forward,
                "Limit": 7,
            }
            yield query | {"ExpressionAttributeValues": typed(values)}
            yield query | {
                "ExclusiveStartKey": typed({"pk": partition.key, "sk": ids[2]}),
                "ExpressionAttributeValues": typed(values),
            }
            yield query | {
                "FilterExpression": "#name = :name",
                "ExpressionAttributeNames": {"#name": "name"},
                "ExpressionAttributeValues": typed(values | {":name": "bench/name-8"}),
            }


def typed(values: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in values.items()}


def test_computed_tables_answer_as_filled_ones(filled: list[EventsOfShard]) -> None:
    names = ("Items", "Count", "ScannedCount", "LastEvaluatedKey")
    by_key = {partition.key: partition for partition in filled}
    asked = [query for partition in filled for query in queries(partition)]
    table = f"{PREFIX}-events"
    moto = [client("dynamodb").query(TableName=table, **query) for query in asked]
    with ComputedTables(lambda _, key: by_key.get(key)).serving() as tables:
        ours = [client("dynamodb").query(TableName=table, **query) for query in asked]
    for mine, theirs in zip(ours, moto, strict=True):
        assert [mine.get(name) for name in names] == [theirs.get(name) for name in names]
    assert tables.items == sum(answer["ScannedCount"] for answer in moto)
    assert any(answer["ScannedCount"] > answer["Count"] > 0 for answer in moto)


def test_the_million_events_are_all_there_once() -> None:
    newest_ms = OLDEST_MS + EVENTS * EVERY_MS
    found = [
        EventsOfShard.of(key, OLDEST_MS)
        for shards in days_back(ENV, newest_ms + 86_400_000, OLDEST_MS - 86_400_000)
        for key in shards
    ]
    assert sum(len(one) for one in found if one) == EVENTS
    for one in filter(None, found):
        first, last = one.item(0)["sk"]["S"], one.item(len(one) - 1)["sk"]["S"]
        day = one.key.rpartition("#")[0]
        assert partition_of(ENV, first).rpartition("#")[0] == day
        assert partition_of(ENV, last).rpartition("#")[0] == day
        assert event_id(OLDEST_MS, one.first) == first


def test_what_waits_for_other_names_is_not_read() -> None:
    tables, _ = matched(1)
    assert (tables.queries, tables.items, tables.read_units) == (1, 1, 1)


def test_waits_of_the_name_are_read_once_each() -> None:
    tables, _ = matched(2_000)
    # Each read gives up to 1 MB, and the last of the waits is the one that is met.
    assert tables.items == 2_000
    assert tables.queries == 3


@pytest.mark.parametrize("behind", [None, EVENTS // 2, EVENTS // 100])
def test_a_page_costs_the_same_wherever_it_is(behind: int | None) -> None:
    tables, found, _ = page(behind, None)
    assert found == 100
    # A piece of each shard, and some more where a day begins or the clocks of clients are ahead.
    assert tables.queries <= 3 * SHARDS
    assert tables.items <= 500


def test_the_last_page_reads_the_days_that_are_left_once() -> None:
    tables, found, _ = page(*PAGES["last page"])
    assert found == 50
    assert tables.queries <= 30 * SHARDS


def test_a_page_of_a_rare_name_is_bounded() -> None:
    tables, found, _ = page(*PAGES["first page of a name that never was"])
    assert found == 0
    assert tables.queries <= 256
    assert tables.items <= 64_000


def test_a_page_of_a_name_reads_about_what_it_skips() -> None:
    tables, found, _ = page(*PAGES["first page of a name in 100"])
    assert found == 100
    assert tables.items <= 100 * 100 + 2 * SHARDS * 250


def test_fifty_functions_that_do_not_want_an_event_cost_nothing() -> None:
    one, many = fan_out(1), fan_out(50)
    assert len(many.calls) == len(one.calls)
    assert many.dollars_per_million() == one.dollars_per_million()
