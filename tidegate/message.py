"""What travels through SNS, Scheduler and SQS to a function's queue: an event, or a cron's tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from tidegate.encoding import decode, encode
from tidegate.errors import DeadLetterError
from tidegate.event import MAX_TS_MS, RESERVED_PREFIX, AcceptedEvent, event_body
from tidegate.large import body_key, is_large
from tidegate.message_schema import TICK, WITH_BODY, WITH_BODY_KEY, check
from tidegate.run import Rerun
from tidegate.tracing import NO_ORIGIN, Origin

if TYPE_CHECKING:
    from tidegate.stores import Payloads


@dataclass(frozen=True)
class EventMessage:
    """A message of a function's queue; the same whether it starts its run or resumes it.

    Attributes:
        event: the event that starts the run; its body is empty while it lies in the bucket.
        body_key: where the body is, when it was too large for the message.
        wakes: whether something that the run waits for has happened, so that it goes on before it
            is due.
        resumes: whether its run was recorded before, so that it starts none: a schedule may come
            long after its run went on without it, ended, and is no longer kept.
        about: of a large system event what `_inngest` in its data says, should the body be lost.
        rerun: which run it is about, when that is not the one that the event started.
    """

    event: AcceptedEvent
    body_key: str | None = None
    wakes: bool = False
    resumes: bool = False
    about: Mapping[str, Any] | None = None
    rerun: Rerun | None = None

    @property
    def env(self) -> str:
        """The environment of the run."""
        return self.event.env

    @property
    def origin(self) -> Origin:
        """Where the event comes from."""
        return self.event.origin

    def in_trace(self, header: str) -> EventMessage:
        """The message in an X-Ray trace, unless it has one already, or there is none."""
        if not header or self.origin.xray:
            return self
        origin = replace(self.origin, xray=header)
        return replace(self, event=replace(self.event, origin=origin))

    @classmethod
    def of(cls, event: AcceptedEvent, rerun: Rerun | None = None) -> EventMessage:
        """The message that publishes an event, or one for a rerun with that event."""
        if not is_large(event.body):
            return cls(event, rerun=rerun)
        about = None
        if event.name.startswith(RESERVED_PREFIX):
            about = decode(event.body)["data"].get("_inngest")
        return cls(replace(event, body=""), body_key(event), about=about, rerun=rerun)

    def encode(self) -> str:
        """The message's text."""
        event = self.event
        head: dict[str, Any] = {
            "internal_id": event.internal_id,
            "env": event.env,
            "name": event.name,
            "received_ms": event.received_ms,
            "ts": event.ts,
            "wakes": self.wakes,
            "resumes": self.resumes,
        }
        if event.origin != NO_ORIGIN:
            head["origin"] = event.origin.fields()
        if self.rerun is not None:
            head["rerun"] = asdict(self.rerun)
        if self.body_key is not None:
            return encode(head | {"body_key": self.body_key, "about": self.about})
        # The body is JSON already; putting it in as it is costs no second encoding.
        return f'{encode(head)[:-1]},"event":{event.body}}}'

    @classmethod
    def decode(cls, text: str) -> EventMessage:
        """The message of an event in a text.

        Raises:
            DeadLetterError: it is no such message.
        """
        message = decode_message(text)
        if not isinstance(message, cls):
            raise DeadLetterError("a cron's tick where a message of an event is expected")
        return message

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> EventMessage:
        """The message that consists of those fields.

        Raises:
            DeadLetterError: one of them is wrong or missing.
        """
        key = fields.get("body_key")
        check(WITH_BODY_KEY if key else WITH_BODY, fields, "a message of an event")
        event = AcceptedEvent(
            internal_id=fields["internal_id"],
            env=fields["env"],
            name=fields["name"],
            received_ms=fields["received_ms"],
            ts=fields["ts"],
            body="" if key else encode(fields["event"]),
            origin=Origin.of_fields(fields.get("origin") or {}),
        )
        wakes, resumes = fields.get("wakes") is True, fields.get("resumes") is True
        rerun = Rerun(**fields["rerun"]) if "rerun" in fields else None
        return cls(event, key, wakes, resumes, fields.get("about"), rerun)

    def kept_until(
        self, due_ms: int, payloads: Payloads, *, body: str | None = None
    ) -> EventMessage:
        """The message to deliver at a time to go on with a run, its large body kept until then.

        Args:
            due_ms: when it is delivered, UTC ms.
            payloads: where large bodies are.
            body: the body, where it is at hand.

        Raises:
            PlatformError: the body could not be copied.
        """
        later = replace(self, wakes=False, resumes=True)
        if self.body_key is None:
            return later
        key = body_key(self.event, due_ms)
        if key != self.body_key:
            payloads.put(key, body or payloads.get(self.body_key))
        return replace(later, body_key=key)

    def with_body(self, payloads: Payloads) -> AcceptedEvent:
        """The whole event, its body fetched from the bucket if it lies there."""
        if self.body_key is None:
            return self.event
        return replace(self.event, body=payloads.get(self.body_key))

    def without_data(self) -> AcceptedEvent:
        """What is left of the event when its body is gone."""
        event, data = self.event, {"_inngest": self.about} if self.about else {}
        event_id = event.internal_id
        body = event_body(name=event.name, data=data, event_id=event_id, ts=event.ts)
        return replace(event, body=body)


# What Scheduler writes into a message in its place, see
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"

_MINUTE_MS = 60_000


@dataclass(frozen=True)
class CronMessage:
    """A tick of a cron, for the function whose queue it reaches; it stays what resumes the run.

    Attributes:
        cron: the expression, as the function has it.
        env: the environment of the run.
        scheduled_ms: the time that the expression names, UTC ms, a full minute.
        origin: the trace that its tick began.
        wakes, resumes: as in `EventMessage`. A rerun of its run has the event of the tick, and
            is about that event.
    """

    rerun: ClassVar[None] = None

    cron: str
    env: str
    scheduled_ms: int
    wakes: bool = False
    resumes: bool = False
    origin: Origin = NO_ORIGIN

    def in_trace(self, header: str) -> CronMessage:
        """As of `EventMessage`."""
        if not header or self.origin.xray:
            return self
        return replace(self, origin=replace(self.origin, xray=header))

    @staticmethod
    def template(cron: str, env: str) -> str:
        """The text that a schedule is made with; Scheduler puts the time in."""
        return encode({"cron": cron, "env": env, "scheduled_at": SCHEDULED_TIME})

    def encode(self) -> str:
        """The message's text."""
        fields: dict[str, Any] = {
            "cron": self.cron,
            "env": self.env,
            "scheduled_at": rfc3339_s(self.scheduled_ms),
            "wakes": self.wakes,
            "resumes": self.resumes,
        }
        if self.origin != NO_ORIGIN:
            fields["origin"] = self.origin.fields()
        return encode(fields)

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> CronMessage:
        """The message that consists of those fields.

        Raises:
            ValueError, DeadLetterError: one of them is wrong or missing.
        """
        check(TICK, fields, "a cron's tick")
        moment = datetime.fromisoformat(fields["scheduled_at"])
        if moment.tzinfo is None:
            raise ValueError(f"scheduled_at is {fields['scheduled_at']!r}, without a time zone")
        scheduled_ms = int(moment.timestamp()) * 1000
        if not 0 <= scheduled_ms <= MAX_TS_MS:
            raise ValueError(
                f"scheduled_at is {fields['scheduled_at']!r}, before 1970 or after 2100"
            )
        return cls(
            cron=fields["cron"],
            env=fields["env"],
            scheduled_ms=scheduled_ms - scheduled_ms % _MINUTE_MS,
            wakes=fields.get("wakes") is True,
            resumes=fields.get("resumes") is True,
            origin=Origin.of_fields(fields.get("origin") or {}),
        )

    def kept_until(self, due_ms: int, payloads: Payloads) -> CronMessage:  # noqa: ARG002
        """The message to deliver at a time; it is small, so that nothing is kept elsewhere."""
        return replace(self, wakes=False, resumes=True)


Message = EventMessage | CronMessage


def decode_message(text: str) -> Message:
    """The message in a text of a function's queue.

    Raises:
        DeadLetterError: it is no message; the error says what is wrong with it.
    """
    try:
        fields = decode(text)
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        kind = CronMessage if "cron" in fields else EventMessage
        return kind.of_fields(fields)
    except (ValueError, OverflowError) as error:
        raise DeadLetterError(
            f"not a message of an event or a cron: {type(error).__name__}: {error}"
        ) from error


def rfc3339_s(ms: int) -> str:
    """A time (UTC ms) in whole seconds, such as `2026-11-23T09:00:00Z`."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
