"""The example of docs/steps.md does what the page says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate import Event, registry
from tidegate.testing import run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "steps.md"


@pytest.fixture
def example() -> Any:
    """What the page's example defines; its own functions do nothing."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)[0]
    names: dict[str, Any] = dict.fromkeys(("charge", "cancel", "ask_for_review"), lambda _: None)
    registry.clear()
    names["__name__"] = "steps_page"
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102
    yield names["order"]
    registry.clear()


PLACED = Event(name="shop/order.placed", data={"number": 7})


def test_the_order_is_done_three_days_later(example: Any) -> None:
    result = run(example, PLACED)
    assert result.value == "done"
    assert list(result.steps) == ["charge", "until it has arrived", "ask for a review"]
    assert result.elapsed == timedelta(days=3)


def test_an_order_that_cannot_be_charged_is_cancelled(example: Any) -> None:
    result = run(example, PLACED, steps={"charge": ValueError("declined")})
    assert result.value == "cancelled"
    assert list(result.steps) == ["charge", "cancel"]
