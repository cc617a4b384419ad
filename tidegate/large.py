"""What is too large for a message or an item, and where it lies instead."""

from __future__ import annotations

from urllib.parse import quote

from tidegate.event import AcceptedEvent
from tidegate.manifest import DELAYED, EVENTS

# One billing unit of SNS and SQS. Above it, S3 is cheaper than DynamoDB's write units, too.
MAX_INLINE_BYTES = 64 * 1024
DAY_MS = 86_400_000


def is_large(text: str) -> bool:
    """Whether a text is to be kept in the bucket."""
    return len(text) > MAX_INLINE_BYTES or len(text.encode()) > MAX_INLINE_BYTES


def payload_key(folder: str, env: str, ulid: str) -> str:
    """Where a payload lies in the bucket; derived, so that writing it again is harmless."""
    return f"{folder}/{quote(env, safe='')}/{ulid}.json"


def body_key(event: AcceptedEvent) -> str:
    """Where the body of a large event lies in the bucket: what starts runs late is kept longer."""
    is_delayed = event.ts > event.received_ms + DAY_MS
    return payload_key(DELAYED if is_delayed else EVENTS, event.env, event.internal_id)
