"""Events as users write and receive them, and classes that declare what is in their data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypeVar

from tidegate.encoding import encode
from tidegate.errors import ConfigurationError, EventEncodingError, EventValidationError
from tidegate.event import name_fault

if TYPE_CHECKING:
    from typing_extensions import Unpack

MAX_FAULTS = 10
_declared: dict[str, type[EventModel]] = {}

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


class EventModel(BaseModel):
    """Declares an event: `class CartCheckedOut(EventModel, name="storefront/cart.completed")`.

    Its fields are the event's data. As in every pydantic model they may have defaults, aliases and
    validators. Three settings differ from pydantic's: an event cannot be changed, since it has
    happened (`frozen`); fields with an alias can be given by their own name too
    (`validate_by_name`); and, as pydantic does, fields that the class does not know are ignored, so
    that a sender may add some. A `model_config` in the class changes each of them.

    Args:
        name: the event's name; see https://docs.pydantic.dev/latest/concepts/models/ for the rest.
        abstract: declares no event, but fields that other classes derive.

    Raises:
        ConfigurationError: the name is missing, impossible, or another class has it; with file
            and line.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True)

    __event_name__: ClassVar[str | None] = None
    __source__: ClassVar[str] = ""

    if TYPE_CHECKING:

        def __init_subclass__(
            cls, *, name: str = ..., abstract: bool = ..., **config: Unpack[ConfigDict]
        ) -> None: ...

    else:

        def __init_subclass__(cls, **_options: Any) -> None:
            # The fields are not known yet; `__pydantic_init_subclass__` is called when they are.
            super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, name: str | None = None, abstract: bool = False, **options: Any
    ) -> None:
        super().__pydantic_init_subclass__()
        # `Page[Item]` of a generic class is made by pydantic and declares nothing by itself.
        is_derived = cls.__pydantic_generic_metadata__["origin"] is not None
        cls.__event_name__ = name
        cls.__source__ = _source()
        fault = None if is_derived else _fault(cls, name, abstract, options)
        if fault:
            raise ConfigurationError(f"{cls.__source__}: class {cls.__name__}: {fault}")
        if name is not None:
            declare(cls)

    def event(
        self,
        *,
        id: str = "",  # noqa: A002
        ts: int = 0,
        user: dict[str, Any] | None = None,
        v: str | None = None,
    ) -> Event:
        """The event, with its data as JSON, for those that need more than data.

        Args:
            id: the sender's own id, for deduplication.
            ts: when it happened, UTC ms; 0 means now.
            user: whom it concerns.
            v: the version of the payload's shape.

        Raises:
            EventEncodingError: a field cannot be written as JSON.
        """
        name = self.__event_name__
        if name is None:
            raise EventEncodingError(f"{type(self).__name__} declares no event: it has no name")
        return Event(name=name, data=_json_of(self), id=id, ts=ts, user=user or {}, v=v)


Sendable = Event[Any] | EventModel


# --- the declared classes -----------------------------------------------------------------------


def declare(model: type[EventModel]) -> None:
    """Add a class to what this process knows; a class does that when it is defined.

    Raises:
        ConfigurationError: another class already has this name.
    """
    name = event_name(model)
    other = _declared.get(name)
    if other is not None and not _is_again(model, other):
        raise ConfigurationError(
            f"{model.__source__}: class {model.__name__}: the event {name!r} is already declared "
            f"by {other.__name__}, {other.__source__}"
        )
    _declared[name] = model


def declared() -> list[type[EventModel]]:
    """All classes that declare an event, by the event's name."""
    return [model for _, model in sorted(_declared.items())]


def forget_declared() -> None:
    """Forget all classes, as before loading changed modules again."""
    _declared.clear()


def event_name(model: type[EventModel]) -> str:
    """The name of the event that a class declares.

    Raises:
        ConfigurationError: it declares none.
    """
    if model.__event_name__ is None:
        raise ConfigurationError(
            f"{model.__name__} declares no event: it has no name; use a class that has one"
        )
    return model.__event_name__


def _is_again(model: type[EventModel], other: type[EventModel]) -> bool:
    """Whether this is the other class, defined once more: by the same line, or in a notebook."""
    return model.__source__ == other.__source__ or (
        model.__module__ == other.__module__ == "__main__"
        and model.__qualname__ == other.__qualname__
        and _file(model) != _file(other)
    )


def _file(model: type[EventModel]) -> str:
    return model.__source__.rpartition(":")[0]


def _fault(
    model: type[EventModel], name: object, abstract: object, options: dict[str, Any]
) -> str | None:
    if options:
        return f"there is no option {', '.join(options)}; there are name and abstract"
    taken = [f for f in model.model_fields if any(f in vars(base) for base in EventModel.__mro__)]
    if taken:
        return (
            f"a field cannot be called {taken[0]!r}, as a method of the class is; "
            f"write {taken[0]}_: … = Field(alias={taken[0]!r})"
        )
    if abstract:
        return None if name is None else "it is abstract, so leave out the name"
    if name is None:
        return (
            "it has no event name; write class "
            f"{model.__name__}(EventModel, name='…'), or abstract=True if others derive from it"
        )
    if not isinstance(name, str):
        return f"name={name!r} is no text"
    if "*" in name:
        return f"name={name!r}: a class has one name, so no wildcard"
    if model.__pydantic_generic_metadata__["parameters"]:
        return "it is generic, so make it abstract=True and name the classes that derive from it"
    fault = name_fault(name)
    return f"name={name!r}: {fault}" if fault else None


def _source() -> str:
    """File and line of the class statement that is being executed."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith((__name__, "pydantic.")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


# --- classes to JSON and back -------------------------------------------------------------------


def plain_events(events: Sendable | Sequence[Sendable]) -> list[Event]:
    """The events as a list, each with its data as JSON.

    Raises:
        EventEncodingError: the message names the first bad event by its index.
    """
    listed = [events] if isinstance(events, Event | EventModel) else list(events)
    plain = []
    for index, event in enumerate(listed):
        try:
            plain.append(_plain(event))
        except EventEncodingError as error:
            raise EventEncodingError(f"events[{index}]: {error.message}") from error
    return plain


def received(event: Event, model: type[EventModel]) -> Event[EventModel]:
    """The event with its data as an instance of the class.

    Raises:
        EventValidationError: the data does not fit. The message says which fields and why, not
            what they hold.
    """
    try:
        # As JSON: from a dict, pydantic would not take back what it wrote, base64 for example.
        data = model.model_validate_json(encode(event.data))
    except ValidationError as error:
        raise EventValidationError(_faults(event.name, model, error)) from None
    return Event[model].model_construct(**{**vars(event), "data": data})  # type: ignore[valid-type]


def _plain(event: Sendable) -> Event:
    if isinstance(event, EventModel):
        return event.event()
    # An event that a function was given, sent on.
    if isinstance(event, Event) and isinstance(event.data, EventModel):
        return Event.model_construct(**{**vars(event), "data": _json_of(event.data)})
    return event


def _json_of(model: EventModel) -> dict[str, Any]:
    try:
        return model.model_dump(mode="json", by_alias=True)
    except PydanticSerializationError as error:
        raise EventEncodingError(
            f"{type(model).__name__} cannot be written as JSON: {error}"
        ) from error


def _faults(name: str, model: type[EventModel], error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [
        f"{'.'.join(map(str, fault['loc'])) or 'data'}: "
        f"{fault['msg'].removeprefix('Value error, ')}"[:200]
        for fault in faults[:MAX_FAULTS]
    ]
    more = len(faults) - len(lines)
    lines += [f"and {more} more"] if more else []
    return f"the data of {name!r} is no {model.__name__}: " + "; ".join(lines)
