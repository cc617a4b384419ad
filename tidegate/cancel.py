"""What ends a run early: events that cancel it, and how long it may wait and last."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tidegate.event import name_fault
from tidegate.event_model import EventModel, event_name

MAX_CANCELS = 5
# https://www.inngest.com/docs/reference/functions/cancel-on: a listener lives for a year.
DEFAULT_LISTENING_MS = 365 * 86_400_000
MAX_LISTENING_MS = 366 * 86_400_000


def _ms(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    return value


def _name(value: Any) -> Any:
    is_class = isinstance(value, type) and issubclass(value, EventModel)
    return event_name(value) if is_class else value


# Given as a timedelta or as milliseconds.
Duration = Annotated[int, BeforeValidator(_ms), Field(strict=True, gt=0, le=MAX_LISTENING_MS)]


class Cancel(BaseModel):
    """An event that cancels the runs of a function.

    Attributes:
        event: its exact name, or a class that declares it.
        if_exp: a CEL expression that must hold; `event` in it is the event that started the run,
            `async` the one that came in. Without one any event of the name cancels.
        timeout: how long after its beginning a run can be cancelled by it, ms or a timedelta, up
            to 366 days; a year by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Annotated[str, BeforeValidator(_name)]
    if_exp: str | None = None
    timeout: Duration | None = None

    @property
    def listening_ms(self) -> int:
        """How long it is listened for, ms."""
        return self.timeout or DEFAULT_LISTENING_MS

    @field_validator("event")
    @classmethod
    def _possible(cls, name: str) -> str:
        fault = name_fault(name)
        if fault is None and "*" in name:
            fault = f"{name!r} is no exact name; name one event, or list several Cancels"
        if fault is not None:
            raise ValueError(fault)
        return name


class Timeouts(BaseModel):
    """After how long a run is cancelled.

    Attributes:
        start: how long it may wait for its first attempt, from when its event was received (or is
            due, by its `ts`), ms or a timedelta.
        finish: how long it may take from its first attempt on, ms or a timedelta. A step that is
            running then is finished, and its output is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Duration | None = None
    finish: Duration | None = None


NO_TIMEOUTS = Timeouts()
