"""The client of the REST API: what it sends, when it tries again, and what its errors say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.clock import FakeClock
from tidegate.errors import ConfigurationError, RestError
from tidegate.rest_client import MAX_TRIES, RestClient, path_of

Asked = list[httpx.Request]


class Server:
    """Answers with what the script holds, in order; its last item repeats."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: Asked = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        item = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(item, Exception):
            raise item
        status, content, *headers = item
        body = content if isinstance(content, str) else json.dumps(content)
        return httpx.Response(status, text=body, headers=headers[0] if headers else {})


OK = (200, {"data": {"n": 1}, "metadata": {"fetched_at": "now"}})


def client(server: Callable[[httpx.Request], httpx.Response], **options: Any) -> RestClient:
    clock = options.pop("clock", FakeClock())
    transport = httpx.MockTransport(server)
    return RestClient("http://host", clock=clock, transport=transport, **options)


def test_it_says_who_asks_and_what() -> None:
    server = Server(OK)
    asked = client(server, signing_key="signkey-a-00", env="feature/x")
    assert asked.get("/v1/runs", {"limit": 3, "cursor": None, "name": "a&b"}) == {"n": 1}
    [request] = server.asked
    assert str(request.url) == "http://host/v1/runs?limit=3&name=a%26b"
    assert request.headers["authorization"] == "Bearer signkey-a-00"
    assert request.headers["x-inngest-env"] == "feature/x"


def test_without_a_key_none_is_sent() -> None:
    server = Server(OK)
    client(server).get("/v1/runs")
    assert "authorization" not in server.asked[0].headers
    assert "x-inngest-env" not in server.asked[0].headers


@pytest.mark.parametrize("status", [401, 403])
def test_fallback_key_is_tried_when_the_first_is_refused_and_kept(status: int) -> None:
    server = Server((status, {"error": "no"}), OK)
    asked = client(server, signing_key="old", fallback_signing_key="new")
    asked.get("/v1/runs")
    asked.get("/v1/runs")
    keys = [request.headers["authorization"] for request in server.asked]
    assert keys == ["Bearer old", "Bearer new", "Bearer new"]


def test_both_keys_refused_is_the_error_of_the_last() -> None:
    server = Server((401, {"error": "one"}), (401, {"error": "two"}))
    with pytest.raises(RestError, match="two") as raised:
        client(server, signing_key="old", fallback_signing_key="new").get("/v1/runs")
    assert raised.value.status == 401


@pytest.mark.parametrize("fault", [(429, ""), (503, ""), (500, ""), httpx.ReadError("gone")])
def test_what_may_pass_is_tried_again_with_longer_pauses(fault: Any) -> None:
    clock = FakeClock()
    server = Server(fault, fault, fault, OK)
    assert client(server, clock=clock).get("/v1/runs") == {"n": 1}
    assert [0.1 <= s <= 0.2 for s in clock.slept_s[:1]] == [True]
    assert clock.slept_s == sorted(clock.slept_s)
    assert len(clock.slept_s) == 3


def test_retry_after_is_kept_to_but_not_for_hours() -> None:
    clock = FakeClock()
    server = Server((503, "", {"retry-after": "7"}), (503, "", {"retry-after": "7200"}), OK)
    client(server, clock=clock).get("/v1/runs")
    assert 7 <= clock.slept_s[0] <= 7.1
    assert 30 <= clock.slept_s[1] <= 30.1


def test_tries_are_bounded() -> None:
    server = Server((503, {"error": "storage did not answer"}))
    with pytest.raises(RestError, match="storage did not answer") as raised:
        client(server).get("/v1/runs")
    assert (raised.value.status, len(server.asked)) == (503, MAX_TRIES)
    silent = Server(httpx.ConnectError("refused"))
    with pytest.raises(RestError, match="refused") as raised:
        client(silent).get("/v1/runs")
    assert (raised.value.status, len(silent.asked)) == (None, MAX_TRIES)


@pytest.mark.parametrize(
    "fault", [(503, ""), (500, ""), httpx.ReadError(""), httpx.ReadTimeout("")]
)
def test_what_starts_something_is_not_repeated_if_it_may_have_arrived(fault: Any) -> None:
    server = Server(fault, OK)
    with pytest.raises(RestError):
        client(server).post("/v1/replays", {})
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", [(429, ""), httpx.ConnectError("refused")])
def test_what_starts_something_is_repeated_if_it_cannot_have_arrived(fault: Any) -> None:
    server = Server(fault, OK)
    client(server).post("/v1/replays", {"a": 1})
    assert json.loads(server.asked[1].content) == {"a": 1}


@pytest.mark.parametrize("status", [400, 404, 409, 501])
def test_what_is_refused_is_not_tried_again(status: int) -> None:
    server = Server((status, {"error": "so it is", "data": None}))
    with pytest.raises(RestError, match="so it is") as raised:
        client(server).get("/v1/runs")
    assert (raised.value.status, len(server.asked)) == (status, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {"message": "Not Found"}), "Not Found"),
        ((200, "<html>"), "is the URL right"),
        ((200, "[]"), "is the URL right"),
        ((307, "", {"location": "https://host"}), "redirects"),
        ((404, ""), "an empty body"),
    ],
)
def test_an_answer_of_something_else_is_told_as_such(answer: Any, said: str) -> None:
    with pytest.raises(RestError, match=said) as raised:
        client(Server(answer)).get("/v1/runs")
    assert raised.value.status == answer[0]


def test_pages_are_turned_until_the_end_or_the_limit() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        first, size = int(query.get("cursor", 0)), int(query["limit"])
        # A page may hold fewer than asked for, even none, and not be the last.
        items = [] if first == 100 else list(range(first, min(first + size, 250)))[:90]
        last = first + size
        cursor = str(last) if last < 250 else None
        return httpx.Response(200, json={"data": items, "metadata": {"next_cursor": cursor}})

    assert [len(page) for page in client(server).pages("/v1/runs", {}, None)] == [90, 50]
    assert [len(page) for page in client(server).pages("/v1/runs", {}, 95)] == [90, 5]
    assert list(client(server).pages("/v1/runs", {}, 2)) == [[0, 1]]
    assert list(client(server).pages("/v1/runs", {}, 0)) == []


def test_integers_keep_every_digit() -> None:
    server = Server((200, '{"data": 12345678901234567890123}'))
    assert client(server).get("/v1/runs") == 12345678901234567890123


def test_a_key_that_no_header_can_carry_is_an_error_of_the_caller() -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        client(Server(OK), signing_key="schlüssel\u2026").get("/v1/runs")


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_what_would_lead_elsewhere_is_no_id(part: str) -> None:
    assert path_of("runs", "a/b?") == "/v1/runs/a%2Fb%3F"
    with pytest.raises(ConfigurationError, match="is no id"):
        path_of("runs", part)


def test_what_a_valid_key_may_not_is_said_and_not_that_the_other_is_none() -> None:
    server = Server((403, {"error": "the environment is archived"}), (401, {"error": "no key"}))
    with pytest.raises(RestError, match="is archived") as raised:
        client(server, signing_key="old", fallback_signing_key="gone").get("/v1/runs")
    assert raised.value.status == 403
