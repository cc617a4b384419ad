"""Where items lie: found by their id alone, listed day by day."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidegate.ids import random_ulid, ulid_at
from tidegate.partition import SHARDS, days_back, item_key, partition_of

DAY_MS = 86_400_000
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)


def test_an_item_is_found_for_ever() -> None:
    # Items are found by it after an upgrade, too: it must not change.
    ulid = ulid_at(NOON, bytes(10))
    assert item_key("prod", ulid) == {"pk": {"S": "prod#2026-03-01#3"}, "sk": {"S": ulid}}


@given(st.integers(0, 4_102_444_800_000), st.binary(min_size=10, max_size=10))
def test_every_item_is_in_a_partition_of_its_day(ms: int, entropy: bytes) -> None:
    ulid = ulid_at(ms, entropy)
    [day] = list(days_back("prod", ms, ms))
    assert len(set(day)) == SHARDS
    assert partition_of("prod", ulid) in day


def test_all_shards_are_used() -> None:
    assert len({partition_of("prod", random_ulid(NOON)) for _ in range(500)}) == SHARDS


def test_days_are_listed_newest_first_both_ends_included() -> None:
    days = list(days_back("prod", NOON, NOON - DAY_MS))
    assert [day[0] for day in days] == ["prod#2026-03-01#0", "prod#2026-02-28#0"]
    midnight = NOON - DAY_MS // 2
    assert len(list(days_back("prod", midnight, midnight - 1))) == 2
    assert list(days_back("prod", midnight - 1, midnight)) == []


def test_environments_do_not_share_partitions() -> None:
    ulid = ulid_at(NOON, bytes(10))
    envs = ["a", "A", "a#b", "a%23b", "feature/a"]
    assert len({partition_of(env, ulid) for env in envs}) == len(envs)
    # Only two of the three parts may be split off at '#'.
    assert all(partition_of(env, ulid).count("#") == 2 for env in envs)


def test_every_ulid_has_a_partition() -> None:
    assert partition_of("prod", "7" + "Z" * 25).startswith("prod#9999-12-31#")
    assert partition_of("prod", "0" * 26).startswith("prod#1970-01-01#")
