"""Patterns of event names, exact or with a wildcard, and the SNS filter that goes by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tidegate.pushdown import field_policy


class Trigger(Protocol):
    """What starts a function: `TriggerEvent` where it is written, `TriggerManifest` deployed."""

    @property
    def event(self) -> str:
        """The pattern of the events' names."""

    @property
    def expression(self) -> str | None:
        """What the events must be like."""


def prefix_of(pattern: str) -> str | None:
    """What names must start with, when this is a wildcard; None when it is an exact name."""
    return pattern[:-1] if pattern.endswith("*") else None


def matches(pattern: str, name: str) -> bool:
    """Whether an event of that name is one of those that the pattern stands for."""
    prefix = prefix_of(pattern)
    return name.startswith(prefix) if prefix is not None else name == pattern


def alone_name(function_id: str) -> str:
    """The attribute `name` of messages that are for one function alone.

    An event may have this name, too: what it reaches is checked by the worker.
    """
    return f"@{function_id}"


def filter_policy(
    triggers: Iterable[Trigger],
    alone: str,
    expressions: Mapping[str, Any] | None = None,
) -> dict[str, list[Any]]:
    """The SNS subscription filter that lets through what the triggers match, by attribute.

    See https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html. A wildcard is a
    prefix match. What another prefix already covers is left out, since a policy's size is limited.

    Args:
        triggers: the triggers of a function.
        alone: the name of what is sent to the function alone; it has none of the attributes by
            which events are filtered, and what has not passes.
        expressions: the trees of the triggers' expressions, by text.
    """
    triggers = list(triggers)
    trees = [(expressions or {}).get(trigger.expression or "") for trigger in triggers]
    prefixes = sorted({p for t in triggers if (p := prefix_of(t.event)) is not None})
    widest = [p for p in prefixes if not any(p != q and p.startswith(q) for q in prefixes)]
    exact = sorted({t.event for t in triggers if prefix_of(t.event) is None} | {alone})
    names: list[Any] = [name for name in exact if not name.startswith(tuple(widest))]
    names += [{"prefix": prefix} for prefix in widest]
    return {"name": names} | field_policy(trees, len(names))
