"""Repeating what AWS did not do, for as long as an invocation has time for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tidegate.clock import Clock
from tidegate.errors import PlatformError

T = TypeVar("T")

_PAUSE_S = 0.5
# Besides what the next try and, if that fails, returning the message may take.
_RESERVE_MS = 2_000


def patiently(call: Callable[[], T], clock: Clock, until_ms: int) -> T:
    """What a call gives, which is repeated as long as it fails and there is time.

    A try may last for seconds: that a service does not answer shows only after its time-out. So
    there is time only if the next one can take as long as the last one did, and what is to be done
    after it, when it fails too, as long again.

    Args:
        call: what is to be done; repeating it is safe.
        clock: the time.
        until_ms: when this invocation is to be over, UTC ms.

    Raises:
        PlatformError: there is no more time, or waiting does not mend it.
    """
    while True:
        began_ms = clock.now_ms()
        try:
            return call()
        except PlatformError as error:
            now_ms = clock.now_ms()
            needed_ms = _PAUSE_S * 1000 + 2 * (now_ms - began_ms) + _RESERVE_MS
            if not error.is_passing or now_ms + needed_ms >= until_ms:
                raise
            clock.sleep(_PAUSE_S)
