"""Whatever is sent: no 5xx, all or nothing, and what is accepted arrives as it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage
from tests.clock import FakeClock
from tests.gateway import ask, request
from tidegate.aws import client
from tidegate.encoding import decode, encode
from tidegate.event import MAX_TS_MS, MIN_TS_MS
from tidegate.ids import Seed, is_ulid
from tidegate.ingest import Ingest
from tidegate.key import OpenKeys
from tidegate.local.cloud import Cloud
from tidegate.manifest import Manifest
from tidegate.message import decode_message
from tidegate.settings import Settings

LIMIT = 8 * 1024

QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclass
class Open:
    """The Event API on a stage, and a queue that gets every event.

    Attributes:
        owners: by environment and sender's id, the internal id of the first event that had it.
    """

    stage: Stage
    queue_url: str
    owners: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def ingest(self) -> Ingest:
        return Ingest(OpenKeys(ENV), self.stage.admission, LIMIT)

    def items(self) -> int:
        """How many events and sender's ids are stored."""
        tables = (self.stage.settings.events_table, self.stage.settings.dedup_table)
        described = [client("dynamodb").describe_table(TableName=name) for name in tables]
        return sum(table["Table"]["ItemCount"] for table in described)

    def arrived(self) -> dict[str, dict[str, Any]]:
        """The events that came to the queue, by internal id."""
        records = self.stage.receive(self.queue_url)
        messages = [decode_message(record["body"]) for record in records]
        return {m.event.internal_id: decode(m.event.body) for m in messages}


@pytest.fixture
def api() -> Iterator[Open]:
    """One stage for all examples of a test: each finds what others left behind, as requests do."""
    cloud = Cloud()
    cloud.start()
    cloud.provision(Manifest(functions=()))
    sqs = client("sqs")
    queue_url = sqs.create_queue(QueueName="everything")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    client("sns").subscribe(
        TopicArn=cloud.topic_arns[0],
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    yield Open(Stage(cloud, FakeClock(), Settings.read(cloud.ingest_environment())), queue_url)
    cloud.stop()


# --- what is sent -------------------------------------------------------------------------------

TEXT = st.text(max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**90), 2**90)
    | TEXT
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
OBJECTS = st.dictionaries(TEXT | st.just("_inngest"), VALUES, max_size=4)
TIMES = st.none() | st.just(0) | st.integers(MIN_TS_MS, MAX_TS_MS)
SENDER_IDS = st.none() | st.sampled_from(["", "one", "two", "#", "ü" * 300]) | st.text(max_size=4)

GOOD_EVENTS = st.fixed_dictionaries(
    {"name": st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=9)},
    optional={
        "data": OBJECTS | st.none(),
        "id": SENDER_IDS,
        "ts": TIMES,
        "user": OBJECTS | st.none(),
        "v": TEXT | st.none(),
        "more": VALUES,
    },
)
NEAR_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXT | VALUES | st.sampled_from(["inngest/x", "x" * 257, "\x00"]),
        "data": OBJECTS | VALUES,
        "id": SENDER_IDS | VALUES,
        "ts": TIMES | st.integers() | VALUES,
        "user": VALUES,
        "v": VALUES,
    },
)
BODIES = st.one_of(
    GOOD_EVENTS.map(encode),
    st.lists(GOOD_EVENTS, max_size=5).map(encode),
    st.lists(GOOD_EVENTS | NEAR_EVENTS, max_size=4).map(encode),
    VALUES.map(encode),
).map(str.encode)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A body in which something was overwritten."""
    body = draw(BODIES)
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]


SEEDS = st.builds(
    Seed, st.integers(1, 2**48 - 1) | st.just(2**48 - 1), st.binary(min_size=10, max_size=10)
).map(lambda seed: seed.header)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-encoding": st.sampled_from(["", "identity", "gzip", "br"]) | TEXT,
        "x-inngest-event-id-seed": SEEDS | TEXT | st.builds("{},{}".format, st.integers(), TEXT),
        "x-inngest-env": st.sampled_from(["", ENV, "feature/a", "b%#c"]) | TEXT,
        "authorization": TEXT | TEXT.map("Bearer {}".format),
        "content-type": TEXT,
    },
)
# Python's texts can hold halves of characters; a gateway should not send them, and may.
ANY_TEXT = st.lists(st.characters() | st.sampled_from("\ud800\udfff%/"), max_size=12).map("".join)
ANYTHING = st.builds(
    request,
    st.binary(max_size=60) | ANY_TEXT | BODIES | damaged() | BODIES.map(gzip.compress),
    method=st.sampled_from(["POST", "GET", "OPTIONS", "post"]) | ANY_TEXT,
    path=st.sampled_from(["/e/k", "/e", "/health", "/e/%ff%"])
    | ANY_TEXT
    | ANY_TEXT.map("/e/{}".format),
    headers=HEADERS | st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3),
)
EVENTS = BODIES | damaged() | st.binary(min_size=LIMIT - 2, max_size=LIMIT + 2)
EVENT_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-inngest-event-id-seed": SEEDS | TEXT,
        "x-inngest-env": st.sampled_from([ENV, "feature/a", "b%#c"]),
    },
)


# --- what holds ---------------------------------------------------------------------------------


@QUICK
@given(ANYTHING)
def test_no_request_is_answered_with_a_5xx_and_what_is_refused_leaves_nothing(
    api: Open, event: dict[str, Any]
) -> None:
    before = api.items()
    answer = ask(api.ingest.handle, event)  # checks the shape of failures, too
    assert answer.status < 500
    if answer.status == 200 and event["rawPath"] != "/health":
        assert answer.content.keys() == {"ids", "status"}
        api.arrived()
    else:
        assert api.items() == before
        assert api.arrived() == {}


@QUICK
@given(EVENTS, EVENT_HEADERS)
def test_a_200_means_that_every_event_arrives_as_it_was_sent(
    api: Open, body: bytes, headers: dict[str, str]
) -> None:
    before = api.items()
    answer = ask(api.ingest.handle, request(body, headers=headers))
    assert answer.status in (200, 400, 413)
    arrived = api.arrived()
    if answer.status != 200:
        assert (arrived, api.items()) == ({}, before)
        return
    assert answer.content.keys() == {"ids", "status"}
    ids = answer.content["ids"]
    assert all(is_ulid(internal_id) for internal_id in ids)
    env = headers.get("x-inngest-env", ENV)
    parsed = json.loads(body)
    sent = parsed if isinstance(parsed, list) else [parsed]
    expected: dict[str, str] = {}
    for event, internal_id in zip(sent, ids, strict=True):
        sender_id = event.get("id") or None
        is_first = sender_id is None or (env, sender_id) not in api.owners
        if sender_id is not None:
            assert internal_id == api.owners.setdefault((env, sender_id), internal_id)
        if is_first:
            expected[internal_id] = received(event, internal_id, api.stage.clock.ms)
    bodies = {internal_id: encode(event) for internal_id, event in arrived.items()}
    # A repeated request, by its seed, is published again under the ids that it had.
    again = bodies.keys() - expected.keys()
    assert again <= set(ids) & set(api.owners.values())
    assert {internal_id: bodies[internal_id] for internal_id in bodies.keys() - again} == expected
    assert all(api.stage.store.contains(env, internal_id) for internal_id in ids)


def received(sent: dict[str, Any], internal_id: str, now_ms: int) -> str:
    """An event as functions get it."""
    event = {
        "name": sent["name"],
        "data": {key: one for key, one in (sent.get("data") or {}).items() if key != "_inngest"},
        "id": sent.get("id") or internal_id,
        "ts": sent.get("ts") or now_ms,
        "user": sent.get("user") or {},
    }
    return encode(event | ({"v": sent["v"]} if sent.get("v") else {}))
