"""Newest first: pages of a table whose items lie in partitions by day and shard.

A page is read day by day, the newest first, and the shards of a day side by side, a piece of each
in every round. What is newer than the shard that is furthest behind is complete:

    shard 0  newest ━━━━━━━━━━━━━┓
    shard 1  newest ━━━━━━━━━━━━━━━━━━━━┓         oldest
    shard 2  newest ━━━━━━━┓
                           └─ complete down to here

One request reads a bounded number of pieces. When they are used up, the page ends where it is
complete, even if it is empty, and its cursor lets the caller go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ulid import ULID

from tidegate.aws import AWS_ERRORS, client, concurrently, unavailable
from tidegate.ids import ulid_at, ulid_ms
from tidegate.partition import SHARDS, days_back

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

# 32 days without an item, or at most 64,000 items that a filter leaves out.
MAX_QUERIES = 32 * SHARDS
_SELECTIVE_PIECE = 250
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Span:
    """ULIDs from one to another, both inclusive.

    Attributes:
        oldest: the lowest.
        newest: the highest.
    """

    oldest: str
    newest: str

    @classmethod
    def of(cls, oldest_ms: int, newest_ms: int, cursor: str | None = None) -> Span | None:
        """The ULIDs of a time, before a cursor; None when there can be none.

        Args:
            oldest_ms: the first millisecond, UTC.
            newest_ms: the last one.
            cursor: a ULID; it and what is newer is left out.
        """
        if newest_ms < oldest_ms:
            return None
        oldest, newest = ulid_at(oldest_ms, bytes(10)), ulid_at(newest_ms, b"\xff" * 10)
        if cursor is not None:
            if cursor <= oldest:
                return None
            newest = min(newest, str(ULID.from_int(int(ULID.from_str(cursor)) - 1)))
        return cls(oldest, newest)


@dataclass(frozen=True)
class Filter:
    """Which items to list.

    Attributes:
        expression: a DynamoDB filter expression.
        names: the `#names` in it.
        values: the `:values` in it.
        selective: whether it may leave out most items; larger pieces are read then.
        fields: a DynamoDB projection expression, what is wanted of each item, with `sk`; empty
            wants all.
    """

    expression: str
    names: Mapping[str, str]
    values: Mapping[str, Value]
    selective: bool = False
    fields: str = ""


@dataclass(frozen=True)
class Page:
    """A part of a listing.

    Attributes:
        items: items of the table, newest first.
        next_cursor: what lists the next page; None when this is the last one.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass
class _Shard:
    """How far a partition has been read."""

    partition: str
    resume: dict[str, Any] = field(default_factory=dict)
    is_open: bool = True


def newest_items(table: str, env: str, span: Span, limit: int, only: Filter) -> Page:
    """The newest items of a span, at most as many as the limit.

    Args:
        table: the table's name; its items have the keys of `tidegate.partition`.
        env: the environment.
        span: the ids to list.
        limit: how many items, from 1.
        only: which of them.

    Raises:
        PlatformError: DynamoDB did not answer.
    """
    piece = _SELECTIVE_PIECE if only.selective else 2 * limit // SHARDS + 8
    first_day = ulid_ms(span.newest) // _DAY_MS
    found: list[dict[str, Any]] = []
    queries, complete_to = 0, span.newest
    for age, partitions in enumerate(days_back(env, ulid_ms(span.newest), ulid_ms(span.oldest))):
        shards = [_Shard(partition) for partition in partitions]
        while shards:
            if queries + len(shards) > MAX_QUERIES:
                return _page(found, limit, complete_to)
            queries += len(shards)
            for items in concurrently(lambda s: _read(table, s, span, piece, only), shards):
                found += items
            shards = [shard for shard in shards if shard.is_open]
            complete_to = max(
                (shard.resume["sk"]["S"] for shard in shards),
                default=ulid_at((first_day - age) * _DAY_MS, bytes(10)),
            )
            if sum(item["sk"]["S"] >= complete_to for item in found) > limit:
                return _page(found, limit, complete_to)
    return _page(found, limit, None)


def _page(found: list[dict[str, Any]], limit: int, complete_to: str | None) -> Page:
    items = [item for item in found if complete_to is None or item["sk"]["S"] >= complete_to]
    items.sort(key=lambda item: item["sk"]["S"], reverse=True)
    if len(items) > limit:
        return Page(items[:limit], items[limit - 1]["sk"]["S"])
    return Page(items, complete_to)


def _read(table: str, shard: _Shard, span: Span, piece: int, only: Filter) -> list[dict[str, Any]]:
    """The next piece of a partition."""
    options: dict[str, Any] = {
        "ExclusiveStartKey": shard.resume,
        "ExpressionAttributeNames": only.names,
        "ProjectionExpression": only.fields,
    }
    try:
        answer = client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :oldest AND :newest",
            FilterExpression=only.expression,
            ExpressionAttributeValues={
                **only.values,
                ":pk": {"S": shard.partition},
                ":oldest": {"S": span.oldest},
                ":newest": {"S": span.newest},
            },
            ScanIndexForward=False,
            # Who has just been told that an event is stored must find it in the list.
            ConsistentRead=True,
            Limit=piece,
            # DynamoDB refuses those that are empty.
            **{name: value for name, value in options.items() if value},
        )
    except AWS_ERRORS as error:
        raise unavailable("the table did not answer", error) from error
    shard.resume = dict(answer.get("LastEvaluatedKey", {}))
    shard.is_open = bool(shard.resume)
    return list(answer["Items"])
