"""A function's annotation and its triggers must tell the same of its event's data."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import pytest

from tidegate import ConfigurationError, Context, ContextSync, EventModel, TriggerEvent, registry
from tidegate.function import make_function

if TYPE_CHECKING:
    pass


class Cart(EventModel, abstract=True):
    cart_id: str


class Opened(Cart, name="annotation/opened"): ...


class Closed(Cart, name="annotation/closed"): ...


OPENED = TriggerEvent(event=Opened)
CLOSED = TriggerEvent(event=Closed)
PLAIN = TriggerEvent(event="annotation/*")


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    registry.clear()
    yield
    registry.clear()


def fault(annotation: Any, *triggers: Any) -> str:
    """What is wrong with a handler of that annotation; empty if nothing."""

    def handler(ctx: Any) -> None: ...

    handler.__annotations__["ctx"] = annotation
    try:
        make_function(handler, app_id="a", fn_id="f", trigger=triggers, name=None, retries=None)
    except ConfigurationError as error:
        where = f"{__file__}:{handler.__code__.co_firstlineno}: function 'f': "
        return str(error).partition(where)[2]
    return ""


@pytest.mark.parametrize(
    ("annotation", "triggers"),
    [
        (ContextSync[Opened], [OPENED]),
        (Context[Opened], [OPENED]),
        ("ContextSync[Opened]", [OPENED]),
        (ContextSync[Cart], [OPENED, CLOSED]),
        (ContextSync[EventModel], [OPENED, CLOSED]),
        (ContextSync[Opened | Closed], [OPENED, CLOSED]),
        (ContextSync[Opened | Closed], [OPENED]),
        (ContextSync[Opened | dict[str, Any]], [OPENED, PLAIN]),
        (ContextSync[Optional[Opened]], [OPENED]),  # noqa: UP045
        (ContextSync[Any], [OPENED, PLAIN]),
        (ContextSync[object], [OPENED, PLAIN]),
        (ContextSync, [PLAIN]),
        (ContextSync[dict[str, Any]], [PLAIN]),
        (ContextSync[dict], [PLAIN]),
        (Any, [OPENED]),
        ("Unknown", [OPENED]),
        ("ContextSync[Unknown]", [OPENED]),
        ("not python", [OPENED]),
    ],
)
def test_what_agrees_or_is_not_known_is_taken(annotation: Any, triggers: list[Any]) -> None:
    assert fault(annotation, *triggers) == ""


@pytest.mark.parametrize(
    ("annotation", "triggers", "message"),
    [
        (
            ContextSync[Closed],
            [OPENED],
            "its context is annotated as having Closed for data, but its trigger gives Opened; "
            "annotate it ContextSync[Opened]",
        ),
        ("Context[Closed]", [OPENED], "annotate it Context[Opened]"),
        (
            ContextSync,
            [OPENED],
            "having dict[str, Any] for data, but its trigger gives Opened; "
            "annotate it ContextSync[Opened]",
        ),
        (ContextSync[dict[str, Any]], [OPENED], "annotate it ContextSync[Opened]"),
        (ContextSync[Opened], [OPENED, CLOSED], "annotate it ContextSync[Opened | Closed]"),
        (
            ContextSync[Opened],
            [OPENED, PLAIN],
            "gives dict[str, Any]; annotate it ContextSync[Opened | dict[str, Any]]",
        ),
        (
            ContextSync[Opened],
            [PLAIN],
            "having Opened for data, but its trigger gives dict[str, Any]; "
            "pass TriggerEvent(event=Opened)",
        ),
        (ContextSync[Opened | Closed], [PLAIN], "pass TriggerEvent(event=Opened)"),
    ],
)
def test_what_disagrees_is_refused(annotation: Any, triggers: list[Any], message: str) -> None:
    assert message in fault(annotation, *triggers)


def test_a_handler_without_annotation_is_taken() -> None:
    def handler(ctx): ...  # type: ignore[no-untyped-def]

    make_function(handler, app_id="a", fn_id="f", trigger=OPENED, name=None, retries=None)
