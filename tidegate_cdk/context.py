"""Values that a deployment can choose, checked one by one.

They are parameters of the construct, or in a CDK context: text from the command line, numbers in
cdk.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.errors import ConfigurationError

_SHOWN = 200


@dataclass(frozen=True)
class Context:
    """Gives a key's value, None when nobody has chosen one.

    Attributes:
        cdk: the CDK's context, which wins: what `-c key=value` or cdk.json say, None of the rest.
        parameters: what the app's code says.
    """

    cdk: Callable[[str], Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, key: str) -> Any:
        """The value of a key."""
        chosen = self.cdk(key)
        return self.parameters.get(key) if chosen is None else chosen

    def wrong(self, key: str, value: object, why: str) -> ConfigurationError:
        """The error about a value: one line that names its key, and where it comes from."""
        if self.cdk(key) is None and key in self.parameters:
            return ConfigurationError(f"parameter {key} ({key}={_shown(repr(value))}): {why}")
        return ConfigurationError(f"context key {key} (-c {key}={_shown(str(value))}): {why}")


def _shown(value: str) -> str:
    """A value for people: a line, and no longer than can be read at a glance."""
    line = value if value.isprintable() else ascii(value)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def number(context: Context, key: str, default: int, lowest: int, highest: int) -> int:
    """A whole number between two bounds, which are possible, too."""
    value = context(key)
    if value is None:
        return default
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", str(value)):
        raise context.wrong(key, value, f"use a whole number from {lowest} to {highest}")
    if not lowest <= int(value) <= highest:
        raise context.wrong(key, value, f"it lies between {lowest} and {highest}")
    return int(value)


def share(context: Context, key: str, default: float) -> float:
    """A part of a whole, from 0 to 1."""
    value = context(key)
    if value is None:
        return default
    if isinstance(value, bool) or not re.fullmatch(r"0|1|[01]?\.[0-9]{1,6}", str(value)):
        raise context.wrong(key, value, "use a number from 0 to 1, such as 0.01")
    if float(value) > 1:
        raise context.wrong(key, value, "it lies between 0 and 1")
    return float(value)


def choice(context: Context, key: str, default: str, *possible: str) -> str:
    """One of some words."""
    value = context(key)
    if value is None:
        return default
    if value not in possible:
        raise context.wrong(key, value, f"use one of {', '.join(possible)}")
    return str(value)


def text(context: Context, key: str, default: str, pattern: str, what: str) -> str:
    """A text that matches a regular expression as a whole."""
    value = context(key)
    if value is None:
        return default
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise context.wrong(key, value, what)
    return value


def modules(context: Context, key: str) -> tuple[str, ...]:
    """The names of modules, with commas between them or in a list; at least one."""
    value = context(key)
    listed = value.split(",") if isinstance(value, str) else value
    names = [str(name).strip() for name in listed] if isinstance(listed, list | tuple) else []
    if not names or not all(names):
        raise context.wrong(
            key, value or "", "name the modules that register functions, with commas"
        )
    return tuple(names)
