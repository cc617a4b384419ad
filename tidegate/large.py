"""What is too large for a message or an item, and where it lies instead."""

from __future__ import annotations

from urllib.parse import quote

from tidegate.event import AcceptedEvent
from tidegate.manifest import DELAYED, EVENTS, LATER

# One billing unit of SNS and SQS. Above it, S3 is cheaper than DynamoDB's write units, too.
MAX_INLINE_BYTES = 64 * 1024
DAY_MS = 86_400_000


def is_large(text: str) -> bool:
    """Whether a text is to be kept in the bucket."""
    return len(text) > MAX_INLINE_BYTES or len(text.encode()) > MAX_INLINE_BYTES


def payload_key(folder: str, env: str, ulid: str) -> str:
    """Where a payload lies in the bucket; derived, so that writing it again is harmless."""
    return f"{folder}/{quote(env, safe='')}/{ulid}.json"


def folder_for(usual: str, late_ms: int) -> str:
    """The folder for what is needed until some time after it is written, and kept from then on.

    Args:
        usual: the folder for what is needed within a day.
        late_ms: how long after its writing it may be needed, in ms.
    """
    if late_ms <= DAY_MS:
        return usual
    return next((name for name, days in LATER.items() if late_ms <= days * DAY_MS), DELAYED)


def body_key(event: AcceptedEvent, until_ms: int = 0) -> str:
    """Where the body of a large event lies in the bucket.

    Args:
        event: the event.
        until_ms: when a run goes on that needs it, UTC ms, if that is later than its start.
    """
    # Counted from the event on: of many short delays the last one ends long after it.
    late_ms = max(event.ts, until_ms) - event.received_ms
    return payload_key(folder_for(EVENTS, late_ms), event.env, event.internal_id)
