"""AWS clients of moto's services, kept for the next stage in memory while they are as good as new.

To make them takes as long as to make a stage. A client that somebody has listened to is not given
on, nor one that had to try a call again: botocore counts how many more tries a client may make.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.aws import client, forget_clients
from tidegate.local import moto_shortcut, moto_speed

_kept: dict[str, Any] = {}


@contextmanager
def moto_clients(services: Collection[Any]) -> Iterator[None]:
    """While this holds, moto has the services, and `tidegate.aws` gives clients that know it.

    Args:
        services: what botocore calls them. The clients of others are made anew.
    """
    forget_clients(but={name: kept for name, kept in _kept.items() if name in services})
    for service in services:
        if service not in _kept:
            _kept[service] = _make(service)
    try:
        yield
    finally:
        # Those of another AWS are of no use in this one, and the other way round.
        forget_clients()


def _make(service: Any) -> Any:
    made = client(service)
    moto_speed.leave_unsigned(made)
    moto_shortcut.install(made)

    def give_up() -> None:
        if _kept.get(service) is made:
            del _kept[service]

    def note(attempts: int, caught_exception: Exception | None, **_: Any) -> None:
        if attempts > 1 or caught_exception is not None:
            give_up()

    events = made.meta.events
    events.register("needs-retry", note)
    for name in ("register", "register_first", "register_last", "unregister"):
        setattr(events, name, _behind(give_up, getattr(events, name)))
    return made


def _behind(first: Callable[[], None], then: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(then)
    def both(*args: Any, **kwargs: Any) -> Any:
        first()
        return then(*args, **kwargs)

    return both
