"""What the REST API tells about events, runs and functions, and how it says no."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.rest import Handler, Rest, answer_of, load_handler
from tidegate.api import Api
from tidegate.aws import client
from tidegate.caller import Callers
from tidegate.cron import TriggerCron
from tidegate.encoding import encode
from tidegate.event import AcceptedEvent
from tidegate.function import make_function
from tidegate.ids import random_ulid, run_id_of
from tidegate.key import Key, Keys, Kind
from tidegate.manifest import Manifest
from tidegate.run import Failure, Run, Status
from tidegate.trigger import TriggerEvent

ZERO = "00000000-0000-0000-0000-000000000000"
DAY_MS = 86_400_000


@pytest.fixture
def handler(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Handler:
    """The Lambda of a stage with the functions `shop-mail` and `shop-audit`."""
    stage.deploy(
        make_function(
            lambda ctx: None,
            app_id="shop",
            fn_id="mail",
            trigger=[TriggerEvent(event="shop/order.placed"), TriggerEvent(event="shop/user.*")],
            name="Send the mail",
            retries=2,
        ),
        make_function(
            lambda ctx: None,
            app_id="shop",
            fn_id="audit",
            trigger=[
                TriggerEvent(event="shop/*"),
                TriggerCron(cron="0 5 * * *", jitter="1m"),
                TriggerCron(cron="0 6 * * *"),
            ],
            name=None,
            retries=None,
        ),
    )
    return load_handler(stage, monkeypatch)


@pytest.fixture
def rest(handler: Handler) -> Rest:
    return Rest(handler)


def start(stage: Stage, event_id: str, function_id: str = "shop-mail", **fields: Any) -> Run:
    """Record a run of an event that a worker is at."""
    run = Run(
        id=run_id_of(ENV, function_id, event_id),
        env=ENV,
        function_id=function_id,
        event_id=event_id,
        status=Status.RUNNING,
        attempt=0,
        queued_ms=stage.clock.ms,
        started_ms=stage.clock.ms,
        lease="worker",
        lease_until_ms=stage.clock.ms + 60_000,
        event_name="shop/order.placed",
    )
    run = replace(run, **fields)
    assert stage.runs.create(run) is None
    return run


def end(stage: Stage, run: Run, status: Status, output: Any) -> None:
    ended = replace(run, status=status, output=encode(output), ended_ms=stage.clock.ms)
    assert stage.runs.end(run, ended)


# --- events -------------------------------------------------------------------------------------


def test_event_is_shown_as_it_was_sent(stage: Stage, rest: Rest) -> None:
    data = {
        "n": 9007199254740993,
        "big": 10**40,
        "text": "é\U0001f600\uffff",
        "deep": [{"a": None}],
    }
    [internal_id] = stage.send(
        {
            "name": "shop/order.placed",
            "data": data,
            "id": "order-1",
            "ts": 1_700_000_000_123,
            "user": {"email": "a@b.c"},
            "v": "2",
        }
    )
    answer = rest.get(f"/v1/events/{internal_id}")
    assert answer.data == {
        "internal_id": internal_id,
        "account_id": ZERO,
        "environment_id": ZERO,
        "environment": ENV,
        "source": "",
        "source_id": None,
        "received_at": "2025-10-09T08:53:20.000Z",
        "id": "order-1",
        "name": "shop/order.placed",
        "data": data,
        "user": {"email": "a@b.c"},
        "ts": 1_700_000_000_123,
        "v": "2",
    }
    assert answer.metadata == {"fetched_at": "2025-10-09T08:53:20.000Z", "cached_until": None}
    assert answer.headers["cache-control"] == "no-store"


def test_event_without_options_has_its_internal_id_and_neither_user_nor_version(
    stage: Stage, rest: Rest
) -> None:
    [internal_id] = stage.send({"name": "a"})
    event = rest.get(f"/v1/events/{internal_id.lower()}").data
    assert event["id"] == event["internal_id"] == internal_id
    assert event["data"] == {}
    assert not {"user", "v", "note"} & event.keys()


def test_large_event_comes_from_the_bucket_compressed_for_who_can_read_it(
    stage: Stage, rest: Rest
) -> None:
    data = {"text": "x" * 200_000}
    [internal_id] = stage.send({"name": "a", "data": data})
    plain = rest.get(f"/v1/events/{internal_id}")
    packed = rest.get(f"/v1/events/{internal_id}", headers={"accept-encoding": "gzip, br"})
    assert plain.data == packed.data
    assert plain.data["data"] == data
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert rest.get("/v1/events").data == [plain.data]


def test_event_whose_payload_is_gone_says_so_and_spoils_no_list(stage: Stage, rest: Rest) -> None:
    [gone] = stage.send({"name": "a", "data": {"text": "x" * 100_000}})
    bucket = stage.settings.bucket
    [stored] = client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    client("s3").delete_object(Bucket=bucket, Key=stored["Key"])
    [kept] = stage.send({"name": "b"})
    event = rest.get(f"/v1/events/{gone}").data
    assert (event["name"], event["data"], event["id"], event["ts"]) == ("a", None, None, None)
    assert "is gone" in event["note"]
    assert {e["internal_id"] for e in rest.get("/v1/events").data} == {gone, kept}


def test_list_of_large_events_is_cut_to_what_an_answer_can_hold(stage: Stage, rest: Rest) -> None:
    sent = [stage.send({"name": "a", "data": {"t": "x" * 450_000}})[0] for _ in range(6)]
    first = rest.get("/v1/events", {"limit": "6"})
    assert [e["internal_id"] for e in first.data] == sorted(sent, reverse=True)[:4]
    assert first.metadata["has_more"] is True
    rest_of_it = rest.get("/v1/events", {"cursor": first.metadata["next_cursor"]})
    assert [e["internal_id"] for e in rest_of_it.data] == sorted(sent, reverse=True)[4:]
    assert rest_of_it.metadata["has_more"] is False


def test_event_too_large_for_a_list_or_an_answer_says_what_to_do(stage: Stage, rest: Rest) -> None:
    [internal_id] = stage.send({"name": "a", "data": {"t": '"' * 2_000_000}})
    [listed] = rest.get("/v1/events").data
    assert listed["data"] is None
    assert "GET /v1/events/<internal_id>" in listed["note"]
    plain = rest.get(f"/v1/events/{internal_id}")
    assert plain.status == 413
    assert "Accept-Encoding: gzip" in plain.body["error"]
    packed = rest.get(f"/v1/events/{internal_id}", headers={"accept-encoding": "gzip"})
    assert len(packed.data["data"]["t"]) == 2_000_000


def test_event_past_its_retention_is_not_shown_though_ttl_has_not_deleted_it(
    stage: Stage, rest: Rest
) -> None:
    internal_id = random_ulid(stage.clock.ms)
    event = AcceptedEvent(internal_id, ENV, "a", stage.clock.ms - 30 * DAY_MS, 0, '{"name":"a"}')
    stage.store.put([event])
    assert stage.store.contains(ENV, internal_id)
    assert rest.get(f"/v1/events/{internal_id}").status == 404
    assert rest.get(f"/v1/events/{internal_id}/runs").status == 404
    assert rest.get("/v1/events").data == []


# --- runs ---------------------------------------------------------------------------------------


def test_completed_run(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id)
    stage.clock.advance(seconds=1.5)
    end(stage, run, Status.COMPLETED, {"sent": 9007199254740993})
    expected = {
        "run_id": run.id,
        "function_id": "shop-mail",
        "function_version": 1,
        "environment_id": ZERO,
        "environment": ENV,
        "event_id": event_id,
        "event_name": "shop/order.placed",
        "batch_id": None,
        "original_run_id": None,
        "replay_id": None,
        "cron": None,
        "status": "Completed",
        "attempt": 0,
        "queued_at": "2025-10-09T08:53:20.000Z",
        "run_started_at": "2025-10-09T08:53:20.000Z",
        "ended_at": "2025-10-09T08:53:21.500Z",
        "output": {"sent": 9007199254740993},
    }
    assert rest.get(f"/v1/runs/{run.id}").data == expected
    assert rest.get(f"/v1/events/{event_id}/runs").data == [expected]


def test_run_recorded_before_event_names_were_kept_has_none(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id, event_name="")
    assert rest.get(f"/v1/runs/{run.id}").data["event_name"] is None


def test_failed_run_shows_its_error_as_output(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id)
    failure = Failure("KeyError", "'total'", "Traceback …").as_dict()
    end(stage, run, Status.FAILED, failure)
    shown = rest.get(f"/v1/runs/{run.id}").data
    assert (shown["status"], shown["output"]) == ("Failed", failure)


def test_run_that_waits_for_a_retry_shows_why_and_until_when(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id)
    failure = Failure("KeyError", "'total'", "Traceback …")
    assert stage.runs.release(run, stage.clock.ms + 30_000, attempt=1, failure=failure)
    shown = rest.get(f"/v1/runs/{run.id}").data
    assert shown["status"] == "Running"
    assert shown["attempt"] == 1
    assert shown["next_attempt_at"] == "2025-10-09T08:53:50.000Z"
    assert shown["last_error"] == failure.as_dict()
    assert shown["ended_at"] is None
    assert "output" not in shown


def test_run_that_has_not_begun(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    due_ms = stage.clock.ms + 60_000
    run = start(stage, event_id, status=Status.SCHEDULED, started_ms=None, due_ms=due_ms)
    shown = rest.get(f"/v1/runs/{run.id}").data
    assert (shown["status"], shown["run_started_at"]) == ("Scheduled", None)
    assert shown["next_attempt_at"] == "2025-10-09T08:54:20.000Z"
    assert not {"output", "last_error"} & shown.keys()


def test_runs_of_an_event_are_those_of_all_its_functions(stage: Stage, rest: Rest) -> None:
    [event_id, other_id] = stage.send({"name": "shop/order.placed"}, {"name": "shop/order.placed"})
    start(stage, event_id, "shop-mail")
    start(stage, event_id, "shop-audit")
    start(stage, other_id, "shop-audit")
    runs = rest.get(f"/v1/events/{event_id}/runs").data
    assert [(r["function_id"], r["event_id"]) for r in runs] == [
        ("shop-audit", event_id),
        ("shop-mail", event_id),
    ]


def test_event_that_started_nothing_has_no_runs(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "unheard"})
    assert rest.get(f"/v1/events/{event_id}/runs").data == []


def test_large_output_comes_from_the_bucket_and_may_be_gone(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id)
    end(stage, run, Status.COMPLETED, "x" * 100_000)
    assert rest.get(f"/v1/runs/{run.id}").data["output"] == "x" * 100_000
    bucket = stage.settings.bucket
    [stored] = client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    client("s3").delete_object(Bucket=bucket, Key=stored["Key"])
    for shown in (
        rest.get(f"/v1/runs/{run.id}").data,
        rest.get(f"/v1/events/{event_id}/runs").data[0],
    ):
        assert (shown["status"], shown["output"]) == ("Completed", None)
        assert "is gone" in shown["note"]


def test_output_too_large_for_a_list_is_left_out_of_it(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    small, large = start(stage, event_id, "shop-mail"), start(stage, event_id, "shop-audit")
    end(stage, small, Status.COMPLETED, 1)
    end(stage, large, Status.COMPLETED, "x" * 2_500_000)
    audit, mail = rest.get(f"/v1/events/{event_id}/runs").data
    assert mail["output"] == 1
    assert "output" not in audit
    assert "GET /v1/runs/<run_id>" in audit["note"]
    assert len(rest.get(f"/v1/runs/{large.id}").data["output"]) == 2_500_000


def test_run_past_its_retention_is_not_shown(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    run = start(stage, event_id, queued_ms=stage.clock.ms - 30 * DAY_MS)
    assert stage.runs.get(ENV, run.id) is not None
    assert rest.get(f"/v1/runs/{run.id}").status == 404
    assert rest.get(f"/v1/events/{event_id}/runs").data == []


# --- functions ----------------------------------------------------------------------------------


def test_functions_are_listed_with_triggers_and_config(rest: Rest) -> None:
    audit, mail = rest.get("/v1/functions").data
    assert (audit["id"], audit["name"], audit["retries"]) == ("shop-audit", "audit", 4)
    assert audit["triggers"] == [
        {"event": "shop/*"},
        {"cron": "0 5 * * *", "jitter_ms": 60_000},
        {"cron": "0 6 * * *"},
    ]
    assert mail == {
        "id": "shop-mail",
        "app_id": "shop",
        "name": "Send the mail",
        "triggers": [{"event": "shop/order.placed"}, {"event": "shop/user.*"}],
        "retries": 2,
        "config": {
            "timeout_s": 120,
            "visibility_timeout_s": 720,
            "max_receive_count": 12,
            "batch_size": 10,
            "max_concurrency": 50,
        },
    }


# --- refusals -----------------------------------------------------------------------------------

UNKNOWN = "01K74000000000000000000000"


NOT_THERE = [
    ("/v1/events/nonsense", 400, "Invalid event ID: nonsense"),
    ("/v1/events/nonsense/runs", 400, "Invalid event ID: nonsense"),
    ("/v1/runs/order-1", 400, "Invalid run ID: order-1"),
    (f"/v1/events/{UNKNOWN}", 404, "Event not found"),
    (f"/v1/events/{UNKNOWN}/runs", 404, "Event not found"),
    (f"/v1/runs/{UNKNOWN}", 404, "Run not found"),
    (f"/v1/events/7{'Z' * 25}", 404, "Event not found"),
    (f"/v1/runs/7{'Z' * 25}", 404, "Run not found"),
    ("/v1/nonsense", 404, "no such path: /v1/nonsense"),
    ("/v1/events/a/b/c", 404, "no such path"),
    ("/v1/", 404, "no such path"),
]


def test_what_is_not_there(rest: Rest, subtests: pytest.Subtests) -> None:
    for path, status, error in NOT_THERE:
        with subtests.test(path):
            answer = rest.get(path)
            assert answer.status == status
            assert answer.body == {"error": answer.body["error"], "data": None, "status": status}
            assert error in answer.body["error"]
            assert answer.headers["cache-control"] == "no-store"


def test_other_methods(rest: Rest, subtests: pytest.Subtests) -> None:
    event = f"/v1/events/{UNKNOWN}"
    run = f"/v1/runs/{UNKNOWN}"
    for path in ("/v1/events", event, f"{event}/runs", run, "/v1/functions"):
        allowed = {"GET", "DELETE"} if path == run else {"GET"}
        allowed |= {"POST"} if path == "/v1/events" else set()
        for method in {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"} - allowed:
            with subtests.test(path, method=method):
                answer = rest.get(path, method=method)
                assert answer.status == answer.body["status"] == 405
                assert answer.headers["allow"] == ", ".join(sorted(allowed))
                assert answer.body["data"] is None


def test_a_run_is_cancelled(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "app/a"})
    run = start(stage, event_id)
    answer = rest.get(f"/v1/runs/{run.id}", method="DELETE")
    assert answer.status == 200
    assert (answer.data["run_id"], answer.data["status"]) == (run.id, "Running")
    cancelled = stage.runs.get(ENV, run.id)
    assert cancelled is not None
    assert cancelled.cancel_reason == "by a call of the REST API"
    assert rest.get(f"/v1/runs/{UNKNOWN}", method="DELETE").status == 404
    assert rest.get("/v1/runs/nonsense", method="DELETE").status == 400


def test_an_ended_run_stays_as_it_is(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": "app/a"})
    run = start(stage, event_id)
    end(stage, run, Status.COMPLETED, "done")
    answer = rest.get(f"/v1/runs/{run.id}", method="DELETE")
    assert (answer.status, answer.data["status"], answer.data["output"]) == (
        200,
        "Completed",
        "done",
    )


def test_storage_that_does_not_answer_is_503(
    stage: Stage, rest: Rest, subtests: pytest.Subtests
) -> None:
    for table in (stage.settings.events_table, stage.settings.runs_table):
        client("dynamodb").delete_table(TableName=table)
    event = f"/v1/events/{UNKNOWN}"
    for path in ("/v1/events", event, f"{event}/runs", f"/v1/runs/{UNKNOWN}"):
        with subtests.test(path):
            answer = rest.get(path)
            assert answer.status == answer.body["status"] == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.body["data"] is None


def test_crash_is_500_in_the_same_shape(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    [event_id] = stage.send({"name": "shop/order.placed"})
    monkeypatch.setattr("tidegate.rest_runs.run_id_of", lambda *_: 1 / 0)
    answer = rest.get(f"/v1/events/{event_id}/runs")
    assert answer.status == 500
    assert answer.body["data"] is None
    assert answer.body["status"] == 500
    assert "division" not in answer.body["error"]


class KeysThatAreAskedForTwice(Keys):
    """While the first request's key is looked up, a second request comes."""

    def __init__(self, second: Thread) -> None:
        self.second = second

    def find(self, kind: Kind, secret: str) -> Key:
        if secret == "first":
            self.second.start()
            # It has to wait for the first one, or else it is answered now.
            self.second.join(timeout=0.3)
        return Key(kind, ENV)


def test_requests_at_the_same_time_get_their_own_answers(stage: Stage) -> None:
    stage.send({"name": "first"}, {"name": "second"})
    names: dict[str, list[str]] = {}

    def ask(name: str) -> None:
        events = Rest(api.handle, name).get("/v1/events", {"name": name}).data
        names[name] = [event["name"] for event in events]

    second = Thread(target=ask, args=["second"])
    keys = KeysThatAreAskedForTwice(second)
    callers = Callers(keys)
    manifest = Manifest(functions=())
    api = Api(callers, stage.store, stage.runs, stage.steps, stage.canceller, manifest, stage.clock)
    ask("first")
    second.join()
    assert names == {"first": ["first"], "second": ["second"]}


def test_event_that_is_not_the_gateways_is_500_too(handler: Handler) -> None:
    answer = answer_of(handler({"something": "else"}, None))
    assert (answer.status, answer.body["data"]) == (500, None)
