"""Inngest's official Python client sends here, unchanged: only its base URL says where."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import inngest
import pytest
from inngest._internal.errors import SendEventsError  # exported nowhere

from tests.clients.lossy_proxy import Loss, lossy_proxy
from tests.e2e.serving import Served, serving

Events = inngest.Event | list[inngest.Event]
Send = Callable[[inngest.Inngest, Events], list[str]]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("tests.e2e.app") as served:
        yield served


def dev_mode(url: str) -> inngest.Inngest:
    return inngest.Inngest(app_id="sdk", event_api_base_url=url, is_production=False)


def production_mode(url: str) -> inngest.Inngest:
    return inngest.Inngest(
        app_id="sdk",
        event_api_base_url=url,
        api_base_url=url,
        event_key="an-event-key",
        signing_key="signkey-test-" + 32 * "ab",
        is_production=True,
    )


@pytest.fixture(params=[dev_mode, production_mode], ids=["dev", "production"])
def client(request: pytest.FixtureRequest, served: Served) -> inngest.Inngest:
    return request.param(served.server.url)


@pytest.fixture(params=["send_sync", "send"])
def send(request: pytest.FixtureRequest, client_loop: asyncio.Runner) -> Send:
    """Both ways to send; the name tells which."""

    def send_sync(client: inngest.Inngest, events: Events) -> list[str]:
        return client.send_sync(events)

    def send(client: inngest.Inngest, events: Events) -> list[str]:
        return client_loop.run(client.send(events))

    return {"send_sync": send_sync, "send": send}[request.param]


@pytest.fixture(scope="module")
def client_loop() -> Iterator[asyncio.Runner]:
    """One event loop: the SDK's client keeps its connections in the first that it is used in."""
    with asyncio.Runner() as runner:
        yield runner


def test_an_event_arrives_as_it_was_sent(
    served: Served, client: inngest.Inngest, send: Send
) -> None:
    sent = inngest.Event(
        name="show/sdk",
        data={"text": "ň 🐎", "number": 2**60, "float": 0.1, "list": [None, True, {"a": {}}]},
        id=f"sdk-{client.is_production}-{send.__name__}",
        ts=1_700_000_000_123,
    )
    [event_id] = send(client, sent)
    received = served.output(event_id)["event"]
    assert {name: received[name] for name in sent.model_dump()} == sent.model_dump()
    stored = served.event(event_id)
    assert {name: stored[name] for name in sent.model_dump()} == sent.model_dump()


def test_a_bare_event_gets_an_id_and_a_time(
    served: Served, client: inngest.Inngest, send: Send
) -> None:
    before = time.time_ns() // 1_000_000
    [event_id] = send(client, inngest.Event(name="show/bare"))
    received = served.output(event_id)["event"]
    assert received["id"] == event_id
    assert received["data"] == {}
    assert before <= received["ts"] <= time.time_ns() // 1_000_000


def test_a_list_keeps_its_order(served: Served, client: inngest.Inngest, send: Send) -> None:
    ids = send(client, [inngest.Event(name="show/list", data={"n": n}) for n in range(7)])
    assert len(set(ids)) == 7
    assert [served.output(event_id)["event"]["data"]["n"] for event_id in ids] == list(range(7))


def test_an_empty_list_is_no_error(client: inngest.Inngest, send: Send) -> None:
    assert send(client, []) == []


def test_a_duplicate_gets_the_first_ones_id(
    served: Served, client: inngest.Inngest, send: Send
) -> None:
    name = f"show/duplicate.{client.is_production}.{send.__name__}"
    event = inngest.Event(name=name, id=name)
    [first] = send(client, event)
    assert send(client, event) == [first]
    assert send(client, [event, event]) == [first, first]
    served.output(first)
    assert len(served.starts(name)) == 1
    assert len(served.events(name)) == 1


@pytest.mark.parametrize("loss", ["500", "dropped"])
def test_a_lost_answer_starts_nothing_twice(served: Served, send: Send, loss: Loss) -> None:
    name = f"show/lost.{loss}.{send.__name__}"
    with lossy_proxy(served.server.url, [loss, loss]) as proxy:
        with_id = inngest.Event(name=name, data={"n": 0}, id=name)
        without = inngest.Event(name=name, data={"n": 1})
        ids = send(dev_mode(proxy.url), [with_id, without])
    assert proxy.answers == [200, 200, 200], "the server had taken it each time"
    assert len(set(proxy.seeds)) == 1
    assert proxy.seeds[0]
    assert [served.output(event_id)["event"]["data"]["n"] for event_id in ids] == [0, 1]
    assert {event["internal_id"] for event in served.events(name)} == set(ids)
    assert len(served.starts(name)) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (inngest.Event(name=""), r"events\[1\]: name: String should have at least 1 character"),
        (inngest.Event(name="inngest/mine"), r"events\[1\]: name: .*reserved"),
        (inngest.Event(name="show/bad", ts=-5), r"events\[1\]: ts: .*1980"),
        (inngest.Event(name="x" * 257), r"events\[1\]: name: .*256"),
    ],
)
def test_a_bad_event_is_an_exception_and_nothing_is_stored(
    served: Served, client: inngest.Inngest, send: Send, bad: inngest.Event, message: str
) -> None:
    with pytest.raises(SendEventsError, match=message) as caught:
        send(client, [inngest.Event(name="show/beside-a-bad-one"), bad])
    assert caught.value.ids == []
    assert served.events("show/beside-a-bad-one") == []


def test_a_body_that_is_too_large_is_an_exception(
    served: Served, client: inngest.Inngest, send: Send
) -> None:
    large = inngest.Event(name="show/too-large", data={"text": "x" * 600_000})
    with pytest.raises(SendEventsError, match="524288"):
        send(client, large)
    assert served.events("show/too-large") == []


def test_the_clients_environment_is_used(served: Served, send: Send) -> None:
    client = inngest.Inngest(
        app_id="sdk", event_api_base_url=served.server.url, is_production=False, env="branch-b"
    )
    [event_id] = send(client, inngest.Event(name="show/environment"))
    assert served.event(event_id, env="branch-b")["environment"] == "branch-b"
    [run] = served.ended(event_id, env="branch-b")
    assert run["environment"] == "branch-b"
