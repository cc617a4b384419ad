"""What type checkers say of typed events: mypy, strict, with and without pydantic's plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "typing"
DOCUMENT = ROOT / "docs" / "typed-events.md"
PLUGIN = "plugins = pydantic.mypy\n[pydantic-mypy]\ninit_typed = True\n"


@pytest.fixture(params=["", PLUGIN], ids=["without-plugin", "with-plugin"])
def errors(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> set[tuple[str, int, str]]:
    """File, line and code of each error in the samples and the documentation's example."""
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    config = tmp_path / "mypy.ini"
    # Of Tidegate itself only the types are of interest; it is checked where the whole project is.
    config.write_text(
        f"[mypy]\nstrict = True\nfollow_imports = silent\ncache_dir = {tmp_path}\n{request.param}"
    )
    samples = [str(SAMPLES / name) for name in ("good.py", "bad.py")]
    for name, code in re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).write_text(code)
        samples.append(str(tmp_path / name))
    assert len(samples) == 4
    out, err, _ = api.run(["--config-file", str(config), *samples])
    assert not err, err
    found = re.findall(r"(\w+\.py):(\d+): error: .*\[([a-z-]+)\]$", out, re.MULTILINE)
    assert len(found) == out.count(": error: "), out
    return {(name, int(line), code) for name, line, code in found}


def test_the_right_is_accepted_and_the_wrong_refused(errors: set[tuple[str, int, str]]) -> None:
    lines = (SAMPLES / "bad.py").read_text().splitlines()
    expected = {
        ("bad.py", number, marker[1])
        for number, line in enumerate(lines, start=1)
        if (marker := re.search(r"# E: ([a-z-]+)$", line))
    }
    assert len(expected) == 18
    assert errors == expected
