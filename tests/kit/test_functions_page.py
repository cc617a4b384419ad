"""The example of docs/functions.md does what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate import Event, registry
from tidegate.testing import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "functions.md"
PLACED = Event(name="shop/order.placed", data={"order": "o-1"})


@pytest.fixture
def example() -> Iterator[dict[str, Any]]:
    """What the page's example defines; its mails are kept in `mails`."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)[0]
    mails: list[str] = []
    names = {"pay": lambda order: f"{order} is paid", "mail": mails.append, "mails": mails}
    registry.clear()
    names["__name__"] = "functions_page"
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102
    yield names
    registry.clear()


def test_an_order_is_charged_once(example: dict[str, Any]) -> None:
    result = run(example["charge"], [PLACED, PLACED])
    assert result.value == "o-1 is paid"
    assert result.runs == ()
    assert example["mails"] == []


def test_support_is_told_of_an_order_that_cannot_be_charged(example: dict[str, Any]) -> None:
    result = run(example["charge"], PLACED, steps={"pay": ValueError("declined")})
    assert result.steps["pay"].attempts == 3
    assert [other.function_id for other in result.runs] == ["shop-charge-failure"]
    assert example["mails"] == ["o-1 is not charged: declined"]
