"""Checking events, and the form they are stored and delivered in."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from tidegate.encoding import decode
from tidegate.errors import RequestError
from tidegate.event import CheckedEvent, check_events, event_body, parse_events
from tidegate.event_model import Event

NOW = 1_760_000_000_000
ULID = "01JQDAE4RQ0000000000000001"


def accept(**event: Any) -> Any:
    [checked] = check_events([event])
    return checked.accept(ULID, "prod", NOW)


def test_what_is_left_out_is_filled_in() -> None:
    accepted = accept(name="a")
    assert (accepted.internal_id, accepted.env, accepted.name) == (ULID, "prod", "a")
    assert (accepted.received_ms, accepted.ts, accepted.sender_id) == (NOW, NOW, None)
    assert decode(accepted.body) == {"name": "a", "data": {}, "id": ULID, "ts": NOW, "user": {}}
    assert accepted.event == Event(name="a", id=ULID, ts=NOW)


def test_what_is_given_is_kept() -> None:
    accepted = accept(name="a", id="mine", ts=NOW + 5, data={"n": 1}, user={"u": 2}, v="3")
    assert (accepted.ts, accepted.sender_id) == (NOW + 5, "mine")
    assert accepted.event == Event(
        name="a", id="mine", ts=NOW + 5, data={"n": 1}, user={"u": 2}, v="3"
    )


def test_the_senders_own_objects_are_left_alone() -> None:
    raw = {"name": "a", "data": {"_inngest": {"x": 1}, "n": 1}}
    [checked] = check_events([raw])
    assert checked.incoming.data == {"n": 1}
    assert raw["data"] == {"_inngest": {"x": 1}, "n": 1}


def test_an_event_of_the_client_is_one_of_the_wire() -> None:
    event = Event(name="a", data={"n": 1}, user={"u": 1}, v="2")
    [checked] = check_events([event.model_dump()])
    assert asdict(checked.incoming) == event.model_dump()


@pytest.mark.parametrize("field", ["name", "id", "v", "data", "user"])
def test_text_that_utf_8_cannot_say_is_refused_in_every_field(field: str) -> None:
    bad = {"x": "\ud800"} if field in ("data", "user") else "\ud800"
    with pytest.raises(RequestError, match=r"^events\[0\]: ") as refused:
        check_events([{"name": "a", field: bad}])
    assert refused.value.status == 400


@pytest.mark.parametrize("data", [{"x": float("nan")}, {"x": {1}}, {"x": b""}, {1: 2}])
def test_python_values_that_are_no_json_are_refused(data: Any) -> None:
    with pytest.raises(RequestError, match=r"^events\[1\]: "):
        check_events([{"name": "a"}, {"name": "a", "data": data}])


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("ts", "1760000000000", "valid integer"),
        ("ts", 1760000000000.0, "valid integer"),
        ("ts", True, "valid integer"),
        ("id", 1, "valid string"),
        ("data", [], "valid dictionary"),
        ("user", "", "valid dictionary"),
        ("v", 2, "valid string"),
    ],
)
def test_no_value_is_turned_into_another_type(field: str, value: Any, fault: str) -> None:
    with pytest.raises(RequestError, match=rf"^events\[0\]: {field}: Input should be a {fault}$"):
        check_events([{"name": "a", field: value}])


def test_null_is_as_good_as_missing() -> None:
    nulls = dict.fromkeys(("data", "id", "ts", "user", "v"))
    assert check_events([{"name": "a", **nulls}]) == check_events([{"name": "a"}])


def test_deep_data_is_refused_and_wide_data_is_not() -> None:
    wide = {"x": [[n] for n in range(1_000)]}
    assert accept(name="a", data=wide).event.data == wide
    deep: Any = 1
    for _ in range(148):
        deep = [deep]
    accept(name="a", data={"x": deep})
    with pytest.raises(RequestError, match="more than 150 levels"):
        accept(name="a", data={"x": [deep]})
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RequestError, match=r"^events\[0\]: "):
        accept(name="a", data={"x": deep})


def test_one_event_is_a_request_of_one() -> None:
    one = parse_events(b' {"name": "a"}\n')
    assert one == parse_events(b'[{"name": "a"}]')
    assert isinstance(one[0], CheckedEvent)
    assert parse_events(b"[]") == []


def test_a_body_always_has_id_ts_and_user() -> None:
    body = event_body(name="a", data={}, event_id="i", ts=1, user=None, v="")
    assert json.loads(body) == {"name": "a", "data": {}, "id": "i", "ts": 1, "user": {}}
