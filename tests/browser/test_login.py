"""A deployed stage is behind a login."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.deployed import Deployed
from tests.browser.pages import Watch
from tests.e2e.serving import Served
from tidegate.dashboard.session import COOKIE, LIFETIME_S

# What a form of any page can send, with this browser's cookies; the page cannot read the answer.
_SEND_BLINDLY = """(address) => fetch(address, {
  method: "POST", credentials: "include", mode: "no-cors", body: '{"name": "a/b"}',
})"""


@pytest.fixture
def context(closed: Deployed, visitor: Visitor) -> BrowserContext:
    """A browser at a deployed stage."""
    return visitor(closed.url)


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def env(request: pytest.FixtureRequest) -> str:
    """An environment that is the test's own."""
    return str(request.node.name)


def log_in(page: Page, closed: Deployed, env: str) -> None:
    page.goto("/")
    page.get_by_label("Signing key").fill(closed.keys.create("signing", env))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Events", exact=True)).to_be_visible()


def test_nothing_is_seen_without_a_key(page: Page, watch: Watch) -> None:
    watch.expect_refusals(401)
    page.goto("/#/runs")
    expect(page.get_by_label("Signing key")).to_be_focused()
    expect(page.get_by_role("navigation")).to_be_hidden()
    for wrong in ("nonsense", "signkey-env-" + "0" * 64):
        page.get_by_label("Signing key").fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("not a signing key that is valid here")
        expect(page.get_by_label("Signing key")).to_be_focused()
    assert page.context.cookies() == []


def test_the_login_page_alone_complains_of_nothing(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_label("Signing key")).to_be_visible()


def test_the_key_opens_the_page_that_one_wanted(closed: Deployed, page: Page) -> None:
    page.goto("/#/functions")
    page.get_by_label("Signing key").fill(f" {closed.keys.create('signing', 'prod')} ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Functions", exact=True)).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("env prod")
    page.reload()
    expect(page.get_by_role("heading", name="Functions", exact=True)).to_be_visible()


def test_the_cookie_is_out_of_reach(
    closed: Deployed, env: str, page: Page, context: BrowserContext
) -> None:
    log_in(page, closed, env)
    [cookie] = context.cookies()
    assert cookie["name"] == COOKIE
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "Strict"
    assert cookie["path"] == "/"
    assert cookie["domain"] == "127.0.0.1"
    now = page.evaluate("Date.now()") / 1000
    assert LIFETIME_S - 60 < cookie["expires"] - now <= LIFETIME_S + 1
    assert page.evaluate("document.cookie") == ""
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert cookie["value"] not in kept
    assert "signkey" not in kept


def test_what_is_sent_from_the_page_carries_the_token(
    closed: Deployed, env: str, page: Page
) -> None:
    log_in(page, closed, env)
    page.get_by_role("button", name="Send event").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("harbour/ship.arrived")
    with page.expect_response("**/v1/events") as sent:
        dialog.get_by_role("button", name="Send", exact=True).click()
    assert sent.value.status == 201
    assert len(sent.value.request.headers["x-csrf-token"]) == 64
    expect(page.get_by_role("link", name="harbour/ship.arrived")).to_be_visible()


def test_a_change_without_the_token_is_refused(
    closed: Deployed, env: str, page: Page, watch: Watch
) -> None:
    watch.expect_refusals(403)
    log_in(page, closed, env)
    send = """(headers) => fetch("/v1/events", {
      method: "POST", headers, body: JSON.stringify({ name: "harbour/ship.stolen" }),
    }).then((answer) => answer.status)"""
    assert page.evaluate(send, {}) == 403
    assert page.evaluate(send, {"x-csrf-token": "0" * 64}) == 403
    expect(page.get_by_role("heading", name="No events")).to_be_visible()


def test_a_page_of_another_origin_changes_nothing(
    closed: Deployed,
    env: str,
    page: Page,
    context: BrowserContext,
    served: Served,
    watch: Watch,
) -> None:
    watch.origins.add(served.server.url)
    watch.expect_refusals(401, 403, 404)
    log_in(page, closed, env)
    other = context.new_page()
    for here, there in ((served.server.url, closed.url), (closed.url, served.server.url)):
        # An answer of the API: a page whose policy does not forbid to ask elsewhere.
        other.goto(f"{here}/v1/functions")
        with other.expect_response(f"{there}/v1/events") as refused:
            other.evaluate(_SEND_BLINDLY, f"{there}/v1/events")
        assert refused.value.status == 403


def test_logging_out_closes_the_page_and_ends_the_session(
    closed: Deployed, env: str, page: Page, context: BrowserContext, watch: Watch
) -> None:
    log_in(page, closed, env)
    second = context.new_page()
    second.goto("/#/functions")
    expect(second.get_by_role("heading", name="Functions", exact=True)).to_be_visible()
    [cookie] = context.cookies()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Signing key")).to_be_focused()
    expect(page.get_by_label("Signing key")).to_have_value("")
    assert context.cookies() == []
    # The other window finds out by itself; a kept copy of the cookie opens nothing any more.
    watch.expect_refusals(401)
    expect(second.get_by_label("Signing key")).to_be_visible()
    context.add_cookies([cookie])
    page.reload()
    expect(page.get_by_label("Signing key")).to_be_visible()


def test_a_session_that_is_lost_leads_to_the_login_and_back(
    closed: Deployed, env: str, page: Page, watch: Watch
) -> None:
    watch.expect_refusals(401)
    log_in(page, closed, env)
    page.goto("/#/functions/harbour-moor")
    expect(page.get_by_role("heading", name="moor")).to_be_visible()
    closed.end_sessions()
    expect(page.get_by_role("alert").filter(has_text="ended")).to_be_visible()
    page.get_by_label("Signing key").fill(closed.keys.create("signing", "prod"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="moor")).to_be_visible()


def test_a_key_opens_its_environment_only(closed: Deployed, visitor: Visitor) -> None:
    first, second = visitor(closed.url).new_page(), visitor(closed.url).new_page()
    log_in(first, closed, "mine")
    log_in(second, closed, "yours")
    first.get_by_role("button", name="Send event").click()
    dialog = first.get_by_role("dialog")
    dialog.get_by_label("Name").fill("harbour/ship.arrived")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(first.get_by_role("link", name="harbour/ship.arrived")).to_be_visible()
    first.goto("/#/runs")
    expect(first.get_by_role("link", name="harbour-moor")).to_be_visible()
    second.goto("/#/runs")
    expect(second.get_by_role("heading", name="No runs")).to_be_visible()
    expect(second.get_by_role("textbox", name="env")).to_have_count(0)


def test_what_another_key_let_one_look_into_is_forgotten(
    closed: Deployed, env: str, visitor: Visitor
) -> None:
    page = visitor(closed.url).new_page()
    page.goto("/")
    page.get_by_label("Signing key").fill(closed.keys.create("signing", env, branch=True))
    page.keyboard.press("Enter")
    page.get_by_label("env").fill("branch-7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No events")).to_be_visible()
    assert page.evaluate("sessionStorage.environment") == "branch-7"
    closed.end_sessions()
    page.reload()
    log_in(page, closed, env)
    expect(page.get_by_role("banner")).to_contain_text(f"env {env}")
    expect(page.get_by_role("heading", name="No events")).to_be_visible()
