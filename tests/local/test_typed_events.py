"""Typed events on the dev server, by the example of the documentation."""

import json
import re
import runpy
from pathlib import Path

import httpx
import pytest

from tests.local import test_dev_server
from tidegate.event_model import declared, event_name
from tidegate.local.app_modules import LoadError
from tidegate.schemas_cli import file_name

records, serve = test_dev_server.records, test_dev_server.serve
DOCUMENT = (Path(__file__).parents[2] / "docs" / "typed-events.md").read_text()


def blocks(language):
    """The code of that language in the document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def server(serve, app_folder):
    for code in blocks("python"):
        app_folder.write(re.match(r"# (\w+\.py)\n", code)[1], code)
    return serve(str(app_folder.path / "carts.py"))


def results(records):
    """Function, and output or error, of every run that has ended."""
    return sorted(
        (record.function_id, getattr(record, "output", None) or record.error)
        for record in records.kept
        if record.getMessage() in ("run completed", "run failed")
    )


def test_the_example_of_the_documentation(server, app_folder, records, eventually, monkeypatch):
    monkeypatch.setenv("TIDEGATE_DEV", server.url)
    ids = runpy.run_path(str(app_folder.path / "send.py"))["ids"]
    assert len(ids) == 2
    eventually(lambda: len(results(records)) == 3)
    assert results(records) == [
        ("carts-count", '"2 items"'),
        ("carts-count", '"a receipt for c1"'),
        ("carts-send-receipt", '"12.50 paid in 2026"'),
    ]
    stored = httpx.get(f"{server.url}/v1/events/{ids[0]}").json()["data"]
    [documented] = [json.loads(block) for block in blocks("json")]
    assert {"name": stored["name"], "data": stored["data"]} == documented
    for model in declared():
        assert f"`schemas/{file_name(event_name(model))}`" in DOCUMENT


def test_an_event_that_does_not_fit(server, records, eventually):
    event = {
        "name": "storefront/cart.checkout.completed",
        "data": {"paidAt": "2026-01-02T00:00:00Z", "items": [{"sku": "tea", "price": "much"}]},
    }
    response = httpx.post(f"{server.url}/e/any-key", json=event)
    assert response.status_code == 200, "the Event API knows no classes"
    eventually(lambda: len(results(records)) == 2)
    [documented] = re.findall(r"^EventValidationError: .*$", DOCUMENT, re.MULTILINE)
    assert results(records) == [
        ("carts-count", documented),
        ("carts-send-receipt", documented),
    ]
    [event_id] = response.json()["ids"]
    runs = httpx.get(f"{server.url}/v1/events/{event_id}/runs").json()["data"]
    assert [run["status"] for run in runs] == ["Failed", "Failed"]
    assert "much" not in json.dumps([run["output"] for run in runs])


def test_classes_are_declared_anew_when_a_file_is_saved(server, app_folder, records, eventually):
    code = (app_folder.path / "carts.py").read_text()
    app_folder.write("carts.py", "\n\n" + code.replace("Decimal(0)", "Decimal(100)"))
    server.reload()
    names = ["storefront/cart.checkout.completed", "storefront/receipt.sent"]
    assert [model.__event_name__ for model in declared()] == names
    before = declared()
    app_folder.write("carts.py", "\n\n\n" + code + "\n1 / 0")
    with pytest.raises(LoadError, match="ZeroDivisionError"):
        server.reload()
    assert declared() == before, "as the functions, the classes stay as they were"
    data = {"cartId": "c1", "paidAt": "2026-01-02T00:00:00Z"}
    event = {"name": "storefront/cart.checkout.completed", "data": data}
    httpx.post(f"{server.url}/e/any-key", json=event)
    eventually(lambda: len(results(records)) == 3)
    assert ("carts-send-receipt", '"100 paid in 2026"') in results(records)


def test_a_wrong_class_is_one_line(serve, app_folder):
    app_folder.write(
        "app.py",
        "from tidegate import EventModel\n\n\nclass Paid(EventModel):\n    cart_id: str\n",
    )
    with pytest.raises(LoadError, match=r"app\.py:4: class Paid: it has no event name") as raised:
        serve()
    assert "\n" not in str(raised.value)
