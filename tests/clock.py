"""A clock for tests: time passes only when it is told to."""

from __future__ import annotations


class FakeClock:
    """Starts at a fixed moment; sleeping advances it at once.

    Attributes:
        ms: the time, UTC ms.
        slept_s: how long each sleep was, in seconds.
    """

    def __init__(self, ms: int = 1_760_000_000_000) -> None:
        self.ms = ms
        self.slept_s: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.ms += round(seconds * 1000)

    def advance(self, *, days: float = 0, hours: float = 0, seconds: float = 0) -> None:
        """Let time pass."""
        self.ms += round((days * 86_400 + hours * 3_600 + seconds) * 1000)
