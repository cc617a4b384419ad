"""Loading the modules of an app, however it is laid out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate import registry
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest

FUNCTION = """
from tidegate import Client, TriggerEvent
@Client(app_id="app").create_function(fn_id="{0}", trigger=TriggerEvent(event="{0}"))
def {0}(ctx): ...
"""


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets what a test registered and imported."""
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    registry.clear()
    yield
    registry.clear()
    for name in sys.modules.keys() - modules:
        del sys.modules[name]


def write(folder: Path, *paths: str) -> None:
    """Modules that each register a function of their own name."""
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if file.stem == "__init__" else FUNCTION.format(file.stem))


def loaded(*targets: object) -> list[str]:
    """The modules that the functions of these targets belong to."""
    registry.load(str(target) for target in targets)
    return [function.module for function in registry.registered()]


def test_a_file(tmp_path: Path) -> None:
    write(tmp_path, "tg_one.py", "tg_two.py")
    assert loaded(tmp_path / "tg_one.py") == ["tg_one"]


def test_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "tg_two.py", "tg_one.py", "below/tg_three.py")
    assert loaded(tmp_path) == ["tg_one", "tg_two"]


def test_a_package_and_a_file_of_it_are_imported_under_its_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        "tg_shop/__init__.py",
        "tg_shop/a.py",
        "tg_shop/sub/__init__.py",
        "tg_shop/sub/b.py",
    )
    assert loaded(tmp_path / "tg_shop" / "sub" / "b.py") == ["tg_shop.sub.b"]
    assert loaded(tmp_path / "tg_shop") == ["tg_shop.sub.b", "tg_shop.a"]


def test_dotted_names(tmp_path: Path) -> None:
    write(tmp_path, "tg_shop/__init__.py", "tg_shop/a.py", "tg_shop/b.py", "tg_one.py")
    sys.path.insert(0, str(tmp_path))
    assert loaded("tg_one", "tg_shop.b") == ["tg_one", "tg_shop.b"]
    assert loaded("tg_shop") == ["tg_one", "tg_shop.b", "tg_shop.a"]


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "tg_shop/__init__.py", "tg_shop/a.py")
    monkeypatch.chdir(tmp_path)
    assert loaded("tg_shop/a.py") == ["tg_shop.a"]


def test_loading_twice_is_harmless(tmp_path: Path) -> None:
    write(tmp_path, "tg_one.py")
    loaded(tmp_path)
    del sys.modules["tg_one"]
    assert loaded(tmp_path) == ["tg_one"]


@pytest.mark.parametrize(
    "target", ["no/such.py", "such.py", "no_such_module", "no.such.module", "..", "a b"]
)
def test_a_target_that_is_not_there_is_named(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty" / "here")
    with pytest.raises(ConfigurationError, match=r"no such|no \.py file") as raised:
        registry.load([target])
    assert Path(target).resolve().name in str(raised.value)


def test_what_a_module_raises_passes_through(tmp_path: Path) -> None:
    (tmp_path / "tg_broken.py").write_text("import no_such_module_either")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_either"):
        registry.load([str(tmp_path / "tg_broken.py")])


def test_another_module_of_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    write(tmp_path, "a/tg_one.py", "b/tg_one.py")
    with pytest.raises(ConfigurationError, match="another module is called 'tg_one'") as raised:
        loaded(tmp_path / "a" / "tg_one.py", tmp_path / "b" / "tg_one.py")
    assert str(tmp_path / "a" / "tg_one.py") in str(raised.value)
    assert str(tmp_path / "b" / "tg_one.py") in str(raised.value)


def test_an_id_that_is_taken_is_refused_with_both_places(tmp_path: Path) -> None:
    write(tmp_path, "tg_one.py")
    (tmp_path / "tg_two.py").write_text(FUNCTION.format("tg_one"))
    with pytest.raises(ConfigurationError, match="'app-tg_one' is already taken") as raised:
        registry.load([str(tmp_path)])
    assert f"{tmp_path / 'tg_one.py'}:3" in str(raised.value)
    assert f"{tmp_path / 'tg_two.py'}:3" in str(raised.value)


def test_a_worker_imports_the_module_of_its_function_alone(tmp_path: Path) -> None:
    write(tmp_path, "tg_one.py", "tg_two.py")
    registry.load([str(tmp_path)])
    manifest = Manifest.of(registry.registered())
    registry.clear()
    for name in ("tg_one", "tg_two"):
        del sys.modules[name]
    assert registry.load_function(manifest, "app-tg_one").id == "app-tg_one"
    assert "tg_two" not in sys.modules
    assert registry.load_function(manifest, "app-tg_one") is registry.registered()[0]


def test_a_worker_whose_function_is_missing_says_so(tmp_path: Path) -> None:
    write(tmp_path, "tg_one.py")
    registry.load([str(tmp_path)])
    manifest = Manifest.of(registry.registered())
    registry.clear()
    with pytest.raises(ConfigurationError, match="no function 'app-other'"):
        registry.load_function(manifest, "app-other")
    with pytest.raises(ConfigurationError, match="tg_one registers no function 'app-tg_one'"):
        registry.load_function(manifest, "app-tg_one")


FAILING = """
from tidegate import Client, TriggerEvent
from tg_handlers import told
client = Client(app_id="app")
@client.create_function(fn_id="one", trigger=TriggerEvent(event="a"), on_failure=told)
def one(ctx): ...
"""
HANDLERS = "def told(ctx): ..."
TAKEN = """
@client.create_function(fn_id="one-failure", trigger=TriggerEvent(event="a"))
def other(ctx): ...
"""


def test_a_worker_finds_a_failure_handler_that_comes_from_another_module(tmp_path: Path) -> None:
    (tmp_path / "tg_one.py").write_text(FAILING)
    (tmp_path / "tg_handlers.py").write_text(HANDLERS)
    registry.load([str(tmp_path / "tg_one.py")])
    manifest = Manifest.of(registry.registered())
    registry.clear()
    for name in ("tg_one", "tg_handlers"):
        del sys.modules[name]
    function = registry.load_function(manifest, "app-one-failure")
    assert function.handler is sys.modules["tg_handlers"].told


@pytest.mark.parametrize(
    "code",
    [
        FAILING + TAKEN,
        FAILING.replace("@client", f"{TAKEN}\n@client"),
        FAILING + TAKEN.replace("@", "").replace("\ndef other(ctx): ...", "(told)"),
    ],
    ids=["after it", "before it", "the same handler"],
)
def test_the_id_of_a_failure_handler_may_not_be_taken(tmp_path: Path, code: str) -> None:
    (tmp_path / "tg_one.py").write_text(code)
    (tmp_path / "tg_handlers.py").write_text(HANDLERS)
    with pytest.raises(ConfigurationError, match="'app-one-failure' is already taken") as raised:
        registry.load([str(tmp_path / "tg_one.py")])
    assert f"{tmp_path / 'tg_handlers.py'}:1 (on_failure of 'one')" in str(raised.value)
