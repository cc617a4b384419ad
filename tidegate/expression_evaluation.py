"""What a tree is worth: CEL, loosened as Inngest does it.

A field that is not there is `MISSING` and spoils nothing: it equals null alone, is less than
anything, and what is called with it is false. Errors are exceptions; `||` and `exists` take an
operand that has one for false.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidegate.expression_functions import CALLS, duration, kind_of, text_of

_FAILURES = (ValueError, TypeError, ArithmeticError, LookupError)
# Up to here a double holds every whole number.
_EXACT = 2**53


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Final = _Missing()


@dataclass(frozen=True)
class Scope:
    """What names stand for, and what time it is (UTC ms)."""

    names: Mapping[str, Any]
    now_ms: int


def evaluate(tree: Any, scope: Scope) -> Any:
    """The value of a tree; MISSING when it comes from a field that is not there.

    Raises:
        ValueError, TypeError, ArithmeticError, LookupError: it has none; the message says why.
    """
    kind, *parts = tree
    return _NODES[kind](scope, *parts)


def field_of(value: Any, key: Any) -> Any:
    """A field of an object or an element of a list; MISSING when there is none."""
    if isinstance(value, dict):
        return _as_json(value[key]) if isinstance(key, str) and key in value else MISSING
    if isinstance(value, list) and _is_number(key) and key == int(key):
        return _as_json(value[int(key)]) if 0 <= key < len(value) else MISSING
    return MISSING


def _as_json(value: Any) -> Any:
    # JSON has one kind of number, so that half of an event's 5 is 2.5; large ids stay exact.
    if type(value) is int and abs(value) <= _EXACT:
        return float(value)
    return value


def refusal(value: Any) -> str:
    """Why a value answers nothing."""
    return f"it is a {kind_of(value)}, and must be true or false"


def _get(scope: Scope, tree: Any, key: Any) -> Any:
    return field_of(evaluate(tree, scope), evaluate(key, scope))


def _and(scope: Scope, trees: Sequence[Any]) -> Any:
    value: Any = True
    for tree in trees:
        value = evaluate(tree, scope)
        if not _is_true(value):
            break
    return value


def _or(scope: Scope, trees: Sequence[Any]) -> Any:
    return _first_true([(tree, scope) for tree in trees])


def _first_true(operands: Sequence[tuple[Any, Scope]]) -> Any:
    """The first true value or, when there is none, what the last operand is."""
    for tree, scope in operands[:-1]:
        try:
            value = evaluate(tree, scope)
        except _FAILURES:
            continue
        if _is_true(value):
            return value
    return evaluate(*operands[-1])


def _if(scope: Scope, condition: Any, yes: Any, no: Any) -> Any:
    return evaluate(yes if _is_true(evaluate(condition, scope)) else no, scope)


def _is_true(value: Any) -> bool:
    """As in JavaScript, where an empty list is true."""
    return isinstance(value, list | dict) or bool(value is not MISSING and value)


def _call(scope: Scope, name: str, trees: Sequence[Any]) -> Any:
    values = [evaluate(tree, scope) for tree in trees]
    if name in _OPERATORS:
        return _OPERATORS[name](*values)
    if any(value is MISSING for value in values):
        return 0 if name in ("size", ".size") else False
    if name.startswith("now"):
        now = datetime.fromtimestamp(scope.now_ms / 1000, UTC)
        shift = duration(values[0]) if values else timedelta()
        return now - shift if name == "now_minus" else now + shift
    return CALLS[name](*values)


def equals(left: Any, right: Any) -> bool:
    """Whether two values are the same; of different kinds they never are."""
    if left is MISSING or right is MISSING:
        return left is None or right is None
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    if kind_of(left) != kind_of(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equals, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equals(left[key], right[key]) for key in left)
    return bool(left == right)


def _ordered(
    compare: Callable[[Any, Any], bool], when_left_is_missing: bool, when_right_is_missing: bool
) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if left is MISSING:
            return when_left_is_missing
        if right is MISSING:
            return when_right_is_missing
        left, right = _zero(left, right), _zero(right, left)
        if kind_of(left) != kind_of(right) or isinstance(left, list | dict | None):
            raise TypeError(f"{kind_of(left)} and {kind_of(right)} cannot be compared")
        return compare(left, right)

    return ordered


def _zero(value: Any, other: Any) -> Any:
    """What null is, compared with the other: 0 or an empty text."""
    if value is not None:
        return value
    return 0 if _is_number(other) else "" if isinstance(other, str) else None


def _add(left: Any, right: Any) -> Any:
    if left is MISSING or right is MISSING:
        rest = right if left is MISSING else left
        return False if rest is MISSING else rest
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) + text_of(right)
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    if isinstance(left, bytes) and isinstance(right, bytes):
        return left + right
    return _arithmetic(operator.add)(left, right)


def _arithmetic(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def computed(left: Any, right: Any) -> Any:
        if left is MISSING or right is MISSING:
            return False
        timed = all(isinstance(value, datetime | timedelta) for value in (left, right))
        if not (timed or (_is_number(left) and _is_number(right))):
            raise TypeError(f"{kind_of(left)} and {kind_of(right)} cannot be computed with")
        return call(left, right)

    return computed


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return left - right * _divide(left, right)
    return math.fmod(left, right)


def _negative(value: Any) -> Any:
    if value is MISSING:
        return False
    return _arithmetic(operator.sub)(timedelta() if isinstance(value, timedelta) else 0, value)


def _not(value: Any) -> bool:
    if value is MISSING:
        return False
    if not isinstance(value, bool):
        raise TypeError(f"'!' takes true or false, not a {kind_of(value)}")
    return not value


def _in(item: Any, container: Any) -> bool:
    if item is MISSING or container is MISSING:
        return False
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if not isinstance(container, list):
        raise TypeError(f"'in' takes a list or a map, not a {kind_of(container)}")
    return any(equals(item, one) for one in container)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(value: Any) -> list[Any] | None:
    """What a macro goes over: elements, or the keys of a map; None when it is missing."""
    if value is MISSING:
        return None
    if not isinstance(value, list | dict):
        raise TypeError(f"a {kind_of(value)} has no elements")
    return [_as_json(item) for item in value]


def _macro(name: str) -> Callable[..., Any]:
    def go_over(scope: Scope, tree: Any, variable: str, inner: Sequence[Any]) -> Any:
        items = _listed(evaluate(tree, scope))
        if items is None:
            return False
        scopes = [Scope({**scope.names, variable: item}, scope.now_ms) for item in items]
        if name == "map":
            kept = [one for one in scopes if len(inner) == 1 or _is_true(evaluate(inner[0], one))]
            return [evaluate(inner[-1], one) for one in kept]
        if name == "exists":
            return bool(scopes) and _is_true(_first_true([(inner[0], one) for one in scopes]))
        holds = (_is_true(evaluate(inner[0], one)) for one in scopes)
        if name == "all":
            return all(holds)
        if name == "exists_one":
            return sum(holds) == 1
        return [item for item, held in zip(items, holds, strict=True) if held]

    return go_over


_OPERATORS: dict[str, Callable[..., Any]] = {
    "==": equals,
    "!=": lambda left, right: not equals(left, right),
    "<": _ordered(operator.lt, True, False),
    "<=": _ordered(operator.le, True, False),
    ">": _ordered(operator.gt, False, True),
    ">=": _ordered(operator.ge, False, True),
    "in": _in,
    "+": _add,
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(_divide),
    "%": _arithmetic(_remainder),
    "neg": _negative,
    "!": _not,
}
_NODES: dict[str, Callable[..., Any]] = {
    "const": lambda _, value: value,
    "var": lambda scope, name: scope.names[name],
    "get": _get,
    "has": lambda scope, tree, key: _get(scope, tree, key) is not MISSING,
    "and": _and,
    "or": _or,
    "if": _if,
    "call": _call,
    "list": lambda scope, trees: [_value(tree, scope) for tree in trees],
    "object": lambda scope, pairs: {
        _value(key, scope): _value(value, scope) for key, value in pairs
    },
    **{name: _macro(name) for name in ("all", "exists", "exists_one", "filter", "map")},
}


def _value(tree: Any, scope: Scope) -> Any:
    """A value inside of a list or a map, where nothing can be missing."""
    value = evaluate(tree, scope)
    return None if value is MISSING else value
