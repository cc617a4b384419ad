"""Dead letters are seen with their reason in the page, redriven and deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Look
from tests.browser.pages import Window
from tidegate.aws import client
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import random_ulid
from tidegate.local.wiring import queue_name
from tidegate.message import EventMessage

MOOR = "harbour-moor"


@pytest.fixture
def url() -> Iterator[str]:
    url = client("sqs").get_queue_url(QueueName=f"{queue_name(MOOR)}-dead")["QueueUrl"]
    yield str(url)
    client("sqs").purge_queue(QueueUrl=url)


def bury(url: str, *texts: str) -> None:
    for text in texts:
        client("sqs").send_message(QueueUrl=url, MessageBody=text)


def message(window: Window) -> str:
    """The message of an event that was never handled."""
    now_ms = time.time_ns() // 1_000_000
    event_id = random_ulid(now_ms)
    body = event_body(
        name="harbour/ship.arrived", data={"ship": "Ada"}, event_id=event_id, ts=now_ms
    )
    event = AcceptedEvent(event_id, window.env, "harbour/ship.arrived", now_ms, now_ms, body)
    return EventMessage.of(event).encode()


def letters(page: Page) -> Locator:
    return page.get_by_role("list", name="Dead letters").get_by_role("listitem")


def test_they_are_found_from_the_list_of_functions_and_redriven(window: Window, url: str) -> None:
    bury(url, message(window), message(window))
    page = window.open("functions")
    page.get_by_role("link", name="2 dead letters").click()
    found = letters(page)
    expect(found).to_have_count(2)
    expect(found.first).to_contain_text("harbour/ship.arrived")
    expect(found.first).to_contain_text("never done with: the Lambda could not start, crashed")
    found.first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Redrive selected").click()
    dialog = page.get_by_role("dialog", name="Redrive")
    expect(dialog).to_contain_text("Puts 1 dead letter back into the queue")
    dialog.get_by_role("button", name="Redrive").click()
    expect(page.get_by_role("list", name="Jobs")).to_contain_text("1 dead letter put back")
    # What has ended is looked at again by itself.
    expect(found).to_have_count(1)
    runs = page.get_by_role("list", name="Latest runs")
    expect(runs.get_by_text("Completed").first).to_be_visible()


def test_a_hostile_one_is_text_and_can_be_deleted(look: Look, url: str) -> None:
    # What is too damaged to say its environment belongs to the default one.
    window = look(env="dev")
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    bury(url, hostile)
    page = window.open(f"functions/{MOOR}")
    expect(letters(page)).to_have_count(1)
    expect(page.get_by_label("The beginning of its text")).to_have_text(hostile)
    page.get_by_role("button", name="Delete all").click()
    dialog = page.get_by_role("dialog", name="Delete dead letters")
    expect(dialog).to_contain_text("Deletes all dead letters of this environment.")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("list", name="Jobs")).to_contain_text("1 dead letter deleted")
    expect(letters(page)).to_have_count(0)


def test_the_keyboard_is_enough(window: Window, url: str) -> None:
    bury(url, message(window))
    page = window.open(f"functions/{MOOR}")
    box = letters(page).first.get_by_role("checkbox")
    box.focus()
    page.keyboard.press("Space")
    button = page.get_by_role("button", name="Redrive selected")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Redrive")
    dialog.get_by_label("At most so many a second").focus()
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("list", name="Jobs")).to_contain_text("1 dead letter put back")


def test_a_function_without_any_shows_no_section(window: Window) -> None:
    page = window.open(f"functions/{MOOR}")
    expect(page.get_by_role("heading", name="Latest runs")).to_be_visible()
    expect(page.get_by_role("heading", name="Dead letters")).to_have_count(0)
    page = window.open("functions/matcher")
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


def test_they_fit_a_phone(look: Look, url: str) -> None:
    window = look(env="dev")
    bury(url, "x" * 500, json.dumps({"half": "a" * 300}))
    page = window.open(f"functions/{MOOR}")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(letters(page)).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
