"""The units that a call of DynamoDB consumes on demand, by AWS's rules, from the items' sizes.

Moto counts a unit for each item, whatever its size, so what is counted here are the items in its
tables. See
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moto.backends import get_backend
from moto.dynamodb.models.dynamo_type import DynamoType

from tidegate.local.lambda_function import ACCOUNT_ID, REGION

_WRITE_BYTES = 1024
_READ_BYTES = 4096
# What a list or a map takes besides what is in it, and each element of it.
_COLLECTION_BYTES = 3
_ELEMENT_BYTES = 1


@dataclass(frozen=True)
class Units:
    """What a call consumes.

    Attributes:
        write: write units.
        read: read units; one that need not be consistent takes half.
    """

    write: float = 0.0
    read: float = 0.0


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item in the API's notation, names of attributes included; 0 of no item."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    kind: str
    content: Any
    [(kind, content)] = value.items()
    if kind == "S":
        return len(str(content).encode())
    if kind == "N":
        # A byte for two digits, and one more; a sign takes another.
        digits = str(content).strip("-0.") or "0"
        return math.ceil(len(digits) / 2) + 1 + str(content).startswith("-")
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "B":
        return len(bytes(content))
    if kind == "L":
        return _COLLECTION_BYTES + sum(_ELEMENT_BYTES + _value_bytes(one) for one in content)
    if kind == "M":
        return _COLLECTION_BYTES + _ELEMENT_BYTES * len(content) + item_bytes(content)
    raise ValueError(f"an attribute of the type {kind!r} has no known size")


def stored_bytes(table: str, params: Mapping[str, Any]) -> int:
    """The size of the item that a call is about as the table has it; 0 when it has none.

    Args:
        table: the table's name.
        params: the call's parameters, with a `Key` or an `Item`.
    """
    key = params.get("Key") or params.get("Item")
    if key is None:
        return 0
    found = _table(table)
    names = [name for name in (found.hash_key_attr, found.range_key_attr) if name]
    item = found.get_item(*(DynamoType(key[name]) for name in names))
    return 0 if item is None else item_bytes(item.to_json()["Attributes"])


def consumed(
    operation: str, params: Mapping[str, Any], answer: Mapping[str, Any], before_bytes: int
) -> Units:
    """What a call consumed.

    Args:
        operation: such as `PutItem`.
        params: the call's parameters.
        answer: DynamoDB's response.
        before_bytes: the size of the item that it is about before the call, 0 for none. A write
            counts the larger one of before and after, and so does one whose condition fails.

    Raises:
        ValueError: the operation is none whose units are known.
    """
    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        after_bytes = stored_bytes(params["TableName"], params)
        return Units(write=_write_units(max(before_bytes, after_bytes)))
    if operation == "BatchWriteItem":
        requests = [one for batch in params["RequestItems"].values() for one in batch]
        return Units(write=sum(_write_units(item_bytes(r["PutRequest"]["Item"])) for r in requests))
    if operation == "GetItem":
        return Units(read=_read_units(before_bytes, params))
    if operation == "Query":
        return Units(read=_read_units(_evaluated_bytes(params, answer), params))
    raise ValueError(f"the units of {operation} are not known")


def _write_units(size_bytes: int) -> int:
    return max(1, math.ceil(size_bytes / _WRITE_BYTES))


def _read_units(size_bytes: int, params: Mapping[str, Any]) -> float:
    units = max(1, math.ceil(size_bytes / _READ_BYTES))
    return units if params.get("ConsistentRead") else units / 2


def _evaluated_bytes(params: Mapping[str, Any], answer: Mapping[str, Any]) -> int:
    """The size of the items that a query went through, whatever it gave back of them.

    How many they were it tells; each counts as large as the partition's items are on average.
    """
    values = params["ExpressionAttributeValues"]
    partition = values[params["KeyConditionExpression"].split()[2]]
    sizes = [
        item_bytes(item.to_json()["Attributes"])
        for item in _items(_table(params["TableName"]), partition)
    ]
    return round(sum(sizes) / len(sizes) * answer["ScannedCount"]) if sizes else 0


def _items(table: Any, partition: Mapping[str, Any]) -> Iterable[Any]:
    found = table.items.get(DynamoType(dict(partition)), {})
    return list(found.values())


def _table(name: str) -> Any:
    return get_backend("dynamodb")[ACCOUNT_ID][REGION].get_table(name)
