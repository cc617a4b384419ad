"""What happens is seen, and acted upon, in the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.harbour import BROKEN
from tests.browser.pages import Watch, Window


def send_from_page(page: Page, name: str, data: str) -> None:
    page.get_by_role("button", name="Send event").click()
    dialog = page.get_by_role("dialog", name="Send event")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Data").fill(data)
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog).to_be_hidden()


def test_an_event_is_sent_and_its_run_watched(window: Window) -> None:
    page = window.open()
    send_from_page(page, "harbour/ship.arrived", '{"ship": "Ada", "tons": 12345678901234567890}')
    expect(page.get_by_text("Sent harbour/ship.arrived.")).to_be_visible()
    page.get_by_role("link", name="harbour/ship.arrived").click()
    expect(page.get_by_role("heading", name="harbour/ship.arrived")).to_be_visible()
    expect(page.get_by_role("region", name="The event's data")).to_contain_text(
        '"tons": 12345678901234567890'
    )
    runs = page.get_by_role("list", name="Runs of this event")
    expect(runs.get_by_text("Completed")).to_be_visible()
    runs.get_by_role("link", name="harbour-moor").click()
    expect(window.status("Completed")).to_be_visible()
    expect(page.get_by_role("region", name="The run's output")).to_have_text(
        re.compile(r'\{\s*"moored": "Ada"\s*\}')
    )
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Queue")


def test_a_run_is_followed_to_its_end_without_a_reload(window: Window) -> None:
    run_id = window.run_of(window.send("harbour/customs.asked", {"ship": "Ada"}), "Running")
    page = window.open(f"runs/{run_id}")
    expect(window.status("Running")).to_be_visible()
    expect(page.get_by_text("Waits for the event")).to_contain_text("harbour/customs.answered")
    page.evaluate("window.isStillThisPage = true")
    window.send("harbour/customs.answered", {"ship": "Ada"})
    expect(window.status("Completed")).to_be_visible()
    timeline = page.get_by_role("region", name="Timeline")
    for name in ("answer", "berth"):
        expect(timeline.get_by_role("button", name=name)).to_be_visible()
    assert page.evaluate("window.isStillThisPage")


def test_a_retried_step_shows_its_attempts(window: Window) -> None:
    run_id = window.run_of(window.send("harbour/cargo.unloaded"), "Completed")
    page = window.open(f"runs/{run_id}")
    timeline = page.get_by_role("region", name="Timeline")
    expect(timeline.get_by_role("img", name=re.compile("^crane.*Failed"))).to_have_count(2)
    expect(timeline.get_by_role("img", name=re.compile("^crane.*Completed"))).to_have_count(1)
    timeline.get_by_role("button", name="crane").click()
    attempts = page.get_by_role("table", name="Attempts of crane").locator("tbody tr")
    expect(attempts).to_have_count(3)
    expect(attempts.first).to_contain_text("RetryAfterError: the crane is stuck")
    expect(attempts.last).to_contain_text("Completed")


def test_a_sleeping_run_is_cancelled(window: Window) -> None:
    run_id = window.run_of(window.send("harbour/ship.anchored"), "Running")
    page = window.open(f"runs/{run_id}")
    expect(page.get_by_text(re.compile("Sleeps until"))).to_be_visible()
    page.get_by_role("button", name="Cancel run").click()
    expect(window.status("Cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Rerun", exact=True)).to_be_visible()
    [run] = [r for r in window.served.look("runs", window.env)["data"] if r["run_id"] == run_id]
    assert run["status"] == "Cancelled"


def test_a_failed_run_is_rerun_once_its_cause_is_mended(
    window: Window, monkeypatch: pytest.MonkeyPatch, watch: Watch
) -> None:
    # It is recorded when a worker has taken it; the page may be there before.
    watch.expect_refusals(404)
    monkeypatch.setenv(BROKEN, "yes")
    first = window.run_of(window.send("harbour/ship.inspected"), "Failed")
    page = window.open(f"runs/{first}")
    expect(page.get_by_role("group", name="Error", exact=True)).to_contain_text(
        "the lamp is broken"
    )
    monkeypatch.delenv(BROKEN)
    page.get_by_role("button", name="Rerun", exact=True).click()
    expect(page).not_to_have_url(re.compile(first))
    expect(window.status("Completed")).to_be_visible()
    expect(page.get_by_role("region", name="The run's output")).to_contain_text("engine runs")
    expect(page.get_by_role("link", name=first)).to_be_visible()


def test_a_run_goes_on_from_a_step(
    window: Window, monkeypatch: pytest.MonkeyPatch, watch: Watch
) -> None:
    watch.expect_refusals(404)
    monkeypatch.setenv(BROKEN, "yes")
    first = window.run_of(window.send("harbour/ship.inspected"), "Failed")
    page = window.open(f"runs/{first}")
    monkeypatch.delenv(BROKEN)
    page.get_by_role("button", name="Rerun from here: engine").click()
    expect(page).not_to_have_url(re.compile(first))
    expect(window.status("Completed")).to_be_visible()


def test_a_function_is_invoked(window: Window) -> None:
    page = window.open("functions/harbour-moor")
    page.get_by_role("button", name="Invoke").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Data").fill('{"ship": "Grace"}')
    dialog.get_by_role("button", name="Invoke").click()
    expect(dialog).to_be_hidden()
    runs = page.get_by_role("list", name="Latest runs")
    expect(runs.get_by_text("Completed")).to_be_visible()


@pytest.mark.parametrize(
    ("place", "label", "text"),
    [("events", "Events", "harbour/ship.arrived"), ("runs", "Runs", "harbour-moor")],
)
def test_what_comes_appears_within_a_second(
    window: Window, place: str, label: str, text: str
) -> None:
    page = window.page
    page.clock.install()
    window.open(place)
    expect(page.get_by_role("heading", name=re.compile("^No "))).to_be_visible()
    # From here on the page's time stands still; what it asks for next waits for its answer.
    polls: list[Route] = []
    page.route(f"**/v1/{place}?*", lambda route: polls.append(route))
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 5)
    while not polls:
        page.clock.run_for(1_000)
    window.run_of(window.send("harbour/ship.arrived"), "Completed")
    polls[0].continue_()
    expect(window.row(text, label)).to_have_count(1)
    page.unroute_all()
    # Now that the answer is shown it is a second until the next one is.
    window.run_of(window.send("harbour/ship.arrived"), "Completed")
    page.clock.run_for(1_000)
    expect(window.row(text, label)).to_have_count(2)


def test_filters_are_in_the_address(window: Window) -> None:
    window.run_of(window.send("harbour/ship.arrived"), "Completed")
    window.run_of(window.send("harbour/ship.anchored"), "Running")
    page = window.open("runs")
    expect(window.row("harbour-moor", "Runs")).to_be_visible()
    page.get_by_label("Status").select_option("Running")
    expect(window.row("harbour-moor", "Runs")).to_be_hidden()
    expect(window.row("harbour-anchor", "Runs")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Status")).to_have_value("Running")
    expect(window.row("harbour-moor", "Runs")).to_be_hidden()
    expect(window.row("harbour-anchor", "Runs")).to_be_visible()


def test_an_id_is_found_from_everywhere(window: Window, watch: Watch) -> None:
    watch.expect_refusals(404)
    event_id = window.send("harbour/ship.arrived")
    run_id = window.run_of(event_id, "Completed")
    page = window.open()
    search = page.get_by_role("search").get_by_role("searchbox")
    for found, title in ((event_id, "harbour/ship.arrived"), (run_id, "harbour-moor")):
        search.fill(f" {found.lower()} ")
        search.press("Enter")
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    search.fill("01M84S15FT6F8BF2YY0Z971PJV")
    search.press("Enter")
    expect(page.get_by_text("There is no event and no run 01M84S15")).to_be_visible()
