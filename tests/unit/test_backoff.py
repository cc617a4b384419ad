"""The waits between attempts."""

from __future__ import annotations

from tidegate.backoff import retry_delay_ms


def test_waits_grow_as_inngests_do_and_then_stay() -> None:
    seconds = [retry_delay_ms(attempt, 0.0) / 1000 for attempt in range(12)]
    assert seconds == [15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 7200, 7200]
    assert retry_delay_ms(1_000, 0.0) == 7_200_000


def test_jitter_adds_up_to_half_a_minute() -> None:
    assert [retry_delay_ms(0, jitter) for jitter in (0.0, 0.5, 1.0)] == [15_000, 30_000, 45_000]
