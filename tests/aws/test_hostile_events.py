"""Whatever is sent to the Event API: refused with a reason and no trace, or run to the end."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import hostile
from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed
from tests.aws.footprint import changed, footprint
from tests.aws.rest import Rest, load_handler
from tests.gateway import Answer, ask, request
from tidegate.context import ContextSync
from tidegate.ids import run_id_of
from tidegate.ingest import Ingest
from tidegate.key import OpenKeys
from tidegate.settings import MAX_REQUEST_BYTES
from tidegate.trigger import TriggerEvent

# A message is for people: one that repeats what was sent would be as long as that.
LONGEST_ERROR = 1_001

GOOD = {"name": "app/good", "id": "good", "data": {"n": 1}}
# Where the hostile value is.
PLACES: dict[str, Any] = {
    "alone": "HERE",
    "name": {"name": "HERE"},
    "data": {"name": "app/a", "data": "HERE"},
    "in data": {"name": "app/a", "data": {"n": "HERE"}, "id": "mine"},
    "id": {"name": "app/a", "id": "HERE"},
    "ts": {"name": "app/a", "ts": "HERE"},
    "user": {"name": "app/a", "user": {"u": "HERE"}},
    "v": {"name": "app/a", "v": "HERE"},
    "another field": {"name": "app/a", "other": "HERE"},
    "behind a good event": [GOOD, {"name": "app/a", "data": {"n": "HERE"}}],
    "before a good event": ["HERE", GOOD],
}


class Door:
    """The Event API on a stage, a function that wants all events, and the REST API."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.got: list[str] = []
        self.deployed = Deployed(stage, self._take, trigger=TriggerEvent(event="app/*"))
        self.rest = Rest(load_handler(stage, monkeypatch))
        self._ingest = Ingest(OpenKeys(ENV), stage.admission, MAX_REQUEST_BYTES)

    def _take(self, ctx: ContextSync) -> Any:
        self.got.append(ctx.run_id)
        # A step may give 4 MiB, which is less than what an event may have.
        fits = len(json.dumps(ctx.event.data)) < hostile.MIB
        return ctx.step.run("echo", lambda: ctx.event.data if fits else list(ctx.event.data))

    def send(self, body: bytes, **headers: str) -> Answer:
        """The answer to a body, after checking what holds for all of them."""
        before = footprint(self.stage)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = ask(self._ingest.handle, request(body, headers=named))
        if answer.status == 200:
            self._run_to_the_end(answer.content["ids"])
        else:
            assert answer.status in (400, 413, 415), answer.error
            assert len(answer.error) <= LONGEST_ERROR
            assert changed(before, footprint(self.stage)) == set()
        return answer

    def _run_to_the_end(self, ids: list[str]) -> None:
        """What is accepted arrives, runs, and is shown."""
        messages = self.stage.messages(self.deployed.function)
        assert {message.event.internal_id for message in messages} <= set(ids)
        for message in messages:
            assert self.deployed.handle(message) == []
        assert self.stage.dead(self.deployed.function) == []
        for event_id in ids[:3]:
            assert self.rest.get(f"/v1/events/{event_id}").status == 200
        wanted = [message for message in messages if message.event.name.startswith("app/")]
        for message in wanted[:3]:
            run_id = run_id_of(ENV, self.deployed.function.id, message.event.internal_id)
            assert self.rest.get(f"/v1/runs/{run_id}").data["status"] == "Completed"
            assert run_id in self.got
            self.rest.get(f"/v1/runs/{run_id}/steps")


@pytest.fixture
def door(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(stage, monkeypatch)


@pytest.mark.parametrize("value", hostile.VALUES.values(), ids=hostile.VALUES.keys())
def test_a_value_at_any_place(door: Door, value: bytes) -> None:
    statuses = {
        place: door.send(hostile.in_place(value, template)).status
        for place, template in PLACES.items()
    }
    # What is of no use where it stands is refused there, however good the rest is.
    assert statuses["alone"] != 200 or value.startswith(b"[")
    assert statuses["before a good event"] != 200
    assert statuses["behind a good event"] == statuses["in data"]
    try:
        json.loads(value.decode(), parse_constant=pytest.fail)
    except (ValueError, RecursionError, pytest.fail.Exception):
        assert 200 not in statuses.values(), "it is no JSON, wherever it stands"


@pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS.keys())
def test_a_text(door: Door, text: bytes) -> None:
    plain = door.send(text)
    assert plain.status == 200 if text.endswith(b'"name":"a"}') else plain.status in (400, 413)
    assert door.send(gzip.compress(text, 1), content_encoding="gzip").status == plain.status


@pytest.mark.parametrize("data", hostile.GZIPS.values(), ids=hostile.GZIPS.keys())
def test_what_says_that_it_is_gzip(door: Door, data: bytes) -> None:
    assert door.send(data, content_encoding="gzip").status in (400, 413)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip;q=1", "\x00", "x" * 10_000, "ÿ"])
def test_an_encoding_that_nobody_understands(door: Door, encoding: str) -> None:
    assert door.send(b'{"name":"app/a"}', content_encoding=encoding).status == 415


@pytest.mark.parametrize("body", ["", "%%%", "eyJ", "é", "\x00", "e" * 100_001])
def test_a_body_that_is_no_base64(door: Door, body: str) -> None:
    event = request("")
    answer = ask(door._ingest.handle, event | {"body": body, "isBase64Encoded": True})
    assert answer.status == 400
    assert footprint(door.stage) == {}


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(
    hostile.JSON_TEXTS,
    st.sampled_from(list(PLACES.values())),
    st.sampled_from(["", "gzip"]),
)
def test_anything_in_anything(door: Door, value: bytes, place: Any, encoding: str) -> None:
    body = hostile.in_place(value, place)
    door.send(gzip.compress(body, 1) if encoding else body, content_encoding=encoding)
