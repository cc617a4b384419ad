"""Whether a function's annotation and its triggers tell the same of its event's data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tidegate.context import Context, ContextSync
from tidegate.event_model import EventModel


def annotation_fault(
    handler: Callable[..., Any],
    models: Sequence[type[EventModel] | None],
    *,
    can_have_class: bool = True,
) -> str | None:
    """What is wrong with how a function's context is annotated; None if nothing, or nothing known.

    Args:
        handler: the function.
        models: the class of each of its triggers; None where the data is a dict.
        can_have_class: whether its trigger is the user's to change.
    """
    annotation = _context_annotation(handler)
    context = get_origin(annotation) or annotation
    if context not in (Context, ContextSync):
        return None
    accepted = _members(get_args(annotation)[0]) if get_args(annotation) else [dict]
    refused = [m for m in models if not any(_accepts(data, m) for data in accepted)]
    if not refused:
        return None
    expected = " | ".join(dict.fromkeys(_name(model) for model in models))
    # Without a class in any trigger, the trigger rather than the annotation is what lacks it.
    remedy = (
        f"annotate it {context.__name__}[{expected}]"
        if any(models) or not can_have_class
        else f"pass TriggerEvent(event={_name(accepted[0])})"
    )
    return (
        f"its context is annotated as having {' | '.join(map(_name, accepted))} for data, "
        f"but its trigger gives {_name(refused[0])}; {remedy}"
    )


def _context_annotation(handler: Callable[..., Any]) -> Any:
    """The annotation of the first parameter; None if there is none or its names are not known."""
    try:
        hints = get_type_hints(inspect.unwrap(handler))
        first = next(iter(inspect.signature(handler).parameters))
    except (NameError, TypeError, AttributeError, SyntaxError, StopIteration):
        # Such as a class that is imported for type checkers only.
        return None
    return hints.get(first)


def _members(data: Any) -> Sequence[Any]:
    return get_args(data) if get_origin(data) in (Union, UnionType) else [data]


def _accepts(data: Any, model: type[EventModel] | None) -> bool:
    if data is dict or get_origin(data) is dict:
        return model is None
    if isinstance(data, type) and issubclass(data, EventModel):
        return model is not None and issubclass(model, data)
    # Any, or something else that this cannot judge.
    return True


def _name(data: Any) -> str:
    if data is None or data is dict:
        return "dict[str, Any]"
    return data.__name__ if isinstance(data, type) else str(data)
