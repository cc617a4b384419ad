"""What the REST API tells about functions: how they are registered, and how their runs went."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.rest import Rest, load_handler
from tests.aws.test_api_runs import DAY_MS, HOUR_MS, end, record
from tidegate import rest_stats
from tidegate.cancel import Cancel, Timeouts
from tidegate.function import Function, make_function
from tidegate.ids import random_ulid
from tidegate.rest_call import rfc3339
from tidegate.rest_stats import percentile
from tidegate.run import Run, Status
from tidegate.trigger import TriggerEvent


def function_of(fn_id: str, **options: Any) -> Function:
    return make_function(
        lambda ctx: None,
        app_id="shop",
        fn_id=fn_id,
        trigger=TriggerEvent(event="shop/order.placed"),
        name=None,
        retries=None,
        **options,
    )


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rest:
    """The API of a stage with the functions `shop-mail`, `shop-pay` and `shop-pay-failure`."""
    pay = function_of(
        "pay",
        cancel=[
            Cancel(event="shop/order.cancelled", if_exp="event.data.id == async.data.id"),
            Cancel(event="shop/closed", timeout=timedelta(hours=1)),
        ],
        timeouts=Timeouts(start=5_000, finish=60_000),
        idempotency="event.data.id",
        on_failure=lambda ctx: None,
    )
    assert pay.on_failure is not None
    stage.deploy(function_of("mail"), pay, pay.on_failure)
    return Rest(load_handler(stage, monkeypatch))


def test_config_has_what_is_set(rest: Rest) -> None:
    config = rest.get("/v1/functions/shop-pay").data["config"]
    assert {name: config[name] for name in ("cancel", "timeouts", "idempotency", "on_failure")} == {
        "cancel": [
            {"event": "shop/order.cancelled", "if": "event.data.id == async.data.id"},
            {"event": "shop/closed", "timeout_ms": 3_600_000},
        ],
        "timeouts": {"start_ms": 5_000, "finish_ms": 60_000},
        "idempotency": "event.data.id",
        "on_failure": "shop-pay-failure",
    }


def test_config_has_nothing_that_is_not_set(rest: Rest) -> None:
    config = rest.get("/v1/functions/shop-mail").data["config"]
    assert not {"cancel", "timeouts", "idempotency", "on_failure"} & config.keys()


def test_one_function_is_shown_as_in_the_list(rest: Rest) -> None:
    listed = rest.get("/v1/functions").data
    assert [function["id"] for function in listed] == ["shop-mail", "shop-pay", "shop-pay-failure"]
    assert [rest.get(f"/v1/functions/{f['id']}").data for f in listed] == listed


def test_a_function_that_is_not_there(rest: Rest) -> None:
    for path in ("/v1/functions/shop-none", "/v1/functions/shop-none/stats"):
        answer = rest.get(path)
        assert (answer.status, answer.body["data"]) == (404, None)
        assert answer.body["error"] == "Function not found: shop-none; see GET /v1/functions"


# --- stats --------------------------------------------------------------------------------------


def ran(stage: Stage, ms: int, status: Status | None, duration_ms: int = 0, **fields: Any) -> Run:
    """Record a run of a time, and how it went."""
    run = record(stage, random_ulid(ms), started_ms=stage.clock.ms - duration_ms, **fields)
    return end(stage, run, status, {}) if status else run


def stats(rest: Rest, function_id: str = "shop-mail", **query: str) -> Any:
    query = {"from" if name == "since" else name: text for name, text in query.items()}
    return rest.get(f"/v1/functions/{function_id}/stats", query).data


def test_stats_count_runs_by_their_time_and_status(stage: Stage, rest: Rest) -> None:
    now = stage.clock.ms
    since, until = now - 4 * HOUR_MS, now
    for ms, status, duration_ms in (
        (since, Status.COMPLETED, 100),
        (since + 1, Status.FAILED, 300),
        (since + HOUR_MS - 1, Status.COMPLETED, 200),
        (since + HOUR_MS, Status.CANCELLED, 9_000),
        (until - 1, None, 0),
        # These lie outside.
        (since - 1, Status.COMPLETED, 1),
        (until, Status.COMPLETED, 1),
    ):
        ran(stage, ms, status, duration_ms)
    record(stage, random_ulid(until - 1), status=Status.SCHEDULED, lease="", due_ms=now + 9)
    ran(stage, since, Status.COMPLETED, 1, function_id="shop-pay")
    ran(stage, since, Status.COMPLETED, 1, env="other")
    found = stats(rest, since=str(since), until=str(until), buckets="4")
    nothing = {"completed": 0, "failed": 0, "cancelled": 0, "running": 0}
    nothing |= {"p50_ms": None, "p95_ms": None}
    edges = [rfc3339(since + n * HOUR_MS) for n in range(5)]
    assert found == {
        "function_id": "shop-mail",
        "from": edges[0],
        "until": edges[4],
        "complete": True,
        "buckets": [
            {
                **nothing,
                "from": edges[0],
                "until": edges[1],
                "completed": 2,
                "failed": 1,
                "p50_ms": 200,
                "p95_ms": 300,
            },
            {**nothing, "from": edges[1], "until": edges[2], "cancelled": 1},
            {**nothing, "from": edges[2], "until": edges[3]},
            {**nothing, "from": edges[3], "until": edges[4], "running": 2},
        ],
    }


def test_stats_are_of_the_last_day_by_the_hour_by_default(stage: Stage, rest: Rest) -> None:
    ran(stage, stage.clock.ms - DAY_MS, Status.COMPLETED)
    ran(stage, stage.clock.ms - DAY_MS - 1, Status.COMPLETED)
    found = stats(rest)
    assert [bucket["completed"] for bucket in found["buckets"]] == [1] + [0] * 23
    assert found["from"] == "2025-10-08T08:53:20.000Z"
    assert found["until"] == "2025-10-09T08:53:20.000Z"
    assert found["buckets"][0]["until"] == "2025-10-08T09:53:20.000Z"


def test_stats_of_uneven_buckets_lose_no_run(stage: Stage, rest: Rest) -> None:
    now = stage.clock.ms
    for ms in range(now - 10, now):
        ran(stage, ms, Status.COMPLETED)
    found = stats(rest, since=str(now - 10), until=str(now), buckets="3")
    assert [bucket["completed"] for bucket in found["buckets"]] == [3, 3, 4]


def test_stats_of_more_runs_than_are_read_are_of_the_newest_and_say_so(
    stage: Stage, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = stage.clock.ms
    for ms in range(now - 40, now, 10):
        ran(stage, ms, Status.COMPLETED)
    monkeypatch.setattr(rest_stats, "MAX_RUNS", 4)
    query = {"since": str(now - 40), "until": str(now), "buckets": "4"}
    found = stats(rest, **query)
    assert (found["complete"], [b["completed"] for b in found["buckets"]]) == (True, [1] * 4)
    monkeypatch.setattr(rest_stats, "MAX_RUNS", 3)
    found = stats(rest, **query)
    assert (found["complete"], [b["completed"] for b in found["buckets"]]) == (False, [0, 1, 1, 1])


def test_a_run_past_its_retention_is_not_counted(stage: Stage, rest: Rest) -> None:
    since = rfc3339(stage.clock.ms - 1)
    ran(stage, stage.clock.ms, Status.COMPLETED)
    for days, count in ((29, 1), (2, 0)):
        stage.clock.advance(days=days)
        buckets = stats(rest, since=since)["buckets"]
        assert sum(bucket["completed"] for bucket in buckets) == count


def test_number_of_buckets_is_between_1_and_200(rest: Rest) -> None:
    assert [len(stats(rest, buckets=n)["buckets"]) for n in ("0", "-1", "7", "5000")] == [
        1,
        1,
        7,
        200,
    ]


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert [percentile([7], p) for p in (50, 95)] == [7, 7]
    assert [percentile(list(range(100, 0, -1)), p) for p in (50, 95)] == [50, 95]
    assert [percentile([1, 2, 3], p) for p in (50, 95)] == [2, 3]


def test_bad_parameters_of_stats(stage: Stage, rest: Rest, subtests: pytest.Subtests) -> None:
    for query, error in (
        ({"from": "yesterday"}, "Invalid from query parameter: 'yesterday'"),
        ({"until": "later"}, "Invalid until query parameter: 'later'"),
        ({"buckets": "few"}, "Invalid buckets query parameter: 'few'"),
        ({"from": "2025-10-09", "until": "2025-10-08"}, "from must be earlier than until"),
        ({"from": str(stage.clock.ms + 1)}, "from must be earlier than until, which is now"),
    ):
        with subtests.test(query=query):
            answer = rest.get("/v1/functions/shop-mail/stats", query)
            assert answer.status == 400
            assert answer.body["error"].startswith(error)
