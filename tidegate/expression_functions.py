"""The functions and methods that expressions have, over plain Python values.

CEL's standard ones (https://github.com/google/cel-spec/blob/master/doc/langdef.md) and Inngest's:
lowercase, uppercase, b64decode, json_parse, date, now, now_plus, now_minus. None of them is called
with a missing argument; what they refuse they refuse with a ValueError or a TypeError.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.encoding import decode

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {
    "ns": timedelta(microseconds=0.001), "us": _MICROSECOND, "µs": _MICROSECOND,
    "ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1),
    "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1),
}  # fmt: skip
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w)")
# Of numbers, what is smaller than this are seconds: 11 digits of them reach the year 5138.
_FIRST_MS = 10**11


def text_of(value: Any) -> str:
    """How a value looks inside of a text: `10` for 10.0, as JSON knows one kind of number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{text_of(value.total_seconds())}s"
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"{kind_of(value)} has no text")


def kind_of(value: Any) -> str:
    """What people call the kind of a value."""
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    return type(value).__name__


_KINDS: tuple[tuple[Any, str], ...] = (
    (type(None), "null"), (bool, "bool"), (int | float, "number"), (str, "string"),
    (bytes, "bytes"), (list, "list"), (dict, "map"), (datetime, "timestamp"),
    (timedelta, "duration"),
)  # fmt: skip


def _size(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise TypeError(f"{kind_of(value)} has no size")


def _of_text(call: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    def checked(text: Any, other: Any) -> bool:
        return call(_text(text), _text(other))

    return checked


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{kind_of(value)} is no string")
    return value


def _matches(text: Any, pattern: Any) -> bool:
    # RE2's time grows with the text alone, whatever the pattern and whoever wrote the text.
    import re2

    try:
        return re2.search(_text(pattern), _text(text)) is not None
    except re2.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None


def _int(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp() // 1)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{kind_of(value)} is no number")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{value} has more than 64 bits")
    return number


def _uint(value: Any) -> int:
    number = _int(value)
    if number < 0:
        raise ValueError(f"{value} is negative")
    return number


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{kind_of(value)} is no number")
    return float(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLS:
        return _BOOLS[value]
    raise ValueError(f"{value!r} is neither true nor false")


_BOOLS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else _text(value).encode()


def _date(value: Any) -> datetime:
    """A point in time: ISO 8601 text (without a zone it is UTC), or a number of s or ms."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = _double(value) if abs(_double(value)) < _FIRST_MS else _double(value) / 1000
    return datetime.fromtimestamp(seconds, UTC)


def duration(value: Any) -> timedelta:
    """A length of time: a text such as `1h30m`, `7d` or `-1.5s`."""
    if isinstance(value, timedelta):
        return value
    text = _text(value)
    digits = text.removeprefix("-")
    parts = _DURATION_PART.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        raise ValueError(f"{text!r} is no duration; write it as '1h30m' or '7d'")
    length = sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta())
    return -length if text.startswith("-") else length


def _in_zone(call: Callable[[datetime], int]) -> Callable[..., int]:
    def part(moment: Any, zone: Any = "UTC") -> int:
        if not isinstance(moment, datetime):
            raise TypeError(f"{kind_of(moment)} is no timestamp")
        return call(moment.astimezone(_zone(_text(zone))))

    return part


def _zone(name: str) -> Any:
    if re.fullmatch(r"[+-]?\d\d:\d\d", name):
        return datetime.fromisoformat(f"2000-01-01T00:00{name.rjust(6, '+')}").tzinfo
    # Only here: few expressions have a zone, and every Lambda would load what knows them.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _time(seconds: float, call: Callable[[datetime], int]) -> Callable[..., int]:
    of_moment = _in_zone(call)

    def part(value: Any, zone: Any = "UTC") -> int:
        if isinstance(value, timedelta):
            return int(value.total_seconds() / seconds)
        return of_moment(value, zone)

    return part


def _milliseconds(value: Any, zone: Any = "UTC") -> int:
    if isinstance(value, timedelta):
        return int(value / timedelta(milliseconds=1)) % 1000
    return _in_zone(lambda moment: moment.microsecond // 1000)(value, zone)


_METHODS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "size": (_size, 1, 1),
    "startsWith": (_of_text(str.startswith), 2, 2),
    "endsWith": (_of_text(str.endswith), 2, 2),
    "contains": (_of_text(str.__contains__), 2, 2),
    "matches": (_matches, 2, 2),
    "getFullYear": (_in_zone(lambda moment: moment.year), 1, 2),
    "getMonth": (_in_zone(lambda moment: moment.month - 1), 1, 2),
    "getDate": (_in_zone(lambda moment: moment.day), 1, 2),
    "getDayOfMonth": (_in_zone(lambda moment: moment.day - 1), 1, 2),
    "getDayOfWeek": (_in_zone(lambda moment: moment.isoweekday() % 7), 1, 2),
    "getDayOfYear": (_in_zone(lambda moment: moment.timetuple().tm_yday - 1), 1, 2),
    "getHours": (_time(3600, lambda moment: moment.hour), 1, 2),
    "getMinutes": (_time(60, lambda moment: moment.minute), 1, 2),
    "getSeconds": (_time(1, lambda moment: moment.second), 1, 2),
    "getMilliseconds": (_milliseconds, 1, 2),
}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "size": (_size, 1, 1),
    "matches": (_matches, 2, 2),
    "int": (_int, 1, 1),
    "uint": (_uint, 1, 1),
    "double": (_double, 1, 1),
    "string": (text_of, 1, 1),
    "bool": (_bool, 1, 1),
    "bytes": (_bytes, 1, 1),
    "timestamp": (_date, 1, 1),
    "duration": (duration, 1, 1),
    "lowercase": (lambda value: _text(value).lower(), 1, 1),
    "uppercase": (lambda value: _text(value).upper(), 1, 1),
    "b64decode": (lambda value: base64.b64decode(_text(value), validate=True).decode(), 1, 1),
    "json_parse": (lambda value: decode(_text(value)), 1, 1),
    "date": (_date, 1, 1),
}
CALLS: Mapping[str, Callable[..., Any]] = {
    **{f".{name}": call for name, (call, _, _) in _METHODS.items()},
    **{name: call for name, (call, _, _) in _FUNCTIONS.items()},
}

# How many arguments each takes, at least and at most; the object of a method counts as one.
SIGNATURES: Mapping[str, tuple[int, int]] = {
    **{f".{name}": (least, most) for name, (_, least, most) in _METHODS.items()},
    **{name: (least, most) for name, (_, least, most) in _FUNCTIONS.items()},
    "now": (0, 0),
    "now_plus": (1, 1),
    "now_minus": (1, 1),
}
