"""Expressions: which events a function wants, beyond their names.

They are written in CEL (https://cel.dev), as loose about types and missing fields as Inngest's
are. `docs/expressions.md` has the rules. Reading one loads cel-python, evaluating one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tidegate.encoding import decode, encode
from tidegate.errors import TidegateError
from tidegate.expression_evaluation import MISSING, Scope, evaluate, refusal


class ExpressionError(TidegateError):
    """An expression gave no answer for this event: its types do not fit, or it is not a boolean.

    Args:
        text: the expression.
        why: why there is none; it may show values of the event.
        kind: the same without values, for logs; the default is `why`.

    Attributes:
        without_values: the message for logs.
    """

    def __init__(self, text: str, why: str, kind: str | None = None) -> None:
        super().__init__(f"{text!r}: {why}")
        self.without_values = f"{text!r}: {why if kind is None else kind}"


@dataclass(frozen=True)
class Expression:
    """An expression that has been read.

    Attributes:
        text: as it was written.
        meaning: its tree, as JSON text; see `tidegate.expression_parser`.
    """

    text: str
    meaning: str

    @property
    def tree(self) -> Any:
        """What is evaluated."""
        return _tree(self.meaning)

    def matches(
        self,
        *,
        event: Mapping[str, Any],
        now_ms: int,
        async_event: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether it is true.

        Args:
            event: `event`: as functions receive it, `{"name": …, "data": {…}, …}`.
            now_ms: what `now()` is, UTC ms.
            async_event: `async`: the event that came in while a run was waiting.
            variables: `vars`.

        Raises:
            ExpressionError: it has no answer; the message says why. It counts as no match.
        """
        values = {"event": event, "async": async_event, "vars": variables}
        value = self._evaluated(values, now_ms)
        if value is MISSING:
            return False
        if not isinstance(value, bool):
            raise ExpressionError(self.text, refusal(value))
        return value

    def value(self, *, event: Mapping[str, Any], now_ms: int) -> Any:
        """What it gives: JSON, or a datetime, timedelta or bytes; None for a missing field.

        Args:
            event: `event`, as functions receive it.
            now_ms: what `now()` is, UTC ms.

        Raises:
            ExpressionError: it has no answer; the message says why.
        """
        value = self._evaluated({"event": event, "async": None, "vars": None}, now_ms)
        return None if value is MISSING else value

    def _evaluated(self, values: Mapping[str, Any], now_ms: int) -> Any:
        names = {name: MISSING if value is None else value for name, value in values.items()}
        try:
            return evaluate(self.tree, Scope(names, now_ms))
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            # Of these two the text has the value that could not be used.
            shows = isinstance(error, ValueError | LookupError)
            kind = f"{type(error).__name__} about a value" if shows else None
            raise ExpressionError(self.text, str(error), kind) from error


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """The expression in a text.

    Raises:
        ConfigurationError: it cannot be read, or has a name that nothing has; with the place.
    """
    # It takes 0.2 s to load, and Lambdas get their triggers' expressions from the manifest.
    from tidegate.expression_parser import parse

    return Expression(text, encode(parse(text)))


@lru_cache(maxsize=1024)
def _tree(meaning: str) -> Any:
    return decode(meaning)


def match_expression(field: str) -> str:
    """The expression of `match=`: that both events have the same value in a field.

    Args:
        field: its path, such as `data.userId`.
    """
    return f"event.{field} == async.{field}"
