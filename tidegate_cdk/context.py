"""Values that a deployment can choose, checked one by one.

They come from the code of the app, and from the CDK's context, which wins: text from the command
line, numbers in cdk.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.errors import ConfigurationError


@dataclass(frozen=True)
class Choices:
    """What was chosen, by key.

    Attributes:
        context: gives what `-c key=value` or cdk.json say of a key, None when they do not.
        parameters: what the app's code says.
    """

    context: Callable[[str], Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> Any:
        """The value of a key; None when nobody has chosen one."""
        chosen = self.context(key)
        return self.parameters.get(key) if chosen is None else chosen

    def wrong(self, key: str, value: object, why: str) -> ConfigurationError:
        """The error about a value: one line that says where it comes from."""
        if self.context(key) is None and key in self.parameters:
            return ConfigurationError(f"parameter {key} ({key}={value!r}): {why}")
        return ConfigurationError(f"context key {key} (-c {key}={value}): {why}")

    def number(self, key: str, default: int, lowest: int, highest: int) -> int:
        """A whole number between two bounds, which are possible, too."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", str(value)):
            raise self.wrong(key, value, f"use a whole number from {lowest} to {highest}")
        if not lowest <= int(value) <= highest:
            raise self.wrong(key, value, f"it lies between {lowest} and {highest}")
        return int(value)

    def choice(self, key: str, default: str, *possible: str) -> str:
        """One of some words."""
        value = self.value(key)
        if value is None:
            return default
        if value not in possible:
            raise self.wrong(key, value, f"use one of {', '.join(possible)}")
        return str(value)

    def text(self, key: str, default: str, pattern: str, what: str) -> str:
        """A text that matches a regular expression as a whole."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, value, what)
        return value

    def modules(self, key: str) -> tuple[str, ...]:
        """The names of modules, with commas between them or in a list; at least one."""
        value = self.value(key)
        listed = value.split(",") if isinstance(value, str) else value
        names = [str(name).strip() for name in listed] if isinstance(listed, list | tuple) else []
        if not names or not all(names):
            raise self.wrong(
                key, value or "", "name the modules that register functions, with commas"
            )
        return tuple(names)
