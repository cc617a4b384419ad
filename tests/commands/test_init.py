"""`tidegate init`: what it refuses, and how Tidegate is required. What it writes is used in e2e."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

from tidegate.commands import init as command
from tidegate.commands.init import CDK_VERSION, TEMPLATE

ROOT = Path(__file__).resolve().parents[2]


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command does in a folder."""
    return subprocess.run(
        [sys.executable, "-c", "from tidegate.cli import main; main()", "init", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_the_package_is_called_after_the_folder(tmp_path: Path) -> None:
    done = init(tmp_path, "Harbour-Events")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  cd Harbour-Events\n" in done.stdout
    written = files(tmp_path / "Harbour-Events")
    assert {"harbour_events/__init__.py", ".gitignore", ".github/workflows/ci.yml"} <= written
    for name in written:
        text = (tmp_path / "Harbour-Events" / name).read_text()
        assert "my_app" not in text
        assert not re.search(r"@[A-Z_]+@", text), f"a placeholder is left in {name}"
        if name.endswith(".py"):
            ast.parse(text)


def test_a_name_can_be_given(tmp_path: Path) -> None:
    done = init(tmp_path, "--name", "billing")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'functions="billing"' in (tmp_path / "app.py").read_text()
    assert json.loads((tmp_path / "placement.json").read_text()) == {"billing-welcome": 0}
    assert "cd " not in done.stdout, "it is here"


def test_nothing_is_overwritten_and_nothing_else_written(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("mine")
    (tmp_path / ".gitignore").write_text("mine")
    done = init(tmp_path, "--name", "billing")
    assert done.returncode == 2
    assert done.stderr == "tidegate: .: .gitignore, app.py are there already; nothing was written\n"
    assert files(tmp_path) == {".gitignore", "app.py"}
    assert (tmp_path / "app.py").read_text() == "mine"


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine")
    assert init(tmp_path, "--name", "billing").returncode == 0
    assert (tmp_path / "LICENSE").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("my-app", "cannot be imported"),
        ("2fast", "cannot be imported"),
        ("Billing", "cannot be imported"),
        ("class", "cannot be imported"),
        ("../up", "cannot be imported"),
        ("", "cannot be imported"),
        ("json", "another package is called 'json' already"),
        ("tests", "another package"),
        ("app", "another package"),
        ("tidegate", "another package"),
        ("httpx", "another package"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(tmp_path: Path, name: str, why: str) -> None:
    done = init(tmp_path, "--name", name)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("tidegate: --name: ")
    assert why in line
    assert files(tmp_path) == set()


def test_a_folder_that_gives_no_name_asks_for_one(tmp_path: Path) -> None:
    done = init(tmp_path, "2026")
    assert done.stderr.startswith("tidegate: the folder '2026' gives no name, use --name: ")
    assert not (tmp_path / "2026").exists()


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "billing").write_text("a file")
    done = init(tmp_path, "billing")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.endswith(("billing: File exists", "billing: Not a directory"))


class Installed:
    """A distribution as `importlib.metadata` describes it."""

    version = "1.2.3"

    def __init__(self, origin: dict[str, object] | None) -> None:
        self._origin = origin

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self._origin is None else json.dumps(self._origin)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "tidegate[deploy,dev]==1.2.3"),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "tidegate[deploy,dev]==1.2.3"),
        ({"url": "file:///gone/t-1-py3.whl", "archive_info": {}}, "tidegate[deploy,dev]==1.2.3"),
        (
            {"url": "https://example.com/t-1-py3.whl", "archive_info": {}},
            "tidegate[deploy,dev] @ https://example.com/t-1-py3.whl",
        ),
    ],
)
def test_tidegate_is_required_from_where_it_came(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, object] | None, expected: str
) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed(origin))
    assert command._requirement() == (expected, None)


def test_a_wheel_that_was_a_file_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "with space" / "tidegate-1.2.3-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK")
    origin: dict[str, object] = {"url": wheel.as_uri(), "archive_info": {}}
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: Installed(origin))
    monkeypatch.chdir(tmp_path)
    command.init(tmp_path / "billing")
    required = (tmp_path / "billing" / "requirements-dev.txt").read_text()
    assert f"\n./wheels/{wheel.name}[deploy,dev]\n" in required
    assert (tmp_path / "billing" / "wheels" / wheel.name).read_bytes() == b"PK"


def test_the_cdks_command_line_is_the_one_that_is_tested_here() -> None:
    packages = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert packages["aws-cdk"] == CDK_VERSION


def test_the_wheel_has_what_is_written_and_what_is_deployed(tmp_path: Path) -> None:
    build = ["build", "--wheel", "--quiet", "--offline", "--no-build-isolation"]
    build += ["--python", sys.executable, "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run([uv.find_uv_bin(), *build], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    templates = {
        path.relative_to(ROOT).as_posix()
        for path in TEMPLATE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(templates) > 10
    assert templates <= packed
    assert {"tidegate/py.typed", "tidegate_cdk/py.typed", "tidegate_cdk/lambda.txt"} <= packed
    top = {name.partition("/")[0] for name in packed}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tidegate", "tidegate_cdk"}
