"""All views fit a phone and are readable in light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Look, Visitor
from tests.browser.deployed import Deployed
from tests.browser.harbour import BROKEN, HOSTILE
from tests.browser.pages import Watch, Window
from tests.e2e.serving import Served

CONTRAST = Path(__file__).with_name("contrast.js").read_text()
PHONE = {"width": 390, "height": 844}
_OPEN = """(names) => {
  for (const one of names) if (one.ariaExpanded === "false") one.click();
}"""
ENV = "gallery"
LONG = "harbour/" + "a-name-without-an-end-" * 11


@pytest.fixture(scope="module")
def places(served: Served) -> list[str]:
    """Places of the dashboard that show all kinds of things."""
    window = Window(None, served, ENV)  # type: ignore[arg-type]
    os.environ[BROKEN] = "yes"
    failed = window.run_of(window.send("harbour/ship.inspected"), "Failed")
    del os.environ[BROKEN]
    event = window.send("harbour/ship.arrived", {"ship": "Ada", "tons": [1, None, True]})
    long = window.send(LONG, {"word" * 100: "word" * 400, "deep": {"n": list(range(9))}})
    cancelled = window.run_of(window.send("harbour/ship.anchored"), "Running")
    served.http.delete(f"/v1/runs/{cancelled}", headers={"x-inngest-env": ENV})
    runs = [
        window.run_of(event, "Completed"),
        window.run_of(window.send("harbour/cargo.unloaded"), "Completed"),
        window.run_of(window.send(f"flotsam/{HOSTILE}", {"sinks": True}), "Failed"),
        window.run_of(window.send("harbour/ship.anchored"), "Running"),
        window.run_of(window.send("harbour/customs.asked"), "Running"),
        cancelled,
        failed,
    ]
    return [
        "events",
        "events?name=harbour/none",
        f"events/{event}",
        f"events/{long}",
        "events/01M84S15FT6F8BF2YY0Z971PJV",
        "runs",
        "runs?range=custom",
        "runs?status=Scheduled",
        *(f"runs/{run}" for run in runs),
        "functions",
        "functions/harbour-moor",
        "functions/harbour-anchor?range=15m",
    ]


def shown(window: Window, places: list[str]) -> Iterator[tuple[str, Page]]:
    """Each of the places, all of it there; and the dialogs."""
    for place in places:
        # Otherwise what was shown before could pass for it.
        page = window.open("nowhere")
        expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
        window.open(place)
        expect(page.get_by_role("heading").first).to_be_visible()
        expect(page.get_by_text("Loading…")).to_have_count(0)
        if place.startswith("runs/"):
            page.locator(".step-name").evaluate_all(_OPEN)
            expect(page.locator(".step-name[aria-expanded=false]")).to_have_count(0)
        yield place, page
    for place, name in (
        ("events", "Send event"),
        ("functions/harbour-moor", "Invoke"),
        ("functions/harbour-moor", "Replay failed runs"),
        ("functions/harbour-moor", "Cancel runs"),
    ):
        page = window.open(place)
        page.get_by_role("main").get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield f"{place}: {name}", page
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()


def hard_to_read(page: Page) -> list[str]:
    """The texts without enough contrast, in light and in dark."""
    faults: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        told = page.evaluate(CONTRAST)
        assert told["count"] > 3
        faults += [f"{scheme}: {text}" for text in told["found"]]
    return faults


def test_texts_can_be_read_in_light_and_dark(look: Look, places: list[str], watch: Watch) -> None:
    watch.expect_refusals(404)
    window = look(env=ENV)
    faults = {place: hard_to_read(page) for place, page in shown(window, places)}
    assert {place: found for place, found in faults.items() if found} == {}


def test_the_login_can_be_read(closed: Deployed, visitor: Visitor) -> None:
    page = visitor(closed.url).new_page()
    page.goto("/")
    expect(page.get_by_label("Signing key")).to_be_visible()
    assert hard_to_read(page) == []


def too_wide(page: Page) -> list[str]:
    """What makes the page scroll sideways."""
    return list(
        page.evaluate(
            """() => {
              const { clientWidth, scrollWidth } = document.documentElement;
              if (scrollWidth <= clientWidth) return [];
              const wide = [...document.querySelectorAll("#app *")]
                .filter((one) => one.getBoundingClientRect().right > clientWidth);
              return [scrollWidth, ...wide.map((one) => one.outerHTML.slice(0, 120))];
            }"""
        )
    )


def test_nothing_is_wider_than_a_phone(look: Look, places: list[str], watch: Watch) -> None:
    watch.expect_refusals(404)
    window = look(env=ENV, viewport=PHONE, has_touch=True, is_mobile=True)
    faults = {place: too_wide(page) for place, page in shown(window, places)}
    assert {place: found for place, found in faults.items() if found} == {}


def test_the_login_is_no_wider_than_a_phone(closed: Deployed, visitor: Visitor) -> None:
    page = visitor(closed.url, viewport=PHONE, is_mobile=True).new_page()
    page.goto("/")
    expect(page.get_by_role("button", name="Log in")).to_be_in_viewport()
    assert too_wide(page) == []


def test_on_a_phone_one_sends_an_event_and_opens_its_run(look: Look) -> None:
    page = look(viewport=PHONE, has_touch=True, is_mobile=True).open()
    page.get_by_role("button", name="Send event").tap()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("harbour/ship.arrived")
    send = dialog.get_by_role("button", name="Send", exact=True)
    send.scroll_into_view_if_needed()
    send.tap()
    page.get_by_role("link", name="harbour/ship.arrived").tap()
    page.get_by_role("link", name="harbour-moor").tap()
    expect(page.locator(".title").get_by_text("Completed")).to_be_visible()
    expect(page.get_by_role("region", name="Timeline")).to_be_visible()
