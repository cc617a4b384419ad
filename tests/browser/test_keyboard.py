"""Everything can be reached and done with the keyboard alone."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.deployed import Deployed
from tests.browser.pages import Window


def tab_to(page: Page, wanted: Locator, limit: int = 40) -> None:
    """Press Tab until that has the focus; each stop on the way must be seen and have a name."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
              const one = document.activeElement;
              const { outlineStyle } = getComputedStyle(one);
              const inner = ["::before", "::after"].map((part) => getComputedStyle(one, part));
              const isSeen = [outlineStyle, ...inner.map((part) => part.outlineStyle)].some(
                (style) => style !== "none",
              );
              return { isBody: one === document.body, isSeen, html: one.outerHTML.slice(0, 200) };
            }"""
        )
        if stop["isBody"]:
            continue
        assert stop["isSeen"], f"one does not see the focus on {stop['html']}"
        if wanted.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached")


def test_the_first_stop_leads_past_the_navigation(window: Window) -> None:
    window.send("harbour/ship.arrived")
    page = window.open()
    expect(window.row("harbour/ship.arrived")).to_be_visible()
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).not_to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    expect(page).to_have_url(re.compile("#/events$"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send event")).to_be_focused()


def test_tab_goes_through_the_page_in_its_order(window: Window) -> None:
    window.send("harbour/ship.arrived")
    page = window.open()
    row = page.get_by_role("link", name="harbour/ship.arrived")
    expect(row).to_be_visible()
    for wanted in (
        page.get_by_role("link", name="Tidegate"),
        page.get_by_role("link", name="Events"),
        page.get_by_role("link", name="Runs"),
        page.get_by_role("link", name="Functions"),
        page.get_by_role("search").get_by_role("searchbox"),
        page.get_by_label("env"),
        page.get_by_role("button", name="Send event"),
        page.get_by_label("Name"),
        page.get_by_label("Time"),
        row,
    ):
        tab_to(page, wanted)


def test_a_dialog_keeps_the_focus_and_gives_it_back(window: Window) -> None:
    page = window.open()
    opener = page.get_by_role("button", name="Send event")
    dialog = page.get_by_role("dialog")
    for leave in (
        lambda: page.keyboard.press("Escape"),
        lambda: dialog.get_by_label("Close").press("Enter"),
        lambda: dialog.get_by_text("Close", exact=True).press("Enter"),
    ):
        opener.focus()
        page.keyboard.press("Enter")
        expect(dialog.get_by_label("Name")).to_be_focused()
        for _ in range(12):
            page.keyboard.press("Tab")
            assert page.evaluate(
                "(one => one === document.body || !!one.closest('dialog'))(document.activeElement)"
            )
        leave()
        expect(dialog).to_be_hidden()
        expect(opener).to_be_focused()


def test_an_event_is_sent_and_its_run_cancelled_by_keys(window: Window) -> None:
    page = window.open()
    page.get_by_role("button", name="Send event").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("harbour/ship.anchored")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(dialog).to_be_hidden()
    row = page.get_by_role("link", name="harbour/ship.anchored")
    expect(row).to_be_visible()
    row.press("Enter")
    run = page.get_by_role("link", name="harbour-anchor")
    expect(run).to_be_visible()
    tab_to(page, run)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sleeps until")).to_be_visible()
    cancel = page.get_by_role("button", name="Cancel run")
    tab_to(page, cancel)
    page.keyboard.press("Enter")
    expect(window.status("Cancelled")).to_be_visible()


def test_arrows_go_from_row_to_row(window: Window) -> None:
    for number in range(3):
        window.send("harbour/ship.seen", {"number": number})
    page = window.open()
    rows = page.get_by_role("link", name="harbour/ship.seen")
    expect(rows).to_have_count(3)
    rows.first.focus()
    for key, place in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowDown", 2), ("ArrowUp", 1)):
        page.keyboard.press(key)
        expect(rows.nth(place)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="The event's data")).to_contain_text('"number": 1')


def test_arrows_go_on_where_rows_are_not_drawn_yet(window: Window) -> None:
    window.served.send(
        [{"name": "harbour/ship.seen", "data": {"number": n}} for n in range(60)],
        x_inngest_env=window.env,
    )
    page = window.open()
    rows = page.get_by_role("link", name="harbour/ship.seen")
    expect(rows.first).to_be_visible()
    rows.first.focus()
    for index in range(50):
        page.keyboard.press("ArrowDown")
        expect(page.locator("tr:focus-within")).to_have_attribute("aria-rowindex", str(index + 3))
    expect(page.locator("tr:focus-within")).to_be_in_viewport()


def test_the_focus_stays_where_it_is_when_something_comes(window: Window) -> None:
    window.send("harbour/ship.seen")
    page = window.open()
    row = page.get_by_role("link", name="harbour/ship.seen")
    row.focus()
    window.send("harbour/ship.arrived")
    expect(page.get_by_role("link", name="harbour/ship.arrived")).to_be_visible()
    expect(row).to_be_focused()


def test_arrows_go_from_span_to_span_of_a_timeline(window: Window) -> None:
    run_id = window.run_of(window.send("harbour/cargo.unloaded"), "Completed")
    page = window.open(f"runs/{run_id}")
    timeline = page.get_by_role("region", name="Timeline")
    spans = timeline.get_by_role("img")
    expect(spans).to_have_count(4)
    tab_to(page, spans.first)
    for place in (1, 2, 3):
        page.keyboard.press("ArrowRight")
        expect(spans.nth(place)).to_be_focused()
        expect(timeline.locator(".tip")).to_be_visible()


def test_logging_in_and_out_by_keys(closed: Deployed, visitor: Visitor) -> None:
    page = visitor(closed.url).new_page()
    page.goto("/")
    expect(page.get_by_label("Signing key")).to_be_focused()
    page.keyboard.type(closed.keys.create("signing", "keys"))
    page.keyboard.press("Enter")
    out = page.get_by_role("button", name="Log out")
    expect(out).to_be_visible()
    tab_to(page, out)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Signing key")).to_be_focused()


def test_what_happens_is_announced(window: Window) -> None:
    window.page.clock.install()
    page = window.open()
    expect(page.get_by_role("heading", name="No events")).to_be_visible()
    window.send("harbour/ship.arrived")
    expect(window.row("harbour/ship.arrived")).to_be_visible()
    window.send("harbour/ship.arrived")
    expect(window.row("harbour/ship.arrived")).to_have_count(2)
    page.clock.run_for(4_000)
    expect(page.locator("[aria-live]").filter(has_text="new event")).to_have_count(1)
