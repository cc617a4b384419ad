"""From the text of an expression to its tree, with the grammar of cel-python.

A tree is JSON, so that the manifest can carry it: what is parsed once where a function registers
is evaluated everywhere else without loading the parser. Its nodes:

    ["const", value]                    a literal
    ["var", name]                       event, async, vars, or the variable of a macro
    ["get", node, key node]             a field or an element
    ["has", node, key node]             whether a field is there
    ["and", [node, …]], ["or", [node, …]], ["if", condition, yes, no]
    ["call", name, [node, …]]           an operator, a function or, as ".name", a method
    ["list", [node, …]], ["object", [[key node, value node], …]]
    [macro, node, variable, [node, …]]  all, exists, exists_one, filter, map
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from celpy.celparser import CELParseError, CELParser
from celpy.evaluation import celbytes, celstr
from lark import Token

from tidegate.errors import ConfigurationError
from tidegate.expression_functions import SIGNATURES

Tree = list[Any]
# What lark finds: trees of the rules of the grammar, with tokens as leaves.
Grammar = Any

ROOTS = ("event", "async", "vars")
MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
MAX_LENGTH = 4_096
# What is evaluated recursively stays far from Python's limit.
MAX_DEPTH = 100

_BINARY = {
    "relation_lt": "<", "relation_le": "<=", "relation_gt": ">", "relation_ge": ">=",
    "relation_eq": "==", "relation_ne": "!=", "relation_in": "in",
    "addition_add": "+", "addition_sub": "-",
    "multiplication_mul": "*", "multiplication_div": "/", "multiplication_mod": "%",
}  # fmt: skip
_STEPS = {
    "expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary",
    "member", "primary", "paren_expr",
}  # fmt: skip


def parse(text: str) -> Tree:
    """The tree of an expression.

    Raises:
        ConfigurationError: it cannot be read, or has a name that nothing has; with the place.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigurationError(
            f"expression {text[:40]!r}…: {len(text)} characters; at most {MAX_LENGTH} are possible"
        )
    try:
        tree: Tree | None = _Reader().node(CELParser().parse(text), frozenset(ROOTS))
    except CELParseError as error:
        raise ConfigurationError(f"expression {text!r}: {_syntax(error)}") from None
    except _PlaceError as error:
        raise ConfigurationError(f"expression {text!r}: {error}") from None
    except RecursionError:
        tree = None
    if tree is None or _depth(tree) > MAX_DEPTH:
        raise ConfigurationError(
            f"expression {text[:40]!r}…: nested too deeply; {MAX_DEPTH} levels are possible"
        )
    return tree


class _PlaceError(Exception):
    def __init__(self, token: Token, message: str) -> None:
        super().__init__(f"{_place(token.line, token.column)}: {message}")


def _place(line: int | None, column: int | None) -> str:
    return f"column {column}" if line == 1 else f"line {line}, column {column}"


def _syntax(error: CELParseError) -> str:
    token = getattr(error.__context__, "token", None)
    if token is not None and token.type == "$END":
        return "it ends too early"
    if token is not None:
        return f"{_place(token.line, token.column)}: {str(token)!r} does not belong here"
    return f"{_place(error.line, error.column)}: this character does not belong here"


def _depth(tree: Any) -> int:
    depth, level = 0, [tree]
    while level := [child for node in level if isinstance(node, list) for child in node]:
        depth += 1
    return depth


class _Reader:
    """Turns what the grammar finds into nodes; `names` are the variables that may be used."""

    def node(self, found: Grammar, names: frozenset[str]) -> Tree:
        found = _core(found)
        read: Callable[[Grammar, frozenset[str]], Tree] = getattr(self, f"_{found.data}")
        return read(found, names)

    def _nodes(self, found: Sequence[Any], names: frozenset[str]) -> list[Tree]:
        return [self.node(child, names) for child in found]

    def _arguments(self, found: Sequence[Any]) -> list[Grammar]:
        return list(found[0].children) if found else []

    def _expr(self, found: Grammar, names: frozenset[str]) -> Tree:
        return ["if", *self._nodes(found.children, names)]

    def _conditionalor(self, found: Grammar, names: frozenset[str]) -> Tree:
        return ["or", self._nodes(_chain(found), names)]

    def _conditionaland(self, found: Grammar, names: frozenset[str]) -> Tree:
        return ["and", self._nodes(_chain(found), names)]

    def _binary(self, found: Grammar, names: frozenset[str]) -> Tree:
        left, right = found.children
        return ["call", _BINARY[left.data], self._nodes([left.children[0], right], names)]

    _relation = _addition = _multiplication = _binary

    def _unary(self, found: Grammar, names: frozenset[str]) -> Tree:
        sign, operand = found.children
        return ["call", "!" if sign.data == "unary_not" else "neg", [self.node(operand, names)]]

    def _member_dot(self, found: Grammar, names: frozenset[str]) -> Tree:
        member, field = found.children
        return ["get", self.node(member, names), ["const", str(field)]]

    def _member_index(self, found: Grammar, names: frozenset[str]) -> Tree:
        return ["get", *self._nodes(found.children, names)]

    def _member_object(self, found: Grammar, names: frozenset[str]) -> Tree:  # noqa: ARG002
        raise _PlaceError(_first_token(found), "messages cannot be made here")

    def _member_dot_arg(self, found: Grammar, names: frozenset[str]) -> Tree:
        member, name, *rest = found.children
        arguments = self._arguments(rest)
        if name in MACROS:
            return self._macro(member, name, arguments, names)
        return self._call(f".{name}", name, [member, *arguments], names)

    def _macro(
        self, member: Grammar, name: Token, arguments: list[Grammar], names: frozenset[str]
    ) -> Tree:
        if len(arguments) not in MACROS[name]:
            raise _PlaceError(name, f"{name}() takes a variable and an expression")
        first = _core(arguments[0])
        if first.data != "ident":
            raise _PlaceError(name, f"{name}() takes a variable first, as in {name}(x, x > 1)")
        variable = str(first.children[0])
        inner = self._nodes(arguments[1:], names | {variable})
        return [str(name), self.node(member, names), variable, inner]

    def _ident(self, found: Grammar, names: frozenset[str]) -> Tree:
        name = found.children[0]
        if name == "null":
            return ["const", None]
        if name not in names:
            known = ", ".join(sorted(names))
            raise _PlaceError(name, f"unknown name {str(name)!r}; there are {known}")
        return ["var", str(name)]

    _dot_ident = _ident

    def _ident_arg(self, found: Grammar, names: frozenset[str]) -> Tree:
        name, *rest = found.children
        arguments = self._arguments(rest)
        if name == "has":
            field = self.node(arguments[0], names) if len(arguments) == 1 else [""]
            if field[0] != "get":
                raise _PlaceError(name, "has() takes a field, as in has(event.data.x)")
            return ["has", *field[1:]]
        if name == "dyn" and len(arguments) == 1:
            return self.node(arguments[0], names)
        return self._call(str(name), name, arguments, names)

    _dot_ident_arg = _ident_arg

    def _call(self, key: str, name: Token, arguments: list[Grammar], names: frozenset[str]) -> Tree:
        if key not in SIGNATURES:
            raise _PlaceError(name, f"there is no function {key}()")
        least, most = SIGNATURES[key]
        if not least <= len(arguments) <= most:
            given = len(arguments) - key.startswith(".")
            raise _PlaceError(name, f"{key}() does not take {given} arguments")
        return ["call", key, self._nodes(arguments, names)]

    def _list_lit(self, found: Grammar, names: frozenset[str]) -> Tree:
        return ["list", self._nodes(self._arguments(found.children), names)]

    def _map_lit(self, found: Grammar, names: frozenset[str]) -> Tree:
        nodes = self._nodes(self._arguments(found.children), names)
        return ["object", [list(pair) for pair in zip(nodes[::2], nodes[1::2], strict=True)]]

    def _literal(self, found: Grammar, names: frozenset[str]) -> Tree:  # noqa: ARG002
        token = found.children[0]
        try:
            return _LITERALS[token.type](token)
        except ValueError as error:
            raise _PlaceError(token, f"{str(token)!r} is no value: {error}") from None


def _core(found: Grammar) -> Grammar:
    """What is left without the steps that the grammar takes for the sake of precedence."""
    while found.data in _STEPS and len(found.children) == 1:
        found = found.children[0]
    return found


def _chain(found: Grammar) -> list[Grammar]:
    """The operands of `a || b || c`, however many, which the grammar nests."""
    rule, terms = found.data, []
    while found.data == rule and len(found.children) == 2:
        terms.append(found.children[1])
        found = found.children[0]
    return [found, *reversed(terms)]


def _first_token(found: Grammar) -> Token:
    token: Token = next(found.scan_values(lambda value: isinstance(value, Token)))
    return token


def _integer(token: Token) -> Tree:
    value = int(token.rstrip("uU"), 16 if "x" in token else 10)
    if not -(2**63) <= value < 2**64:
        raise ValueError("it has more than 64 bits")
    return ["const", value]


def _bytes(token: Token) -> Tree:
    return ["call", "bytes", [["const", bytes(celbytes(token)).decode()]]]


def _number(token: Token) -> Tree:
    value = float(token)
    if not math.isfinite(value):
        raise ValueError("it is too large")
    return ["const", value]


def _string(token: Token) -> Tree:
    text = str(celstr(token))
    text.encode()  # a lone surrogate is no text
    return ["const", text]


_LITERALS: dict[str, Callable[[Token], Tree]] = {
    "INT_LIT": _integer,
    "UINT_LIT": _integer,
    "FLOAT_LIT": _number,
    "STRING_LIT": _string,
    "MLSTRING_LIT": _string,
    "BYTES_LIT": _bytes,
    "BOOL_LIT": lambda token: ["const", str(token) == "true"],
    "NULL_LIT": lambda _: ["const", None],
}
