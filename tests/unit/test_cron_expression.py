"""Cron expressions: which can be, and that Scheduler is asked for the very times they name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.cron_expression import CronExpression

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@pytest.mark.parametrize(
    ("text", "expressions"),
    [
        ("* * * * *", ["cron(* * * * ? *)"]),
        ("? ? ? ? ?", ["cron(* * * * ? *)"]),
        ("0 9 * * MON-FRI", ["cron(0 9 ? * MON-FRI *)"]),
        ("0 9 * * mon-fri", ["cron(0 9 ? * MON-FRI *)"]),
        ("0 9 * * 1-5", ["cron(0 9 ? * MON-FRI *)"]),
        ("*/15 * * * *", ["cron(0,15,30,45 * * * ? *)"]),
        ("10/20 8-18/2 * * *", ["cron(10,30,50 8,10,12,14,16,18 * * ? *)"]),
        ("5 4 1,15-20 * *", ["cron(5 4 1,15-20 * ? *)"]),
        ("0 0 1 JAN,jul *", ["cron(0 0 1 1,7 ? *)"]),
        ("0 0 29 2 *", ["cron(0 0 29 2 ? *)"]),
        # Sunday is 0 and 7 here and 1 there.
        ("0 0 * * 0", ["cron(0 0 ? * SUN *)"]),
        ("0 0 * * 7", ["cron(0 0 ? * SUN *)"]),
        ("0 0 * * 5-7", ["cron(0 0 ? * SUN,FRI-SAT *)"]),
        ("0 0 * * 1/2", ["cron(0 0 ? * MON,WED,FRI *)"]),
        ("0 0 * * */2", ["cron(0 0 ? * SUN,TUE,THU,SAT *)"]),
        ("0 0 * * 0-6", ["cron(0 0 ? * * *)"]),
        # With both day fields, days that either names.
        ("0 0 13 * FRI", ["cron(0 0 13 * ? *)", "cron(0 0 ? * FRI *)"]),
        ("0 0 30 2 MON", ["cron(0 0 ? 2 MON *)"]),
    ],
)
def test_what_scheduler_is_asked_for(text: str, expressions: list[str]) -> None:
    assert list(CronExpression.parse(text).scheduler_expressions) == expressions


@pytest.mark.parametrize(
    ("text", "timezone"),
    [
        ("0 9 * * *", "UTC"),
        ("TZ=Europe/Berlin 0 9 * * *", "Europe/Berlin"),
        ("CRON_TZ=America/New_York  0 9 * * *", "America/New_York"),
    ],
)
def test_the_time_zone(text: str, timezone: str) -> None:
    expression = CronExpression.parse(text)
    assert expression.timezone == timezone
    assert expression.scheduler_expressions == ("cron(0 9 * * ? *)",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has 0 fields; write five: minute, hour"),
        ("* * * *", "has 4 fields"),
        ("TZ=Europe/Berlin", "has 1 fields"),
        ("0 0 9 * * *", "has 6 fields.*none for seconds or years"),
        ("@daily", r"write five fields instead of '@…', as in '0 0 \* \* \*'"),
        ("TZ=UTC @weekly", r"as in '0 0 \* \* 0'"),
        ("@every 5m", "write five fields"),
        ("60 * * * *", "minute '60' cannot be; it takes 0 to 59"),
        ("-1 * * * *", "minute '-1'"),
        ("a * * * *", "minute 'a'"),
        ("*/0 * * * *", r"minute '\*/0'"),
        ("1,,2 * * * *", "minute '1,,2'"),
        ("5-1 * * * *", "minute '5-1'"),
        ("٣ * * * *", "minute '٣'"),
        ("* 24 * * *", "hour '24'"),
        ("0 0 0 * *", "day-of-month '0'"),
        ("0 0 32 * *", "day-of-month '32'"),
        ("0 0 15W * *", "day-of-month '15W'"),
        ("0 0 * 13 *", "month '13' cannot be; it takes 1 to 12 or JAN to DEC"),
        ("0 0 * JANUARY *", "month 'JANUARY'"),
        ("0 0 * * 8", "day-of-week '8' cannot be; it takes 0 to 6 or SUN to SAT"),
        ("0 0 * * 7/2", "day-of-week '7/2'"),
        ("0 0 * MON *", "month 'MON'"),
        ("0 0 * * 5/-1", "day-of-week"),
        ("0 0 * * FRI-MON", "day-of-week 'FRI-MON'"),
        ("0 0 L * *", "day-of-month 'L' cannot be"),
        ("0 0 LW * *", "day-of-month 'LW' cannot be"),
        ("0 0 * * 5L", "day-of-week '5L'"),
        ("0 0 * * MON#2", "day-of-week 'MON#2'"),
        ("TZ=Mars/Base 0 0 * * *", "no time zone 'Mars/Base'.*TZ=Europe/Berlin"),
        ("TZ= 0 0 * * *", "no time zone ''"),
        ("TZ=../etc/passwd 0 0 * * *", "no time zone"),
        ("TZ=Europe 0 0 * * *", "no time zone 'Europe'"),
        ("0 0 30 2 *", "never comes: no month of '2' has a day '30'"),
        ("0 0 31 4,JUN *", "never comes"),
        # Crons differ in what these mean.
        ("0 0 */2 * MON", r"write '\*/2' and 'MON' without '\*', as in '1-31/2'"),
        ("0 0 1 * */2", r"without '\*'"),
    ],
)
def test_what_cannot_be_is_said(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=f"cron {re.escape(repr(text))}.*{fault}"):
        CronExpression.parse(text)


# --- the same times, whatever the expression ------------------------------------------------------

Term = tuple[str, frozenset[int]]


def spelt(number: int, names: list[str], lowest: int) -> st.SearchStrategy[str]:
    both = [str(number)] + ([names[number - lowest]] if number - lowest < len(names) else [])
    return st.sampled_from(both)


@st.composite
def term(draw: Callable, lowest: int, highest: int, names: list[str]) -> Term:
    """A text of a field without `*`, and the numbers that it names."""
    first = draw(st.integers(lowest, highest))
    text = draw(spelt(first, names, lowest))
    kind = draw(st.sampled_from(["one", "range", "range/step", "from/step"]))
    last, step = first, 1
    if kind.startswith("range"):
        last = draw(st.integers(first, highest))
        text += "-" + draw(spelt(last, names, lowest))
    if kind == "from/step":
        last = highest
    if kind.endswith("/step"):
        step = draw(st.integers(1, 12))
        text += f"/{step}"
    return text, frozenset(range(first, last + 1, step))


@st.composite
def field(draw: Callable, lowest: int, highest: int, names: list[str]) -> Term:
    """A field: a list of terms, or `*`, perhaps with a step."""
    if draw(st.booleans()):
        step = draw(st.integers(1, 12))
        text = "*" if step == 1 else f"*/{step}"
        return text, frozenset(range(lowest, highest + 1, step))
    terms = draw(st.lists(term(lowest, highest, names), min_size=1, max_size=4))
    return ",".join(text for text, _ in terms), frozenset().union(
        *(numbers for _, numbers in terms)
    )


CRONS = st.tuples(
    field(0, 59, []),
    field(0, 23, []),
    field(1, 31, []),
    field(1, 12, MONTHS),
    field(0, 6, WEEKDAYS),
).filter(
    lambda fields: "*" in (fields[2][0], fields[4][0]) or "*" not in fields[2][0] + fields[4][0]
)
YEAR = [date(2028, 1, 1) + timedelta(days=n) for n in range(366)]


def unix_days(days: Term, months: Term, weekdays: Term) -> set[date]:
    """The days of a leap year that Unix cron takes."""

    def matches(day: date) -> bool:
        in_month, in_week = day.day in days[1], day.isoweekday() % 7 in weekdays[1]
        both = "*" in (days[0], weekdays[0])
        return day.month in months[1] and (in_month and in_week if both else in_month or in_week)

    return {day for day in YEAR if matches(day)}


def aws_numbers(text: str, lowest: int, highest: int, names: list[str]) -> set[int]:
    """What a field means to Scheduler, which has lists and ranges, and Sunday as 1."""

    def number(one: str) -> int:
        return names.index(one) + lowest if one in names else int(one)

    if text in "*?":
        return set(range(lowest, highest + 1))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(number(first), number(last or first) + 1))
    return found


def aws_days(expression: str) -> tuple[set[date], set[int], set[int]]:
    """The days of a leap year, the hours and the minutes that Scheduler takes."""
    minutes, hours, days, months, weekdays, year = expression[len("cron(") : -1].split(" ")
    assert year == "*"
    assert [days, weekdays].count("?") == 1, "Scheduler wants exactly one"
    in_month, in_week = aws_numbers(days, 1, 31, []), aws_numbers(weekdays, 1, 7, WEEKDAYS)
    in_year = aws_numbers(months, 1, 12, MONTHS)
    taken = {
        day
        for day in YEAR
        if day.month in in_year and day.day in in_month and day.isoweekday() % 7 + 1 in in_week
    }
    return taken, aws_numbers(hours, 0, 23, []), aws_numbers(minutes, 0, 59, [])


# The longest that there can be.
PAIRS = ",".join(f"{n}-{n + 1}" for n in range(0, 59, 3))
LONGEST = (
    (PAIRS, frozenset(n for n in range(60) if n % 3 < 2)),
    ("0-1,3-4,6-7,9-10,12-13,15-16,18-19,21-22", frozenset(n for n in range(24) if n % 3 < 2)),
    (
        "1-2,4-5,7-8,10-11,13-14,16-17,19-20,22-23,25-26,28-29,31",
        frozenset(n for n in range(1, 32) if n % 3),
    ),
    ("1-2,4-5,7-8,10-11", frozenset(n for n in range(1, 13) if n % 3)),
    ("*", frozenset(range(7))),
)


@given(CRONS)
@example(LONGEST)
@example(
    (("0", frozenset({0})),) * 2
    + (("1-31", frozenset(range(1, 32))), LONGEST[3], ("MON", frozenset({1})))
)
def test_scheduler_is_asked_for_the_same_times(fields: tuple[Term, ...]) -> None:
    minutes, hours, days, months, weekdays = fields
    wanted = unix_days(days, months, weekdays)
    text = " ".join(field_text for field_text, _ in fields)
    if not wanted:
        with pytest.raises(ValueError, match="never comes"):
            CronExpression.parse(text)
        return
    taken: set[date] = set()
    for expression in CronExpression.parse(text).scheduler_expressions:
        some_days, aws_hours, aws_minutes = aws_days(expression)
        assert (aws_hours, aws_minutes) == (hours[1], minutes[1])
        assert some_days, "no schedule that never fires"
        taken |= some_days
        # https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
        assert len(expression) <= 256
    assert taken == wanted
