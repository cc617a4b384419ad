"""Moments and durations."""

from __future__ import annotations

import pytest

from tidegate.commands.moment import duration, parse_moment
from tidegate.errors import ConfigurationError

NOW = 1_760_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("now", NOW),
        ("2h", NOW - 7_200_000),
        ("-2h", NOW - 7_200_000),
        ("30m", NOW - 1_800_000),
        ("7d", NOW - 7 * 86_400_000),
        ("1h30m", NOW - 5_400_000),
        ("1.5s", NOW - 1_500),
        ("250ms", NOW - 250),
        ("1w", NOW - 7 * 86_400_000),
        ("+2h", NOW + 7_200_000),
        ("2025-10-09T08:53:20Z", NOW),
        ("2025-10-09T10:53:20+02:00", NOW),
        ("2025-10-09", 1_759_968_000_000),
        ("1760000000000", NOW),
        (" 2h ", NOW - 7_200_000),
    ],
)
def test_a_moment_can_be_written_in_many_ways(text: str, ms: int) -> None:
    assert parse_moment(text, NOW, "--from") == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "2",
        "2x",
        "yesterday",
        "2025-13-01",
        "999999999w",
        "12",
        "2h ago",
        "99999999999999999",
    ],
)
def test_what_is_no_moment_is_told_with_what_is(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--from .* is no moment; write 2026-") as raised:
        parse_moment(text, NOW, "--from")
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.00 s"),
        (12_345, "12.3 s"),
        (59_999, "60.0 s"),
        (60_000, "1m 0s"),
        (3_599_999, "59m 59s"),
        (3_661_000, "1h 1m"),
        (86_399_000, "23h 59m"),
        (86_400_000, "1d 0h"),
        (400 * 86_400_000 + 3_600_000, "400d 1h"),
    ],
)
def test_a_duration_has_its_two_largest_units(ms: int, text: str) -> None:
    assert duration(ms) == text
