"""Putting many items into a DynamoDB table: 25 a call, what is left over again, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.aws import AWS_ERRORS, client, concurrently, is_throttled, unavailable
from tidegate.batch import chunks, until_empty
from tidegate.clock import Clock
from tidegate.stores import MAX_PUT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value


def put_items(table: str, items: Sequence[Mapping[str, Value]], clock: Clock, what: str) -> None:
    """Put items, without conditions.

    Args:
        table: the table's name.
        items: no two with one key.
        clock: for pauses between tries.
        what: what it means when they are not all put, for the error.

    Raises:
        PlatformError: not all of them were put.
    """

    def write(requests: list[Any]) -> list[Any]:
        try:
            answer = client("dynamodb").batch_write_item(RequestItems={table: requests})
        except AWS_ERRORS as error:
            if is_throttled(error):
                return requests
            raise unavailable(what, error) from error
        return list(answer.get("UnprocessedItems", {}).get(table, []))

    requests = [{"PutRequest": {"Item": item}} for item in items]
    concurrently(lambda chunk: until_empty(write, chunk, clock, what), chunks(requests, MAX_PUT))
