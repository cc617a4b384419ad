"""Events in the REST API: listed, and found by their internal id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from tidegate.aws import concurrently
from tidegate.batch import chunks
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError, RequestError
from tidegate.event import RESERVED_PREFIX
from tidegate.event_store import EventStore, origin_of
from tidegate.listing import Filter, Page, newest_items
from tidegate.rest_call import (
    FETCHED_AT_ONCE,
    MAX_LIST_BYTES,
    ZERO_UUID,
    Call,
    Result,
    Time,
    rfc3339,
)
from tidegate.rest_field import text
from tidegate.rest_operation import Ulid, operation
from tidegate.rest_query import CURSOR, HOUR_MS, LIMIT, Range, moment, parse_query


class EventObject(TypedDict):
    """An event, with the field names of Inngest's REST API (v1), and `environment` and `note`.

    Attributes:
        internal_id: its ULID, from the `ids` of the sender's answer.
        environment: the environment's name.
        received_at: when it was accepted.
        id: the sender's own id; without one, the internal id.
        data, user, v: as they were sent; null, or absent, where the payload is gone.
        ts: UTC ms, as it was sent, or when it was received.
        note: why the payload is not there.
        request_id: the gateway's id of the request that brought it, as log lines have it.
        traceparent: the trace that its sender was in.
    """

    internal_id: Ulid
    account_id: str
    environment_id: str
    environment: str
    source: str
    source_id: None
    received_at: Time
    id: str | None
    name: str
    data: dict[str, Any] | None
    user: NotRequired[dict[str, Any]]
    ts: int | None
    v: NotRequired[str]
    request_id: NotRequired[str]
    traceparent: NotRequired[str]
    note: NotRequired[str]


class EventsQuery(TypedDict):
    """Which events are listed."""

    name: NotRequired[Annotated[str, text("The exact event name; wildcards mean nothing here")]]
    limit: Annotated[int, LIMIT]
    cursor: NotRequired[Annotated[str, CURSOR]]
    received_after: NotRequired[
        Annotated[int, moment("The first moment; one hour before `received_before` or now")]
    ]
    received_before: NotRequired[
        Annotated[int, moment("The moment before which the list ends; up to a day ahead of now")]
    ]


@dataclass(frozen=True)
class EventEndpoints:
    """What can be asked about events.

    Attributes:
        store: where they are.
    """

    store: EventStore

    @operation("GET", "/v1/events", list[EventObject], tag="Events", query=EventsQuery)
    def list_events(self, call: Call) -> Result:
        """The newest events, without those of the system."""
        query = parse_query(EventsQuery, call.query)
        page = self._page(call, query)
        events = self._objects(call.env, page.items)
        cut = len(events) < len(page.items)
        cursor = events[-1]["internal_id"] if cut else page.next_cursor
        return Result(events, {"has_more": cursor is not None, "next_cursor": cursor})

    @operation("GET", "/v1/events/<event_id>", EventObject, tag="Events")
    def get_event(self, call: Call) -> Result:
        """One event."""
        return Result(self._object(call.env, self.item(call))[0])

    def item(self, call: Call) -> dict[str, Any]:
        """The stored item of the event that a call's path names.

        Raises:
            RequestError: 400 no possible id, 404 no such event.
        """
        internal_id = call.ulid("event_id", "event ID")
        item = self.store.item(call.env, internal_id, call.now_ms)
        if item is None:
            raise RequestError(404, "Event not found")
        return item

    def _page(self, call: Call, query: EventsQuery) -> Page:
        oldest_ms = call.now_ms - self.store.retention_s * 1000
        names = ("received_after", "received_before")
        after_ms, before_ms = query.get("received_after"), query.get("received_before")
        time = Range.of(after_ms, before_ms, call.now_ms, HOUR_MS, names)
        span = time.span(oldest_ms, call.now_ms, query.get("cursor"))
        if span is None:
            return Page([], None)
        return newest_items(
            self.store.table,
            call.env,
            span,
            query["limit"],
            _shown(query.get("name"), call.now_ms),
        )

    def _objects(self, env: str, items: list[dict[str, Any]]) -> list[EventObject]:
        """The first of the items, as many as an answer can hold."""
        events: list[EventObject] = []
        total = 0
        for chunk in chunks(items, FETCHED_AT_ONCE):
            for event, size in concurrently(lambda item: self._object(env, item), chunk):
                if size > MAX_LIST_BYTES:
                    note = f"{size} bytes are too many for a list; GET /v1/events/<internal_id>"
                    event, size = _without_payload(event, note), 0
                if total + size > MAX_LIST_BYTES:
                    return events
                events.append(event)
                total += size
        return events

    def _object(self, env: str, item: Mapping[str, Any]) -> tuple[EventObject, int]:
        """The event in an item, and the bytes of its payload."""
        head: EventObject = {
            "internal_id": item["sk"]["S"],
            "account_id": ZERO_UUID,
            "environment_id": ZERO_UUID,
            "environment": env,
            "source": "",
            "source_id": None,
            "received_at": rfc3339(int(item["received_ms"]["N"])),
            "id": None,
            "name": item["name"]["S"],
            "data": None,
            "ts": None,
        }
        origin = origin_of(item)
        if origin.request_id:
            head["request_id"] = origin.request_id
        if origin.traceparent:
            head["traceparent"] = origin.traceparent
        try:
            body = self.store.event_of(env, dict(item)).body
        except DeadLetterError as error:
            return {**head, "note": str(error)}, 0
        event = decode(body)
        if not event["user"]:
            del event["user"]
        return {**head, **event}, len(body.encode())


def _shown(name: str | None, now_ms: int) -> Filter:
    """Events that are not the system's, nor past their retention, and have the name, if any."""
    # TTL deletes late, so the expiry is compared here.
    expression = "expires_at > :now AND NOT begins_with(#name, :reserved)"
    values: dict[str, Any] = {
        ":now": {"N": str(now_ms // 1000)},
        ":reserved": {"S": RESERVED_PREFIX},
    }
    if name is not None:
        expression += " AND #name = :name"
        values[":name"] = {"S": name}
    return Filter(expression, {"#name": "name"}, values, selective=name is not None)


def _without_payload(event: EventObject, note: str) -> EventObject:
    event = {**event, "data": None, "note": note}
    event.pop("user", None)
    return event
