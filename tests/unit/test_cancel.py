"""What cancels a run: checked when it is written down, and when the function is registered."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.aws.deployed import function_of
from tidegate import Cancel, EventModel, Timeouts
from tidegate.errors import ConfigurationError
from tidegate.manifest import Manifest

DAY_MS = 86_400_000


class Closed(EventModel, name="shop/closed.for.cancel"):
    """Declares an event."""


def test_durations_are_ms_or_timedeltas() -> None:
    assert Cancel(event="a", timeout=timedelta(hours=1)) == Cancel(event="a", timeout=3_600_000)
    assert Timeouts(start=1, finish=timedelta(days=366)).finish == 366 * DAY_MS
    assert Cancel(event="a").listening_ms == 365 * DAY_MS
    assert Timeouts() == Timeouts(start=None, finish=None)


def test_an_event_may_be_a_class_that_declares_it() -> None:
    assert Cancel(event=Closed).event == "shop/closed.for.cancel"


@pytest.mark.parametrize(
    ("make", "fields", "fault"),
    [
        (Cancel, {"event": ""}, "at least 1 character"),
        (Cancel, {"event": "app/*"}, "'app/*' is no exact name; name one event"),
        (
            Cancel,
            {"event": "inngest/function.failed"},
            "names starting with 'inngest/' are reserved",
        ),
        (Cancel, {"event": 3}, "valid string"),
        (Cancel, {"event": "a", "timeout": 0}, "greater than 0"),
        (Cancel, {"event": "a", "timeout": timedelta(days=367)}, "less than or equal to"),
        (Cancel, {"event": "a", "timeout": "1h"}, "valid integer"),
        (Cancel, {"event": "a", "if": "true"}, "Extra inputs"),
        (Timeouts, {"start": -1}, "greater than 0"),
        (Timeouts, {"finish": True}, "valid integer"),
        (Timeouts, {"end": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(fault)):
        make(**fields)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"cancel": Cancel(event="a")}, "is no list of Cancel(event='…')"),
        ({"cancel": ["a"]}, "is no list of Cancel(event='…')"),
        (
            {"cancel": [Cancel(event=str(n)) for n in range(6)]},
            "6 events that cancel it; at most 5",
        ),
        ({"timeouts": 5}, "is no Timeouts(start=…, finish=…)"),
    ],
)
def test_a_function_says_what_is_wrong(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(fault)) as raised:
        function_of(lambda ctx: None, **options)
    assert "test_cancel.py:" in str(raised.value)


def test_an_expression_that_cannot_be_read_is_found_when_the_app_is_loaded() -> None:
    function = function_of(
        lambda ctx: None, cancel=[Cancel(event="a", if_exp="async.data.id == data.id")]
    )
    with pytest.raises(ConfigurationError, match="unknown name 'data'") as raised:
        Manifest.of([function])
    assert "test_cancel.py:" in str(raised.value)


def test_the_manifest_carries_the_expressions_as_they_were_read() -> None:
    text = "async.data.id == event.data.id"
    function = function_of(lambda ctx: None, cancel=[Cancel(event="a", if_exp=text)])
    [described] = Manifest.of([function]).functions
    assert [expression.text for expression in described.expressions] == [text]
    assert described.filter_policy == {"name": ["@test-f", "app/a"]}, "it filters no event"
