"""Registering functions: what is wrong is said with file and line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from tidegate.context import ContextSync
from tidegate.errors import ConfigurationError
from tidegate.event_model import EventModel
from tidegate.function import Function, check_app_id, make_function
from tidegate.trigger import TriggerEvent

A = TriggerEvent(event="a")


def handler(ctx: Any) -> None:
    """A handler; the line above is what messages must name."""


HERE = f"{Path(__file__)}:{handler.__code__.co_firstlineno}"


def make(handler: Any = handler, **changes: Any) -> Function:
    arguments = {"app_id": "shop", "fn_id": "f", "trigger": A, "name": None, "retries": None}
    return make_function(handler, **{**arguments, **changes})


def test_a_function_has_defaults() -> None:
    function = make()
    assert (function.id, function.name, function.triggers) == ("shop-f", "f", (A,))
    assert (function.retries, function.max_attempts) == (4, 5)
    assert (function.module, function.source) == (__name__, HERE)
    assert not function.is_async


def test_async_functions_are_known_as_such() -> None:
    async def wait(ctx: Any) -> None: ...

    assert make(wait).is_async


def test_bounds_are_included() -> None:
    triggers = [TriggerEvent(event=f"a{n}") for n in range(10)]
    assert make(trigger=triggers, retries=20).max_attempts == 21
    assert make(retries=0).max_attempts == 1
    assert make(fn_id="x" * 128).id == "shop-" + "x" * 128


def test_a_failure_handler_is_a_function_of_its_own() -> None:
    def on_failure(ctx: ContextSync) -> None: ...

    on_failure.__module__ = "elsewhere"
    assert make().on_failure is None
    function = make(
        name="The job", retries=0, max_steps=5, fn_id="x" * 120, on_failure=on_failure
    ).on_failure
    assert function is not None
    assert function.id == f"shop-{'x' * 120}-failure"
    assert (function.name, function.app_id) == ("The job (failure)", "shop")
    assert (function.retries, function.max_steps) == (4, 1_000)
    assert (function.handler, function.on_failure) == (on_failure, None)
    assert function.module == __name__, "what registers it is the module of its function"
    expression = f"event.data.function_id == 'shop-{'x' * 120}'"
    assert function.triggers == (
        TriggerEvent(event="inngest/function.failed", expression=expression),
    )


def no_argument() -> None: ...


def two_arguments(ctx: Any, step: Any) -> None: ...


def keyword_only(*, ctx: Any) -> None: ...


class Mailed(EventModel, name="function/mailed"): ...


def of_a_class(ctx: ContextSync[Mailed]) -> None: ...


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"fn_id": ""}, "fn_id takes letters"),
        ({"fn_id": "a b"}, "fn_id takes letters"),
        ({"fn_id": "-a"}, "fn_id takes letters"),
        ({"fn_id": "a\n"}, "fn_id takes letters"),
        ({"fn_id": "x" * 129}, "at most 128"),
        ({"fn_id": 5}, "fn_id takes letters"),
        ({"trigger": None}, "None is no trigger"),
        ({"trigger": [TriggerEvent(event=f"a{n}") for n in range(11)]}, "11 triggers; at most 10"),
        ({"trigger": "app/a"}, "'app/a' is no trigger"),
        ({"trigger": [A, "b"]}, "'b' is no trigger"),
        ({"trigger": [A, A]}, "listed twice"),
        ({"retries": -1}, "retries=-1"),
        ({"retries": 21}, "retries=21 is not a number from 0 to 20"),
        ({"retries": 1.5}, "retries=1.5"),
        ({"retries": "3"}, "retries='3'"),
        ({"retries": True}, "retries=True"),
        ({"handler": no_argument}, "one argument"),
        ({"handler": two_arguments}, "one argument"),
        ({"handler": keyword_only}, "one argument"),
        ({"idempotency": ""}, "idempotency='' is no expression"),
        ({"idempotency": 5}, "idempotency=5 is no expression"),
        ({"on_failure": no_argument}, "on_failure must take one argument"),
        ({"on_failure": two_arguments}, "on_failure must take one argument"),
        ({"on_failure": "mail"}, "on_failure='mail' is no function"),
        ({"on_failure": handler, "fn_id": "x" * 121}, "at most 120 characters"),
        ({"on_failure": of_a_class}, "on_failure: its context is annotated as having Mailed"),
        ({"on_failure": of_a_class}, "annotate it ContextSync[dict[str, Any]]"),
    ],
)
def test_every_fault_is_named_with_file_and_line(changes: dict[str, Any], fault: str) -> None:
    faulty = changes.get("handler", handler)
    with pytest.raises(ConfigurationError) as raised:
        make(**changes)
    message = str(raised.value)
    assert message.startswith(f"{__file__}:{faulty.__code__.co_firstlineno}: function ")
    assert repr(changes.get("fn_id", "f")) in message
    assert fault in message


def test_a_decorated_handler_is_found_where_it_was_written() -> None:
    @functools.wraps(handler)
    def wrapped(*arguments: Any) -> None:
        handler(*arguments)

    assert make(wrapped).source == HERE


@pytest.mark.parametrize("app_id", ["", "a b", "-a", "x" * 129, "ü"])
def test_an_app_id_that_cannot_be_part_of_names_is_refused(app_id: str) -> None:
    check_app_id("my-Shop_1.0")
    with pytest.raises(ConfigurationError, match="app_id="):
        check_app_id(app_id)
