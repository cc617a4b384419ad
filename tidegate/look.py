"""Looks: each new wait asks the matcher to look through the events of the time around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.errors import PlatformError
from tidegate.event import AcceptedEvent
from tidegate.event_store import EventStore
from tidegate.listing import Filter, Span, newest_items
from tidegate.payload import PayloadStore
from tidegate.wait import LOOK_AGAIN_S, LookMessage, WaitKey

_PAGE = 100


@dataclass(frozen=True)
class LookQueue:
    """The matcher's queue.

    Attributes:
        url: where it is.
    """

    url: str

    def ask(self, key: WaitKey) -> None:
        """Have the matcher look at once, and when all that was under way has been stored.

        Raises:
            PlatformError: SQS did not take it; asking again is harmless.
        """
        text = LookMessage(key).encode()
        entries: Any = [
            {"Id": str(delay_s), "MessageBody": text, "DelaySeconds": delay_s}
            for delay_s in (0, LOOK_AGAIN_S)
        ]
        try:
            answer = client("sqs").send_message_batch(QueueUrl=self.url, Entries=entries)
        except AWS_ERRORS as error:
            raise unavailable("a wait could not be completed", error) from error
        if answer.get("Failed"):
            raise PlatformError(f"a wait could not be completed: {answer['Failed'][0]}")


@dataclass(frozen=True)
class StoredEvents:
    """The events of the past.

    Attributes:
        store: the events table.
    """

    store: EventStore

    @property
    def payloads(self) -> PayloadStore:
        """Where large bodies are."""
        return self.store.payloads

    def named(
        self, env: str, event_name: str, first_ms: int, last_ms: int
    ) -> Iterator[AcceptedEvent]:
        """The stored events of a name that were received in a time, the newest first.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        only = Filter("#name = :name", {"#name": "name"}, {":name": {"S": event_name}}, True)
        cursor: str | None = None
        while True:
            span = Span.of(first_ms, last_ms, cursor)
            if span is None:
                return
            page = newest_items(self.store.table, env, span, _PAGE, only)
            for item in page.items:
                yield self.store.event_of(env, item)
            cursor = page.next_cursor
            if cursor is None:
                return
