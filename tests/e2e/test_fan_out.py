"""From an HTTP request to the ends of all runs, and nothing in between is replaced."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.e2e import readme
from tests.e2e.serving import Served, serving, until
from tidegate import Client, Event, SendEventsError
from tidegate.ids import is_ulid, ulid_ms
from tidegate.local.wiring import queue_name


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("functions.shop", "tests.e2e.app") as served:
        yield served


@pytest.fixture
def client(served: Served) -> Client:
    return Client(app_id="test", base_url=served.server.url, event_key="k", is_production=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- one event, many functions --------------------------------------------------------------------


def test_the_event_of_the_readme_starts_two_functions(served: Served) -> None:
    curl = readme.curl_of(readme.block("curl", "storefront/cart.checkout.completed"))
    [event_id] = served.send(json.loads(curl.body))
    reserve, receipt = served.ended(event_id, 2)
    assert (reserve["function_id"], receipt["function_id"]) == (
        "shop-reserve-stock",
        "shop-send-receipt",
    )
    assert reserve["status"] == receipt["status"] == "Completed"
    assert reserve["output"] == {"cart": "ed12c8bde", "reserved": ["9f08sdh84"]}
    assert receipt["output"] == {"sent_to": "test@example.com", "items": 1}
    shown = readme.block("run completed", "shop-send-receipt")
    for run in (reserve, receipt):
        assert json.dumps(run["output"], separators=(",", ":")) in shown


def test_a_function_sends_what_starts_the_next_one(served: Served, client: Client) -> None:
    [signup] = client.send_sync(Event(name="app/user.signup", data={"userId": "u-1"}))
    activated = served.output(signup)
    assert activated["activated"] == "u-1"
    assert served.event(activated["event"])["name"] == "app/user.activated"
    assert served.output(activated["event"]) == "welcome, u-1"


def test_an_import_of_300_items_starts_each_of_300_runs_once(served: Served) -> None:
    [upload] = served.send({"name": "storefront/catalog.uploaded", "data": {"catalogId": "c-1"}})
    assert served.output(upload) == {"imported": 300}
    events = served.events("storefront/item.imported")
    assert Counter(event["data"]["item"] for event in events) == Counter(range(300))
    for event in events:
        run = served.run(event["internal_id"])
        assert run["function_id"] == "shop-index-item"
        assert run["output"] == {"indexed": event["data"]}
    starts = served.starts("storefront/item.imported")
    assert len(starts) == len(set(starts)) == 300


def test_a_function_takes_any_of_its_triggers(served: Served) -> None:
    ids = served.send([{"name": "storefront/item.sold"}, {"name": "storefront/coupon.used"}])
    assert [served.run(id_)["function_id"] for id_ in ids] == ["shop-index-item"] * 2


def test_one_event_starts_a_function_once_however_many_triggers_match(served: Served) -> None:
    [event_id] = served.send({"name": "show/twice.over"})
    served.output(event_id)
    assert len(served.starts("show/twice.over")) == 1


def test_an_event_that_no_function_wants_is_stored_and_starts_nothing(served: Served) -> None:
    [event_id] = served.send({"name": "storefront/items", "data": {"a": 1}})
    assert served.event(event_id)["data"] == {"a": 1}
    # What is sent after it has run; so it would have, too.
    [later] = served.send({"name": "storefront/item.x"})
    served.ended(later)
    assert served.runs(event_id) == []


# --- what a function receives ---------------------------------------------------------------------


def test_a_function_receives_all_that_was_sent(served: Served, client: Client) -> None:
    sent = Event(
        name="show/everything",
        data={"text": "žluťoučký 🐎", "big": 2**70, "none": None, "nested": [{"a": [1, 2.5]}]},
        id="everything-1",
        ts=1_700_000_000_000,
        user={"id": "u-1"},
        v="2026-11-01",
    )
    [event_id] = client.send_sync(sent)
    run = served.run(event_id)
    assert run["output"] == {"event": sent.model_dump(), "run_id": run["run_id"], "attempt": 0}
    stored = served.event(event_id)
    assert {name: stored[name] for name in sent.model_dump()} == sent.model_dump()
    assert stored["environment"] == "dev"


def test_defaults_are_filled_in(served: Served) -> None:
    before = now_ms()
    [event_id] = served.send({"name": "show/defaults"})
    event = served.output(event_id)["event"]
    assert before <= event.pop("ts") <= now_ms()
    assert event == {"name": "show/defaults", "data": {}, "id": event_id, "user": {}, "v": None}
    assert before <= ulid_ms(event_id) <= now_ms()


def test_an_event_of_300_kb_arrives_whole(served: Served, client: Client) -> None:
    text = "".join(chr(ord("a") + i * i % 26) for i in range(300_000))
    [event_id] = client.send_sync(Event(name="measure/asked", data={"text": text}))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert served.output(event_id) == {"length": 300_000, "sha256": digest}
    assert served.event(event_id)["data"] == {"text": text}


def test_a_gzipped_body_is_understood(served: Served) -> None:
    body = gzip.compress(json.dumps([{"name": "show/gzip", "data": {"n": 1}}]).encode())
    answer = served.http.post("/e/k", content=body, headers={"content-encoding": "gzip"})
    [event_id] = answer.json()["ids"]
    assert served.output(event_id)["event"]["data"] == {"n": 1}


def test_events_sent_from_async_code_keep_their_order(served: Served, client: Client) -> None:
    events = [Event(name="show/order", data={"n": n}) for n in range(25)]
    ids = asyncio.run(client.send(events))
    assert [served.event(id_)["data"]["n"] for id_ in ids] == list(range(25))
    assert all(map(is_ulid, ids))


def test_the_key_may_be_in_a_header(served: Served) -> None:
    answer = served.http.post(
        "/e", json={"name": "show/bearer"}, headers={"authorization": "Bearer k"}
    )
    [event_id] = answer.json()["ids"]
    assert served.output(event_id)["event"]["name"] == "show/bearer"


# --- once, and in its own environment -------------------------------------------------------------


def test_a_duplicate_gets_the_first_ones_id_and_starts_nothing(
    served: Served, client: Client
) -> None:
    [first] = client.send_sync(Event(name="show/once", data={"n": 1}, id="once-1"))
    again = Event(name="show/another", data={"n": 2}, id="once-1")
    other = Event(name="show/once", id="once-2")
    assert client.send_sync([again, other, again])[::2] == [first, first]
    assert served.output(first)["event"]["data"] == {"n": 1}
    # It was sent after the duplicates; when it has run they would have, too.
    until(lambda: len(served.starts("show/once")) == 2)
    assert served.events("show/another") == []
    assert served.starts("show/another") == []


def test_environments_share_nothing(served: Served) -> None:
    event = {"name": "show/environment", "id": "environment-1"}
    [here] = served.send(event)
    [there] = served.send(event, x_inngest_env="branch-a")
    assert served.send(event, x_inngest_env="branch-a") == [there]
    assert here != there
    assert served.ended(here)[0]["environment"] == "dev"
    assert served.ended(there, env="branch-a")[0]["environment"] == "branch-a"
    for event_id, env in ((here, "branch-a"), (there, "dev"), (there, "branch-b")):
        answer = served.http.get(f"/v1/events/{event_id}", headers={"x-inngest-env": env})
        assert answer.status_code == 404


def test_a_bad_event_fails_the_request_and_nothing_is_stored(
    served: Served, client: Client
) -> None:
    events = [Event(name="show/all-or-nothing"), Event(name="inngest/mine")]
    with pytest.raises(SendEventsError, match=r"events\[1\].*reserved") as caught:
        client.send_sync(events)
    assert (caught.value.status, caught.value.ids) == (400, [])
    assert served.events("show/all-or-nothing") == []


# --- later, and again -----------------------------------------------------------------------------


def test_a_run_starts_when_its_event_says(served: Served) -> None:
    soon = now_ms() + 1_500
    tomorrow = now_ms() + 86_400_000
    ids = served.send([{"name": "show/soon", "ts": soon}, {"name": "show/later", "ts": tomorrow}])
    [waiting] = until(lambda: served.runs(ids[1]))
    assert waiting["status"] == "Scheduled"
    assert waiting["run_started_at"] is None
    assert "output" not in waiting
    started = served.run(ids[0])
    assert started["status"] == "Completed"
    assert started["run_started_at"] >= iso(soon)
    assert started["output"]["event"]["ts"] == soon
    assert served.runs(ids[1]) == [waiting]


def iso(ms: int) -> str:
    """The time as the REST API writes it; such texts sort by time."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03d}Z"


def test_a_function_that_fails_once_is_tried_again_when_it_said(served: Served) -> None:
    hour_ms = 3_600_000
    sent_ms = now_ms()
    soon, later = served.send(
        [{"name": "fail/once", "data": {"retry_after_ms": ms}} for ms in (1_000, hour_ms)]
    )

    def waiting_runs() -> Any:
        return [run for run in served.runs(later) if "last_error" in run]

    [waiting] = until(waiting_runs)
    assert (waiting["status"], waiting["attempt"]) == ("Running", 1)
    assert waiting["last_error"]["name"] == "RetryAfterError"
    assert waiting["last_error"]["message"] == "the first try fails"
    assert iso(sent_ms + hour_ms) <= waiting["next_attempt_at"] <= iso(now_ms() + hour_ms)
    run = served.run(soon)
    assert (run["status"], run["attempt"], run["output"]) == ("Completed", 1, {"attempt": 1})
    assert run["ended_at"] >= iso(sent_ms + 1_000)
    assert served.starts("fail/once").count(run["run_id"]) == 2
    assert served.starts("fail/once").count(waiting["run_id"]) == 1


def test_a_function_that_cannot_succeed_fails_and_others_hear_of_it(served: Served) -> None:
    event = {"name": "fail/for-good", "data": {"what": "the weather"}}
    [event_id] = served.send(event)
    run = served.run(event_id)
    assert (run["status"], run["attempt"]) == ("Failed", 0)
    assert run["output"]["name"] == "NonRetriableError"
    assert run["output"]["message"] == "nothing can be done about the weather"
    assert "failing.py" in run["output"]["stack"]
    assert "raise NonRetriableError" in run["output"]["stack"]
    assert served.starts("fail/for-good") == [run["run_id"]]

    def heard() -> Any:
        return [
            json.loads(vars(record)["output"])
            for record in list(served.log)
            if record.getMessage() == "run completed"
            and vars(record)["function_id"] == "e2e-hear"
            and run["run_id"] in vars(record)["output"]
        ]

    [told] = until(heard)
    assert told["id"] == run["run_id"]
    assert told["data"]["run_id"] == run["run_id"]
    assert told["data"]["function_id"] == "e2e-fail-for-good"
    assert told["data"]["error"]["message"] == "nothing can be done about the weather"
    assert told["data"]["event"]["data"] == event["data"]


def test_a_slow_function_delays_no_other(served: Served) -> None:
    """Each waits for the other to have begun, so neither succeeds unless both run at once."""
    [event_id] = served.send({"name": "wait/begun"})
    quick, slow = served.ended(event_id, 2)
    assert (quick["function_id"], slow["function_id"]) == ("e2e-quick", "e2e-slow")
    assert quick["output"] is slow["output"] is True


def test_a_poison_message_ends_in_the_dead_letter_queue(served: Served) -> None:
    sqs = boto3.client("sqs")
    name = queue_name("e2e-show")
    queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    dead = sqs.get_queue_url(QueueName=f"{name}-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody='{"event": "this is none"')
    [event_id] = served.send({"name": "show/behind-the-poison"})

    def dead_letters() -> Any:
        return sqs.receive_message(
            QueueUrl=dead, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        ).get("Messages")

    [message] = until(dead_letters)
    assert message["Body"] == '{"event": "this is none"'
    assert "not a message of an event" in message["MessageAttributes"]["reason"]["StringValue"]
    assert message["MessageAttributes"]["function_id"]["StringValue"] == "e2e-show"
    assert served.run(event_id)["status"] == "Completed"


# --- browsers, and what is not there --------------------------------------------------------------


def test_a_page_of_any_origin_may_send(served: Served) -> None:
    preflight = served.http.options(
        "/e/k",
        headers={
            "origin": "https://shop.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-inngest-env",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert preflight.headers["access-control-allow-headers"] == "content-type,x-inngest-env"
    for body, status in (('{"name": "show/browser"}', 200), ("{", 400)):
        answer = served.http.post("/e/k", content=body, headers={"origin": "https://shop.example"})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("POST", "/x", 404),
        ("GET", "/e/k", 405),
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/events", 405),
        ("GET", "/v1/events/no-ulid", 400),
    ],
)
def test_what_is_not_there_is_said_in_json(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = served.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert answer.json()["error"]


def test_it_is_healthy(served: Served) -> None:
    assert served.http.get("/health").json() == {"status": 200, "message": "OK"}
