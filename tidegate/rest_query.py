"""Query parameters of the REST API: what may be written, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic_core import ValidationError
from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.event import MAX_TS_MS, MIN_TS_MS
from tidegate.ids import is_ulid
from tidegate.listing import Span
from tidegate.rest_field import ULID_PATTERN, Field, made_by, parse
from tidegate.run import Status

QueryT = TypeVar("QueryT")

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# A client's seed may run ahead of our clock, and the ids of its event and its runs with it.
AHEAD_MS = DAY_MS

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_UNIX = re.compile(r"[0-9]{1,18}\Z")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}\Z)")


@dataclass(frozen=True)
class Range:
    """A time that is asked for.

    Attributes:
        after_ms: the first millisecond, UTC.
        before_ms: the millisecond before which it ends; None ends it at the newest there is.
    """

    after_ms: int
    before_ms: int | None

    @classmethod
    def of(
        cls,
        after_ms: int | None,
        before_ms: int | None,
        now_ms: int,
        default_ms: int,
        names: tuple[str, str],
    ) -> Range:
        """The time that a request asks for.

        Args:
            after_ms, before_ms: as they were sent, UTC ms.
            now_ms: UTC ms.
            default_ms: how far it reaches back, from its end or from now, if no begin was sent.
            names: what the two parameters are called.

        Raises:
            RequestError: 400, it ends before it begins.
        """
        if after_ms is None:
            after_ms = (now_ms if before_ms is None else before_ms) - default_ms
        elif before_ms is not None and before_ms <= after_ms:
            raise RequestError(400, f"{names[0]} must be earlier than {names[1]}")
        return cls(after_ms, before_ms)

    def span(self, oldest_ms: int, now_ms: int, cursor: str | None) -> Span | None:
        """The ULIDs of this time, before a cursor; None when there can be none.

        Args:
            oldest_ms: older ones are not there.
            now_ms: UTC ms; none is further ahead of it than a day.
            cursor: a ULID; it and what is newer is left out.
        """
        newest_ms = now_ms + AHEAD_MS
        if self.before_ms is not None:
            newest_ms = min(newest_ms, self.before_ms - 1)
        return Span.of(max(self.after_ms, oldest_ms), newest_ms, cursor)


def parse_query(model: type[QueryT], query: Mapping[str, str]) -> QueryT:
    """The parameters of a request; those that it does not know are left out.

    Args:
        model: a TypedDict, its fields annotated with a `Field`.
        query: the parameters.

    Raises:
        RequestError: 400; the message names the parameter.
    """
    try:
        return parse(model, query, is_closed=False)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name, why = fault["loc"][0], fault["msg"].removeprefix("Value error, ")
        raise RequestError(400, f"Invalid {name} query parameter: {why}") from None


def number(description: str, *, default: int, most: int) -> Field:
    """A number; one that is not from 1 to the most becomes the nearest.

    Clients of Inngest are used to that.
    """

    def make(value: str) -> int:
        if not _INTEGER.match(value):
            raise ValueError(f"{value!r}; it is a number from 1 to {most}")
        return min(max(int(value), 1), most)

    said = f"{description}, 1 to {most}; a number outside becomes the nearest inside"
    return made_by(make, said, {"type": "integer"}, default)


def some_statuses(description: str) -> Field:
    """One or more statuses of runs, with commas between them."""
    items = {"type": "string", "enum": list(Status)}
    return made_by(_statuses, description, {"type": "array", "minItems": 1, "items": items})


def _statuses(value: str) -> tuple[Status, ...]:
    try:
        return tuple(dict.fromkeys(Status(name.strip()) for name in value.split(",")))
    except ValueError:
        raise ValueError(
            f"{value!r}; write one or more of {', '.join(Status)}, with commas between them"
        ) from None


def _ulid(value: str) -> str:
    if not is_ulid(value.upper()):
        raise ValueError(
            f"{value!r}; it is the next_cursor of a page, or the id of what the page is to begin "
            "behind"
        )
    return value.upper()


LIMIT = number("How many", default=20, most=100)
CURSOR = made_by(
    _ulid,
    "The list goes on behind this id: the `next_cursor` of the page before",
    {"type": "string", "pattern": ULID_PATTERN},
)


class PageQuery(TypedDict):
    """Which part of a list is asked for."""

    limit: Annotated[int, LIMIT]
    cursor: NotRequired[Annotated[str, CURSOR]]


def moment(description: str) -> Field:
    """A time, as a text or as a number; the code gets UTC ms."""
    schema = {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "integer", "minimum": MIN_TS_MS, "maximum": MAX_TS_MS},
        ]
    }
    return made_by(_moment, description, schema)


def _moment(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("a time is a text, or UTC milliseconds")
    return moment_ms(str(value))


def moment_ms(text: str) -> int:
    """UTC ms of a time: RFC 3339, a date (its midnight in UTC), or Unix milliseconds.

    Raises:
        ValueError: it is none of these; the message says what it is and how to write it.
    """
    if _UNIX.match(text) and MIN_TS_MS <= int(text) <= MAX_TS_MS:
        return int(text)
    # In a query string a plus sign means a space, so an unescaped "+02:00" arrives without it.
    date = _LOST_PLUS.sub("+", text.upper()) if "T" in text.upper() else text
    try:
        if not _DATE.match(date):
            raise ValueError(date)
        moment = datetime.fromisoformat(date)
    except ValueError:
        raise ValueError(
            f"{text!r}; write 2026-11-23T18:00:00Z, 2026-11-23 or UTC milliseconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
