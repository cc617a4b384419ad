"""Events: what a sender writes, how it is checked, and the form it travels and is stored in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaValidator, ValidationError, core_schema

from tidegate.encoding import MAX_NESTING, decode, encode, is_too_deep
from tidegate.errors import RequestError
from tidegate.tracing import Origin, current_origin

if TYPE_CHECKING:
    from tidegate.event_model import Event

MAX_EVENTS_PER_REQUEST = 5_000
MAX_NAME_LENGTH = 256
MIN_TS_MS = 315_532_800_000  # 1980-01-01
MAX_TS_MS = 4_102_444_800_000  # 2100-01-01
RESERVED_PREFIX = "inngest/"
# Which the matcher answers, see `tidegate.probe`.
PROBE = "tidegate/doctor.probe"

# The name travels as an SNS attribute, and SNS takes no other control characters than these three.
_NOT_IN_A_NAME = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class AcceptedEvent:
    """An event that was accepted, as it is stored and sent to the functions.

    Attributes:
        internal_id: its ULID; `ids` of a response, the key of every look-up.
        env: the environment it belongs to.
        name: the event's name.
        received_ms: when it was accepted, UTC ms.
        ts: its own time, UTC ms; in the future it delays the runs.
        body: the event as functions receive it, as JSON text.
        sender_id: the `id` the sender gave, if any: what deduplication goes by.
        origin: the request that brought it and the trace it belongs to; that of whatever is being
            handled when it is made.
    """

    internal_id: str
    env: str
    name: str
    received_ms: int
    ts: int
    body: str
    sender_id: str | None = None
    origin: Origin = field(default_factory=current_origin)

    @property
    def event(self) -> Event:
        """The event as a function receives it."""
        # Only here: who passes events on needs no pydantic models, which take 50 ms to load.
        from tidegate.event_model import Event

        return Event.model_construct(None, **decode(self.body))


def _reserved(name: str) -> str:
    if name.lower().startswith(RESERVED_PREFIX):
        raise ValueError(f"names starting with {RESERVED_PREFIX!r} are reserved")
    return name


def _printable(name: str) -> str:
    found = _NOT_IN_A_NAME.search(name)
    if found:
        raise ValueError(f"contains the control character {found.group()!r}; remove it")
    return name


def _in_range(ts: int) -> int:
    if ts != 0 and not MIN_TS_MS <= ts <= MAX_TS_MS:
        raise ValueError("must be UTC milliseconds between the years 1980 and 2100")
    return ts


@dataclass(slots=True)
class IncomingEvent:
    """What a sender may write; unknown fields are ignored (shared contract of the Event API)."""

    name: str
    data: dict[str, Any]
    id: str
    ts: int
    user: dict[str, Any]
    v: str | None


def _optional(schema: Any, default: Callable[[], Any]) -> Any:
    """A field that may be missing; null is as good as missing."""
    given = core_schema.no_info_before_validator_function(
        lambda value: default() if value is None else value, schema
    )
    return core_schema.typed_dict_field(
        core_schema.with_default_schema(given, default_factory=default), required=False
    )


def _checked(check: Callable[[Any], Any], schema: Any) -> Any:
    return core_schema.no_info_after_validator_function(check, schema)


_NAME = core_schema.str_schema(min_length=1, max_length=MAX_NAME_LENGTH)
_OBJECT = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
# What pydantic would make of a model with these fields, without loading all that makes models.
# https://docs.pydantic.dev/latest/api/pydantic_core_schema/
_INCOMING = SchemaValidator(
    core_schema.typed_dict_schema(
        {
            "name": core_schema.typed_dict_field(_checked(_reserved, _checked(_printable, _NAME))),
            "data": _optional(_OBJECT, dict),
            "id": _optional(core_schema.str_schema(), str),
            "ts": _optional(_checked(_in_range, core_schema.int_schema()), int),
            "user": _optional(_OBJECT, dict),
            "v": _optional(core_schema.nullable_schema(core_schema.str_schema()), lambda: None),
        },
        config=core_schema.CoreConfig(strict=True),
    )
)


@dataclass(frozen=True)
class CheckedEvent:
    """An event that passed every check and has no internal id yet."""

    incoming: IncomingEvent

    def accept(self, internal_id: str, env: str, now_ms: int) -> AcceptedEvent:
        """The event under its internal id, with the defaults filled in."""
        incoming = self.incoming
        ts = incoming.ts or now_ms
        return AcceptedEvent(
            internal_id=internal_id,
            env=env,
            name=incoming.name,
            received_ms=now_ms,
            ts=ts,
            body=event_body(
                name=incoming.name,
                data=incoming.data,
                event_id=incoming.id or internal_id,
                ts=ts,
                user=incoming.user,
                v=incoming.v,
            ),
            sender_id=incoming.id or None,
        )


def event_body(
    *,
    name: str,
    data: Mapping[str, Any],
    event_id: str,
    ts: int,
    user: Mapping[str, Any] | None = None,
    v: str | None = None,
) -> str:
    """The JSON text of an event as functions receive it: `id`, `ts` and `user` always there."""
    event = {"name": name, "data": data, "id": event_id, "ts": ts, "user": user or {}}
    if v:
        event["v"] = v
    return encode(event)


def parse_events(body: bytes) -> list[CheckedEvent]:
    """Every event of a request's body, all of them checked: one bad event fails the request.

    Args:
        body: JSON, one event object or an array of up to 5,000.

    Raises:
        RequestError: 400; the message names the first bad event by its index, as `events[3]: …`.
            413 for too many events.
    """
    if not body.strip():
        raise RequestError(400, "the body is empty; send an event object or an array of them")
    try:
        parsed = decode(body)
    except ValueError as error:
        raise RequestError(400, f"the body is not valid JSON: {error}") from None
    if isinstance(parsed, dict):
        parsed = [parsed]
    if not isinstance(parsed, list):
        raise RequestError(400, "the body must be an event object or an array of event objects")
    if len(parsed) > MAX_EVENTS_PER_REQUEST:
        raise RequestError(
            413,
            f"{len(parsed)} events in one request; send at most {MAX_EVENTS_PER_REQUEST}",
        )
    return check_events(parsed)


def name_fault(name: str) -> str | None:
    """What keeps a name from being an event's; None when nothing does."""
    try:
        _INCOMING.validate_python({"name": name})
    except ValidationError as error:
        return _first_fault(error).removeprefix("name: ")
    return None


def check_events(events: Sequence[Any]) -> list[CheckedEvent]:
    """Every event, checked.

    Raises:
        RequestError: 400; the message names the first bad event by its index, as `events[3]: …`.
    """
    checked = []
    for index, raw in enumerate(events):
        try:
            incoming = IncomingEvent(**_INCOMING.validate_python(raw))
            # What cannot be encoded (1e999 reads as infinity) must fail here, not after a write.
            incoming.data.pop("_inngest", None)
            text = encode([incoming.data, incoming.user, incoming.id, incoming.v])
            if is_too_deep([incoming.data, incoming.user], text):
                raise ValueError(f"more than {MAX_NESTING} levels of nesting; send it flatter")
        except ValidationError as error:
            raise RequestError(400, f"events[{index}]: {_first_fault(error)}") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError(400, f"events[{index}]: cannot be stored: {error}") from None
        checked.append(CheckedEvent(incoming))
    return checked


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "dict_type" and not where:
        return "must be an event object with a name"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
