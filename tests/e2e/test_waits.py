"""Functions wait, invoke each other and are cancelled, from HTTP request to output."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.serving import Served, serving, until


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("tests.e2e.approval") as served:
        yield served


def test_a_run_goes_on_with_the_event_that_it_waits_for(served: Served) -> None:
    asked = [
        served.send({"name": "refund/asked", "data": {"refund": n, "amount": 5 * n}})[0]
        for n in range(3)
    ]
    until(lambda: sum(r.getMessage() == "run suspended" for r in served.log) >= 3)
    served.send(
        [
            {"name": "refund/answered", "data": {"refund": 1, "approved": True}},
            {"name": "refund/answered", "data": {"refund": 2, "approved": False}},
        ]
    )
    assert served.output(asked[1]) == {"paid": 5}
    assert served.output(asked[2]) == "refused"
    [run] = served.runs(asked[0])
    assert run["status"] == "Running"


def test_nothing_came_and_nobody_is_there(served: Served) -> None:
    [event_id] = served.send({"name": "refund/hasty"})
    assert served.output(event_id) == [None, "could not find function with ID: approval-unknown"]


def test_sleeping_runs_are_cancelled_by_an_event_by_a_call_and_by_time(served: Served) -> None:
    withdrawn, called, kept = (
        served.send({"name": "refund/forgotten", "data": {"refund": n}})[0] for n in range(3)
    )
    [urgent] = served.send({"name": "refund/urgent"})

    def sleeping() -> bool:
        ids = {vars(r)["run_id"] for r in served.log if r.getMessage() == "run suspended"}
        return all(
            ids & {run["run_id"] for run in served.runs(e)} for e in (withdrawn, called, kept)
        )

    until(sleeping)
    [cause] = served.send({"name": "refund/withdrawn", "data": {"refund": 0}})
    [run] = served.runs(called)
    answer = served.http.delete(f"/v1/runs/{run['run_id']}")
    assert answer.status_code == 200
    reasons = {event_id: served.run(event_id) for event_id in (withdrawn, called, urgent)}
    assert {run["status"] for run in reasons.values()} == {"Cancelled"}
    assert [run["output"]["message"] for run in reasons.values()] == [
        f"cancelled: event 'refund/withdrawn' ({cause}) came",
        "cancelled: by a call of the REST API",
        "cancelled: it had not finished after timeouts.finish, 1200 ms",
    ]
    assert served.runs(kept)[0]["status"] == "Running"
    cancelled = {run["run_id"] for run in reasons.values()}
    told = until(lambda: _ledger(served) if len(_ledger(served)) == len(cancelled) else None)
    assert told == cancelled


def _ledger(served: Served) -> set[str]:
    completed = [r for r in served.log if r.getMessage() == "run completed"]
    return {
        json.loads(vars(r)["output"])
        for r in completed
        if vars(r)["function_id"] == "approval-ledger"
    }
