"""Thousands of rows stay usable: few of them are drawn, and all of them can be reached."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Look
from tests.browser.pages import Window
from tests.e2e.serving import Served, until
from tidegate.ids import run_id_of

MANY = 5_000
MOST_DRAWN = 200
ENV = "many-rows"


@pytest.fixture(scope="module")
def oldest(served: Served) -> str:
    """The id of the oldest of 5,000 events, of a name of its own; each has a run."""
    headers = {"x_inngest_env": ENV}
    [first] = served.send([{"name": "harbour/ship.anchored"}], **headers)
    awaited = set()
    for start in range(1, MANY, 500):
        numbers = range(start, min(start + 500, MANY))
        events = [{"name": "harbour/ship.arrived", "data": {"ship": f"ship {n}"}} for n in numbers]
        sent = served.send(events, **headers)
        awaited |= {run_id_of(ENV, "harbour-moor", event_id) for event_id in sent}

    def all_ran() -> bool:
        log = [vars(r) for r in list(served.log) if r.getMessage() == "run completed"]
        return awaited <= {told["run_id"] for told in log}

    until(all_ran)
    return first


@pytest.fixture
def window(look: Look, oldest: str) -> Window:
    return look(env=ENV)


def drawn(page: Page) -> int:
    return page.locator("tbody tr:not(.space)").count()


def scroll_to_the_end(page: Page, foot: Locator, end: str) -> None:
    while (told := foot.inner_text()) != end:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(foot).not_to_have_text(told)
        assert 0 < drawn(page) < MOST_DRAWN


@pytest.mark.parametrize(
    ("place", "label", "first"),
    [("events", "Events", "harbour/ship.anchored"), ("runs", "Runs", "harbour-anchor")],
)
def test_the_oldest_of_thousands_is_reached_by_scrolling(
    window: Window, oldest: str, place: str, label: str, first: str
) -> None:
    page = window.open(place)
    table = page.get_by_role("table", name=label)
    expect(table).to_have_attribute("aria-rowcount", "-1")
    scroll_to_the_end(page, page.locator(".foot"), f"{MANY:,} {place}")
    expect(table).to_have_attribute("aria-rowcount", str(MANY + 1))
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    row = window.row(first, label)
    expect(row).to_be_in_viewport()
    expect(row).to_have_attribute("aria-rowindex", str(MANY + 1))
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    expect(row).to_have_count(0)
    expect(table.get_by_role("link").nth(10)).to_be_in_viewport()
    assert 0 < drawn(page) < MOST_DRAWN


def test_one_of_thousands_is_found_by_its_name(window: Window) -> None:
    page = window.open()
    expect(window.row("harbour/ship.arrived").first).to_be_visible()
    page.get_by_label("Name").fill("harbour/ship.anchored")
    expect(window.row("harbour/ship.anchored")).to_be_visible()
    expect(page.locator(".foot")).to_have_text("1 event")


def test_one_of_thousands_is_found_by_its_status(window: Window) -> None:
    page = window.open("runs?status=Running")
    expect(window.row("harbour-anchor", "Runs")).to_be_visible()
    expect(page.locator(".foot")).to_have_text("1 run")


def test_what_is_read_stays_in_place_when_something_comes_on_top(look: Look) -> None:
    window = look()
    for _ in range(5):
        events = [{"name": "harbour/ship.seen"}] * 100
        window.served.send(events, x_inngest_env=window.env)
    page = window.open()
    foot = page.locator(".foot")
    while "400" not in (told := foot.inner_text()):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(foot).not_to_have_text(told)
    page.evaluate("scrollTo(0, 200 * 44)")
    row = page.get_by_role("row").filter(has=page.get_by_role("link")).nth(20)
    expect(row).to_be_in_viewport()
    told = row.inner_text()
    where = page.get_by_role("row").filter(has_text=told.split("\t")[2])
    before = where.bounding_box()
    window.send("harbour/ship.arrived", {"ship": "the latest"})
    news = page.get_by_role("button", name="1 new event")
    expect(news).to_be_visible()
    after = where.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(after["y"] - before["y"]) < 2
    news.click()
    expect(window.row("the latest")).to_be_in_viewport()
