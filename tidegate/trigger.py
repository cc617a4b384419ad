"""Which events start a function, and the SNS filter that lets those through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from tidegate.event import MAX_NAME_LENGTH
from tidegate.pushdown import field_policy


class TriggerEvent(BaseModel):
    """Starts a function for events of a name.

    Attributes:
        event: an exact name, `app/user.created`, or a prefix with a wildcard behind its last
            `/` or `.`: `app/*` and `app/user.*` both match `app/user.created`.
        expression: what the event must be like, in CEL: `event.data.total > 100`. See
            docs/expressions.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    expression: str | None = None

    @field_validator("event")
    @classmethod
    def _possible(cls, name: str) -> str:
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise ValueError(f"an event name has 1 to {MAX_NAME_LENGTH} characters")
        if "*" in name and (name.index("*") != len(name) - 1 or name[-2:] not in ("/*", ".*")):
            raise ValueError(
                f"{name!r} can never match: a wildcard stands at the end, behind '/' or '.', "
                "as in 'app/*' or 'app/user.*'"
            )
        return name

    @property
    def prefix(self) -> str | None:
        """What names must start with, when this is a wildcard; None when it is an exact name."""
        return self.event[:-1] if self.event.endswith("*") else None

    def matches(self, name: str) -> bool:
        """Whether an event of that name may start the function: its expression comes after."""
        return name.startswith(self.prefix) if self.prefix is not None else name == self.event


def filter_policy(
    triggers: Iterable[TriggerEvent], expressions: Mapping[str, Any] | None = None
) -> dict[str, list[Any]]:
    """The SNS subscription filter that lets through what the triggers match, by attribute.

    See https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html. A wildcard is a
    prefix match. What another prefix already covers is left out, since a policy's size is limited.

    Args:
        triggers: the triggers of a function.
        expressions: the trees of their expressions, by text.
    """
    triggers = list(triggers)
    trees = [(expressions or {}).get(trigger.expression or "") for trigger in triggers]
    prefixes = sorted({t.prefix for t in triggers if t.prefix is not None})
    widest = [p for p in prefixes if not any(p != q and p.startswith(q) for q in prefixes)]
    exact = sorted({t.event for t in triggers if t.prefix is None})
    names: list[Any] = [name for name in exact if not name.startswith(tuple(widest))]
    names += [{"prefix": prefix} for prefix in widest]
    return {"name": names} | field_policy(trees, len(names))
