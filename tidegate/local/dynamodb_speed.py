"""DynamoDB's writes made several times cheaper, in place of moto's.

Made for moto 5.2.5. There a condition is parsed anew in each call, twice; an update walks over its
parsed expression a dozen times, and copies the whole item twice; and each attribute that an item
gets measures all that it has. Here a condition is parsed once, whatever its values; an update that
sets and removes whole attributes does just that; and a new item is measured once. Whatever is not
as plain as that, or is an error, is left to moto.

All of it happens inside the lock of `moto_gaps`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.dynamodb import comparisons
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.parsing import ast_nodes, expressions
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords
from moto.dynamodb.responses import DynamoHandler, DynamoResult

MOTO_VERSION = "5.2.5"

# What is about to be overridden, and so has no types.
_Item: Any = Item
_Handler: Any = DynamoHandler
_Conditions: Any = comparisons.ConditionExpressionParser
_nodes: Any = ast_nodes
_expressions: Any = expressions
_moto_parse = _Conditions.parse
_moto_update = _Handler.update_item
_moto_make_item = _Item.__init__

_MOST_REMEMBERED = 4096
# As moto has it.
_MAX_ITEM_BYTES = 405_000
_PLAIN_TYPES = frozenset(("S", "N", "BOOL", "NULL"))


def install() -> None:
    """Make DynamoDB faster; doing it twice is no error."""
    _Item.__init__ = _make_item
    _Conditions.parse = _parse_condition
    _Handler.update_item = _update_item


def _make_item(
    item: Any, hash_key: DynamoType, range_key: DynamoType | None, attrs: Mapping[str, Any]
) -> None:
    item.hash_key = hash_key
    item.range_key = range_key
    item.attrs = LimitedSizeDict()
    for name, value in attrs.items():
        dict.__setitem__(item.attrs, name, DynamoType(value))
    if item.size() > _MAX_ITEM_BYTES:
        raise ItemSizeTooLarge


@dataclass(frozen=True)
class _Parsed:
    """A condition, as it is for any values of the same types.

    Attributes:
        tree: moto's tree.
        names, values: the placeholders in it.
        places: by placeholder, the nodes of the tree that have its value.
    """

    tree: Any
    names: list[str]
    values: list[str]
    places: Mapping[str, list[Any]]


def _parse_condition(parser: Any) -> Any:
    """As moto's `parse`; the tree is good until the same condition is parsed again."""
    values = parser.expression_attribute_values or {}
    types = tuple((name, next(iter(value))) for name, value in values.items())
    if not parser.condition_expression or not all(kind in _PLAIN_TYPES for _, kind in types):
        return _moto_parse(parser)
    try:
        names = tuple((parser.expression_attribute_names or {}).items())
        parsed = _parsed(parser.condition_expression, names, types)
    except Exception:
        return _moto_parse(parser)
    for name, nodes in parsed.places.items():
        for node in nodes:
            node.value = values[name][node.type]
    parser.expr_attr_names_found.extend(parsed.names)
    parser.expr_attr_values_found.extend(parsed.values)
    return parsed.tree


@functools.lru_cache(_MOST_REMEMBERED)
def _parsed(
    text: str, names: tuple[tuple[str, str], ...], types: tuple[tuple[str, str], ...]
) -> _Parsed:
    # The values are their own names, to be found by.
    parser = _Conditions(text, dict(names), {name: {kind: name} for name, kind in types})
    tree = _moto_parse(parser)
    places: dict[str, list[Any]] = {}
    for node in _value_nodes(tree):
        places.setdefault(node.value, []).append(node)
    return _Parsed(tree, parser.expr_attr_names_found, parser.expr_attr_values_found, places)


def _value_nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, comparisons.AttributeValue):
        yield node
    elif isinstance(node, list | tuple):
        for one in node:
            yield from _value_nodes(one)
    elif isinstance(node, comparisons.Op | comparisons.Func | comparisons.Operand):
        yield from _value_nodes(list(vars(node).values()))


@dataclass(frozen=True)
class _Update:
    """What an expression does to whole attributes.

    Attributes:
        placed: by attribute, the placeholder of the value that it gets.
        removed: the attributes that it removes.
        names: the placeholders of names in it.
    """

    placed: Mapping[str, str]
    removed: frozenset[str]
    names: frozenset[str]


@functools.lru_cache(_MOST_REMEMBERED)
def _update_of(text: str, names: tuple[tuple[str, str], ...]) -> _Update | None:
    """What an update expression does; None when that is more than placing and removing."""
    placed: dict[str, str] = {}
    removed: list[str] = []
    used: set[str] = set()

    def attribute(path: Any) -> str:
        [node] = path.children
        if isinstance(node, _nodes.ExpressionAttributeName):
            used.add(node.children[0])
            return dict(names)[node.children[0]]
        if not isinstance(node, _nodes.ExpressionAttribute) or _is_reserved(node.children[0]):
            raise ValueError
        return str(node.children[0])

    def walk(node: Any) -> None:
        kind = type(node)
        if kind is _nodes.UpdateExpressionSetAction:
            path, value = node.children
            [placeholder] = value.children
            if not isinstance(placeholder, _nodes.ExpressionAttributeValue):
                raise ValueError
            name = attribute(path)
            if name in placed:
                raise ValueError
            placed[name] = placeholder.children[0]
        elif kind is _nodes.UpdateExpressionRemoveAction:
            removed.append(attribute(node.children[0]))
        elif kind in _CONTAINERS:
            for child in node.children:
                walk(child)
        else:
            raise ValueError

    try:
        tree = _expressions.UpdateExpressionParser.make(text.strip())
        walk(tree)
        clauses = [len(tree.find_clauses([clause])) for clause in _CLAUSES]
    except Exception:
        return None
    gone = frozenset(removed)
    if max(clauses) > 1 or len(gone) < len(removed) or gone & placed.keys():
        return None
    return _Update(placed, gone, frozenset(used))


_CLAUSES = (_nodes.UpdateExpressionSetClause, _nodes.UpdateExpressionRemoveClause)
_CONTAINERS = frozenset(
    (
        _nodes.UpdateExpression,
        *_CLAUSES,
        _nodes.UpdateExpressionSetActions,
        _nodes.UpdateExpressionRemoveActions,
    )
)


def _is_reserved(name: str) -> bool:
    return name.upper() in ReservedKeywords.get_reserved_keywords()


def _update_item(handler: Any) -> Any:
    """As moto's; what is not plain, and what fails, is moto's."""
    body = handler.body
    plain = body.keys() <= _PLAIN_FIELDS and body.get("ReturnValues", "NONE") in ("NONE", "ALL_NEW")
    names = body.get("ExpressionAttributeNames", {})
    update = plain and _update_of(body.get("UpdateExpression", ""), tuple(names.items()))
    if not update:
        return _moto_update(handler)
    table = handler.dynamodb_backend.get_table(body["TableName"])
    values = handler._get_expr_attr_values()
    if not _is_sound(table, body["Key"], update, values):
        return _moto_update(handler)
    condition = comparisons.create_condition_expression_parser(
        body.get("ConditionExpression"), names, values
    )
    tree = condition.parse()
    unused = names.keys() - update.names - set(condition.expr_attr_names_found)
    unused |= values.keys() - set(update.placed.values()) - set(condition.expr_attr_values_found)
    item = table.get_item(*(DynamoType(body["Key"][name]) for name in table.table_key_attrs))
    if item is None or unused or not tree.expr(item) or not _apply(item, update, values):
        return _moto_update(handler)
    if body.get("ReturnValues") == "ALL_NEW":
        return DynamoResult(item.to_json())
    return DynamoResult({})


_PLAIN_FIELDS = frozenset(
    (
        "TableName",
        "Key",
        "UpdateExpression",
        "ConditionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
        "ReturnValues",
        "ReturnValuesOnConditionCheckFailure",
    )
)


def _is_sound(
    table: Any, key: Mapping[str, Any], update: _Update, values: Mapping[str, Any]
) -> bool:
    """Whether an update is of one item, whose keys it leaves as they are, and has its values."""
    indexed = {attribute["AttributeName"] for attribute in table.attr}
    return (
        set(key) == set(table.table_key_attrs)
        and table.stream_shard is None
        and indexed.isdisjoint(update.placed)
        and indexed.isdisjoint(update.removed)
        and all(placeholder in values for placeholder in update.placed.values())
    )


def _apply(item: Any, update: _Update, values: Mapping[str, Any]) -> bool:
    """Change an item; False, and nothing is changed, when it would be too large."""
    before = dict(item.attrs)
    for name in update.removed:
        dict.pop(item.attrs, name, None)
    for name, placeholder in update.placed.items():
        dict.__setitem__(item.attrs, name, DynamoType(values[placeholder]))
    if item.size() <= _MAX_ITEM_BYTES:
        return True
    dict.clear(item.attrs)
    dict.update(item.attrs, before)
    return False
