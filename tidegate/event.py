"""Events: what a sender writes, how it is checked, and the form it travels and is stored in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from typing_extensions import TypeVar

from tidegate.encoding import MAX_NESTING, decode, encode, is_too_deep
from tidegate.errors import RequestError

MAX_EVENTS_PER_REQUEST = 5_000
MAX_NAME_LENGTH = 256
MIN_TS_MS = 315_532_800_000  # 1980-01-01
MAX_TS_MS = 4_102_444_800_000  # 2100-01-01
RESERVED_PREFIX = "inngest/"

# The name travels as an SNS attribute, and SNS takes no other control characters than these three.
_NOT_IN_A_NAME = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

# What an event's data is: any JSON object, or the class that declares it. A function that takes
# several classes takes each of them, hence covariant.
DataT = TypeVar("DataT", default=dict[str, Any], covariant=True)


class Event(BaseModel, Generic[DataT]):
    """An event, as it is sent and as a function receives it.

    Attributes:
        name: what happened, 1 to 256 characters, such as `storefront/cart.checkout.completed`.
        data: any JSON object; in an `Event[CartCheckedOut]` it is an instance of that class.
        id: the sender's own id, for deduplication: the first one wins for 24 hours. A function
            always sees one: the sender's or, without one, the event's internal ULID.
        ts: when it happened, in UTC milliseconds; 0 means now. A future `ts` delays the functions.
        user: any JSON object that describes who it concerns.
        v: the version of the payload's shape.
    """

    name: str
    data: DataT = Field(default_factory=dict)  # type: ignore[assignment]
    id: str = ""
    ts: int = 0
    user: dict[str, Any] = Field(default_factory=dict)
    v: str | None = None

    if TYPE_CHECKING:
        # An event that is written down has a dict; were its type taken from the dict at hand, a
        # list of two events would have no type.
        def __init__(
            self: Event[dict[str, Any]],
            *,
            name: str,
            data: dict[str, Any] = ...,
            id: str = "",  # noqa: A002
            ts: int = 0,
            user: dict[str, Any] = ...,
            v: str | None = None,
        ) -> None: ...


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
    """

    internal_id: str
    env: str
    name: str
    received_ms: int
    ts: int
    body: str
    sender_id: str | None = None

    @property
    def event(self) -> Event:
        """The event as a function receives it."""
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


def _or(default: Any) -> BeforeValidator:
    return BeforeValidator(lambda value: default() if value is None else value)


class IncomingEvent(BaseModel):
    """What a sender may write; unknown fields are ignored (shared contract of the Event API)."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[
        str,
        Field(min_length=1, max_length=MAX_NAME_LENGTH),
        AfterValidator(_printable),
        AfterValidator(_reserved),
    ]
    data: Annotated[dict[str, Any], _or(dict)] = Field(default_factory=dict)
    id: Annotated[str, _or(str)] = ""
    ts: Annotated[int, _or(int), AfterValidator(_in_range)] = 0
    user: Annotated[dict[str, Any], _or(dict)] = Field(default_factory=dict)
    v: str | None = None


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
        IncomingEvent(name=name)
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
            incoming = IncomingEvent.model_validate(raw)
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
    if fault["type"] == "model_type":
        return "must be an event object with a name"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
