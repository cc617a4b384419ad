"""Query parameters of the REST API: what may be written, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.errors import RequestError
from tidegate.event import MAX_TS_MS, MIN_TS_MS
from tidegate.ids import is_ulid
from tidegate.listing import Span
from tidegate.run import Status

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
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
    def parse(
        cls, query: Mapping[str, str], now_ms: int, *, first: str, last: str, default_ms: int
    ) -> Range:
        """The time in the parameters of a request.

        Args:
            query: the parameters.
            now_ms: UTC ms.
            first, last: what the parameters are called.
            default_ms: how far it reaches back, from `last` or from now, if `first` is not there.

        Raises:
            RequestError: 400; the message names the parameter.
        """
        before_ms = _time(query, last)
        after_ms = _time(query, first)
        if after_ms is None:
            after_ms = (now_ms if before_ms is None else before_ms) - default_ms
        elif before_ms is not None and before_ms <= after_ms:
            raise RequestError(400, f"{first} must be earlier than {last}")
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


@dataclass(frozen=True)
class EventsQuery:
    """What `GET /v1/events` is asked for.

    Attributes:
        name: the exact event name to list; None lists all.
        limit: how many events, 1 to 100.
        cursor: the internal id behind which the list goes on.
        time: when they were received.
    """

    name: str | None
    limit: int
    cursor: str | None
    time: Range

    @classmethod
    def parse(cls, query: Mapping[str, str], now_ms: int) -> EventsQuery:
        """The query in the parameters of a request.

        Args:
            query: the parameters.
            now_ms: UTC ms. Without `received_after` the list reaches back one hour from here, or
                from `received_before`.

        Raises:
            RequestError: 400; the message names the parameter.
        """
        return cls(
            name=query.get("name"),
            limit=limit_of(query),
            cursor=cursor_of(query),
            time=Range.parse(
                query, now_ms, first="received_after", last="received_before", default_ms=HOUR_MS
            ),
        )


@dataclass(frozen=True)
class RunsQuery:
    """What `GET /v1/runs` is asked for.

    Attributes:
        function_id: the function whose runs to list; None lists those of all.
        statuses: what may have become of them; empty lists all.
        event_name: the exact name of the event that started them; None lists all.
        limit: how many runs, 1 to 100.
        cursor: the run id behind which the list goes on.
        time: the time in their ids.
    """

    function_id: str | None
    statuses: tuple[Status, ...]
    event_name: str | None
    limit: int
    cursor: str | None
    time: Range

    @classmethod
    def parse(cls, query: Mapping[str, str], now_ms: int) -> RunsQuery:
        """The query in the parameters of a request.

        Args:
            query: the parameters.
            now_ms: UTC ms. Without `from` the list reaches back one day from here, or from `until`.

        Raises:
            RequestError: 400; the message names the parameter.
        """
        return cls(
            function_id=query.get("function_id"),
            statuses=_statuses(query),
            event_name=query.get("event_name"),
            limit=limit_of(query),
            cursor=cursor_of(query),
            time=Range.parse(query, now_ms, first="from", last="until", default_ms=DAY_MS),
        )


def _statuses(query: Mapping[str, str]) -> tuple[Status, ...]:
    """The statuses in a list with commas between them."""
    text = query.get("status")
    if text is None:
        return ()
    try:
        return tuple(dict.fromkeys(Status(name.strip()) for name in text.split(",")))
    except ValueError:
        raise RequestError(
            400,
            f"Invalid status query parameter: {text!r}; write one or more of "
            f"{', '.join(Status)}, with commas between them",
        ) from None


def limit_of(query: Mapping[str, str]) -> int:
    """How many; out of range gives the nearest, as clients of Inngest are used to."""
    return number_of(query, "limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)


def number_of(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """The number in a parameter; one that is not from 1 to the most becomes the nearest."""
    text = query.get(name)
    if text is None:
        return default
    if not _INTEGER.match(text):
        raise RequestError(
            400, f"Invalid {name} query parameter: {text!r}; it is a number from 1 to {most}"
        )
    return min(max(int(text), 1), most)


def cursor_of(query: Mapping[str, str]) -> str | None:
    """Behind which ULID a list goes on, if behind one."""
    text = query.get("cursor")
    if text is not None and not is_ulid(text.upper()):
        raise RequestError(
            400,
            f"Invalid cursor query parameter: {text!r}; it is the next_cursor of a page, or the "
            "id of what the page is to begin behind",
        )
    return None if text is None else text.upper()


def _time(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return moment_ms(text)
    except ValueError as error:
        raise RequestError(400, f"Invalid {name} query parameter: {error}") from None


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
