"""Functions wait for events and invoke each other, from HTTP request to output."""

from __future__ import annotations

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
