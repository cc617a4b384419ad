"""Whatever senders and functions write is shown as it is, and never becomes HTML or script."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Look
from tests.browser.harbour import HOSTILE
from tests.browser.pages import Watch, Window

NAME = f"flotsam/{HOSTILE}"
# In JSON its quotes are escaped.
IN_JSON = json.dumps(HOSTILE)


def inert(page: Page) -> None:
    """Nothing of the text has become a part of the page."""
    expect(page.locator("main")).to_contain_text("<script>pwned=1</script>")
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.locator("#app :is(img, script, b, iframe)").count() == 0


@pytest.fixture
def drifting(window: Window) -> str:
    """The id of an event of hostile fields, with a run that waits."""
    data = {HOSTILE: [HOSTILE], "__proto__": {"drifts": HOSTILE}, "drifts": True}
    return window.send(NAME, data, user={HOSTILE: HOSTILE}, id=HOSTILE, v=HOSTILE)


def test_an_event(window: Window, drifting: str) -> None:
    page = window.open()
    expect(page.get_by_role("link", name=NAME, exact=True)).to_be_visible()
    inert(page)
    page.get_by_role("link", name=NAME, exact=True).click()
    expect(page.get_by_role("heading", name=NAME, exact=True)).to_be_visible()
    data = page.get_by_role("region", name="The event's data")
    expect(data).to_contain_text(f"{IN_JSON}: [")
    expect(data).to_contain_text('"__proto__": {')
    expect(page.get_by_role("region", name="The event's user")).to_contain_text(IN_JSON)
    inert(page)
    page.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Name")).to_have_value(NAME)
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".messages")).to_contain_text(f"Sent {NAME}.")
    inert(page)


def test_a_run_that_waits(window: Window, drifting: str) -> None:
    run_id = window.run_of(drifting, "Running")
    page = window.open(f"runs/{run_id}")
    expect(page.get_by_text("Waits for the event")).to_contain_text(f"shore/{HOSTILE}")
    timeline = page.get_by_role("region", name="Timeline")
    timeline.get_by_role("img", name=HOSTILE).focus()
    expect(timeline.locator(".tip")).to_contain_text(HOSTILE)
    timeline.get_by_role("button", name=HOSTILE, exact=True).click()
    expect(page.get_by_role("region", name=f"Output of {HOSTILE}")).to_contain_text(
        f"{IN_JSON}: {IN_JSON}"
    )
    inert(page)
    window.run_of(drifting, "Running")
    page.get_by_role("button", name="Cancel run").click()
    expect(window.status("Cancelled")).to_be_visible()
    inert(page)


def test_an_output(window: Window) -> None:
    run_id = window.run_of(window.send(NAME), "Completed")
    page = window.open(f"runs/{run_id}")
    expect(page.get_by_role("region", name="The run's output")).to_contain_text(
        f"{IN_JSON}: {IN_JSON}"
    )
    inert(page)


def test_an_error(window: Window) -> None:
    run_id = window.run_of(window.send(NAME, {"sinks": True}), "Failed")
    page = window.open("runs")
    expect(window.row("harbour-flotsam", "Runs")).to_contain_text(HOSTILE)
    inert(page)
    window.open(f"runs/{run_id}")
    failure = page.get_by_role("group", name="Error", exact=True)
    expect(failure.locator(".failure-head")).to_have_text(f"{HOSTILE}: {HOSTILE}")
    inert(page)


def test_a_function(window: Window) -> None:
    page = window.open("functions")
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    expect(page.get_by_role("heading", name=HOSTILE, exact=True)).to_be_visible()
    inert(page)


def test_an_address(window: Window, watch: Watch) -> None:
    watch.expect_refusals(400)
    hostile = quote(HOSTILE, safe="")
    page = window.open(f"events?name={hostile}")
    expect(page.get_by_role("heading", name="No such event in this time")).to_be_visible()
    inert(page)
    window.open(f"runs?status={hostile}")
    expect(page.get_by_role("alert").filter(has_text="pwned")).to_be_visible()
    inert(page)
    for place in (
        f"{hostile}/{hostile}",
        f"functions/{hostile}",
        f"runs/{hostile}",
        f"events/{hostile}",
        "runs/..%2Ffunctions%2Fharbour-moor",
        f"runs?function={hostile}",
    ):
        window.open(place)
        expect(
            page.get_by_role("heading", name="There is n").or_(
                page.get_by_role("heading", name="No such run")
            )
        ).to_be_visible()
        assert page.evaluate("typeof pwned") == "undefined"
        assert page.locator("#app :is(img, script, b, iframe)").count() == 0


def test_an_environment(look: Look) -> None:
    name = "<img/src=x/onerror=pwned=1><script>pwned=1</script>"
    window = look(env=name)
    window.send("harbour/ship.arrived")
    page = window.open()
    expect(page.get_by_label("env")).to_have_value(name)
    page.get_by_role("link", name="harbour/ship.arrived").click()
    expect(page.locator(".facts")).to_contain_text(name)
    inert(page)


def test_the_policy_stops_what_would_slip_through(window: Window, watch: Watch) -> None:
    page = window.open()
    outcome = page.evaluate(
        """async () => {
          const found = [];
          const attempt = (what) => {
            try { what(); found.push("done"); } catch (error) { found.push(error.name); }
          };
          attempt(() => { document.querySelector("main").innerHTML = "<b>x</b>"; });
          attempt(() => document.write("x"));
          const blocked = (make) => new Promise((tell) => {
            const element = make();
            element.onload = () => tell("loaded");
            element.onerror = () => tell("blocked");
            document.body.append(element);
          });
          const src = "http://127.0.0.1:1/x.png";
          found.push(await blocked(() => Object.assign(document.createElement("img"), { src })));
          found.push(await fetch(src).then(() => "fetched", () => "blocked"));
          const script = document.createElement("script");
          attempt(() => { script.textContent = "pwned = 1"; });
          return found;
        }"""
    )
    assert outcome == ["TypeError", "TypeError", "blocked", "blocked", "TypeError"]
    assert page.evaluate("typeof pwned") == "undefined"
    reported = [fault for fault in watch.faults if fault.startswith("console: violation of")]
    assert len(reported) == len(outcome)
    watch.faults.clear()
