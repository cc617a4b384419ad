"""Deduplication: the first event with a sender's `id` wins for 24 hours.

first arrival                                  24 h later
│ put: absent, or expired → this event is new   │
├───────────────────────────────────────────────┤ an expired item may linger for days,
│ put fails → ALL_OLD tells the original's id   │ so the condition compares the expiry itself
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable

WINDOW_S = 24 * 3600
_MAX_PLAIN_BYTES = 256


@dataclass(frozen=True)
class Claim:
    """Who owns a sender's id.

    Attributes:
        internal_id: the event that came first.
        is_first: whether that is the one that asked.
        event_name: what the first event is called.
        first_ms: when it came, UTC ms.
    """

    internal_id: str
    is_first: bool
    event_name: str
    first_ms: int


@dataclass(frozen=True)
class DedupTable:
    """The table of sender's ids."""

    name: str

    def claim(
        self, env: str, sender_id: str, internal_id: str, event_name: str, now_ms: int
    ) -> Claim:
        """Claim a sender's id for an event; the first claim wins for 24 hours.

        Args:
            env: the environment; the same id in another one is another id.
            sender_id: the event's `id`.
            internal_id: the ULID that the event gets if it is the first.
            event_name: what the event is called.
            now_ms: UTC milliseconds.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        now_s = now_ms // 1000
        try:
            client("dynamodb").put_item(
                TableName=self.name,
                Item={
                    "pk": {"S": _key(env, sender_id)},
                    "internal_id": {"S": internal_id},
                    "event_name": {"S": event_name},
                    "first_ms": {"N": str(now_ms)},
                    "expires_at": {"N": str(now_s + WINDOW_S)},
                },
                ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(now_s)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("deduplication did not answer", error) from error
            original: Any = error.response["Item"]  # type: ignore[typeddict-item]
            owner = original["internal_id"]["S"]
            return Claim(
                owner,
                # A repeated request, or a repeated write whose first answer was lost.
                is_first=owner == internal_id,
                event_name=original["event_name"]["S"],
                first_ms=int(original["first_ms"]["N"]),
            )
        except AWS_ERRORS as error:
            raise unavailable("deduplication did not answer", error) from error
        return Claim(internal_id, True, event_name, now_ms)


def _key(env: str, sender_id: str) -> str:
    # A partition key has at most 2,048 bytes; a sender's id may be as long as a request.
    if len(sender_id.encode()) > _MAX_PLAIN_BYTES:
        return f"{quote(env, safe='')}#sha256#{hashlib.sha256(sender_id.encode()).hexdigest()}"
    return f"{quote(env, safe='')}#id#{sender_id}"
