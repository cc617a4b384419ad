"""A function that is gone from the code, as the dashboard shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.pages import Window
from tests.e2e.serving import Served


@pytest.fixture
def without_anchor(served: Served) -> Iterator[None]:
    """The server once `harbour-anchor` is gone from its code."""
    functions = served.server.functions
    served.server._serve([one for one in functions if one.id != "harbour-anchor"])
    yield
    served.server._serve(functions)


def test_its_runs_can_only_be_looked_at_and_cancelled(
    window: Window, request: pytest.FixtureRequest
) -> None:
    run_id = window.run_of(window.send("harbour/ship.anchored"), "Running")
    request.getfixturevalue("without_anchor")
    page = window.open("functions")
    card = page.get_by_role("list", name="Functions").get_by_role("listitem")
    expect(card.filter(has_text="harbour-anchor")).to_contain_text("removed")
    page.get_by_role("link", name="harbour-anchor").click()
    expect(page.get_by_text("It is gone from the code.")).to_be_visible()
    expect(page.get_by_role("button", name="Invoke")).to_have_count(0)
    expect(page.get_by_role("button", name="Replay failed runs")).to_have_count(0)
    expect(page.get_by_role("link", name=run_id)).to_be_visible()
    page.get_by_role("button", name="Cancel runs").click()
    page.get_by_role("dialog").get_by_role("button", name="Start cancellation").click()
    runs = page.get_by_role("list", name="Latest runs")
    expect(runs.get_by_text("Cancelled", exact=True)).to_be_visible()
