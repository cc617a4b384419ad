"""Whatever the files of a deployment say: it is taken as meant, or is an error of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import hostile
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest
from tidegate_cdk import placement
from tidegate_cdk.config import Config
from tidegate_cdk.context import Context

QUICK = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
LONGEST = 600
ID = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
PLACED = st.dictionaries(ID | st.text(max_size=5), st.integers(-1, 120) | st.floats(), max_size=4)
TEXTS = (
    PLACED.map(json.dumps).map(str.encode)
    | hostile.JSON_TEXTS
    | st.binary(max_size=20)
    | st.sampled_from([*hostile.VALUES.values(), *hostile.TEXTS.values()])
)


def taken(act: Callable[[], Any]) -> tuple[Any, str]:
    """What comes of it, or else the message of the error, which is one line."""
    try:
        return act(), ""
    except ConfigurationError as error:
        message = str(error)
    assert message.isprintable()
    assert 0 < len(message) <= LONGEST
    return None, message


# --- the stacks of functions --------------------------------------------------------------------


@QUICK
@given(TEXTS)
@example(b'{"a":0,"a":1}')
@example(b'{"a":1000000000}')
@example(b'{"":0}')
def test_a_placement_is_what_it_says_or_an_error(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "placement.json"
    path.write_bytes(text)
    placed, refused = taken(lambda: placement.update(path, Manifest(())))
    if refused:
        assert refused.startswith((str(path), "stack "))
        assert path.read_bytes() == text, "whoever has to mend it still has it"
        return
    assert placed == json.loads(text)
    manifest = Manifest(()).keeping(placed)
    assert placement.sharded(manifest, placed).shards <= placement.MAX_STACKS
    assert [one.name for one in tmp_path.iterdir()] == ["placement.json"]


def test_a_function_that_two_branches_placed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text('{"shop-pay": 0, "shop-pay": 3}')
    with pytest.raises(ConfigurationError, match="'shop-pay' is there twice; keep the line"):
        placement.update(path, Manifest(()))


def test_a_folder_is_no_placement(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*directory"):
        placement.update(tmp_path, Manifest(()))


# --- the choices of a deployment ----------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**13), 10**13)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["x" * 100_000, "a\nb", "\x1b[2J", "\ud800", "٣", "1e3", " 7", "7\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
KEYS = sorted(Config.__dataclass_fields__)


@QUICK
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), st.booleans())
def test_a_choice_is_possible_or_an_error_that_names_it(
    chosen: dict[str, Any], in_code: bool
) -> None:
    given_first = {"functions": "functions.shop", **chosen}
    context = Context(lambda _: None, given_first) if in_code else Context(given_first.get)
    config, refused = taken(lambda: Config.read(context))
    if refused:
        assert any(key in refused for key in given_first)
        return
    for key, value in chosen.items():
        if value is not None and key != "functions":
            assert getattr(config, key) == type(getattr(config, key))(value)


# --- the schemas that were written before -------------------------------------------------------


@pytest.mark.parametrize("name", [*hostile.VALUES, *hostile.TEXTS])
def test_what_else_is_in_a_folder_of_schemas_is_no_index(tmp_path: Path, name: str) -> None:
    from tidegate.schemas_cli import INDEX, _files_of_index

    (tmp_path / INDEX).write_bytes((hostile.VALUES | hostile.TEXTS)[name])
    assert _files_of_index(tmp_path) == set()


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[" * 100_000, b'{"context":{"functions":7}}', b'{"context":[]}']
)
def test_a_cdk_json_that_tells_nothing_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "cdk.json").write_bytes(text)
    done = subprocess.run(
        [Path(sys.executable).with_name("tidegate"), "schemas"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "tidegate: name the modules, files or folders that declare events; "
        "cdk.json in this folder tells of none\n"
    )
