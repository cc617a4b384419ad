"""Functions are invoked, run again, replayed and cancelled, from HTTP request to output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.repairs import BROKEN
from tests.e2e.serving import ENDED, Served, serving, until
from tidegate.step import StepId


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("tests.e2e.repairs") as served:
        yield served


def ended(served: Served, run_id: str) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        # It is recorded when a worker has taken it.
        answer = served.http.get(f"/v1/runs/{run_id}")
        run: dict[str, Any] | None = answer.json()["data"]
        return run if run and run["status"] in ENDED else None

    return until(ask)


def posted(served: Served, path: str, body: Any) -> Any:
    answer = served.http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


def completed(served: Served, job: Any) -> Any:
    def ask() -> Any:
        shown = served.http.get(f"/v1/{job['kind']}s/{job['id']}").json()["data"]
        return shown if shown["status"] == "Completed" else None

    return until(ask)


def test_what_failed_is_run_again_when_the_cause_is_mended(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROKEN, "yes")
    begun_ms = time.time_ns() // 1_000_000 - 1
    invoked = posted(served, "/v1/functions/repairs-grind/invoke", {"data": {"kilos": 7}})
    [event_id] = served.send({"name": "mill/grain.came", "data": {"kilos": 2}})
    assert ended(served, invoked["run_id"])["status"] == "Failed"
    assert served.run(event_id)["status"] == "Failed"
    monkeypatch.delenv(BROKEN)
    step = StepId("mill").hashed
    again = posted(served, f"/v1/runs/{invoked['run_id']}/rerun", {"from_step": step})
    assert ended(served, again["run_id"])["output"] == "7 kg of flour"
    span = {"from": begun_ms, "until": time.time_ns() // 1_000_000}
    replay = posted(served, "/v1/replays", {"function_id": "repairs-grind", **span})
    done = completed(served, replay)
    assert (done["found"], done["done"], done["skipped"]) == (2, 2, 0)
    runs = until(lambda: (found := served.runs(event_id))[1:] and found)
    [new] = [run for run in runs if run["replay_id"] == replay["id"]]
    assert ended(served, new["run_id"])["output"] == "2 kg of flour"


def test_what_waits_is_cancelled_in_bulk(served: Served) -> None:
    ids = [served.send({"name": "mill/flour.stored", "data": {"n": n}})[0] for n in range(4)]
    until(lambda: all(served.runs(event_id) for event_id in ids))
    job = posted(
        served,
        "/v1/cancellations",
        {
            "app_id": "repairs",
            "function_id": "age",
            "started_before": time.time_ns() // 1_000_000 + 1,
            "if": "event.data.n < 3",
        },
    )
    assert completed(served, job)["done"] == 3
    assert {served.run(event_id)["status"] for event_id in ids[:3]} == {"Cancelled"}
    assert served.runs(ids[3])[0]["status"] == "Running"
