"""Environment variables that hold for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Changes the process's own variables; None takes one away. Afterwards all is as before.

    What is started meanwhile inherits them. Threads that walk through `os.environ` at the moment
    of a change may miss a variable that they were about to read: see `lambda_environment`.

    Args:
        variables: names and values. Others may change meanwhile: they are left alone.
    """
    before = {name: os.environ.get(name) for name in variables}
    _apply(variables)
    try:
        yield
    finally:
        _apply(before)


@contextmanager
def lambda_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Lays a Lambda's variables over the process's own, which are not touched.

    Lambdas start while threads of the app run. Many libraries go through the whole of `os.environ`
    (each request of `requests` does, for its proxies), and one whose variables came and went
    meanwhile would meet a KeyError.

    Args:
        variables: names and values. What else is set meanwhile, is set for the process.
    """
    own = os.environ
    os.environ = _Overlaid(variables, own)  # type: ignore[assignment]  # noqa: B003
    try:
        yield
    finally:
        os.environ = own  # noqa: B003


class _Overlaid(MutableMapping[str, str]):
    """Variables that lie over others, with all that `os.environ` can do."""

    def __init__(self, above: Mapping[str, str], below: MutableMapping[str, str]) -> None:
        self._above = dict(above)
        self._below = below

    def __getitem__(self, name: str) -> str:
        return self._above[name] if name in self._above else self._below[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._below[name] = value

    def __delitem__(self, name: str) -> None:
        value = self[name]
        self._above.pop(name, value)
        self._below.pop(name, value)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._below, **self._above})

    def __len__(self) -> int:
        return len({**self._below, **self._above})

    def copy(self) -> dict[str, str]:
        """All variables, as they are now."""
        return dict(self)

    def __ior__(self, other: Mapping[str, str]) -> _Overlaid:  # type: ignore[misc]
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}


def _apply(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
