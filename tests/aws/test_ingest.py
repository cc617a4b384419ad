"""The Event API's contract, row by row, with requests as API Gateway makes them."""

from __future__ import annotations

import gzip
import json
import logging
import re
import threading
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from tests.aws.conftest import ENV, Stage
from tests.gateway import KEY, Answer, ask, request
from tidegate.aws import client
from tidegate.encoding import decode, encode
from tidegate.event import CheckedEvent
from tidegate.function import Function, make_function
from tidegate.ids import Seed, is_ulid
from tidegate.ingest import Ingest
from tidegate.key import Key, OpenKeys, StoredKeys
from tidegate.local.lambda_function import LambdaFunction
from tidegate.message import decode_message
from tidegate.trigger import TriggerEvent

LIMIT = 512 * 1024
MIN_TS_MS = 315_532_800_000  # 1980-01-01
MAX_TS_MS = 4_102_444_800_000  # 2100-01-01
SEED = "1743130137367,AAAAAAAAAAAAAA=="
SEEDED = ["01JQDAE4RQ0000000000000001", "01JQDAE4RQ0000000000000002"]


class Untouched:
    """An admission that must not be reached: nothing of a refused request is written."""

    def admit(
        self, env: str, events: Sequence[CheckedEvent], seed: Seed | None, *, is_limited: bool
    ) -> list[str]:
        pytest.fail("the request was admitted")


@dataclass
class Recorder:
    """An admission that takes everything and remembers it."""

    requests: list[tuple[str, Sequence[CheckedEvent], Seed | None]] = field(default_factory=list)

    def admit(
        self, env: str, events: Sequence[CheckedEvent], seed: Seed | None, *, is_limited: bool
    ) -> list[str]:
        assert not is_limited, "these keys may send everything"
        self.requests.append((env, events, seed))
        seed = seed or Seed.random(1)
        return [seed.ulid(number) for number in range(1, len(events) + 1)]


def open_ingest(admission: Any, max_bytes: int = LIMIT) -> Ingest:
    return Ingest(OpenKeys(ENV), admission, max_bytes)


def refused(event: dict[str, Any], max_bytes: int = LIMIT) -> Answer:
    """The answer to a request that reaches no admission."""
    return ask(open_ingest(Untouched(), max_bytes).handle, event)


@pytest.fixture
def listener(stage: Stage) -> Function:
    """A function that everything below `app/`, and `a`, reaches."""
    function = make_function(
        lambda ctx: None,
        app_id="test",
        fn_id="listener",
        trigger=[TriggerEvent(event="app/*"), TriggerEvent(event="a")],
        name=None,
        retries=0,
    )
    stage.deploy(function)
    return function


@pytest.fixture
def ingest(stage: Stage, listener: Function) -> Ingest:
    """The Event API on a stage whose keys are all good."""
    return open_ingest(stage.admission)


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


@pytest.fixture
def guarded(stage: Stage, listener: Function, keys: StoredKeys) -> Ingest:
    """The Event API on a stage where keys are checked."""
    return Ingest(keys, stage.admission, LIMIT)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What Tidegate logs, wherever else it goes."""
    with caplog.at_level(logging.DEBUG, "tidegate"):
        logging.getLogger("tidegate").addHandler(caplog.handler)
        yield caplog
        logging.getLogger("tidegate").removeHandler(caplog.handler)


def kept(stage: Stage, listener: Function) -> int:
    """How much is in the tables, the bucket and the queue."""
    items = sum(
        client("dynamodb").scan(TableName=table)["Count"]
        for table in (stage.settings.events_table, stage.settings.dedup_table)
    )
    objects = client("s3").list_objects_v2(Bucket=stage.settings.bucket)["KeyCount"]
    return items + objects + len(stage.queued(listener))


# --- routes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/e/{KEY}", {}),
        ("/e/%74est%2Dkey", {}),
        ("/e", {"authorization": f"Bearer {KEY}"}),
        ("/e", {"Authorization": f"bearer  {KEY} "}),
        ("/e/", {"authorization": f"Bearer {KEY}"}),
    ],
)
def test_the_key_is_in_the_path_or_in_a_header(path: str, headers: dict[str, str]) -> None:
    @dataclass
    class OneKey:
        asked: list[str] = field(default_factory=list)

        def find(self, kind: Any, secret: str) -> Any:
            self.asked.append(secret)
            return OpenKeys(ENV).find(kind, secret)

        def open_environment(self, key: Key, env: str) -> None:
            pass

    keys = OneKey()
    answer = ask(
        Ingest(keys, Recorder(), LIMIT).handle,  # type: ignore[arg-type]
        request([{"name": "app/a"}], path=path, headers=headers),
    )
    assert answer.status == 200
    assert keys.asked == [KEY]


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}]
)
def test_no_key_at_all_is_401(headers: dict[str, str]) -> None:
    answer = refused(request([], path="/e", headers=headers))
    assert answer.status == 401
    assert "Event key is required" in answer.error


def test_health() -> None:
    answer = ask(open_ingest(Untouched()).handle, request(method="GET", path="/health"))
    assert answer.status == 200
    assert answer.content == {"status": 200, "message": "OK"}


@pytest.mark.parametrize("path", [f"/e/{KEY}", "/e"])
def test_a_browser_may_ask_whether_it_may_send(path: str) -> None:
    answer = refused(
        request(
            method="OPTIONS",
            path=path,
            headers={
                "origin": "https://shop.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type,x-inngest-sdk",
            },
        )
    )
    assert answer.status == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type,x-inngest-sdk"


@pytest.mark.parametrize(
    "path", ["/", "", "/e/a/b", "/E/a", "/x", "/e/a/", "/healthy", "/health/", "/e\n", "/\ud800"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_unknown_paths_are_404(path: str, method: str) -> None:
    answer = refused(request([], path=path, method=method))
    assert answer.status == 404
    assert "/e/<event key>" in answer.error


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "\ud800"])
def test_other_methods_are_405_and_told_what_is_allowed(method: str) -> None:
    for path in (f"/e/{KEY}", "/e"):
        answer = refused(request([], method=method, path=path))
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    health = refused(request(method="POST", path="/health"))
    assert (health.status, health.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(("path", "method"), [("/e/secret", "GET"), ("/e/secret/", "POST")])
def test_no_key_gets_into_an_error_or_the_log(
    path: str, method: str, log: pytest.LogCaptureFixture
) -> None:
    answer = refused(request([], path=path, method=method))
    assert "secret" not in answer.error
    assert log.records
    assert not [record for record in log.records if "secret" in str(vars(record))]


# --- success ------------------------------------------------------------------------------------


def test_success_is_ids_and_status_and_nothing_else(ingest: Ingest) -> None:
    one = ask(ingest.handle, request({"name": "app/a"}))
    assert one.content.keys() == {"ids", "status"}
    assert one.content["status"] == 200
    assert [is_ulid(internal_id) for internal_id in one.content["ids"]] == [True]


def test_ids_are_in_the_order_of_the_events(
    stage: Stage, listener: Function, ingest: Ingest
) -> None:
    events = [{"name": "app/a", "data": {"n": n}} for n in range(30)]
    ids = ask(ingest.handle, request(events)).content["ids"]
    arrived = {m.event.internal_id: m.event.event.data["n"] for m in stage.messages(listener)}
    assert [arrived[internal_id] for internal_id in ids] == list(range(30))
    stored = [stage.store.get(ENV, internal_id, stage.clock.ms) for internal_id in ids]
    assert [event and event.event.data["n"] for event in stored] == list(range(30))


def test_an_empty_array_is_a_success(stage: Stage, listener: Function, ingest: Ingest) -> None:
    assert ask(ingest.handle, request("[]")).content == {"ids": [], "status": 200}
    assert kept(stage, listener) == 0


# --- events -------------------------------------------------------------------------------------

LONGEST = "app/" + "🎉" * 252

# What SNS and SQS refuse, and moto takes.
NOT_FOR_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# What is sent, as JSON text, and what differs in what functions receive.
ACCEPTED: list[tuple[str, dict[str, Any]]] = [
    ('{"name": "a"}', {"name": "a"}),
    ('{"name": "app/a", "data": null, "user": null, "id": null, "ts": null, "v": null}', {}),
    ('{"name": "app/a", "data": {}, "user": {}, "id": "", "ts": 0, "v": ""}', {}),
    (encode({"name": LONGEST}), {"name": LONGEST}),
    (f'{{"name": "app/a", "ts": {MIN_TS_MS}}}', {"ts": MIN_TS_MS}),
    (f'{{"name": "app/a", "ts": {MAX_TS_MS}}}', {"ts": MAX_TS_MS}),
    (
        '{"name": "app/a", "user": {"id": 7}, "v": "2024-01-01"}',
        {"user": {"id": 7}, "v": "2024-01-01"},
    ),
    ('{"name": "app/a", "id": "order-1"}', {"id": "order-1"}),
    (encode({"name": "app/a", "id": "ü" * 3000}), {"id": "ü" * 3000}),
    (
        '{"name": "app/a", "data": {"n": [9007199254740993, -18446744073709551617, 1e2, 1.0]}}',
        {"data": {"n": [9007199254740993, -18446744073709551617, 100.0, 1.0]}},
    ),
    (f'{{"name": "app/a", "data": {{"n": {"7" * 4300}}}}}', {"data": {"n": int("7" * 4300)}}),
    ('{"name": "app/a", "NAME": "app/b", "meta": {}, "_inngest": 1, "x": [1e999]}', {}),
    (
        '{"name": "app/a", "data": {"_inngest": {"fn": 1}, "a": {"_inngest": 2}}}',
        {"data": {"a": {"_inngest": 2}}},
    ),
    (
        '{"name": "app/a", "data": {"k": 1, "k": 2}, "name": "app/b"}',
        {"name": "app/b", "data": {"k": 2}},
    ),
    (
        '{"name": "app/a", "data": {"\\uffff": "\\u0000 \\ufffe \\ud83c\\udf89 <&> \\u2028"}}',
        {"data": {"\uffff": "\x00 \ufffe 🎉 <&> \u2028"}},
    ),
    ('{"name": "app/ \\t\\n"}', {"name": "app/ \t\n"}),
    (
        f'{{"name": "app/a", "data": {{"d": {"[" * 148}{"]" * 148}}}}}',
        {"data": {"d": decode("[" * 148 + "]" * 148)}},
    ),
    (encode({"name": "app/a", "data": {"big": "x" * 300_000}}), {"data": {"big": "x" * 300_000}}),
]


def test_events_arrive_as_they_were_sent(stage: Stage, listener: Function, ingest: Ingest) -> None:
    for text, differs in ACCEPTED:
        answer = ask(ingest.handle, request(text))
        assert answer.status == 200, answer.content
        [internal_id] = answer.content["ids"]
        expected = {
            "name": "app/a",
            "data": {},
            "id": internal_id,
            "ts": stage.clock.ms,
            "user": {},
            **differs,
        }
        stored = stage.store.get(ENV, internal_id, stage.clock.ms)
        assert stored is not None
        [record] = stage.queued(listener)
        assert not NOT_FOR_SQS.search(record["body"])
        message = decode_message(record["body"])
        for event in (stored, message.with_body(stage.store.payloads)):
            assert decode(event.body) == expected
            # 1, 1.0 and True are equal in Python and not in JSON.
            assert encode(decode(event.body)["data"]) == encode(expected["data"])
            assert (event.name, event.ts) == (expected["name"], expected["ts"])


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({}, "name: Field required"),
        ({"name": None}, "name: "),
        ({"name": ""}, "name: "),
        ({"name": 5}, "name: "),
        ({"name": "x" * 257}, "name: String should have at most 256"),
        ({"name": "a\x00b"}, r"name: contains the control character '\x00'"),
        ({"name": "a\uffff"}, "name: contains the control character"),
        ({"name": "inngest/function.finished"}, "reserved"),
        ({"name": "InnGest/x"}, "reserved"),
        ({"NAME": "app/a"}, "name: Field required"),
        ({"name": "a", "data": []}, "data: "),
        ({"name": "a", "data": "{}"}, "data: "),
        ({"name": "a", "data": False}, "data: "),
        ({"name": "a", "user": []}, "user: "),
        ({"name": "a", "id": 5}, "id: "),
        ({"name": "a", "v": 5}, "v: "),
        ({"name": "a", "ts": "1700000000000"}, "ts: "),
        ({"name": "a", "ts": 1.5}, "ts: "),
        ({"name": "a", "ts": 1700000000000.0}, "ts: "),
        ({"name": "a", "ts": True}, "ts: "),
        ({"name": "a", "ts": -1}, "ts: must be UTC milliseconds between"),
        ({"name": "a", "ts": MIN_TS_MS - 1}, "1980"),
        ({"name": "a", "ts": MAX_TS_MS + 1}, "2100"),
        ({"name": "a", "ts": 1700000000000000000}, "2100"),
        ({"name": "a", "ts": 2**80}, "2100"),
        (None, "must be an event object"),
        ([], "must be an event object"),
        ("app/a", "must be an event object"),
        (1, "must be an event object"),
        ({"name": "a", "data": {"d": decode("[" * 149 + "]" * 149)}}, "more than 150 levels"),
        ({"name": "a", "user": {"d": decode("[" * 149 + "]" * 149)}}, "more than 150 levels"),
    ],
)
def test_a_bad_event_is_400_and_named_by_its_index(event: Any, error: str) -> None:
    answer = refused(request([{"name": "app/a"}, event, {"name": "app/a"}]))
    assert answer.status == 400
    assert answer.error.startswith("events[1]: ")
    assert error in answer.error


@pytest.mark.parametrize("value", ["1e999", "-1e999", '{"a": [1e400]}'])
@pytest.mark.parametrize("where", ["data", "user"])
def test_a_number_beyond_all_bounds_is_400(value: str, where: str) -> None:
    answer = refused(request(f'[{{"name": "a"}}, {{"name": "a", "{where}": {{"n": {value}}}}}]'))
    assert answer.status == 400
    assert answer.error.startswith("events[1]: ")


def test_one_bad_event_fails_the_request_and_nothing_is_kept(
    stage: Stage, listener: Function, ingest: Ingest
) -> None:
    good = [{"name": "app/a", "id": str(n), "data": {"x": "x" * 3000}} for n in range(30)]
    answer = ask(ingest.handle, request([*good, {"name": ""}]))
    assert answer.status == 400
    assert answer.error.startswith("events[30]: ")
    assert kept(stage, listener) == 0
    # The ids were not claimed either: now they are new.
    assert ask(ingest.handle, request(good)).status == 200
    assert len(stage.messages(listener)) == 30


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is empty"),
        (b" \r\n\t ", "the body is empty"),
        (b"{", "not valid JSON"),
        (b'{"name": "a"', "line 1 column"),
        (b'[{"name": "a"}', "not valid JSON"),
        (b'[{"name": "a"},]', "trailing comma"),
        (b'{"name": "a",}', "trailing comma"),
        (b'{"name": "a"} x', "trailing characters"),
        (b'{"name": "a"}\n{"name": "b"}', "trailing characters"),
        (b"{name: 1}", "not valid JSON"),
        (b"{'name': 'a'}", "not valid JSON"),
        (b'{"name": "a", "data": {"n": NaN}}', "not valid JSON"),
        (b'{"name": "a", "data": {"n": Infinity}}', "not valid JSON"),
        (b'{"name": "a", "data": {"n": 01}}', "not valid JSON"),
        (b'{"name": "a"} // why', "not valid JSON"),
        (b'\xef\xbb\xbf{"name": "a"}', "not valid JSON"),
        ('{"name": "a"}'.encode("utf-16"), "not valid JSON"),
        (b'{"name": "\xff"}', "not valid JSON"),
        (b'{"name": "a", "data": {"s": "\\ud800"}}', "not valid JSON"),
        (b'{"name": "a", "data": {"\\udc00": 1}}', "not valid JSON"),
        (b'{"name": "a\n"}', "not valid JSON"),
        (b"name=a&data=b", "not valid JSON"),
        (b'{"name": "a", "data": {"n": ' + b"1" * 4301 + b"}}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'"app/a"', "must be an event object or an array"),
        (b"1", "must be an event object or an array"),
        (b"null", "must be an event object or an array"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_body_that_is_no_strict_json_is_400(body: bytes, error: str, content_type: str) -> None:
    answer = refused(request(body, headers={"content-type": content_type}))
    assert answer.status == 400
    assert error in answer.error


def test_a_lone_surrogate_from_the_gateway_is_400() -> None:
    assert refused(request('{"name": "\ud800"}')).status == 400


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
@pytest.mark.parametrize("body", ['{"name": "app/a"}', b'{"name": "app/a"}'])
def test_the_content_type_does_not_matter(body: bytes | str, content_type: str) -> None:
    event = request(body, headers={"content-type": content_type})
    assert ask(open_ingest(Recorder()).handle, event).status == 200


def test_a_request_without_headers_and_body() -> None:
    event = request()
    del event["headers"], event["body"], event["isBase64Encoded"]
    answer = refused(event)
    assert answer.status == 400
    assert "the body is empty" in answer.error


# --- gzip ---------------------------------------------------------------------------------------

PLAIN = b'[{"name": "app/a", "data": {"n": 9007199254740993}}]'
GZIP = {"content-encoding": "gzip"}


@pytest.mark.parametrize("headers", [GZIP, {"Content-Encoding": " GZIP "}])
def test_gzip_is_understood(headers: dict[str, str]) -> None:
    recorder = Recorder()
    answer = ask(
        open_ingest(recorder).handle, request(gzip.compress(PLAIN, mtime=0), headers=headers)
    )
    assert answer.status == 200
    [(_, [event], _)] = recorder.requests
    assert event.incoming.data == {"n": 9007199254740993}


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        gzip.compress(PLAIN, mtime=0)[:-1],
        gzip.compress(PLAIN, mtime=0)[:12],
        gzip.compress(PLAIN, mtime=0)[:-8] + bytes(8),
        gzip.compress(PLAIN, mtime=0) + b"x",
        zlib.compress(PLAIN),
        b"",
    ],
)
def test_broken_gzip_is_400(body: bytes) -> None:
    answer = refused(request(body, headers=GZIP))
    assert answer.status == 400
    assert "gzip" in answer.error


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x"])
def test_another_encoding_is_415(encoding: str) -> None:
    answer = refused(request(PLAIN, headers={"content-encoding": encoding}))
    assert answer.status == 415
    assert repr(encoding) in answer.error


def test_identity_is_no_encoding() -> None:
    event = request(PLAIN, headers={"content-encoding": "identity"})
    assert ask(open_ingest(Recorder()).handle, event).status == 200


def test_a_bomb_is_refused_and_not_inflated() -> None:
    deflate = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(deflate.compress(bytes(1_000_000)) for _ in range(100)) + deflate.flush()
    assert len(bomb) < LIMIT
    event = request(bomb, headers=GZIP)
    tracemalloc.start()
    try:
        answer = refused(event)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < 4 * LIMIT


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [LIMIT, 5 * 1024 * 1024])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_the_size_limit_is_exact_and_counts_what_is_inflated(limit: int, encoding: str) -> None:
    headers = {"content-encoding": encoding}
    pack = gzip.compress if encoding == "gzip" else bytes
    longest = PLAIN.ljust(limit)
    assert (
        ask(open_ingest(Recorder(), limit).handle, request(pack(longest), headers=headers)).status
        == 200
    )
    answer = refused(request(pack(longest + b" "), headers=headers), limit)
    assert answer.status == 413
    assert str(limit) in answer.error


def test_text_is_counted_in_bytes() -> None:
    text = json.dumps([{"name": "app/a", "data": {"s": "ü" * (LIMIT // 2)}}], ensure_ascii=False)
    assert len(text) < LIMIT
    assert refused(request(text)).status == 413


def test_5000_events_are_possible_and_one_more_is_413() -> None:
    limit = 5 * 1024 * 1024
    events = [{"name": "a"}] * 5_000
    answer = ask(open_ingest(Recorder(), limit).handle, request(events))
    assert len(set(answer.content["ids"])) == 5_000
    answer = refused(request([*events, {"name": "a"}]), limit)
    assert answer.status == 413
    assert "at most 5000" in answer.error


# --- keys ---------------------------------------------------------------------------------------


def test_size_is_checked_before_the_key_and_the_key_before_the_json(
    guarded: Ingest, keys: StoredKeys
) -> None:
    good = f"/e/{keys.create('event', 'prod')}"
    assert ask(guarded.handle, request(b"{" * (LIMIT + 1), path="/e/wrong")).status == 413
    assert ask(guarded.handle, request(b"{", path="/e/wrong")).status == 401
    assert (
        ask(guarded.handle, request(b"{", path=good, headers={"x-inngest-env": "other"})).status
        == 401
    )
    assert ask(guarded.handle, request(b"{", path=good)).status == 400
    assert ask(guarded.handle, request([{"name": "app/a"}], path=good)).status == 200


def revoke(stage: Stage) -> None:
    """Revoke every key there is."""
    table = stage.settings.keys_table
    for item in client("dynamodb").scan(TableName=table)["Items"]:
        item["revoked_ms"] = {"N": str(stage.clock.ms)}
        client("dynamodb").put_item(TableName=table, Item=item)


def test_a_key_opens_its_environment_until_a_minute_after_it_was_revoked(
    stage: Stage, listener: Function, guarded: Ingest, keys: StoredKeys
) -> None:
    event = request([{"name": "app/a"}], path=f"/e/{keys.create('event', 'staging')}")
    unknown = ask(guarded.handle, request([{"name": "app/a"}]))
    assert (unknown.status, unknown.error) == (401, "Event key not found")
    assert ask(guarded.handle, event).status == 200
    assert [message.event.env for message in stage.messages(listener)] == ["staging"]
    revoke(stage)
    stage.clock.advance(seconds=60)
    answer = ask(guarded.handle, event)
    assert (answer.status, answer.error) == (401, "Event key not found")
    assert stage.messages(listener) == []


def test_a_signing_key_does_not_send(guarded: Ingest, keys: StoredKeys) -> None:
    secret = keys.create("signing", "prod")
    for path_key in (secret, secret.removeprefix("signkey-env-")):
        assert ask(guarded.handle, request([], path=f"/e/{path_key}")).status == 401


def test_a_key_limited_to_names_sends_no_other(
    stage: Stage, listener: Function, guarded: Ingest, keys: StoredKeys
) -> None:
    secret = keys.create("event", "prod", event_names=["app/user.*", "a"])
    path = f"/e/{secret}"
    allowed = [{"name": "app/user.created"}, {"name": "a"}]
    answer = ask(guarded.handle, request([*allowed, {"name": "app/order"}], path=path))
    assert answer.status == 403
    assert answer.error.startswith("events[2]: ")
    assert "'app/order'" in answer.error
    assert kept(stage, listener) == 0
    assert ask(guarded.handle, request(allowed, path=path)).status == 200


def test_a_branch_key_opens_the_environment_that_is_named(
    stage: Stage, listener: Function, guarded: Ingest, keys: StoredKeys
) -> None:
    path = f"/e/{keys.create('event', 'branches', branch=True)}"
    ids = [
        ask(
            guarded.handle, request([{"name": "app/a", "id": "one"}], path=path, headers=headers)
        ).content["ids"][0]
        for headers in ({}, {"x-inngest-env": ""}, {"X-Inngest-Env": "feature/a"})
    ]
    # The second is a duplicate of the first; in another environment it is none.
    assert ids[0] == ids[1] != ids[2]
    arrived = [
        (message.event.env, message.event.internal_id) for message in stage.messages(listener)
    ]
    assert arrived == [("branches", ids[0]), ("feature/a", ids[2])]


def test_a_plain_key_opens_no_other_environment(guarded: Ingest, keys: StoredKeys) -> None:
    path = f"/e/{keys.create('event', 'prod')}"
    answers = {
        env: ask(guarded.handle, request([], path=path, headers={"x-inngest-env": env}))
        for env in ("prod", "staging", "no such name", "")
    }
    assert [answer.status for answer in answers.values()] == [200, 401, 401, 200]
    assert "'staging'" in answers["staging"].error


@pytest.mark.parametrize("env", ["a b", "x" * 129, "ü", "\t", "a\x00"])
def test_an_impossible_environment_is_400(env: str) -> None:
    answer = refused(request([], headers={"x-inngest-env": env}))
    assert answer.status == 400
    assert repr(env) in answer.error


# --- seeds and duplicates -----------------------------------------------------------------------

TWO = [{"name": "app/a"}, {"name": "app/b"}]


def test_a_repeated_request_gets_the_same_ids(
    stage: Stage, listener: Function, ingest: Ingest
) -> None:
    event = request(TWO, headers={"X-Inngest-Event-Id-Seed": SEED})
    for _ in range(2):
        assert ask(ingest.handle, event).content["ids"] == SEEDED
    assert {message.event.internal_id for message in stage.messages(listener)} == set(SEEDED)


@pytest.mark.parametrize(
    "seed",
    [
        "",
        "x",
        SEED.removesuffix("="),
        SEED + "=",
        SEED + ",",
        SEED.replace(",", ""),
        "0,AAAAAAAAAAAAAA==",
        "-1,AAAAAAAAAAAAAA==",
        "1e3,AAAAAAAAAAAAAA==",
        "281474976710656,AAAAAAAAAAAAAA==",
        "1743130137367,AAAAAAAAAAAA",
        "1743130137367,____AAAAAAAAAA==",
        "٣,AAAAAAAAAAAAAA==",
    ],
)
def test_a_malformed_seed_is_ignored(seed: str) -> None:
    recorder = Recorder()
    event = request(TWO, headers={"x-inngest-event-id-seed": seed})
    assert ask(open_ingest(recorder).handle, event).status == 200
    assert [used for _, _, used in recorder.requests] == [None]


@pytest.mark.parametrize("ms", [1, 2**48 - 1])
def test_a_seed_of_any_time_is_good(
    stage: Stage, listener: Function, ingest: Ingest, ms: int
) -> None:
    seed = Seed(ms, b"\xff" * 10)
    event = request(TWO, headers={"x-inngest-event-id-seed": seed.header})
    for _ in range(2):
        ids = ask(ingest.handle, event).content["ids"]
        assert ids == [seed.ulid(1), seed.ulid(2)]
    assert [stage.store.contains(ENV, internal_id) for internal_id in ids] == [True, True]


def test_a_duplicate_gets_the_originals_id(
    stage: Stage, listener: Function, ingest: Ingest
) -> None:
    [original] = ask(ingest.handle, request({"name": "app/a", "id": "one"})).content["ids"]
    again = [
        {"name": "app/b", "id": "one"},
        {"name": "app/c", "id": "two"},
        {"name": "a", "id": "two"},
    ]
    ids = ask(ingest.handle, request(again)).content["ids"]
    assert ids[0] == original
    assert ids[1] == ids[2] != original
    assert sorted(message.event.name for message in stage.messages(listener)) == ["app/a", "app/c"]


# --- faults -------------------------------------------------------------------------------------

THROTTLED = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Any")
SILENT = ConnectTimeoutError(endpoint_url="https://aws.example")


def raising(error: Exception) -> Any:
    def call(**arguments: Any) -> Any:
        raise error

    return call


@pytest.mark.parametrize("error", [THROTTLED, SILENT])
@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("dynamodb", "get_item"),
        ("dynamodb", "put_item"),
        ("dynamodb", "batch_write_item"),
        ("sns", "publish_batch"),
        ("s3", "put_object"),
    ],
)
def test_trouble_of_aws_is_503_and_the_repeated_request_succeeds(
    stage: Stage,
    listener: Function,
    guarded: Ingest,
    keys: StoredKeys,
    monkeypatch: pytest.MonkeyPatch,
    service: Any,
    call: str,
    error: Exception,
) -> None:
    path = f"/e/{keys.create('event', ENV)}"
    events = [{"name": "app/a", "id": "one"}, {"name": "app/a", "data": {"s": "x" * 70_000}}]
    event = request(events, path=path, headers={"x-inngest-event-id-seed": SEED})
    with monkeypatch.context() as broken:
        broken.setattr(client(service), call, raising(error))
        answer = ask(guarded.handle, event)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "slow" not in answer.error
    stage.messages(listener)
    # What the failed request did not finish, the repeated one does.
    assert ask(guarded.handle, event).content["ids"] == SEEDED
    stored = [stage.store.contains(ENV, internal_id) for internal_id in SEEDED]
    assert stored == [True, True]


def test_events_that_sns_keeps_refusing_are_503(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(PublishBatchRequestEntries: list[Any], **_: Any) -> Any:
        return {"Failed": [{"Id": PublishBatchRequestEntries[-1]["Id"]}]}

    monkeypatch.setattr(client("sns"), "publish_batch", refuse)
    answer = ask(ingest.handle, request(TWO))
    assert answer.status == 503
    assert "retry-after" in answer.headers


def test_a_crash_is_500_in_the_shape_of_any_failure(log: pytest.LogCaptureFixture) -> None:
    class Broken:
        def admit(self, *arguments: Any, **more: Any) -> list[str]:
            raise RuntimeError("details that are nobody's business")

    answer = ask(open_ingest(Broken()).handle, request(TWO))
    assert answer.status == 500
    assert "details" not in answer.error
    assert "details" in log.text


# --- the real door ------------------------------------------------------------------------------


@pytest.fixture
def door(stage: Stage, listener: Function) -> LambdaFunction:
    """The ingest Lambda itself, its keys checked, with a limit of its own."""
    variables = {"TIDEGATE_AUTH": "keys", "TIDEGATE_MAX_REQUEST_BYTES": "2048"}
    return LambdaFunction(
        "ingest", "tidegate.handlers.ingest", stage.cloud.ingest_environment() | variables
    )


def test_the_door_is_set_up_by_its_environment_variables(
    stage: Stage, listener: Function, door: LambdaFunction, keys: StoredKeys
) -> None:
    path = f"/e/{keys.create('event', 'prod')}"
    assert ask(door.invoke, request(method="GET", path="/health")).status == 200
    assert ask(door.invoke, request(TWO)).status == 401
    assert ask(door.invoke, request(b"x" * 2049, path=path)).status == 413
    answer = ask(
        door.invoke, request(gzip.compress(json.dumps(TWO).encode()), path=path, headers=GZIP)
    )
    assert answer.status == 200
    arrived = {message.event.internal_id: message.event for message in stage.messages(listener)}
    assert list(arrived) == answer.content["ids"]
    assert [(event.env, event.name) for event in arrived.values()] == [
        ("prod", "app/a"),
        ("prod", "app/b"),
    ]


def test_a_request_that_takes_too_long_is_503_before_lambda_ends_it(stage: Stage) -> None:
    go_on = threading.Event()

    class Slow:
        def admit(self, *_: Any, **__: Any) -> list[str]:
            go_on.wait(10)
            return []

    ingest = Ingest(OpenKeys(ENV), Slow(), LIMIT)  # type: ignore[arg-type]
    answer = ingest.handle(request(TWO), remaining_ms=1_550)
    go_on.set()
    assert answer["statusCode"] == 503
    assert answer["headers"]["retry-after"] == "1"
    assert json.loads(answer["body"])["ids"] == []


def test_what_ends_the_process_of_a_request_ends_its_invocation(stage: Stage) -> None:
    """It would go on until its time is up, and be answered then."""

    class Exits:
        def admit(self, *_: object, **__: object) -> list[str]:
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        open_ingest(Exits()).handle(request([{"name": "app/a"}]), remaining_ms=4_000)
