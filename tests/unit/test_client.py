"""The client: what it is configured by, what it sends, and the functions it registers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import metadata

import pytest
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

import tidegate
from tests.unit.recording_server import RecordingServer, SkippingClock
from tidegate import (
    Client,
    ConfigurationError,
    Context,
    ContextSync,
    Event,
    EventEncodingError,
    EventKeyUnspecifiedError,
    EventModel,
    TriggerEvent,
    registry,
)

Send = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TIDEGATE_", "INNGEST_")):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    server = RecordingServer()
    yield server
    server.stop()


@pytest.fixture(params=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Send:
    if request.param == "sync":
        return lambda client, events: client.send_sync(events)
    return lambda client, events: asyncio.run(client.send(events))


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("a", {"TIDEGATE_{}": "t", "INNGEST_{}": "i"}, "a"),
        (None, {"TIDEGATE_{}": "t", "INNGEST_{}": "i"}, "t"),
        (None, {"TIDEGATE_{}": "", "INNGEST_{}": "i"}, "i"),
        (None, {"INNGEST_{}": "i"}, "i"),
    ],
)
def test_an_argument_wins_over_tidegates_variable_and_that_over_inngests(
    server: RecordingServer,
    monkeypatch: pytest.MonkeyPatch,
    argument: str | None,
    environment: dict[str, str],
    expected: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name.format("EVENT_KEY"), value and f"{value}-key")
        monkeypatch.setenv(name.format("ENV"), value and f"{value}-env")
        monkeypatch.setenv(name.format("BASE_URL"), value and f"{server.url}/{value}")
    client = Client(
        app_id="shop",
        event_key=argument and f"{argument}-key",
        env=argument and f"{argument}-env",
        base_url=argument and f"{server.url}/{argument}",
    )
    client.send_sync(Event(name="a/b"))
    assert server.asked[0].path == f"/{expected}/e/{expected}-key"
    assert server.asked[0].headers["x-inngest-env"] == f"{expected}-env" == client.env


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ({}, {}, None),
        ({"base_url": "http://arg/"}, {}, "http://arg"),
        ({"base_url": "http://arg", "event_api_base_url": "http://events"}, {}, "http://events"),
        ({"base_url": "http://arg"}, {"TIDEGATE_EVENT_API_BASE_URL": "http://env"}, "http://arg"),
        (
            {},
            {"TIDEGATE_EVENT_API_BASE_URL": "http://one", "TIDEGATE_BASE_URL": "http://two"},
            "http://one",
        ),
        (
            {},
            {"TIDEGATE_BASE_URL": "http://two", "INNGEST_EVENT_API_BASE_URL": "http://three"},
            "http://two",
        ),
        (
            {},
            {"INNGEST_EVENT_API_BASE_URL": "http://three", "INNGEST_BASE_URL": "http://four"},
            "http://three",
        ),
        ({}, {"TIDEGATE_DEV": "1"}, "http://127.0.0.1:8288"),
        ({"is_production": False}, {}, "http://127.0.0.1:8288"),
        ({}, {"TIDEGATE_DEV": "http://localhost:9000/"}, "http://localhost:9000"),
        ({}, {"INNGEST_DEV": "http://localhost:9000"}, "http://localhost:9000"),
        ({}, {"TIDEGATE_DEV": "http://dev", "INNGEST_BASE_URL": "http://four"}, "http://dev"),
        ({}, {"INNGEST_DEV": "http://dev", "INNGEST_BASE_URL": "http://four"}, "http://four"),
        ({"is_production": True}, {"TIDEGATE_DEV": "http://localhost:9000"}, None),
        ({}, {"TIDEGATE_DEV": "0", "INNGEST_DEV": "http://localhost:9000"}, None),
    ],
)
def test_which_base_url_counts(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    environment: dict[str, str],
    expected: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Client(app_id="shop", **arguments).event_api_base_url == expected


@pytest.mark.parametrize(
    ("argument", "environment", "production"),
    [
        (None, {}, True),
        (None, {"TIDEGATE_DEV": "1"}, False),
        (None, {"INNGEST_DEV": "true"}, False),
        (None, {"INNGEST_DEV": "http://127.0.0.1:1"}, False),
        (None, {"INNGEST_DEV": "0"}, True),
        (None, {"INNGEST_DEV": "False"}, True),
        (None, {"INNGEST_DEV": ""}, True),
        (None, {"TIDEGATE_DEV": "0", "INNGEST_DEV": "1"}, True),
        (None, {"TIDEGATE_DEV": "1", "INNGEST_DEV": "0"}, False),
        (True, {"TIDEGATE_DEV": "1"}, True),
        (False, {"TIDEGATE_DEV": "0"}, False),
    ],
)
def test_what_makes_dev_mode(
    monkeypatch: pytest.MonkeyPatch,
    argument: bool | None,
    environment: dict[str, str],
    production: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Client(app_id="shop", is_production=argument).is_production is production


def test_without_a_key_nothing_is_requested(server: RecordingServer, send: Send) -> None:
    with pytest.raises(EventKeyUnspecifiedError, match="TIDEGATE_EVENT_KEY"):
        send(Client(app_id="shop", base_url=server.url), Event(name="a/b"))
    assert not server.asked


def test_dev_mode_needs_no_key(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", base_url=server.url, is_production=False)
    send(client, Event(name="a/b"))
    assert server.asked[0].path == "/e/NO_EVENT_KEY_SET"


def test_without_a_base_url_the_error_names_the_variable(send: Send) -> None:
    client = Client(app_id="shop", event_key="k")
    with pytest.raises(ConfigurationError, match="TIDEGATE_BASE_URL"):
        send(client, Event(name="a/b"))


@pytest.mark.parametrize(
    "url",
    ["example.com", "ftp://example.com", "https://", "https://h:x", "https://h/?a=1", "https://[h"],
)
def test_a_base_url_that_is_none_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("INNGEST_BASE_URL", url)
    with pytest.raises(ConfigurationError, match="INNGEST_BASE_URL"):
        Client(app_id="shop")


def test_a_host_that_cannot_be_is_an_error_of_configuration(send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url="https://xn--\u2603.example\x7f")
    with pytest.raises(ConfigurationError, match="base URL"):
        send(client, Event(name="a/b"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"app_id": "my shop"},
        {"request_timeout": 0},
        {"request_timeout": timedelta(seconds=-1)},
        {"max_request_bytes": 0},
        {"env": "féature"},
        {"env": "a\nb"},
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=str(next(iter(arguments)))):
        Client(**{"app_id": "shop", **arguments})  # type: ignore[arg-type]


def test_a_key_never_shows(server: RecordingServer) -> None:
    assert "secret" not in repr(Client(app_id="shop", event_key="secret", base_url=server.url))


# --- what is sent -------------------------------------------------------------------------------


def test_the_ids_of_the_answer_are_returned_in_order(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url)
    ids = send(client, [Event(name="a/b"), Event(name="a/c"), Event(name="a/d")])
    assert len(set(ids)) == 3
    assert ids == server.asked[0].ids
    assert send(client, Event(name="a/b")) == server.asked[1].ids
    assert isinstance(server.asked[1].events, list)


def test_an_event_carries_what_was_set_and_nothing_else(
    server: RecordingServer, send: Send
) -> None:
    client = Client(
        app_id="shop", event_key="k", base_url=server.url, clock=SkippingClock(1_750_000_000_123)
    )
    full = Event(
        name="a/b", data={"n": 2**60, "s": "ä😀"}, id="x", ts=5, user={"id": 7}, v="2024-01"
    )
    send(client, [Event(name="a/b"), full])
    assert server.asked[0].events == [
        {"name": "a/b", "data": {}, "ts": 1_750_000_000_123},
        {
            "name": "a/b",
            "data": {"n": 2**60, "s": "ä😀"},
            "id": "x",
            "ts": 5,
            "user": {"id": 7},
            "v": "2024-01",
        },
    ]


class Paid(EventModel, name="client/cart.paid"):
    model_config = ConfigDict(alias_generator=to_camel)

    cart_id: str
    paid_at: datetime
    amount: Decimal = Decimal("0")


PAID = Paid(cart_id="1", paid_at=datetime(2026, 1, 1, tzinfo=UTC), amount=Decimal("1.50"))
PAID_DATA = {"cartId": "1", "paidAt": "2026-01-01T00:00:00Z", "amount": "1.50"}


def test_a_declared_event_is_sent_as_it_is(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, clock=SkippingClock())
    assert send(client, PAID) == server.asked[0].ids
    [event] = server.asked[0].events
    assert event.pop("ts") > 0
    assert event == {"name": "client/cart.paid", "data": PAID_DATA}


def test_declared_events_and_others_are_sent_together(server: RecordingServer, send: Send) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url, clock=SkippingClock())
    ts = 1_760_000_000_000
    events = [Event(name="a", ts=ts), PAID, PAID.event(id="mine", ts=ts, user={"id": 1}, v="2")]
    assert send(client, events) == server.asked[0].ids
    plain, paid, whole = server.asked[0].events
    assert plain == {"name": "a", "data": {}, "ts": ts}
    assert (paid["name"], paid["data"]) == ("client/cart.paid", PAID_DATA)
    assert whole == {
        "name": "client/cart.paid",
        "data": PAID_DATA,
        "id": "mine",
        "ts": ts,
        "user": {"id": 1},
        "v": "2",
    }


def test_nothing_is_sent_if_one_declared_event_cannot_be_written(
    server: RecordingServer, send: Send
) -> None:
    class Measured(EventModel, name="client/measured"):
        value: float

    client = Client(app_id="shop", event_key="k", base_url=server.url, clock=SkippingClock())
    with pytest.raises(EventEncodingError, match=r"^events\[1\]: cannot be written as JSON"):
        send(client, [PAID, Measured(value=float("nan"))])
    assert server.asked == []


def test_the_request_says_who_sends_and_what(server: RecordingServer, send: Send) -> None:
    send(Client(app_id="shop", event_key="k", base_url=server.url), Event(name="a/b"))
    headers = server.asked[0].headers
    assert headers["user-agent"] == f"tidegate-py:v{metadata.version('tidegate')}"
    assert headers["content-type"] == "application/json"
    assert "x-inngest-env" not in headers


def test_a_key_of_any_characters_stays_one_segment_of_the_path(
    server: RecordingServer, send: Send
) -> None:
    client = Client(app_id="shop", event_key="a/b c?d#é%", base_url=server.url)
    send(client, Event(name="a/b"))
    assert server.asked[0].path == "/e/a%2Fb%20c%3Fd%23%C3%A9%25"


def test_an_empty_list_asks_nothing(server: RecordingServer, send: Send) -> None:
    assert send(Client(app_id="shop", event_key="k", base_url=server.url), []) == []
    assert not server.asked


# --- threads, event loops, processes ------------------------------------------------------------


def test_send_sync_keeps_its_connection(server: RecordingServer) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url)
    for _ in range(3):
        client.send_sync(Event(name="a/b"))
    assert len({asked.connection for asked in server.asked}) == 1


def test_one_client_serves_many_threads_and_event_loops(server: RecordingServer) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url)
    together = threading.Barrier(8)

    def work(number: int) -> list[str]:
        together.wait()
        event = Event(name="a/b", data={"number": number})
        if number % 2:
            return [client.send_sync(event)[0] for _ in range(5)]
        return [asyncio.run(client.send(event))[0] for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    number_of = {asked.ids[0]: asked.events[0]["data"]["number"] for asked in server.asked}
    assert len(number_of) == 40
    assert [[number_of[i] for i in ids] for ids in answers] == [[n] * 5 for n in range(8)]


def test_one_event_loop_sends_many_at_once(server: RecordingServer) -> None:
    client = Client(app_id="shop", event_key="k", base_url=server.url)

    async def all_at_once() -> list[list[str]]:
        return await asyncio.gather(*(client.send(Event(name="a/b")) for _ in range(10)))

    assert len({ids[0] for ids in asyncio.run(all_at_once())}) == 10


def test_a_forked_process_does_not_use_its_parents_connection(server: RecordingServer) -> None:
    script = f"""
import os
from tidegate import Client, Event
client = Client(app_id="shop", event_key="k", base_url={server.url!r})
client.send_sync(Event(name="parent"))
child = os.fork()
if child == 0:
    client.send_sync(Event(name="child"))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
client.send_sync(Event(name="parent"))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    by_sender: dict[str, set[object]] = {"parent": set(), "child": set()}
    for asked in server.asked:
        by_sender[asked.events[0]["name"]].add(asked.connection)
    assert len(by_sender["parent"]) == len(by_sender["child"]) == 1
    assert by_sender["parent"].isdisjoint(by_sender["child"])


def test_a_client_that_does_not_send_does_not_import_httpx() -> None:
    script = """
import sys, tidegate
client = tidegate.Client(app_id="shop")
client.create_function(fn_id="f", trigger=tidegate.TriggerEvent(event="a"))(lambda ctx: None)
assert "httpx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# --- functions ----------------------------------------------------------------------------------


@pytest.fixture
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_functions", {})


@pytest.mark.usefixtures("_empty_registry")
def test_create_function_registers_what_it_decorates() -> None:
    client = Client(app_id="shop")

    @client.create_function(fn_id="welcome", trigger=TriggerEvent(event="user.created"))
    def welcome(ctx: ContextSync) -> str:
        return ctx.event.name

    @client.create_function(
        fn_id="bill",
        name="Write a bill",
        retries=0,
        trigger=[TriggerEvent(event="order.paid"), TriggerEvent(event="order/*")],
    )
    async def bill(ctx: Context) -> None: ...

    assert registry.registered() == [welcome, bill]
    assert isinstance(welcome, tidegate.Function)
    assert (welcome.id, welcome.name, welcome.retries) == ("shop-welcome", "welcome", 4)
    assert (welcome.is_async, bill.is_async) == (False, True)
    assert (bill.id, bill.name, bill.retries) == ("shop-bill", "Write a bill", 0)
    assert [trigger.event for trigger in bill.triggers] == ["order.paid", "order/*"]


@pytest.mark.usefixtures("_empty_registry")
def test_two_functions_cannot_have_one_id() -> None:
    client = Client(app_id="shop")

    @client.create_function(fn_id="f", trigger=TriggerEvent(event="a"))
    def first(ctx: ContextSync) -> None: ...

    with pytest.raises(ConfigurationError, match="shop-f"):

        @client.create_function(fn_id="f", trigger=TriggerEvent(event="b"))
        def second(ctx: ContextSync) -> None: ...


def test_a_function_that_cannot_work_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigurationError, match=r"test_client\.py:\d+.*retries=21"):

        @Client(app_id="shop").create_function(
            fn_id="f", trigger=TriggerEvent(event="a"), retries=21
        )
        def f(ctx: ContextSync) -> None: ...
