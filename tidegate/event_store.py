"""The event store: every accepted event, found by its internal id or listed by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.aws import AWS_ERRORS, client, concurrently, unavailable
from tidegate.batch_put import put_items
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.large import body_key as body_key
from tidegate.large import is_large
from tidegate.partition import item_key
from tidegate.payload import PayloadStore
from tidegate.tracing import Origin

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value


@dataclass(frozen=True)
class EventStore:
    """The events table, and the bucket for large bodies.

    Attributes:
        table: the table's name.
        payloads: where large bodies are.
        retention_s: how long an event is kept, in seconds.
        clock: for pauses between tries.
    """

    table: str
    payloads: PayloadStore
    retention_s: int
    clock: Clock

    def put_payloads(self, events: Sequence[AcceptedEvent]) -> None:
        """Store the bodies that are too large for a message; before publishing the pointer."""
        large = [event for event in events if is_large(event.body)]
        concurrently(lambda e: self.payloads.put(body_key(e), e.body), large)

    def put(self, events: Sequence[AcceptedEvent]) -> None:
        """Store events, whose large bodies are stored already. Storing again is harmless.

        Raises:
            PlatformError: not all of them could be stored.
        """
        by_key = {(event.env, event.internal_id): event for event in events}
        items = [self._item(event) for event in by_key.values()]
        put_items(self.table, items, self.clock, "events could not be stored")

    def _item(self, event: AcceptedEvent) -> dict[str, Value]:
        item: dict[str, Value] = {
            **item_key(event.env, event.internal_id),
            "name": {"S": event.name},
            "received_ms": {"N": str(event.received_ms)},
            "expires_at": {"N": str(max(event.received_ms, event.ts) // 1000 + self.retention_s)},
            **{name: {"S": value} for name, value in event.origin.fields().items()},
        }
        if is_large(event.body):
            item["body_key"] = {"S": body_key(event)}
        else:
            item["body"] = {"S": event.body}
        return item

    def contains(self, env: str, internal_id: str) -> bool:
        """Whether an event is stored, which proves that it was published.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table,
                Key=item_key(env, internal_id),
                ConsistentRead=True,
                ProjectionExpression="sk",
            )
        except AWS_ERRORS as error:
            raise unavailable("the event store did not answer", error) from error
        return "Item" in found

    def get(self, env: str, internal_id: str, now_ms: int) -> AcceptedEvent | None:
        """The event with that internal id; None when there is none or its retention has ended.

        Raises:
            DeadLetterError: its large body is gone.
            PlatformError: AWS did not answer.
        """
        item = self.item(env, internal_id, now_ms)
        return None if item is None else self.event_of(env, item)

    def item(self, env: str, internal_id: str, now_ms: int) -> dict[str, Any] | None:
        """The item of that event, a large body still in the bucket; None as for `get`.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key=item_key(env, internal_id), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the event store did not answer", error) from error
        item = found.get("Item")
        if item is None or int(item["expires_at"]["N"]) <= now_ms // 1000:
            return None
        return dict(item)

    def event_of(self, env: str, item: dict[str, Any]) -> AcceptedEvent:
        """The event in an item of the table."""
        body = item["body"]["S"] if "body" in item else self.payloads.get(item["body_key"]["S"])
        return AcceptedEvent(
            internal_id=item["sk"]["S"],
            env=env,
            name=item["name"]["S"],
            received_ms=int(item["received_ms"]["N"]),
            ts=decode(body)["ts"],
            body=body,
            origin=origin_of(item),
        )


def origin_of(item: Mapping[str, Any]) -> Origin:
    """Where the event in an item of the table comes from."""
    return Origin(*(item[name]["S"] if name in item else "" for name in Origin.__slots__))
