"""The time, passed in: nothing in the core asks the wall clock or sleeps by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the core knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def day_of(ms: int) -> str:
    """The day (UTC) of a time in UTC ms, such as `2026-11-23`."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()
