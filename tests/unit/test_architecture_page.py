"""docs/architecture.md names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.manifest import HANDLERS, TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_every_module_that_it_names_is_there(name: str) -> None:
    assert (ROOT / name).exists() or (ROOT / "tidegate" / name).exists()


def test_it_has_every_table_and_every_handler() -> None:
    tables = PAGE.partition("## The tables")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| (\w+) \|", tables, re.MULTILINE)) == {
        "Table",
        *(table.name for table in TABLES),
    }
    for handler in HANDLERS:
        assert f"tidegate/handlers/{handler}.py" in PAGE
