"""Times as people write and read them: moments, durations, how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tidegate.errors import ConfigurationError
from tidegate.event import MAX_TS_MS, MIN_TS_MS
from tidegate.rest_call import rfc3339

_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
}
_RELATIVE = re.compile(r"([+-]?)((?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|[smhdw]))+)\Z")
_PART = re.compile(r"([0-9.]+)(ms|[smhdw])")


def parse_moment(text: str, now_ms: int, option: str) -> int:
    """UTC ms of a moment.

    Args:
        text: RFC 3339, a date, UTC ms, `now`, `2h` or `1h30m` (ago), or `+2h` (ahead).
        now_ms: UTC ms.
        option: what it was given for, for the error.

    Raises:
        ConfigurationError: it is none of these, or no year from 1980 to 2100.
    """
    # Only here: it loads the AWS clients with it.
    from tidegate.rest_query import moment_ms

    word = text.strip()
    relative = _RELATIVE.match(word)
    if word == "now":
        return now_ms
    if relative:
        span_ms = round(sum(float(n) * _UNITS_MS[unit] for n, unit in _PART.findall(relative[2])))
        at_ms = now_ms + span_ms if relative[1] == "+" else now_ms - span_ms
    else:
        try:
            at_ms = moment_ms(word)
        except (ValueError, OverflowError):
            at_ms = -1
    if not MIN_TS_MS <= at_ms <= MAX_TS_MS:
        raise ConfigurationError(
            f"{option} {text!r} is no moment; write 2026-11-23T18:00:00Z, 2026-11-23, UTC "
            "milliseconds, 2h (ago) or +2h (ahead)"
        )
    return at_ms


def moment_text(text: str | None, now_ms: int, option: str) -> str | None:
    """A moment as the REST API takes it; None stays None. Errors as for `parse_moment`."""
    return None if text is None else rfc3339(parse_moment(text, now_ms, option))


def ms_of(text: str) -> int:
    """UTC ms of a time that the REST API gave."""
    moment = datetime.fromisoformat(text)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def time_text(text: str) -> str:
    """A time that the REST API gave, in UTC, as rows show it: `2026-11-23 18:00:00`."""
    return text[:19].replace("T", " ")


def duration(ms: int) -> str:
    """A duration in its two largest units, such as `1.20 s`, `4m 3s` or `2d 4h`."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.1f} s"
    seconds = ms // 1000
    for large, small, size in (("m", "s", 60), ("h", "m", 3_600), ("d", "h", 86_400)):
        if seconds < size * {"m": 60, "h": 24, "d": 10**9}[large]:
            rest = seconds % size // (size // {"m": 60, "h": 60, "d": 24}[large])
            return f"{seconds // size}{large} {rest}{small}"
    raise AssertionError("days go on")
