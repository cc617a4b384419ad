"""Values of a CDK context, checked one by one: text from the command line, numbers in cdk.json."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tidegate.errors import ConfigurationError

# Gives a key's value, None when it is not set.
Context = Callable[[str], Any]


def wrong(key: str, value: object, why: str) -> ConfigurationError:
    """The error about a value: one line that names its key."""
    return ConfigurationError(f"context key {key} (-c {key}={value}): {why}")


def number(context: Context, key: str, default: int, lowest: int, highest: int) -> int:
    """A whole number between two bounds, which are possible, too."""
    value = context(key)
    if value is None:
        return default
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", str(value)):
        raise wrong(key, value, f"use a whole number from {lowest} to {highest}")
    if not lowest <= int(value) <= highest:
        raise wrong(key, value, f"it lies between {lowest} and {highest}")
    return int(value)


def choice(context: Context, key: str, default: str, *possible: str) -> str:
    """One of some words."""
    value = context(key)
    if value is None:
        return default
    if value not in possible:
        raise wrong(key, value, f"use one of {', '.join(possible)}")
    return str(value)


def text(context: Context, key: str, default: str, pattern: str, what: str) -> str:
    """A text that matches a regular expression as a whole."""
    value = context(key)
    if value is None:
        return default
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise wrong(key, value, what)
    return value


def modules(context: Context, key: str) -> tuple[str, ...]:
    """The names of modules, with commas between them; at least one."""
    value = context(key)
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else []
    if not names or not all(names):
        raise wrong(key, value or "", "name the modules that register functions, with commas")
    return tuple(names)
