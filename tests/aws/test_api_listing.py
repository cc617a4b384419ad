"""The list of events: newest first, in pages, none twice and none missing."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.rest import Rest, load_handler
from tidegate import listing
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import random_ulid, ulid_at, ulid_ms
from tidegate.partition import partition_of

pytestmark = pytest.mark.storage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NAMES = ("shop/common", "shop/common", "shop/common", "shop/rare", "inngest/function.finished")


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rest:
    return Rest(load_handler(stage, monkeypatch))


def store(stage: Stage, ulids: Iterable[str], name: str = "a", env: str = ENV) -> list[str]:
    """Store an event under each id; the ids, newest first."""
    events = [
        AcceptedEvent(ulid, env, name, stage.clock.ms, 1, event_body_of(name, ulid))
        for ulid in ulids
    ]
    stage.store.put(events)
    return sorted((event.internal_id for event in events), reverse=True)


def event_body_of(name: str, ulid: str) -> str:
    return event_body(name=name, data={}, event_id=ulid, ts=1)


def walk(rest: Rest, query: dict[str, str], *, full: bool = False) -> list[str]:
    """The ids on all pages; each but the last must have as many as asked for, if `full`."""
    ids: list[str] = []
    for _ in range(2_000):
        answer = rest.get("/v1/events", query)
        page = [event["internal_id"] for event in answer.data]
        limit = int(query.get("limit", 20))
        assert len(page) <= limit
        assert len(page) == limit or not full or not answer.metadata["has_more"]
        ids += page
        if not answer.metadata["has_more"]:
            assert answer.metadata["next_cursor"] is None
            return ids
        query = query | {"cursor": answer.metadata["next_cursor"]}
    raise AssertionError("the list never ends")


def listed(rest: Rest, **query: str) -> list[str]:
    return [event["internal_id"] for event in rest.get("/v1/events", query).data]


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


# limit, name, first hour and hours of the range, and how much work a request may do: queries, and
# items in a piece when a name is asked for.
WALKS = [
    (100, None, -96, 120, 256, 250),
    (17, None, -96, 120, 24, 250),
    (25, None, -96, 120, 8, 250),
    (30, "shop/common", -96, 120, 8, 4),
    (12, "shop/common", -96, 120, 256, 2),
    (30, "shop/rare", -96, 120, 256, 2),
    (50, "shop/common", -1, 2, 8, 5),
    (20, "none", -96, 120, 40, 5),
]


def test_pages_have_every_event_once_in_order(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    chance = random.Random(7)
    now = stage.clock.ms
    # Over three days, some of the next hours, and many within the same milliseconds.
    times = [now - chance.randrange(-6 * HOUR_MS, 3 * DAY_MS) for _ in range(100)]
    times += [now - 5_000 + chance.randrange(3) for _ in range(60)]
    names = {ulid_at(ms, chance.randbytes(10)): chance.choice(NAMES) for ms in times}
    for name in set(NAMES):
        store(stage, [ulid for ulid, of in names.items() if of == name], name)
    store(stage, [random_ulid(now) for _ in range(20)], "shop/rare", env="other")
    for limit, asked, first_hour, hours, max_queries, piece in WALKS:
        monkeypatch.setattr(listing, "MAX_QUERIES", max_queries)
        monkeypatch.setattr(listing, "_SELECTIVE_PIECE", piece)
        # The range begins amid events of the same few milliseconds.
        after = now - 4_999 + first_hour * HOUR_MS
        before = after + hours * HOUR_MS
        expected = [
            ulid
            for ulid, name in names.items()
            if after <= ulid_ms(ulid) < before
            and name != "inngest/function.finished"
            and asked in (None, name)
        ]
        query = {"limit": str(limit), "received_after": str(after), "received_before": iso(before)}
        with subtests.test(limit=limit, name=asked, max_queries=max_queries, piece=piece):
            query |= {"name": asked} if asked else {}
            found = walk(rest, query, full=max_queries == 256)
            assert found == sorted(expected, reverse=True)


def test_more_than_fits_into_the_pieces_of_one_round(stage: Stage, rest: Rest) -> None:
    many = (random_ulid(stage.clock.ms) for _ in range(400))
    in_one_shard = [ulid for ulid in many if partition_of(ENV, ulid).endswith("#3")]
    assert len(in_one_shard) > 25
    ids = store(stage, in_one_shard)
    assert listed(rest) == ids[:20]
    assert walk(rest, {}) == ids


def test_page_that_ends_exactly_at_the_last_event_has_no_more(stage: Stage, rest: Rest) -> None:
    ids = store(stage, [random_ulid(stage.clock.ms) for _ in range(3)])
    answer = rest.get("/v1/events", {"limit": "3"})
    assert [event["internal_id"] for event in answer.data] == ids
    assert (answer.metadata["has_more"], answer.metadata["next_cursor"]) == (False, None)


def test_cursor_is_exclusive_and_may_be_any_events_id(stage: Stage, rest: Rest) -> None:
    ids = store(stage, [ulid_at(stage.clock.ms, bytes([*[0] * 9, n])) for n in range(4)])
    assert listed(rest, cursor=ids[1]) == ids[2:]
    assert listed(rest, cursor=ids[1].lower()) == ids[2:]
    assert listed(rest, cursor=ids[3]) == []
    assert listed(rest, cursor="0" * 26) == []


def test_limit_is_20_by_default_and_between_1_and_100(stage: Stage, rest: Rest) -> None:
    ids = store(stage, [random_ulid(stage.clock.ms) for _ in range(110)])
    assert listed(rest) == ids[:20]
    assert listed(rest, limit="") == ids[:20]
    assert listed(rest, limit="0") == ids[:1]
    assert listed(rest, limit="-5") == ids[:1]
    assert listed(rest, limit="1000") == ids[:100]


def test_list_reaches_back_one_hour_by_default_and_one_day_ahead(stage: Stage, rest: Rest) -> None:
    now = stage.clock.ms
    inside = [now - HOUR_MS, now, now + DAY_MS]
    outside = [now - HOUR_MS - 1, now + DAY_MS + 1]
    shown = store(stage, [random_ulid(ms) for ms in inside])
    store(stage, [random_ulid(ms) for ms in outside])
    assert listed(rest) == shown


def test_received_before_alone_shows_the_hour_before_it(stage: Stage, rest: Rest) -> None:
    noon = stage.clock.ms - 2 * DAY_MS
    shown = store(stage, [random_ulid(noon - 1), random_ulid(noon - HOUR_MS)])
    store(stage, [random_ulid(noon), random_ulid(noon - HOUR_MS - 1)])
    assert listed(rest, received_before=str(noon)) == shown


def test_ways_to_write_a_time(stage: Stage, rest: Rest, subtests: pytest.Subtests) -> None:
    seven = 1_759_993_200_000
    [shown] = store(stage, [random_ulid(seven)])
    store(stage, [random_ulid(seven - 1)])
    for text in (
        "2025-10-09T07:00:00Z",
        "2025-10-09T07:00:00.000000000Z",
        "2025-10-09t07:00z",
        "2025-10-09T09:00:00+02:00",
        "2025-10-09T09:00:00 02:00",
        "2025-10-09 07:00:00",
        "1759993200000",
    ):
        with subtests.test(text):
            assert listed(rest, received_after=text) == [shown]


def test_date_is_its_midnight_in_utc(stage: Stage, rest: Rest) -> None:
    midnight = 1_759_968_000_000
    [shown] = store(stage, [random_ulid(midnight)])
    store(stage, [random_ulid(midnight - 1)])
    assert listed(rest, received_after="2025-10-09") == [shown]


def test_long_empty_range_is_given_in_steps(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = store(stage, [random_ulid(stage.clock.ms - 20 * DAY_MS)])
    monkeypatch.setattr(listing, "MAX_QUERIES", 10 * 8)
    query = {"received_after": "2020-01-01", "limit": "1"}
    first = rest.get("/v1/events", query)
    assert (first.data, first.metadata["has_more"]) == ([], True)
    # Ten days of it were looked at, of which the first is tomorrow.
    assert stage.clock.ms - ulid_ms(first.metadata["next_cursor"]) < 9 * DAY_MS
    assert walk(rest, query) == [old]


def test_range_ends_with_the_retention(stage: Stage, rest: Rest) -> None:
    now = stage.clock.ms
    [kept] = store(stage, [random_ulid(now - 30 * DAY_MS)])
    store(stage, [random_ulid(now - 30 * DAY_MS - 1)])
    answer = rest.get("/v1/events", {"received_after": "1970-01-01", "limit": "100"})
    assert [event["internal_id"] for event in answer.data] == [kept]
    assert answer.metadata["has_more"] is False


def test_system_events_are_not_listed_even_by_name(stage: Stage, rest: Rest) -> None:
    [system] = store(stage, [random_ulid(stage.clock.ms)], "inngest/function.failed")
    assert listed(rest) == []
    assert listed(rest, name="inngest/function.failed") == []
    assert rest.get(f"/v1/events/{system}").data["name"] == "inngest/function.failed"


def test_name_is_exact(stage: Stage, rest: Rest) -> None:
    [shown] = store(stage, [random_ulid(stage.clock.ms)], "shop/order")
    store(stage, [random_ulid(stage.clock.ms)], "shop/order.placed")
    assert listed(rest, name="shop/order") == [shown]
    assert listed(rest, name="shop/*") == []


def test_bad_parameter_is_named(rest: Rest, subtests: pytest.Subtests) -> None:
    for name, text in (
        ("cursor", "nonsense"),
        ("cursor", "8" + "0" * 25),
        ("limit", "many"),
        ("limit", "1.5"),
        ("limit", "1e2"),
        ("limit", "9" * 30),
        ("received_after", "yesterday"),
        ("received_after", "2025-13-01"),
        ("received_after", "2025-10-09T25:00:00Z"),
        ("received_after", "1759993200"),
        ("received_after", "2025"),
        ("received_before", "2025-10"),
        ("received_before", "-1"),
    ):
        with subtests.test(name, text=text):
            answer = rest.get("/v1/events", {name: text})
            assert answer.status == answer.body["status"] == 400
            assert answer.body["data"] is None
            assert answer.body["error"].startswith(f"Invalid {name} query parameter: '{text}'")


def test_range_that_ends_before_it_begins_is_refused(rest: Rest) -> None:
    query = {"received_after": "2025-10-09", "received_before": "2025-10-08"}
    answer = rest.get("/v1/events", query)
    assert answer.status == 400
    assert "received_after must be earlier than received_before" in answer.body["error"]
