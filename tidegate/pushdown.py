"""What of an expression SNS can check, so that events a function does not want cost nothing.

Of an expression's `&&` terms those that compare one field of `data` or `user` with constants become
conditions. Ingest puts each such field into a message attribute, and the subscription's policy
names the attributes that pass. A policy may let too much through, as the worker checks the whole
expression again, but never too little:

- an attribute says of what kind the value is, too: `=DE` is the text DE, `null`, `missing`, …;
  numbers are attributes of type Number.
- a value that SNS would not compare exactly travels as `?`, which passes every policy.
- so does an attribute that is not there, as when a deployment has changed what is filtered by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import prod
from typing import Any

from tidegate.expression_evaluation import MISSING, Scope, evaluate, field_of

# https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html: at most
# five keys, of which `name` is one, 150 combinations, and numbers to 1e9 with five decimals.
_MAX_FIELDS_OF_A_POLICY = 4
_MAX_COMBINATIONS = 150
_MAX_NUMBER = 10**9
_MAX_DECIMALS = 5
# SQS takes ten attributes of a message that SNS delivers raw, and drops those with more.
MAX_ATTRIBUTES = 6
_MAX_TEXT_BYTES = 256

_UNKNOWN = "?"
_CONSTANTS = {None: "null", True: "true", False: "false"}
_KINDS = frozenset(("missing", "null", "true", "false", "other"))
_SEGMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_NAME_LENGTH = 200
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
# Characters that may not arrive as they were sent.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

Rule = tuple[str, Any]


@dataclass(frozen=True)
class Condition:
    """Which values of a field pass.

    Attributes:
        attribute: the field's message attribute: `data-country` for `event.data.country`. No
            name of a field has a hyphen; behind a dot SNS might look for a field of an attribute.
        kinds: the kinds that pass whatever the value: missing, null, true, false, other (a list
            or an object).
        rules: the texts and numbers that pass: ("is", text), ("prefix", text), ("=", number).
        bounds: between which numbers pass: (">", 5), ("<=", 9).
    """

    attribute: str
    kinds: frozenset[str]
    rules: frozenset[Rule] = frozenset()
    bounds: tuple[Rule, ...] = ()

    def policy(self) -> list[Any]:
        """What SNS is to let through, by the field's attribute."""
        passing: list[Any] = [{"exists": False}, _UNKNOWN, *sorted(self.kinds)]
        for kind, value in sorted(self.rules, key=repr):
            if kind == "is":
                passing.append(f"={value}")
            elif kind == "prefix":
                passing.append({"prefix": f"={value}"})
            else:
                passing.append({"numeric": [kind, value]})
        if self.bounds:
            passing.append({"numeric": [part for bound in self.bounds for part in bound]})
        return passing


def conditions(tree: Any) -> list[Condition]:
    """The conditions, one a field, that hold of every event for which the tree is true."""
    terms = tree[1] if tree[0] == "and" else [tree]
    found = [condition for term in terms if (condition := _condition(term)) is not None]
    by_attribute: dict[str, Condition] = {}
    for one in found:
        before = by_attribute.get(one.attribute)
        by_attribute[one.attribute] = one if before is None else _both(before, one)
    return list(by_attribute.values())


def field_policy(trees: Iterable[Any], names: int) -> dict[str, list[Any]]:
    """What SNS is to let through, by attribute; empty when it cannot check anything.

    Args:
        trees: for each trigger of a function the tree of its expression, None without one. With
            several triggers only what all of them ask for in the same way is checked.
        names: how many values the policy's key `name` has.
    """
    checked = [conditions(tree) if tree is not None else [] for tree in trees]
    if not checked or any(found != checked[0] for found in checked):
        return {}
    policy = {one.attribute: one.policy() for one in checked[0][:_MAX_FIELDS_OF_A_POLICY]}
    while names * prod(len(values) for values in policy.values()) > _MAX_COMBINATIONS:
        del policy[max(policy, key=lambda attribute: len(policy[attribute]))]
    return policy


def attributes(event: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The message attributes of an event that have those names: data type and value, by name."""
    return {name: _described(_value(event, name)) for name in names}


def _value(event: Mapping[str, Any], attribute: str) -> Any:
    value: Any = event
    for segment in attribute.split("-"):
        value = field_of(value, segment)
    return value


def _described(value: Any) -> tuple[str, str]:
    if value is MISSING:
        return "String", "missing"
    if value is None or isinstance(value, bool):
        return "String", _CONSTANTS[value]
    if isinstance(value, str):
        return "String", f"={value}" if _is_exact_text(value) else _UNKNOWN
    if isinstance(value, int | float):
        number = _exact_number(value)
        return ("String", _UNKNOWN) if number is None else ("Number", f"{Decimal(str(number)):f}")
    return "String", "other"


def _is_exact_text(text: str) -> bool:
    return not _UNPRINTABLE.search(text) and len(text.encode()) <= _MAX_TEXT_BYTES


def _exact_number(value: float) -> float | None:
    """The number, whole if it can be, when SNS knows it exactly; None when it does not."""
    if not -_MAX_NUMBER <= value <= _MAX_NUMBER:
        return None
    if value == int(value):
        return int(value)
    exponent = Decimal(repr(value)).as_tuple().exponent
    return value if isinstance(exponent, int) and exponent >= -_MAX_DECIMALS else None


def _condition(term: Any) -> Condition | None:
    """The condition that a term is, in full; None when SNS cannot check it."""
    if term[0] == "or":
        return _either([_condition(one) for one in term[1]])
    if term[0] == "has":
        attribute = _attribute_of(["get", *term[1:]])
        return _present(attribute, _KINDS - {"missing"}) if attribute else None
    if term[0] != "call" or len(term[2]) != 2:
        return None
    name, (left, right) = term[1], term[2]
    if name in _FLIPPED and left[0] != "get":
        name, left, right = _FLIPPED[name], right, left
    attribute, constant = _attribute_of(left), _constant(right)
    if attribute is None or constant is MISSING:
        return None
    if name == "!=":
        return _present(attribute, _KINDS - {"missing", "null"}) if constant is None else None
    if name == "==":
        return _one_of(attribute, [constant])
    if name == "in":
        return _one_of(attribute, constant, of_list=True) if isinstance(constant, list) else None
    if name == ".startsWith":
        return _starting_with(attribute, constant)
    return _ordered(attribute, name, constant) if name in _FLIPPED else None


def _attribute_of(tree: Any) -> str | None:
    """The attribute of a field below data or user; None for anything else."""
    segments: list[str] = []
    while tree[0] == "get" and tree[2][0] == "const" and isinstance(tree[2][1], str):
        segments.insert(0, tree[2][1])
        tree = tree[1]
    attribute = "-".join(segments)
    if tree != ["var", "event"] or len(segments) < 2 or segments[0] not in ("data", "user"):
        return None
    if len(attribute) > _MAX_NAME_LENGTH or not all(map(_SEGMENT.fullmatch, segments)):
        return None
    return attribute


def _constant(tree: Any) -> Any:
    """The value of a literal, a negative number or a list of them; MISSING for anything else."""
    if tree[0] == "list":
        values = [_constant(item) for item in tree[1]]
        return MISSING if any(value is MISSING for value in values) else values
    is_negative = tree[:2] == ["call", "neg"] and tree[2][0][0] == "const"
    if tree[0] != "const" and not is_negative:
        return MISSING
    try:
        return evaluate(tree, Scope({}, 0))
    except TypeError:
        return MISSING


def _present(attribute: str, kinds: frozenset[str]) -> Condition:
    return Condition(attribute, kinds, frozenset([("prefix", "")]), ((">=", -_MAX_NUMBER),))


def _starting_with(attribute: str, constant: Any) -> Condition | None:
    if not isinstance(constant, str) or not _is_exact_text(constant):
        return None
    return Condition(attribute, frozenset(), frozenset([("prefix", constant)]))


def _one_of(attribute: str, constants: list[Any], *, of_list: bool = False) -> Condition | None:
    kinds: set[str] = set()
    rules: set[Rule] = set()
    for constant in constants:
        if constant is None or isinstance(constant, bool):
            kinds.add(_CONSTANTS[constant])
        elif isinstance(constant, str) and _is_exact_text(constant):
            rules.add(("is", constant))
        elif isinstance(constant, int | float) and _exact_number(constant) is not None:
            rules.add(("=", _exact_number(constant)))
        else:
            return None
    if None in constants and not of_list:
        # A field that is not there equals null, but is in no list.
        kinds.add("missing")
    return Condition(attribute, frozenset(kinds), frozenset(rules))


def _ordered(attribute: str, name: str, constant: Any) -> Condition | None:
    if isinstance(constant, bool) or not isinstance(constant, int | float):
        return None
    number = _exact_number(constant)
    if number is None:
        return None
    # What the evaluation makes of null and of a missing field; other kinds are no match.
    kinds = {
        kind
        for kind, value in (("null", None), ("missing", MISSING))
        if evaluate(["call", name, [["const", value], ["const", number]]], Scope({}, 0))
    }
    return Condition(attribute, frozenset(kinds), bounds=((name, number),))


def _either(found: list[Condition | None]) -> Condition | None:
    """The condition that holds when any of them does, if they are about the same field."""
    first, *others = found
    if first is None or first.bounds:
        return None
    for other in others:
        if other is None or other.attribute != first.attribute or other.bounds:
            return None
        first = replace(first, kinds=first.kinds | other.kinds, rules=first.rules | other.rules)
    return first


def _both(first: Condition, second: Condition) -> Condition:
    """A condition that holds when both do: a range of two bounds, or one of them."""
    bounds = tuple(sorted(first.bounds + second.bounds, key=lambda bound: bound[0], reverse=True))
    if len(bounds) == 2 and not first.rules and not second.rules:
        (lower, least), (upper, most) = bounds
        # SNS refuses a range that is empty.
        if lower.startswith(">") and upper.startswith("<") and least < most:
            return replace(first, kinds=first.kinds & second.kinds, bounds=bounds)
    # That a field is there says less than anything else.
    return second if ("prefix", "") in first.rules else first
