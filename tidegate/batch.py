"""Batched AWS calls that may succeed in part: what was left over is tried again, with patience."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tidegate.clock import Clock
from tidegate.errors import PlatformError

T = TypeVar("T")

_TRIES = 6
_FIRST_PAUSE_S = 0.05


def until_empty(
    call: Callable[[list[T]], list[T]], items: Sequence[T], clock: Clock, what: str
) -> None:
    """Call with the items, then with what the call returns as left over, until nothing is.

    Between calls it waits with full jitter, 50 ms at most at first and twice that each time.

    Args:
        call: takes items and returns those that it could not handle.
        what: names the call in the error.

    Raises:
        PlatformError: something was left over after six calls.
    """
    left = list(items)
    for attempt in range(_TRIES):
        if attempt:
            clock.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt))
        left = call(left)
        if not left:
            return
    raise PlatformError(f"{what}: {len(left)} of {len(items)} were refused {_TRIES} times")


def chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most that size, in order."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
