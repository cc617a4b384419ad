"""Waits: what a run waits for outside of itself, an event or the end of a run that it invoked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.encoding import decode, encode
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent
from tidegate.expression import Expression, compile_expression
from tidegate.message_schema import LOOK, check
from tidegate.step import Op, StepId

# An event may have been sent a moment before the function came to wait for it.
GRACE_MS = 5_000
# Longer than an ingest request lives: what it stores late was asked about before.
LOOK_AGAIN_S = 30
_MAX_VALUE = 1_000


@dataclass(frozen=True)
class Condition:
    """Which events of a name are waited for.

    Attributes:
        match: the path of a field, such as `data.userId`; empty when there is none.
        value: JSON text of the value that the field must have, or its hash; None when nothing can
            match, because the run's own event has no such field.
        expression: a CEL expression over `event` and `async`; empty when there is none.
        meaning: what it means, see `tidegate.expression.Expression`.
    """

    match: str = ""
    value: str | None = None
    expression: str = ""
    meaning: str = ""

    @classmethod
    def of(
        cls,
        if_exp: str | None,
        match: str | None,
        started_by: Mapping[str, Any],
        read: Callable[[str], Expression] = compile_expression,
    ) -> Condition:
        """The condition that a function asks for.

        Args:
            if_exp: a CEL expression.
            match: the path of a field.
            started_by: the event that started the run.
            read: reads an expression.

        Raises:
            ConfigurationError: the expression cannot be read.
        """
        condition = cls(match=match or "", value=_value_at(match, started_by) if match else None)
        if not if_exp:
            return condition
        compiled = read(if_exp)
        return replace(condition, expression=compiled.text, meaning=compiled.meaning)

    def holds(self, started_by: Mapping[str, Any], incoming: Mapping[str, Any], ms: int) -> bool:
        """Whether an event is one of those that are waited for.

        Args:
            started_by: the event that started the run.
            incoming: the event.
            ms: when it was received, UTC ms; what `now()` is in an expression.

        Raises:
            ExpressionError: the expression has no answer for this event.
        """
        if self.match and (self.value is None or _value_at(self.match, incoming) != self.value):
            return False
        if not self.expression:
            return True
        expression = Expression(self.expression, self.meaning)
        return expression.matches(event=started_by, async_event=incoming, now_ms=ms)

    def encode(self) -> str:
        """JSON text of it."""
        return encode(
            {
                "match": self.match,
                "value": self.value,
                "expression": self.expression,
                "meaning": self.meaning,
            }
        )

    @classmethod
    def decode(cls, text: str) -> Condition:
        """The condition in a JSON text."""
        return cls(**decode(text))


def _value_at(path: str, event: Mapping[str, Any]) -> str | None:
    """JSON text of the value at a path of an event, its keys in order; of a long one, a hash."""
    value: Any = event
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    text = encode(_in_order(value))
    # A record holds the value, so it must not be long.
    return text if len(text) <= _MAX_VALUE else hashlib.sha256(text.encode()).hexdigest()


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class WaitKey:
    """What a wait is found by.

    Attributes:
        env: the environment of the run.
        event_name: the name of the event that is waited for; empty for the end of a run.
        run_id: the run that waits.
        step_hash: the hashed id of its step.
    """

    env: str
    event_name: str
    run_id: str
    step_hash: str


@dataclass(frozen=True)
class Wait:
    """A run that waits, with all that is needed to go on with it.

    Attributes:
        env: the environment of the run.
        run_id: the run.
        function_id: its function.
        step: the step that waits.
        op: what kind of step it is.
        since_ms: when the function began to wait, UTC ms.
        due_ms: when it gives up, UTC ms.
        message: the text of the message that resumes the run.
        event_id: the internal id of the event that started the run.
        event_name: the name of the event that is waited for; empty for the end of a run.
        condition: which events of that name.
        stored_ms: when it was stored, UTC ms; a run's cancellation is listened for from before
            that on.
        cancels: whether what is waited for cancels the run.
    """

    env: str
    run_id: str
    function_id: str
    step: StepId
    op: Op
    since_ms: int
    due_ms: int
    message: str
    event_id: str
    event_name: str = ""
    condition: Condition = Condition()
    stored_ms: int = 0
    cancels: bool = False

    @property
    def key(self) -> WaitKey:
        """What it is found by."""
        return WaitKey(self.env, self.event_name, self.run_id, self.step.hashed)

    @property
    def first_ms(self) -> int:
        """From when on events count, UTC ms.

        What is waited for may have come a moment before; what cancels a run comes after its event.
        """
        return self.since_ms if self.cancels else self.since_ms - GRACE_MS

    def is_in_time(self, event: AcceptedEvent) -> bool:
        """Whether an event other than the run's own counts, by when it was received."""
        is_in_time = self.first_ms <= event.received_ms < self.due_ms
        return is_in_time and event.internal_id != self.event_id


@dataclass(frozen=True)
class LookMessage:
    """Asks the matcher to look through the events around the beginning of a wait.

    Attributes:
        key: the wait.
    """

    key: WaitKey

    def encode(self) -> str:
        """The message's text."""
        key = self.key
        return encode({"look": [key.env, key.event_name, key.run_id, key.step_hash]})

    @classmethod
    def decode(cls, text: str) -> LookMessage | None:
        """The message in a text; None when it is another kind of message.

        Raises:
            DeadLetterError: it is no message of any kind.
        """
        try:
            fields = decode(text)
        except ValueError as error:
            raise DeadLetterError(f"not a message: {error}") from None
        if not isinstance(fields, dict) or "look" not in fields:
            return None
        check(LOOK, fields, "a look at past events")
        return cls(WaitKey(*fields["look"]))
