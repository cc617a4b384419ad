"""Functions of Inngest's Python SDK run here; only the import and the class's name change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.serving import Served, serving, until
from tidegate import Client

THEIRS = Path(__file__).with_name("inngest_app.py")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    source = THEIRS.read_text()
    assert source.count("import inngest\n") == source.count("inngest.Inngest(") == 1
    ours = source.replace("import inngest\n", "import tidegate as inngest\n")
    file = tmp_path_factory.mktemp("moved") / "moved_app.py"
    file.write_text(ours.replace("inngest.Inngest(", "inngest.Client("))
    with serving(str(file)) as served:
        yield served


def test_the_official_sdk_takes_the_functions() -> None:
    import inngest

    from tests.clients import inngest_app

    for function in (inngest_app.charge, inngest_app.ship, inngest_app.refuse):
        assert isinstance(function, inngest.Function)


def test_a_function_is_retried_and_sends_on(served: Served) -> None:
    assert isinstance(vars(sys.modules["moved_app"])["client"], Client)
    [event_id] = served.send({"name": "moved/order.placed", "data": {"order": 42}})
    run = served.run(event_id)
    assert run["function_id"] == "moved-charge"
    assert run["output"]["attempt"] == 1
    assert run["output"]["same"] is True
    [sent] = run["output"]["sent"]
    assert served.output(sent) == {"order": 42, "run": run["run_id"]}
    [log] = served.events("moved/log")
    assert log["data"] == {"order": 42, "run": run["run_id"]}


def test_a_function_takes_a_list_of_triggers(served: Served) -> None:
    [event_id] = served.send({"name": "moved/order.gift", "data": {"to": "Ada"}})
    assert served.output(event_id) == {"to": "Ada"}


def test_a_function_that_must_not_be_retried_fails(served: Served) -> None:
    [event_id] = served.send({"name": "moved/order.refused"})
    run = served.run(event_id)
    assert (run["status"], run["output"]["message"]) == ("Failed", "not deliverable")


def test_its_failure_handler_is_called(served: Served) -> None:
    [event_id] = served.send({"name": "moved/order.refused", "data": {"order": 43}})
    run = served.run(event_id)
    [failed] = until(
        lambda: [
            event["data"]["for"]
            for event in served.events("moved/sorry")
            if event["data"]["for"]["run_id"] == run["run_id"]
        ]
    )
    assert failed["function_id"] == "moved-refuse"
    assert failed["event"]["data"] == {"order": 43}
    assert failed["error"]["message"] == "not deliverable"


def test_a_key_starts_one_run(served: Served) -> None:
    gifts = [{"name": "moved/order.gift", "data": {"to": "Bob"}} for _ in range(2)]
    ids = served.send(gifts)
    [skipped] = until(lambda: [r for r in served.log if r.getMessage() == "run skipped"])
    assert {vars(skipped)["event_id"], vars(skipped)["first_event_id"]} == set(ids)
    assert served.output(vars(skipped)["first_event_id"]) == {"to": "Bob"}
    assert served.runs(vars(skipped)["event_id"]) == []


def test_the_names_are_kept(served: Served) -> None:
    functions = {function["id"]: function for function in served.look("functions")["data"]}
    assert functions["moved-charge"]["name"] == "Charge the card"
    assert functions["moved-charge"]["retries"] == 2
    assert functions["moved-ship"]["name"] == "ship"
