"""What the client makes of failures: tries again what may pass, and raises the rest."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.unit.recording_server import DROP, HANG, RecordingServer, SkippingClock
from tidegate import Client, Event, SendEventsError
from tidegate.errors import CallerError

Send = Callable[..., list[str]]
BUSY = (503, {"ids": [], "status": 503, "error": "storage is busy"})


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    server = RecordingServer()
    yield server
    server.stop()


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def client(server: RecordingServer, clock: SkippingClock) -> Client:
    return Client(
        app_id="shop", event_key="secret", base_url=server.url, is_production=True, clock=clock
    )


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Send:
    if request.param == "sync":
        return lambda client, events: client.send_sync(events)
    return lambda client, events: asyncio.run(client.send(events))


# --- tries --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [BUSY, (500, b""), (502, b"<html>"), DROP])
def test_what_may_pass_is_tried_again_under_the_same_seed(
    server: RecordingServer, clock: SkippingClock, client: Client, send: Send, trouble: Any
) -> None:
    server.will(trouble, trouble, trouble, trouble)
    ids = send(client, [Event(name="a/b"), Event(name="a/c")])
    assert server.heard(5)
    assert len({(asked.seed, asked.body) for asked in server.asked}) == 1
    assert ids == server.asked[-1].ids
    for pause, due in zip(clock.pauses, (0.1, 0.2, 0.4, 0.8), strict=True):
        assert due <= pause <= due + 0.1


def test_after_five_tries_the_last_answer_is_raised(
    server: RecordingServer, clock: SkippingClock, client: Client, send: Send
) -> None:
    server.will(*[BUSY] * 6)
    with pytest.raises(SendEventsError) as raised:
        send(client, Event(name="a/b"))
    assert server.heard(5)
    assert len(clock.pauses) == 4
    assert raised.value.status == 503
    assert raised.value.message == "storage is busy"
    assert raised.value.ids == []


def test_gateway_that_is_asked_too_often_is_asked_again(
    server: RecordingServer, clock: SkippingClock, client: Client, send: Send
) -> None:
    server.will((429, {"message": "Too Many Requests"}))
    assert send(client, Event(name="a/b")) == server.asked[-1].ids
    assert len(server.asked) == 2


def test_two_sends_have_two_seeds(server: RecordingServer, client: Client, send: Send) -> None:
    send(client, Event(name="a/b"))
    send(client, Event(name="a/b"))
    assert server.asked[0].seed != server.asked[1].seed


def test_retries_are_logged_without_the_key(
    server: RecordingServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    server.will(BUSY, DROP)
    with caplog.at_level(logging.WARNING):
        client.send_sync(Event(name="a/b"))
    lines = [record.getMessage() for record in caplog.records if record.name == "tidegate"]
    assert len(lines) == 2
    assert "503" in lines[0]
    assert "try 2" in lines[0]
    assert "no answer" in lines[1]
    assert "secret" not in caplog.text


def test_the_given_logger_is_told(
    server: RecordingServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.will(BUSY)
    client = Client(
        app_id="shop",
        event_key="k",
        base_url=server.url,
        logger=logging.getLogger("mine"),
        clock=SkippingClock(),
    )
    client.send_sync(Event(name="a/b"))
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == [
        "mine"
    ]


@pytest.mark.parametrize(
    ("header", "least"),
    [
        ("7", 7),
        ("0", 0),
        ("100000", 30),
        (format_datetime(datetime.fromtimestamp(1_700_000_011, UTC), usegmt=True), 11),
        (format_datetime(datetime.fromtimestamp(1_699_999_000, UTC), usegmt=True), 0),
        ("soon", 0.1),
        ("-5", 0.1),
    ],
)
def test_retry_after_is_honoured_up_to_half_a_minute(
    server: RecordingServer,
    clock: SkippingClock,
    client: Client,
    send: Send,
    header: str,
    least: float,
) -> None:
    server.will((503, {"error": "busy"}, {"retry-after": header}))
    send(client, Event(name="a/b"))
    assert len(clock.pauses) == 1
    assert least <= clock.pauses[0] <= least + 0.1


# --- no answer ----------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_an_error_that_names_it(
    clock: SkippingClock, send: Send
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"127.0.0.1:{held.getsockname()[1]}"
        client = Client(
            app_id="shop", event_key="secret", base_url=f"http://{address}", clock=clock
        )
        with pytest.raises(SendEventsError, match=address) as raised:
            send(client, Event(name="a/b"))
    assert raised.value.status is None
    assert raised.value.ids == []
    assert "secret" not in str(raised.value)
    assert len(clock.pauses) == 4


@pytest.mark.parametrize("timeout", [40, timedelta(milliseconds=40)])
def test_a_server_that_does_not_answer_in_time_is_tried_five_times(
    server: RecordingServer, send: Send, timeout: int | timedelta
) -> None:
    server.will(*[HANG] * 5)
    client = Client(
        app_id="shop",
        event_key="k",
        base_url=server.url,
        request_timeout=timeout,
        clock=SkippingClock(),
    )
    with pytest.raises(SendEventsError, match="ReadTimeout") as raised:
        send(client, Event(name="a/b"))
    assert raised.value.status is None
    assert server.heard(5)


# --- answers that are no success ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {"ids": [], "status": 401, "error": "Event key not found"}), "Event key not found"),
        ((403, {"message": "Forbidden"}), "Forbidden"),
        ((404, b""), "HTTP 404"),
        ((413, b"<html>too large</html>"), "too large"),
        ((307, b"", {"location": "/elsewhere"}), "redirects are not followed"),
        ((200, {"message": "hello"}), "hello"),
        ((200, b""), "without the ids"),
        ((200, b"<html>"), "<html>"),
        ((200, b'["id"]'), "without the ids"),
        ((200, {"status": 200}), "without the ids"),
        ((200, {"ids": None}), "without the ids"),
        ((200, {"ids": []}), "without the ids"),
        ((200, {"ids": [""]}), "without the ids"),
        ((200, {"ids": [1]}), "without the ids"),
        ((200, {"ids": ["id", ""]}), "without the ids"),
        ((200, {"ids": ["id", "one too many"]}), "without the ids"),
        ((200, {"ids": ["id"], "error": "stored nothing"}), "stored nothing"),
    ],
)
def test_other_answers_fail_at_once_and_say_why(
    server: RecordingServer,
    clock: SkippingClock,
    client: Client,
    send: Send,
    answer: tuple[Any, ...],
    message: str,
) -> None:
    server.will(answer)
    with pytest.raises(SendEventsError) as raised:
        send(client, Event(name="a/b"))
    assert message in raised.value.message
    assert raised.value.status == answer[0]
    assert len(server.asked) == 1
    assert clock.pauses == []


def test_a_null_error_is_none(server: RecordingServer, client: Client, send: Send) -> None:
    server.will((200, {"ids": ["x"], "error": None, "status": 200}))
    assert send(client, Event(name="a/b")) == ["x"]


def test_the_ids_of_a_failing_answer_are_raised(
    server: RecordingServer, client: Client, send: Send
) -> None:
    server.will((400, {"ids": ["first", ""], "status": 400, "error": "event name is empty"}))
    with pytest.raises(SendEventsError, match="event name is empty") as raised:
        send(client, [Event(name="a/b"), Event(name="")])
    assert raised.value.ids == ["first"]


# --- lists that need several requests -----------------------------------------------------------


def test_a_list_over_the_byte_limit_is_cut(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, max_request_bytes=400)
    events = [Event(name="a/b", data={"n": n, "fill": "ä" * 40}) for n in range(10)]
    ids = send(client, events)
    assert len(server.asked) > 2
    assert all(len(asked.body) <= 400 for asked in server.asked)
    assert [e["data"]["n"] for asked in server.asked for e in asked.events] == list(range(10))
    assert ids == [i for asked in server.asked for i in asked.ids]
    assert len({asked.seed for asked in server.asked}) == len(server.asked)


def test_by_default_a_request_has_up_to_512_kib(
    server: RecordingServer, client: Client, send: Send
) -> None:
    send(client, [Event(name="a/b", data={"fill": "x" * 100_000}) for _ in range(6)])
    assert [len(asked.events) for asked in server.asked] == [5, 1]


def test_a_list_of_more_than_5000_is_cut(
    server: RecordingServer, client: Client, send: Send
) -> None:
    ids = send(client, [Event(name="a")] * 5_001)
    assert [len(asked.events) for asked in server.asked] == [5_000, 1]
    assert len(set(ids)) == 5_001


def test_an_event_over_the_limit_is_sent_alone(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, max_request_bytes=100)
    send(client, [Event(name="a"), Event(name="b", data={"fill": "x" * 200}), Event(name="c")])
    assert [[e["name"] for e in asked.events] for asked in server.asked] == [["a"], ["b"], ["c"]]


def test_each_request_of_a_cut_list_keeps_its_own_seed_over_its_retries(
    server: RecordingServer, clock: SkippingClock, send: Send
) -> None:
    client = Client(
        app_id="shop", event_key="k", base_url=server.url, max_request_bytes=1, clock=clock
    )
    server.will(BUSY, None, DROP, BUSY, None)
    ids = send(client, [Event(name="a"), Event(name="b")])
    assert [asked.events[0]["name"] for asked in server.asked] == ["a", "a", "b", "b", "b"]
    seeds = [asked.seed for asked in server.asked]
    assert seeds == [seeds[0]] * 2 + [seeds[2]] * 3
    assert seeds[0] != seeds[2]
    assert ids == server.asked[1].ids + server.asked[4].ids


def test_a_failure_half_way_carries_the_ids_before_and_stops(
    server: RecordingServer, send: Send
) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, max_request_bytes=100)
    refused = {"ids": ["partial"], "status": 400, "error": "events[1]: name: is empty"}
    server.will(None, (400, refused))
    with pytest.raises(SendEventsError) as raised:
        send(client, [Event(name=name) for name in "abcdef"])
    counts = [len(asked.events) for asked in server.asked]
    assert counts == [2, 2]
    assert raised.value.ids == [*server.asked[0].ids, "partial"]
    assert raised.value.status == 400
    assert raised.value.message == "events[3]: name: is empty"


# --- events that cannot be sent -----------------------------------------------------------------


def _endless() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    return loop


@pytest.mark.parametrize(
    "bad",
    [
        Event.model_construct(name="a", data={"when": datetime(2024, 1, 1)}),
        Event.model_construct(name="a", data={"n": float("nan")}),
        Event.model_construct(name="a", data={"s": "\ud800"}),
        Event.model_construct(name="a", data=_endless()),
        {"name": "a"},
    ],
)
def test_an_event_that_is_no_json_is_named_before_anything_is_sent(
    server: RecordingServer, send: Send, bad: Any
) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, max_request_bytes=1)
    with pytest.raises(SendEventsError, match=r"^events\[1\]: ") as raised:
        send(client, [Event(name="a"), bad])
    assert isinstance(raised.value, CallerError)
    assert raised.value.status is None
    assert not server.asked
