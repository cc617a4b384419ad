"""`tidegate schemas`, as a developer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.schemas_cli import INDEX, file_name

ROOT = Path(__file__).parents[2]
APP = """
from datetime import datetime
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from tidegate import EventModel

class Item(BaseModel):
    price: float

class Base(EventModel, abstract=True):
    model_config = ConfigDict(alias_generator=to_camel)
    cart_id: str

class Paid(Base, name="shop/cart.paid"):
    '''A cart was paid.'''
    paid_at: datetime
    items: tuple[Item, ...] = ()

class Opened(Base, name="App/Ünicode name"):
    pass
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command does in a folder."""
    return subprocess.run(
        [sys.executable, "-c", "from tidegate.cli import main; main()", "schemas", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "shop_events.py").write_text(APP)
    return tmp_path


def printed(folder: Path, *arguments: str) -> Any:
    done = run(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("target", ["shop_events.py", "shop_events", "."])
def test_one_document_is_printed(app: Path, target: str) -> None:
    schemas = printed(app, target)
    assert list(schemas) == ["App/Ünicode name", "shop/cart.paid"]
    paid = schemas["shop/cart.paid"]
    assert paid["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (paid["x-event-name"], paid["title"]) == ("shop/cart.paid", "Paid")
    assert paid["description"] == "A cart was paid."
    assert paid["required"] == ["cartId", "paidAt"]
    assert paid["properties"]["paidAt"]["format"] == "date-time"
    assert paid["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    assert paid["$defs"]["Item"]["properties"]["price"]["type"] == "number"
    assert "description" not in schemas["App/Ünicode name"]


def test_a_folder_has_a_file_for_each_event_and_an_index(app: Path) -> None:
    schemas = printed(app, "shop_events")
    done = run(app, "shop_events", "--out", "out/schemas")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    out = app / "out" / "schemas"
    events = json.loads((out / INDEX).read_text())["events"]
    assert {name: entry["class"] for name, entry in events.items()} == {
        "App/Ünicode name": "shop_events.Opened",
        "shop/cart.paid": "shop_events.Paid",
    }
    assert events["shop/cart.paid"]["file"] == "shop__cart.paid.json"
    for name, entry in events.items():
        assert json.loads((out / entry["file"]).read_text()) == schemas[name]
    files = {entry["file"] for entry in events.values()} | {INDEX}
    assert {file.name for file in out.iterdir()} == files


def test_writing_again_gives_the_same_bytes_and_drops_what_is_gone(app: Path) -> None:
    def written() -> dict[str, bytes]:
        assert run(app, "shop_events", "--out", "out").returncode == 0
        return {file.name: file.read_bytes() for file in (app / "out").iterdir()}

    before = written()
    assert len(before) == 3
    assert written() == before
    (app / "shop_events.py").write_text(APP.replace("App/Ünicode name", "app/opened"))
    (app / "out" / "mine.json").write_text("{}")
    after = written()
    assert set(after) == {INDEX, "shop__cart.paid.json", "app__opened.json", "mine.json"}
    assert after["shop__cart.paid.json"] == before["shop__cart.paid.json"]


def test_an_index_cannot_name_files_that_are_not_its_own(app: Path) -> None:
    (app / "out").mkdir()
    (app / "out" / "mine.json").write_text("{}")
    index = {"events": {"a": {"file": "../shop_events.py"}, "b": {"file": "mine.json"}}}
    (app / "out" / INDEX).write_text(json.dumps(index))
    assert run(app, "shop_events", "--out", "out").returncode == 0
    assert (app / "shop_events.py").exists()
    assert (app / "out" / "mine.json").exists()


def test_without_a_target_the_deployed_modules_are_loaded(app: Path) -> None:
    (app / "cdk.json").write_text('{"context": {"functions": "shop_events, json"}}')
    assert list(printed(app)) == ["App/Ünicode name", "shop/cart.paid"]


def test_the_example_app_declares_its_checkout() -> None:
    assert "storefront/cart.checkout.completed" in printed(ROOT, "functions.shop")


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (APP, [], "name the modules, files or folders that declare events"),
        (APP, ["nowhere"], "nowhere: no such file, folder or module"),
        ("", ["shop_events.py"], "shop_events.py: no event is declared there; write class"),
        ("x = (", ["shop_events.py"], "shop_events.py:1: SyntaxError"),
        ("1 / 0", ["shop_events.py"], "shop_events.py:1: ZeroDivisionError"),
        (APP + APP, ["shop_events.py"], "'shop/cart.paid' is already declared by Paid"),
        (
            APP.replace("paid_at: datetime", "paid_at: __import__('typing').Callable[[], int]"),
            ["shop_events.py"],
            "shop_events.py:14: class Paid: Cannot generate a JsonSchema",
        ),
        (APP, ["shop_events", "--out", "shop_events.py"], "shop_events.py"),
    ],
)
def test_what_is_wrong_is_one_line(
    app: Path, code: str, arguments: list[str], message: str
) -> None:
    (app / "shop_events.py").write_text(code)
    done = run(app, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("tidegate: ")
    assert message in line


# --- file names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("storefront/cart.checkout.completed", "storefront__cart.checkout.completed.json"),
        ("app/user_created", "app__user_created.json"),
        ("a", "a.json"),
    ],
)
def test_ordinary_names_are_readable(name: str, file: str) -> None:
    assert file_name(name) == file


names = st.text(st.sampled_from("aA_/.-*~\\: ü\n"), min_size=1, max_size=256) | st.text(
    min_size=1, max_size=256
)


@given(st.lists(names.filter(lambda name: name.isprintable()), unique=True))
def test_every_event_has_a_file_of_its_own_on_every_file_system(found: list[str]) -> None:
    files = [file_name(name) for name in ["index", "a/b", "a__b", "A/b", *found]]
    taken = {file.casefold() for file in files} | {INDEX}
    assert len(taken) == len({"index", "a/b", "a__b", "A/b", *found}) + 1
    for file in files:
        assert len(file) <= 120
        assert set(file) <= set("abcdefghijklmnopqrstuvwxyz0123456789._~-")
        assert not file.startswith(".")
