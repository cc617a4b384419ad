"""What the steps that wait ask of the journal: begun once, recalled from then on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

from tidegate.effect import Invoke, Sleep, StepEffect, WaitForEvent
from tidegate.errors import StepUsageError
from tidegate.event import RESERVED_PREFIX, name_fault
from tidegate.event_model import Event, EventModel, event_name, received
from tidegate.serialise import serialise
from tidegate.session import Session
from tidegate.step import MAX_WAIT_MS, Op, StepId, StepRecord

if TYPE_CHECKING:
    from tidegate.function import Function

_DEFAULT_INVOKE_TIMEOUT = timedelta(days=365)
_MAX_MATCH_LENGTH = 1_000


def slept(session: Session, step_id: str, until_ms: int) -> StepRecord:
    """The sleep of a step, begun or recalled.

    Raises:
        StepUsageError: it is too long.
    """
    step, record = session.begin(step_id, Op.SLEEP)
    if record is not None:
        return record
    if until_ms - session.journal.now_ms() > MAX_WAIT_MS:
        raise StepUsageError(f"step {step_id!r} sleeps for more than 366 days")
    return session.journal.record(Sleep(step, until_ms))


def awaited(
    session: Session,
    step_id: str,
    event: str | type[EventModel],
    if_exp: str | None,
    match: str | None,
    timeout: int | timedelta,
) -> Callable[[], StepRecord]:
    """What begins, or recalls, the wait for an event.

    Args:
        session: the call of the function.
        step_id: the step's id.
        event: the event's name, or the class that declares it.
        if_exp, match: which events of that name.
        timeout: how long, ms or a timedelta.

    Raises:
        StepUsageError: it is no event that can be waited for.
    """

    def effect(step: StepId) -> StepEffect:
        until_ms = _until_ms(session, step_id, timeout)
        return WaitForEvent(step, name, until_ms, if_exp=if_exp, match=match)

    name = _name_of(event)
    _check_awaited(step_id, name, match or "")
    return functools.partial(_begun, session, step_id, Op.WAIT_FOR_EVENT, effect)


def _check_awaited(step_id: str, event: Any, match: str) -> None:
    fault: str | None = None
    if not isinstance(event, str) or not event:
        fault = f"event={event!r} is no event's name"
    elif event.endswith(("/*", ".*")):
        fault = f"event={event!r} is a wildcard; a wait takes one exact name"
    elif event.lower().startswith(RESERVED_PREFIX):
        fault = f"event={event!r}: system events cannot be waited for; use ctx.step.invoke"
    elif (no_name := name_fault(event)) is not None:
        fault = f"event={event[:40]!r} is no event's name: {no_name}"
    elif len(match) > _MAX_MATCH_LENGTH:
        fault = f"match has {len(match)} characters; at most {_MAX_MATCH_LENGTH} are possible"
    if fault is not None:
        raise StepUsageError(f"step {step_id!r}: {fault}")


def event_of(memo: dict[str, Any] | None, event: Any) -> Any:
    """The event that came, its data of the class that was waited for, if it was a class.

    Raises:
        EventValidationError: the data does not fit.
    """
    if memo is None:
        return None
    came = Event.model_construct(None, **memo)
    return received(came, event) if _is_model(event) else came


def _name_of(event: Any) -> Any:
    return event_name(event) if _is_model(event) else event


def _is_model(event: Any) -> TypeGuard[type[EventModel]]:
    return isinstance(event, type) and issubclass(event, EventModel)


def invoked(
    session: Session,
    step_id: str,
    app_id: str | None,
    function_id: str,
    data: Mapping[str, Any] | None,
    timeout: int | timedelta | None,
    v: str | None,
) -> Callable[[], StepRecord]:
    """What begins, or recalls, the invocation of a function.

    Args:
        session: the call of the function.
        step_id: the step's id.
        app_id, function_id: the function; None for the app of the one that invokes.
        data: what it is given.
        timeout: how long, ms or a timedelta; None for a year.
        v: the version of the data's shape.
    """

    def effect(step: StepId) -> StepEffect:
        text = serialise({} if data is None else data, f"data of step {step_id!r}")
        if not text.startswith("{"):
            raise StepUsageError(f"step {step_id!r}: data={data!r} is no JSON object; pass a dict")
        limit = _DEFAULT_INVOKE_TIMEOUT if timeout is None else timeout
        return Invoke(step, function_id, text, _until_ms(session, step_id, limit), app_id, v)

    return functools.partial(_begun, session, step_id, Op.INVOKE, effect)


def _begun(
    session: Session, step_id: str, op: Op, effect: Callable[[StepId], StepEffect]
) -> StepRecord:
    step, record = session.begin(step_id, op)
    return record if record is not None else session.journal.record(effect(step))


def ids_of(function: Function) -> tuple[str, str]:
    """A function's app, and its id within that."""
    return function.app_id, function.id.removeprefix(f"{function.app_id}-")


def _until_ms(session: Session, step_id: str, timeout: int | timedelta) -> int:
    limit_ms = duration_ms(timeout)
    if limit_ms > MAX_WAIT_MS:
        raise StepUsageError(f"step {step_id!r} waits for more than 366 days")
    return session.journal.now_ms() + limit_ms


def duration_ms(duration: int | timedelta) -> int:
    """A duration in ms."""
    if isinstance(duration, timedelta):
        return duration // timedelta(milliseconds=1)
    return duration


def moment_ms(moment: int | datetime) -> int:
    """A moment in UTC ms; a naive datetime is UTC."""
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
