"""Cron expressions: read as Unix knows them, written as EventBridge Scheduler knows them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo


class Field(NamedTuple):
    """A field of a cron expression: what it is called, and the numbers and names it may have."""

    title: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> range:
        """Every number."""
        return range(self.lowest, self.highest + 1)


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day-of-month", 1, 31)
MONTH = Field("month", 1, 12, _MONTHS)
WEEKDAY = Field("day-of-week", 0, 6, _WEEKDAYS)
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PREFIX = re.compile(r"(?:CRON_)?TZ=(\S*)\s+")
# One of a field's list: `*`, a number or a range, and perhaps a step.
_TERM = re.compile(r"(?:\*|([0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?)(?:/([0-9]{1,2}))?")
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class CronExpression:
    """The times that a cron expression names.

    As in Unix cron, when neither day field is `*` a day counts that either of them names.

    Attributes:
        timezone: of the IANA database; the other fields are local times there.
        minutes, hours, days, months: the numbers that each field names.
        weekdays: the same, from 0 (Sunday) to 6.
        any_day, any_weekday: whether the day field is `*`.
    """

    timezone: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, text: str) -> CronExpression:
        """The expression in a text: five fields, perhaps behind `TZ=Zone ` or `CRON_TZ=Zone `.

        Raises:
            ValueError: it cannot be; the message says what is wrong and what to write.
        """
        prefix = _PREFIX.match(text)
        timezone = _known_timezone(prefix[1], text) if prefix else "UTC"
        fields = _five_fields(text[prefix.end() :] if prefix else text, text)
        minutes, hours, days, months, weekdays = (
            _numbers(field, value, text) for field, value in zip(FIELDS, fields, strict=True)
        )
        expression = cls(
            timezone=timezone,
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=weekdays,
            any_day=fields[2] == "*",
            any_weekday=fields[4] == "*",
        )
        if not expression.scheduler_expressions:
            raise ValueError(
                f"cron {text!r} never comes: no month of {fields[3]!r} has a day {fields[2]!r}"
            )
        return expression

    @property
    def scheduler_expressions(self) -> tuple[str, ...]:
        """The expressions that together name the same times for EventBridge Scheduler.

        They have six fields, the last one the year. At most one of the day fields restricts, the
        other is `?`; so where Unix takes days that either field names, these are two expressions.
        See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
        """
        minutes, hours = _listed(self.minutes, MINUTE.all), _listed(self.hours, HOUR.all)
        days, months = _listed(self.days, DAY.all), _listed(self.months, MONTH.all)
        found = []
        by_day = self.any_weekday or not self.any_day
        if by_day and min(self.days) <= max(_LONGEST_MONTH[month - 1] for month in self.months):
            found.append(f"cron({minutes} {hours} {days} {months} ? *)")
        if not self.any_weekday:
            weekdays = _listed(self.weekdays, WEEKDAY.all, _WEEKDAYS)
            found.append(f"cron({minutes} {hours} ? {months} {weekdays} *)")
        return tuple(found)


def _known_timezone(name: str, text: str) -> str:
    try:
        ZoneInfo(name)
    # What the name makes of a path on this machine may be wrong in many ways.
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"cron {text!r}: there is no time zone {name!r}; "
            "use a name of the IANA database, as in 'TZ=Europe/Berlin 0 9 * * *'"
        ) from None
    return name


def _five_fields(schedule: str, text: str) -> list[str]:
    if schedule.startswith("@"):
        instead = _MACROS.get(schedule.strip().lower(), "*/10 * * * *")
        raise ValueError(f"cron {text!r}: write five fields instead of '@…', as in {instead!r}")
    # Some crons know `?` as another `*`.
    fields = schedule.replace("?", "*").split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"cron {text!r} has {len(fields)} fields; write five: "
            + ", ".join(field.title for field in FIELDS)
            + ("; there is none for seconds or years" if len(fields) > len(FIELDS) else "")
        )
    day, weekday = fields[2], fields[4]
    if "*" not in (day, weekday) and "*" in day + weekday:
        # Of `*/2` beside `MON` Debian's cron takes days that are both, Go's such that are either.
        raise ValueError(
            f"cron {text!r}: with both day fields restricted, write {day!r} and {weekday!r} "
            "without '*', as in '1-31/2'; a day then counts that either of them names"
        )
    return fields


def _numbers(field: Field, value: str, text: str) -> frozenset[int]:
    """The numbers that a field of an expression names."""
    found: set[int] = set()
    for part in value.split(","):
        term = _TERM.fullmatch(part.upper())
        numbers = _numbers_of_term(field, term) if term else ()
        if not numbers:
            names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
            raise ValueError(
                f"cron {text!r}: {field.title} {value!r} cannot be; it takes {field.lowest} to "
                f"{field.highest}{names}, lists, ranges and steps, as in '1,2,3-5' or '*/2'"
            )
        found.update(numbers)
    return frozenset(number % 7 for number in found) if field is WEEKDAY else frozenset(found)


def _numbers_of_term(field: Field, term: re.Match[str]) -> Collection[int]:
    """The numbers of one term of a list; none when it cannot be."""
    first, last, step = term.groups()
    every = int(step or 1)
    if every == 0:
        return ()
    if first is None:
        return field.all[::every]
    start = _number(field, first)
    # `3/2` goes on to the field's end; Sunday is 7, too, but no end.
    end = _number(field, last) if last else field.highest if step else start
    highest = 7 if field is WEEKDAY else field.highest
    if start is None or end is None or not field.lowest <= start <= end <= highest:
        return ()
    return range(start, end + 1, every)


def _number(field: Field, text: str) -> int | None:
    if text in field.names:
        return field.names.index(text) + field.lowest
    return int(text) if text.isdigit() else None


def _listed(numbers: Collection[int], possible: range, names: Collection[str] = ()) -> str:
    """Numbers of a field as ranges and a list of them, such as `0-5,30`; all of them are `*`."""
    if len(numbers) == len(possible):
        return "*"
    spelt = dict(zip(possible, names or map(str, possible), strict=True))
    return ",".join(
        spelt[first] if first == last else f"{spelt[first]}-{spelt[last]}"
        for first, last in _ranges(sorted(numbers))
    )


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of neighbours."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
