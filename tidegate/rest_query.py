"""Query parameters of the REST API: what may be written, and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.errors import RequestError
from tidegate.event import MAX_TS_MS, MIN_TS_MS
from tidegate.ids import is_ulid

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
HOUR_MS = 3_600_000

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_UNIX = re.compile(r"[0-9]{1,18}\Z")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}\Z)")


@dataclass(frozen=True)
class EventsQuery:
    """What `GET /v1/events` is asked for.

    Attributes:
        name: the exact event name to list; None lists all.
        limit: how many events, 1 to 100.
        cursor: the internal id behind which the list goes on.
        after_ms: the first millisecond to list, UTC.
        before_ms: the millisecond before which the list begins; None begins at the newest.
    """

    name: str | None
    limit: int
    cursor: str | None
    after_ms: int
    before_ms: int | None

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
        before_ms = _time(query, "received_before")
        after_ms = _time(query, "received_after")
        if after_ms is None:
            after_ms = (now_ms if before_ms is None else before_ms) - HOUR_MS
        elif before_ms is not None and before_ms <= after_ms:
            raise RequestError(400, "received_after must be earlier than received_before")
        return cls(
            name=query.get("name"),
            limit=limit_of(query),
            cursor=cursor_of(query),
            after_ms=after_ms,
            before_ms=before_ms,
        )


def limit_of(query: Mapping[str, str]) -> int:
    """How many; out of range gives the nearest, as clients of Inngest are used to."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not _INTEGER.match(text):
        raise RequestError(
            400, f"Invalid limit query parameter: {text!r}; it is a number from 1 to {MAX_LIMIT}"
        )
    return min(max(int(text), 1), MAX_LIMIT)


def cursor_of(query: Mapping[str, str]) -> str | None:
    """Behind which ULID a list goes on, if behind one."""
    text = query.get("cursor")
    if text is not None and not is_ulid(text.upper()):
        raise RequestError(
            400,
            f"Invalid cursor query parameter: {text!r}; it is the next_cursor of a page, or the "
            "internal_id of an event",
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
