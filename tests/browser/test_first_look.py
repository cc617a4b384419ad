"""What one sees before anything has happened, and when the server is away."""

from __future__ import annotations

import subprocess

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Look, Visitor
from tests.browser.deployed import Deployed
from tests.browser.pages import Watch, Window


def run(command: str, **variables: str) -> str:
    """What a shell prints for a command that was copied."""
    shell = ["bash", "-c", command.replace("curl", "curl --silent --fail-with-body", 1)]
    done = subprocess.run(shell, capture_output=True, text=True, env=variables, check=True)
    return done.stdout


def copied(window: Window) -> str:
    """The command that the page shows, by way of the clipboard."""
    window.page.get_by_role("button", name="Copy the command").click()
    expect(window.page.get_by_role("button", name="Copied")).to_be_visible()
    return str(window.page.evaluate("navigator.clipboard.readText()"))


# A shell would stumble over it if it were not quoted.
AWKWARD = "it's;$HOME"
CLIPBOARD = ["clipboard-read", "clipboard-write"]


@pytest.mark.parametrize(("place", "label"), [("events", "Events"), ("runs", "Runs")])
def test_an_empty_list_says_what_to_do_next(look: Look, place: str, label: str) -> None:
    window = look(env=f"{AWKWARD}-{place}", permissions=CLIPBOARD)
    page = window.open(place)
    expect(page.get_by_role("heading", name=f"No {place} in this time")).to_be_visible()
    assert '"ids":' in run(copied(window))
    expect(page.get_by_role("table", name=label).get_by_role("link")).to_have_count(1)


def test_a_function_without_runs_says_what_to_do_next(look: Look) -> None:
    for function in ("harbour-moor", "harbour-stow"):
        window = look(env=f"{AWKWARD}-{function}", permissions=CLIPBOARD)
        page = window.open(f"functions/{function}")
        expect(page.get_by_role("heading", name="No runs in this time")).to_be_visible()
        run(copied(window))
        runs = page.get_by_role("list", name="Latest runs")
        expect(runs.get_by_text("Completed")).to_be_visible()


def test_behind_keys_the_command_asks_for_one(closed: Deployed, visitor: Visitor) -> None:
    page = visitor(closed.url).new_page()
    page.goto("/")
    page.get_by_label("Signing key").fill(closed.keys.create("signing", "shell"))
    page.keyboard.press("Enter")
    command = page.locator(".command pre").inner_text()
    assert "$EVENT_KEY" in command
    run(command, EVENT_KEY=closed.keys.create("event", "shell"))
    expect(page.get_by_role("table", name="Events").get_by_role("link")).to_have_count(1)


def test_a_list_that_is_narrowed_down_to_nothing_leads_back(window: Window) -> None:
    window.send("harbour/ship.seen")
    page = window.open("events?name=harbour/none&range=7d")
    page.get_by_role("link", name="show all names").click()
    expect(window.row("harbour/ship.seen")).to_be_visible()
    expect(page.get_by_label("Time")).to_have_value("7d")


def test_while_the_server_is_away_the_page_says_so_and_goes_on(
    window: Window, watch: Watch
) -> None:
    watch.expect_failed_requests()
    window.send("harbour/ship.seen")
    page = window.open()
    expect(window.row("harbour/ship.seen")).to_be_visible()

    def away(route: Route) -> None:
        route.abort("connectionrefused")

    page.route("**/v1/**", away)
    trouble = page.get_by_role("alert").filter(has_text="the server cannot be reached")
    expect(trouble).to_be_visible()
    expect(window.row("harbour/ship.seen")).to_be_visible()
    window.send("harbour/ship.arrived")
    page.unroute("**/v1/**", away)
    expect(window.row("harbour/ship.arrived")).to_be_visible()
    expect(trouble).to_be_hidden()


def test_a_fault_in_what_is_sent_is_told_where_it_was_written(window: Window, watch: Watch) -> None:
    watch.expect_refusals(400)
    page = window.open()
    page.get_by_role("button", name="Send event").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("inngest/reserved")
    dialog.get_by_label("Data").fill('{"ship": Ada}')
    expect(dialog.get_by_text("Not valid JSON")).to_be_visible()
    expect(dialog.get_by_label("Data")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Data").fill('["Ada"]')
    expect(dialog.get_by_text("It has to be an object")).to_be_visible()
    dialog.get_by_label("Data").fill('{"ship": "Ada"}')
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("are reserved")
    dialog.get_by_label("Name").fill("harbour/ship.arrived")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(window.row("harbour/ship.arrived")).to_contain_text('{"ship":"Ada"}')
