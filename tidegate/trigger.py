"""Which events start a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, overload

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    field_validator,
    model_validator,
)
from typing_extensions import TypeVar

from tidegate.event import MAX_NAME_LENGTH
from tidegate.event_model import DataT, EventModel
from tidegate.event_pattern import matches, prefix_of

ModelT = TypeVar("ModelT", bound=EventModel)


class TriggerEvent(BaseModel, Generic[DataT]):
    """Starts a function for events of a name.

    Attributes:
        event: an exact name, `app/user.created`, or a prefix with a wildcard behind its last
            `/` or `.`: `app/*` and `app/user.*` both match `app/user.created`. Given a class that
            declares an event, it is that event's name, and the function's data are of that class.
        expression: what the event must be like, in CEL: `event.data.total > 100`. See
            docs/expressions.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    expression: str | None = None
    _model: type[EventModel] | None = PrivateAttr(None)

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: TriggerEvent[dict[str, Any]], *, event: str, expression: str | None = None
        ) -> None: ...

        @overload
        def __init__(
            self: TriggerEvent[ModelT], *, event: type[ModelT], expression: str | None = None
        ) -> None: ...

        def __init__(self, *, event: Any, expression: str | None = None) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _with_model(cls, fields: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = fields.get("event") if isinstance(fields, dict) else None
        if not isinstance(model, type):
            return handler(fields)
        if not issubclass(model, EventModel):
            raise ValueError(f"event={model.__name__} is no class derived from EventModel")
        if model.__event_name__ is None:
            raise ValueError(f"event={model.__name__} declares no event: it has no name")
        trigger = handler({**fields, "event": model.__event_name__})
        trigger._model = model
        return trigger

    @field_validator("event")
    @classmethod
    def _possible(cls, name: str) -> str:
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise ValueError(f"an event name has 1 to {MAX_NAME_LENGTH} characters")
        if "*" in name and (name.index("*") != len(name) - 1 or name[-2:] not in ("/*", ".*")):
            raise ValueError(
                f"{name!r} can never match: a wildcard stands at the end, behind '/' or '.', "
                "as in 'app/*' or 'app/user.*'"
            )
        return name

    # Two triggers are the same if they match the same events, whatever the class of the data.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, TriggerEvent) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.event)

    @property
    def model(self) -> type[EventModel] | None:
        """The class that the trigger was made with, if it was one."""
        return self._model

    @property
    def prefix(self) -> str | None:
        """What names must start with, when this is a wildcard; None when it is an exact name."""
        return prefix_of(self.event)

    def matches(self, name: str) -> bool:
        """Whether an event of that name may start the function: its expression comes after."""
        return matches(self.event, name)
