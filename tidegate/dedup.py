"""Deduplication: the first event with a sender's `id`, or a function's key, wins for 24 hours.

first arrival                                  24 h later
│ put: absent, or over → this event is new      │
├───────────────────────────────────────────────┤ an item whose time is over may linger for days,
│ put fails → ALL_OLD tells the original's id   │ so the condition compares the time itself

A function's key is kept for longer than it counts: whoever gets an event late, because its message
was lost, can still tell that another one had the key when it was received.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.stores import Claim as Claim

WINDOW_S = 24 * 3600
# As long as a message may lie in a queue, and in a dead-letter queue behind it.
KEYS_KEPT_S = 29 * 86_400
_MAX_PLAIN_BYTES = 256


@dataclass(frozen=True)
class DedupTable:
    """The table of senders' ids and of functions' idempotency keys."""

    name: str

    def claim(
        self,
        env: str,
        key: str,
        internal_id: str,
        event_name: str,
        now_ms: int,
        *,
        function_id: str = "",
        is_limited: bool = False,
        by_name: bool = False,
    ) -> Claim:
        """Claim a sender's id, or a key of a function, for an event.

        The first claim wins for 24 hours.

        Args:
            env: the environment; the same id in another one is another id.
            key: the event's `id`, or the key.
            internal_id: the ULID that the event gets if it is the first.
            event_name: what the event is called.
            now_ms: when it came, UTC ms.
            function_id: the function whose key it is; empty for a sender's id.
            is_limited: whether the sender may send events of some names only. Who may send all of
                them takes its claim over for an event of another name.
            by_name: claim the id among the events of that name alone.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        kept_s = KEYS_KEPT_S if function_id else WINDOW_S
        try:
            client("dynamodb").put_item(
                TableName=self.name,
                Item={
                    "pk": {"S": _partition(env, key, function_id, event_name if by_name else None)},
                    "internal_id": {"S": internal_id},
                    "event_name": {"S": event_name},
                    "first_ms": {"N": str(now_ms)},
                    "expires_at": {"N": str(now_ms // 1000 + kept_s)},
                    **({"is_limited": {"BOOL": True}} if is_limited else {}),
                },
                ConditionExpression="attribute_not_exists(pk) OR first_ms <= :over"
                + ("" if is_limited else " OR (is_limited = :yes AND event_name <> :name)"),
                ExpressionAttributeValues={
                    ":over": {"N": str(now_ms - WINDOW_S * 1000)},
                    **({} if is_limited else {":yes": {"BOOL": True}, ":name": {"S": event_name}}),
                },
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


def _partition(env: str, key: str, function_id: str, event_name: str | None) -> str:
    # Neither an environment, as it is quoted, nor a function's id has a '#'.
    space = f"{quote(env, safe='')}#{f'function#{function_id}#' if function_id else ''}"
    if event_name is not None:
        both = f"{len(event_name)}#{event_name}#{key}"
        return f"{space}name#{hashlib.sha256(both.encode()).hexdigest()}"
    # A partition key has at most 2,048 bytes; a sender's id may be as long as a request.
    if len(key.encode()) > _MAX_PLAIN_BYTES:
        return f"{space}sha256#{hashlib.sha256(key.encode()).hexdigest()}"
    return f"{space}id#{key}"
