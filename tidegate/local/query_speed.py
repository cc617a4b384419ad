"""DynamoDB's queries made many times cheaper, in place of moto's.

Made for moto 5.2.5. There a query sorts all items of its table, and copies all that it reads before
it filters them, so that looking at thousands of runs takes seconds. Here it sorts its own partition
and copies what it gives. Queries of an index, and whatever is not as plain as those of a table with
a text as its sort key, are left to moto.

All of it happens inside the lock of `moto_gaps`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from moto.dynamodb.comparisons import get_comparison_func
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import RESULT_SIZE_LIMIT, Table
from moto.dynamodb.models.utilities import bytesize

MOTO_VERSION = "5.2.5"

# What is about to be overridden, and so has no types.
_Table: Any = Table
_moto_query = _Table.query

_Answer = tuple[list[Item], int, dict[str, Any] | None]


def install() -> None:
    """Make queries faster; doing it twice is no error."""
    _Table.query = _query


def _query(
    table: Any,
    hash_key: DynamoType | None,
    range_comparison: str | None,
    range_objs: list[DynamoType],
    limit: int | None,
    exclusive_start_key: dict[str, Any] | None,
    scan_index_forward: bool,
    projection_expressions: list[list[str]] | None,
    index_name: str | None = None,
    consistent_read: bool = False,
    filter_expression: Any = None,
    **others: Any,
) -> _Answer:
    """As moto's `Table.query`: the items, how many were looked at, and the key of the last one."""
    conditions = {"hash_key_conditions", "range_key_conditions"}
    is_plain = not index_name and others.keys() <= conditions and table.range_key_type == "S"
    if not is_plain:
        return _moto_query(  # type: ignore[no-any-return]
            table,
            hash_key,
            range_comparison,
            range_objs,
            limit,
            exclusive_start_key,
            scan_index_forward,
            projection_expressions,
            index_name,
            consistent_read,
            filter_expression,
            **others,
        )
    start = exclusive_start_key[table.range_key_attr]["S"] if exclusive_start_key else None
    rows = _rows(table.items.get(hash_key, {}), start, forward=scan_index_forward)
    compare = range_comparison and get_comparison_func(range_comparison)
    bounds = [bound.cast_value for bound in range_objs]
    read: list[Any] = []
    size, last_key = 0, None
    for value, item in rows:
        is_within = not compare or compare(value, *bounds)
        size += _bytes_of(item) if is_within else 0
        if len(read) == limit or size > RESULT_SIZE_LIMIT:
            last_key = table._get_last_evaluated_key(read[-1], None)
            break
        if is_within:
            read.append(item)
    found = [item for item in read if filter_expression is None or filter_expression.expr(item)]
    return [_copied(item, projection_expressions) for item in found], len(read), last_key


def _bytes_of(item: Any) -> int:
    """As moto's `Item.size`; of what is plain ASCII, which most is, the length is known at once."""
    return sum(_length(name) + _length(value.value, value) for name, value in item.attrs.items())


def _length(text: Any, value: Any = None) -> int:
    if type(text) is str and text.isascii():
        return len(text)
    return int(bytesize(text) if value is None else value.size())


def _rows(
    partition: dict[DynamoType, Any], start: str | None, *, forward: bool
) -> list[tuple[str, Any]]:
    """The items of a partition, with their sort keys, in order, behind a sort key."""
    rows = [(item.range_key.value, item) for item in partition.values()]
    if start:
        rows = [row for row in rows if (row[0] > start if forward else row[0] < start)]
    rows.sort(key=itemgetter(0), reverse=not forward)
    return rows


def _copied(item: Any, projection: Sequence[list[str]] | None) -> Any:
    """An item that whoever has it may change, with the attributes that are asked for."""
    if not projection:
        return copy.deepcopy(item)
    if any(len(path) > 1 for path in projection):
        return copy.deepcopy(item).project(projection)
    names = [name for [name] in projection if name in item.attrs]
    attributes = {name: copy.deepcopy(item.attrs[name]) for name in names}
    return Item(item.hash_key, item.range_key, attributes)
