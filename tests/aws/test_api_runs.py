"""The list of runs: newest first, by every filter, in pages, none twice and none missing."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, counting
from tests.aws.rest import Rest, load_handler
from tidegate import listing
from tidegate.encoding import encode
from tidegate.ids import random_ulid, ulid_at, ulid_ms
from tidegate.run import Failure, Run, Status

pytestmark = pytest.mark.storage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rest:
    return Rest(load_handler(stage, monkeypatch))


def record(stage: Stage, run_id: str | None = None, **fields: Any) -> Run:
    """Record a run that a worker is at."""
    run = Run(
        id=run_id or random_ulid(stage.clock.ms),
        env=ENV,
        function_id="shop-mail",
        event_id=random_ulid(stage.clock.ms),
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


def end(stage: Stage, run: Run, status: Status, output: Any = None) -> Run:
    ended = replace(run, status=status, output=encode(output), ended_ms=stage.clock.ms)
    assert stage.runs.end(run, ended)
    return ended


def failed(stage: Stage, message: str = "no") -> Run:
    failure = Failure("ValueError", message, "Traceback …").as_dict()
    return end(stage, record(stage), Status.FAILED, failure)


def newest_first(*runs: Run) -> list[str]:
    return sorted((run.id for run in runs), reverse=True)


def listed(rest: Rest, **query: str) -> list[str]:
    """The ids of the first page; `since` stands for `from`."""
    query = {"from" if name == "since" else name: text for name, text in query.items()}
    return [run["run_id"] for run in rest.get("/v1/runs", query).data]


def walk(rest: Rest, query: dict[str, str]) -> list[str]:
    """The ids on all pages."""
    ids: list[str] = []
    for _ in range(2_000):
        answer = rest.get("/v1/runs", query)
        assert len(answer.data) <= int(query.get("limit", 20))
        ids += [run["run_id"] for run in answer.data]
        if not answer.metadata["has_more"]:
            assert answer.metadata["next_cursor"] is None
            return ids
        query = query | {"cursor": answer.metadata["next_cursor"]}
    raise AssertionError("the list never ends")


def test_a_run_is_listed_as_it_is_shown_but_without_its_output(stage: Stage, rest: Rest) -> None:
    run = end(stage, record(stage), Status.COMPLETED, {"sent": 1})
    [shown] = rest.get("/v1/runs").data
    alone = rest.get(f"/v1/runs/{run.id}").data
    assert alone.pop("output") == {"sent": 1}
    assert shown == alone
    assert shown["event_name"] == "shop/order.placed"


def test_a_run_that_failed_or_was_cancelled_tells_why_without_the_stack(
    stage: Stage, rest: Rest
) -> None:
    run = failed(stage, "no stock")
    [shown] = rest.get("/v1/runs").data
    assert (shown["run_id"], shown["status"]) == (run.id, "Failed")
    assert shown["error"] == {"name": "ValueError", "message": "no stock"}
    assert "output" not in shown
    why = Failure("RunCancelled", "cancelled: by a test").as_dict()
    end(stage, record(stage, env="other"), Status.CANCELLED, why)
    end(stage, record(stage), Status.CANCELLED, why)
    [shown] = rest.get("/v1/runs", {"status": "Cancelled"}).data
    assert shown["error"] == {"name": "RunCancelled", "message": "cancelled: by a test"}


def test_a_run_that_waits_for_a_retry_tells_why(stage: Stage, rest: Rest) -> None:
    run = record(stage)
    due_ms = stage.clock.ms + 30_000
    assert stage.runs.release(run, due_ms, attempt=1, failure=Failure("KeyError", "'a'", "…"))
    [shown] = rest.get("/v1/runs").data
    assert shown["last_error"] == {"name": "KeyError", "message": "'a'"}
    assert shown["next_attempt_at"] == "2025-10-09T08:53:50.000Z"
    assert "error" not in shown


def test_a_large_output_is_not_fetched_for_a_list(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(stage, record(stage), Status.FAILED, {"name": "E", "message": "x" * 100_000})
    monkeypatch.setattr("tidegate.payload.PayloadStore.get", lambda *_: 1 / 0)
    [shown] = rest.get("/v1/runs").data
    assert shown["status"] == "Failed"
    assert not {"error", "output"} & shown.keys()


def test_what_a_function_did_is_listed_under_its_events_name(stage: Stage, rest: Rest) -> None:
    deployed = Deployed(stage, counting([], "done"))
    message = deployed.send()
    deployed.handle(message)
    [shown] = rest.get("/v1/runs", {"event_name": "app/a"}).data
    assert (shown["function_id"], shown["event_name"]) == ("test-f", "app/a")
    assert (shown["event_id"], shown["cron"]) == (message.event.internal_id, None)


def test_filters(stage: Stage, rest: Rest, subtests: pytest.Subtests) -> None:
    mail = record(stage)
    audit = end(stage, record(stage, function_id="shop-audit"), Status.COMPLETED)
    signup = end(stage, record(stage, event_name="shop/signup"), Status.FAILED, {})
    later = record(
        stage, status=Status.SCHEDULED, started_ms=None, lease="", due_ms=stage.clock.ms + 1
    )
    gone = end(stage, record(stage), Status.CANCELLED, Failure("RunCancelled", "x").as_dict())
    for query, runs in (
        ({}, [mail, audit, signup, later, gone]),
        ({"function_id": "shop-audit"}, [audit]),
        ({"function_id": "shop-mail"}, [mail, signup, later, gone]),
        ({"function_id": "shop"}, []),
        ({"event_name": "shop/signup"}, [signup]),
        ({"event_name": "shop/*"}, []),
        ({"status": "Running"}, [mail]),
        ({"status": "Scheduled"}, [later]),
        ({"status": "Completed"}, [audit]),
        ({"status": "Failed"}, [signup]),
        ({"status": "Cancelled"}, [gone]),
        ({"status": "Failed,Completed, Failed"}, [audit, signup]),
        ({"status": "Running", "function_id": "shop-audit"}, []),
        ({"status": "Failed,Running", "function_id": "shop-mail"}, [mail, signup]),
        ({"status": "Failed", "function_id": "shop-mail", "event_name": "a"}, []),
        ({"function_id": "", "status": "", "event_name": ""}, [mail, audit, signup, later, gone]),
    ):
        with subtests.test(query=query):
            assert listed(rest, **query) == newest_first(*runs)


def test_another_environment_is_never_seen(stage: Stage, rest: Rest) -> None:
    mine = record(stage)
    for other in ("other", "dev/x", ""):
        theirs = record(stage, env=other)
        assert rest.get(f"/v1/runs/{theirs.id}").status == 404
    assert walk(rest, {}) == [mine.id]
    assert walk(rest, {"function_id": "shop-mail", "status": "Running"}) == [mine.id]


# limit, filters, and how much work a request may do: queries, and items in a piece.
WALKS: list[tuple[int, dict[str, str], int, int]] = [
    (100, {}, 256, 250),
    (17, {}, 24, 250),
    (30, {"function_id": "shop-mail"}, 8, 4),
    (12, {"status": "Failed,Cancelled"}, 256, 2),
    (25, {"event_name": "shop/signup"}, 8, 250),
    (5, {"event_name": "shop/signup", "function_id": "shop-mail", "status": "Completed"}, 16, 3),
]


def test_pages_have_every_run_once_in_order(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    chance = random.Random(7)
    now = stage.clock.ms
    # Over three days, some of the next hours, and many within the same milliseconds.
    times = [now - chance.randrange(-6 * HOUR_MS, 3 * DAY_MS) for _ in range(60)]
    times += [now - 5_000 + chance.randrange(3) for _ in range(60)]
    runs = []
    for ms in times:
        run = record(
            stage,
            ulid_at(ms, chance.randbytes(10)),
            function_id=chance.choice(["shop-mail", "shop-audit"]),
            event_name=chance.choice(["shop/order.placed", "shop/signup"]),
        )
        status = chance.choice([Status.COMPLETED, Status.FAILED, Status.CANCELLED, None])
        runs.append(end(stage, run, status, {"name": "E", "message": ""}) if status else run)
        record(stage, random_ulid(ms), env="other")
    after, before = now - 2 * DAY_MS, now + 3 * HOUR_MS
    for limit, filters, max_queries, piece in WALKS:
        monkeypatch.setattr(listing, "MAX_QUERIES", max_queries)
        monkeypatch.setattr(listing, "_SELECTIVE_PIECE", piece)
        wanted = [
            run
            for run in runs
            if after <= ulid_ms(run.id) < before
            and run.function_id == filters.get("function_id", run.function_id)
            and run.event_name == filters.get("event_name", run.event_name)
            and run.status in filters.get("status", run.status).split(",")
        ]
        assert wanted
        with subtests.test(limit=limit, filters=filters, max_queries=max_queries, piece=piece):
            query = {"limit": str(limit), "from": str(after), "until": str(before), **filters}
            assert walk(rest, query) == newest_first(*wanted)


def test_list_reaches_back_one_day_by_default_and_one_day_ahead(stage: Stage, rest: Rest) -> None:
    now = stage.clock.ms
    inside = [record(stage, random_ulid(ms)) for ms in (now - DAY_MS, now, now + DAY_MS)]
    outside = [record(stage, random_ulid(ms)) for ms in (now - DAY_MS - 1, now + DAY_MS + 1)]
    assert listed(rest) == newest_first(*inside)
    assert outside[0].id in listed(rest, since=str(now - DAY_MS - 1))


def test_until_alone_shows_the_day_before_it(stage: Stage, rest: Rest) -> None:
    noon = stage.clock.ms - 2 * DAY_MS
    shown = [record(stage, random_ulid(ms)) for ms in (noon - 1, noon - DAY_MS)]
    for ms in (noon, noon - DAY_MS - 1):
        record(stage, random_ulid(ms))
    text = datetime.fromtimestamp(noon / 1000, UTC).isoformat()
    assert listed(rest, until=text) == newest_first(*shown)


def test_limit_and_cursor(stage: Stage, rest: Rest) -> None:
    ids = newest_first(*(record(stage) for _ in range(25)))
    assert listed(rest) == ids[:20]
    assert listed(rest, limit="3") == ids[:3]
    assert listed(rest, limit="0") == ids[:1]
    assert listed(rest, cursor=ids[21].lower()) == ids[22:]
    assert listed(rest, cursor="0" * 26) == []


def test_a_run_past_its_retention_is_not_listed_and_one_that_waits_is(
    stage: Stage, rest: Rest
) -> None:
    old_ms = stage.clock.ms - 100 * DAY_MS
    record(stage, random_ulid(old_ms), queued_ms=old_ms)
    waits = record(stage, random_ulid(old_ms), queued_ms=old_ms, due_ms=stage.clock.ms + DAY_MS)
    assert walk(rest, {"from": "1970-01-01"}) == [waits.id]


def test_bad_parameter_is_named(rest: Rest, subtests: pytest.Subtests) -> None:
    for name, text in (
        ("cursor", "nonsense"),
        ("limit", "many"),
        ("from", "yesterday"),
        ("until", "2025-13-01"),
        ("status", "completed"),
        ("status", "Failed;Completed"),
        ("status", "Failed,"),
    ):
        with subtests.test(name, text=text):
            answer = rest.get("/v1/runs", {name: text})
            assert answer.status == answer.body["status"] == 400
            assert answer.body["error"].startswith(f"Invalid {name} query parameter: '{text}'")
    assert "Scheduled, Running, Completed, Failed, Cancelled" in answer.body["error"]


def test_range_that_ends_before_it_begins_is_refused(rest: Rest) -> None:
    answer = rest.get("/v1/runs", {"from": "2025-10-09", "until": "2025-10-08"})
    assert (answer.status, answer.body["error"]) == (400, "from must be earlier than until")
