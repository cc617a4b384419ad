"""Which names a trigger takes, and which names cannot be a trigger."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.event_model import EventModel
from tidegate.event_pattern import filter_policy
from tidegate.trigger import TriggerEvent


@pytest.mark.parametrize(
    ("event", "name", "matches"),
    [
        ("app/user.created", "app/user.created", True),
        ("app/user.created", "app/user.created.eu", False),
        ("app/user.created", "app/User.created", False),
        ("app/*", "app/user.created", True),
        ("app/*", "app/", True),
        ("app/*", "app", False),
        ("app/*", "App/user", False),
        ("app/*", "my/app/user", False),
        ("app/user.*", "app/user.created", True),
        ("app/user.*", "app/users.created", False),
        ("app.*", "app/x", False),
    ],
)
def test_matching(event: str, name: str, matches: bool) -> None:
    assert TriggerEvent(event=event).matches(name) is matches


@pytest.mark.parametrize(
    "event", ["a", "x" * 256, "x" * 254 + "/*", "/*", "a b", "inngest/function.failed"]
)
def test_possible_triggers(event: str) -> None:
    assert TriggerEvent(event=event).event == event


@pytest.mark.parametrize("event", ["*", "app*", "app/*/x", "app/**", "*/app", "app/*.*", "a-*"])
def test_a_wildcard_that_can_never_match_is_refused(event: str) -> None:
    with pytest.raises(ValidationError, match=r"can never match.*'app/\*'"):
        TriggerEvent(event=event)


@pytest.mark.parametrize("event", ["", "x" * 257])
def test_a_name_that_no_event_has_is_refused(event: str) -> None:
    with pytest.raises(ValidationError, match="1 to 256 characters"):
        TriggerEvent(event=event)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="cron"):
        TriggerEvent(event="a", cron="* * * * *")  # type: ignore[call-arg]


def test_the_filter_policy_has_exact_names_and_prefixes() -> None:
    triggers = [TriggerEvent(event=name) for name in ("b", "app/*", "app/x", "a", "app/y.*")]
    assert filter_policy(triggers, "@f") == {"name": ["@f", "a", "b", {"prefix": "app/"}]}
    assert filter_policy(triggers[:1], "@f") == {"name": ["@f", "b"]}


class Cart(EventModel, abstract=True): ...


class Opened(Cart, name="trigger/cart.opened"): ...


def test_a_class_stands_for_the_name_of_its_event() -> None:
    trigger = TriggerEvent(event=Opened)
    assert (trigger.event, trigger.prefix) == ("trigger/cart.opened", None)
    assert trigger.model is Opened
    assert trigger.matches("trigger/cart.opened")
    assert not trigger.matches("trigger/cart.opened.twice")
    assert filter_policy([trigger], "@f") == {"name": ["@f", "trigger/cart.opened"]}
    assert TriggerEvent(event="trigger/cart.opened").model is None


def test_a_trigger_is_written_down_by_the_name_alone() -> None:
    trigger = TriggerEvent(event=Opened)
    assert trigger.model_dump() == {"event": "trigger/cart.opened", "expression": None}
    read = TriggerEvent.model_validate_json(trigger.model_dump_json())
    assert read == trigger
    assert hash(read) == hash(trigger)
    assert read != TriggerEvent(event="trigger/cart.closed")
    assert read != "trigger/cart.opened"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Cart, "event=Cart declares no event: it has no name"),
        (EventModel, "event=EventModel declares no event"),
        (dict, "event=dict is no class derived from EventModel"),
        (Opened(), "valid string"),
    ],
)
def test_what_is_no_class_of_an_event_is_refused(event: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TriggerEvent(event=event)
