"""What travels through SNS and SQS: an event, for the function whose queue it reaches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tidegate.encoding import decode, encode
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent
from tidegate.event_store import DAY_MS, body_key
from tidegate.manifest import DELAYED
from tidegate.payload import PayloadStore, is_large, payload_key


@dataclass(frozen=True)
class EventMessage:
    """A message of a function's queue; the same whether it starts its run or resumes it.

    Attributes:
        event: the event that starts the run; its body is empty while it lies in the bucket.
        body_key: where the body is, when it was too large for the message.
        wakes: whether something that the run waits for has happened, so that it goes on before it
            is due.
        is_resume: whether it goes on with a run that was recorded before.
    """

    event: AcceptedEvent
    body_key: str | None = None
    wakes: bool = False
    is_resume: bool = False

    @classmethod
    def of(cls, event: AcceptedEvent) -> EventMessage:
        """The message that publishes an event."""
        if is_large(event.body):
            return cls(replace(event, body=""), body_key(event))
        return cls(event)

    def encode(self) -> str:
        """The message's text."""
        event = self.event
        head = {
            "internal_id": event.internal_id,
            "env": event.env,
            "name": event.name,
            "received_ms": event.received_ms,
            "ts": event.ts,
            "wakes": self.wakes,
        }
        if self.is_resume:
            head["is_resume"] = True
        if self.body_key is not None:
            return encode(head | {"body_key": self.body_key})
        # The body is JSON already; putting it in as it is costs no second encoding.
        return f'{encode(head)[:-1]},"event":{event.body}}}'

    @classmethod
    def decode(cls, text: str) -> EventMessage:
        """The message in a text.

        Raises:
            DeadLetterError: it is not such a message; the error says what is wrong with it.
        """
        try:
            fields = decode(text)
            key = fields.get("body_key")
            event = AcceptedEvent(
                internal_id=_text(fields, "internal_id"),
                env=_text(fields, "env"),
                name=_text(fields, "name"),
                received_ms=_number(fields, "received_ms"),
                ts=_number(fields, "ts"),
                body="" if key else encode(fields["event"]),
            )
            return cls(event, key, fields.get("wakes") is True, fields.get("is_resume") is True)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeadLetterError(
                f"not a message of an event: {type(error).__name__}: {error}"
            ) from error

    def kept_until(self, due_ms: int, now_ms: int, payloads: PayloadStore) -> EventMessage:
        """The message to deliver at a time, its large body where it is kept until then.

        Args:
            due_ms: when it is delivered, UTC ms.
            now_ms: the present.
            payloads: where large bodies are.

        Raises:
            PlatformError: the body could not be copied.
        """
        later = replace(self, wakes=False)
        if self.body_key is None or due_ms - now_ms <= DAY_MS:
            return later
        key = payload_key(DELAYED, self.event.env, self.event.internal_id)
        if key != self.body_key:
            payloads.put(key, payloads.get(self.body_key))
        return replace(later, body_key=key)

    def with_body(self, payloads: PayloadStore) -> AcceptedEvent:
        """The whole event, its body fetched from the bucket if it lies there."""
        if self.body_key is None:
            return self.event
        return replace(self.event, body=payloads.get(self.body_key))


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}")
    return value


def _number(fields: dict[str, Any], name: str) -> int:
    value = fields[name]
    if not isinstance(value, int):
        raise ValueError(f"{name} is {value!r}")
    return value
