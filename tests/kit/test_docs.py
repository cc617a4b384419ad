"""The examples in docs/testing.md work when they are pasted into a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
EXAMPLES = re.findall(r"```python\n# (test_\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
PASSED = {"test_orders.py": "2 passed", "test_expenses.py": "4 passed"}


def test_every_example_is_tried() -> None:
    assert [name for name, _ in EXAMPLES] == list(PASSED)
    assert PAGE.read_text().count("```python") == len(EXAMPLES)


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=PASSED)
def test_an_example_passes(name: str, example: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSED[name] in done.stdout
