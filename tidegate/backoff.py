"""How long to wait before a failed attempt is repeated."""

from __future__ import annotations

# Inngest's schedule, in seconds; the last one holds for all that follow.
SCHEDULE_S = (15, 30, 60, 120, 300, 600, 1_200, 2_400, 3_600, 7_200)
JITTER_S = 30


def retry_delay_ms(attempt: int, jitter: float) -> int:
    """The wait after an attempt, in ms.

    Args:
        attempt: the attempt that failed, 0 for the first.
        jitter: a random number from 0 to 1; it adds up to 30 s, so that functions that failed
            together are not tried again together.
    """
    base_s = SCHEDULE_S[min(attempt, len(SCHEDULE_S) - 1)]
    return int((base_s + JITTER_S * jitter) * 1000)
