"""Where a ULID's item lies in a table that is also listed by time.

A ULID carries its time, so the id alone finds the item, and a day's partitions list it by time:
no index to pay for. A day is split into shards, because one partition key takes 1,000 write units
a second (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from tidegate.ids import ulid_ms

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

SHARDS = 8
# A ULID can carry times up to the year 10889, for which there is no date: they share the last day.
_MAX_MS = 253_402_300_799_999


def partition_of(env: str, ulid: str) -> str:
    """The partition key of an item, from its environment and its ULID."""
    day = datetime.fromtimestamp(min(ulid_ms(ulid), _MAX_MS) / 1000, UTC)
    return _key(env, day, zlib.crc32(ulid.encode()) % SHARDS)


def item_key(env: str, ulid: str) -> dict[str, Value]:
    """The whole key of an item, as DynamoDB's client takes it."""
    return {"pk": {"S": partition_of(env, ulid)}, "sk": {"S": ulid}}


def days_back(env: str, newest_ms: int, oldest_ms: int) -> Iterator[list[str]]:
    """The partition keys of each day, newest day first, between two times (UTC ms, inclusive)."""
    day = datetime.fromtimestamp(newest_ms / 1000, UTC).date()
    oldest = datetime.fromtimestamp(oldest_ms / 1000, UTC).date()
    while day >= oldest:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        yield [_key(env, moment, shard) for shard in range(SHARDS)]
        day -= timedelta(days=1)


def _key(env: str, day: datetime, shard: int) -> str:
    return f"{quote(env, safe='/')}#{day:%Y-%m-%d}#{shard}"
