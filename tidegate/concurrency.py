"""Calls beside each other, in threads: what waits for a network takes the time of the slowest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# The most calls one request has under way at once; AWS clients have as many connections.
CONCURRENCY = 16


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="aws")


def concurrently(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results of a call for each item, in order, up to 16 calls under way at once.

    Every call has ended when this returns or raises; the first error, in order, is raised.
    """
    todo = list(items)
    if len(todo) <= 1:
        return [call(item) for item in todo]
    futures = [_pool().submit(call, item) for item in todo]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]
