"""Functions: plain Python, registered with what starts them and how they are retried."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tidegate.annotation import annotation_fault
from tidegate.cancel import MAX_CANCELS, NO_TIMEOUTS, Cancel, Timeouts
from tidegate.context import Context, ContextSync
from tidegate.cron import TriggerCron
from tidegate.errors import ConfigurationError
from tidegate.event_model import Event, received
from tidegate.function_manifest import MAX_RETRIES as MAX_RETRIES
from tidegate.step import DEFAULT_MAX_STEPS, MAX_MAX_STEPS
from tidegate.trigger import TriggerEvent

DEFAULT_RETRIES = 4
MAX_TRIGGERS = 10

_TRIGGERS = "TriggerEvent(event='…') or TriggerCron(cron='…')"

T = TypeVar("T")
# A function whose event's data is a T.
HandlerOf = Callable[[ContextSync[T]], Any] | Callable[[Context[T]], Awaitable[Any]]
Handler = HandlerOf[Any]

# It becomes part of resource names and of URLs.
MAX_ID_LENGTH = 128
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_ID_LENGTH - 1}}}\Z")

# What announces that a run has failed for good; see system_event.py.
FAILED = "inngest/function.failed"
FAILURE_SUFFIX = "-failure"


@dataclass(frozen=True)
class Function:
    """A registered function.

    Attributes:
        id: `<app_id>-<fn_id>`, unique among all functions that are deployed together.
        app_id: the client's app.
        name: what people read.
        triggers: the events that start it; one event starts it once, however many match.
        crons: the times that start it; one time starts it once, however many name it.
        retries: how often it is tried again after its first failure, 0 to 20.
        max_steps: how many steps a run may have.
        cancel: the events that cancel its runs.
        timeouts: after how long they are cancelled.
        handler: the function itself.
        module: the module that registers it when imported.
        source: file and line of the handler, for messages.
        idempotency: an expression that gives an event's key; for 24 hours one event of a key
            starts a run.
        on_failure: the function that is started when a run of this one has failed for good.
        is_removed: whether it stands for a function that is gone: its runs are ended.
    """

    id: str
    app_id: str
    name: str
    triggers: tuple[TriggerEvent[Any], ...]
    crons: tuple[TriggerCron, ...]
    retries: int
    max_steps: int
    handler: Handler
    module: str
    source: str
    cancel: tuple[Cancel, ...] = ()
    timeouts: Timeouts = NO_TIMEOUTS
    idempotency: str | None = None
    on_failure: Function | None = None
    is_removed: bool = False

    @property
    def is_async(self) -> bool:
        """Whether the handler is a coroutine function."""
        return inspect.iscoroutinefunction(self.handler)

    @property
    def max_attempts(self) -> int:
        """How often it runs at the most: the first time and the retries."""
        return self.retries + 1

    def received(self, event: Event) -> Event[Any]:
        """The event as the handler takes it: its data of the class that a trigger names.

        Raises:
            EventValidationError: the data does not fit the class.
        """
        models = [t.model for t in self.triggers if t.model is not None and t.event == event.name]
        return received(event, models[0]) if models else event


def make_function(
    handler: Handler,
    *,
    app_id: str,
    fn_id: str,
    trigger: TriggerEvent[Any] | TriggerCron | Sequence[TriggerEvent[Any] | TriggerCron],
    name: str | None,
    retries: int | None,
    max_steps: int = DEFAULT_MAX_STEPS,
    cancel: Sequence[Cancel] = (),
    timeouts: Timeouts | None = None,
    idempotency: str | None = None,
    on_failure: HandlerOf[dict[str, Any]] | None = None,
) -> Function:
    """A function, checked; `Client.create_function` has the meaning of the arguments.

    Raises:
        ConfigurationError: with the file and line of the handler and what to change.
    """
    source = _source(handler)
    triggers: tuple[Any, ...] = (trigger,)
    if isinstance(trigger, Sequence) and not isinstance(trigger, str):
        triggers = tuple(trigger)
    tries = DEFAULT_RETRIES if retries is None else retries
    fault = (
        _fault(handler, fn_id, triggers, tries)
        or _steps_fault(max_steps)
        or _cancel_fault(cancel, timeouts)
        or _idempotency_fault(idempotency)
    )
    if fault:
        raise ConfigurationError(f"{source}: function {fn_id!r}: {fault}")
    function = Function(
        id=f"{app_id}-{fn_id}",
        app_id=app_id,
        name=name or fn_id,
        triggers=tuple(t for t in triggers if isinstance(t, TriggerEvent)),
        crons=tuple(t for t in triggers if isinstance(t, TriggerCron)),
        retries=tries,
        max_steps=max_steps,
        handler=handler,
        module=handler.__module__,
        source=source,
        cancel=tuple(cancel or ()),
        timeouts=timeouts or NO_TIMEOUTS,
        idempotency=idempotency,
    )
    if on_failure is None:
        return function
    return replace(function, on_failure=_failure_function(on_failure, function, fn_id))


def removed_function(function_id: str, app_id: str) -> Function:
    """What stands for a function that is gone from the code, and ends what it has left behind.

    Args:
        function_id: its id.
        app_id: the app that it was of.
    """

    def handler(_: ContextSync) -> None:
        raise AssertionError(f"function {function_id!r} was removed")

    return Function(
        id=function_id,
        app_id=app_id,
        name=function_id,
        triggers=(),
        crons=(),
        retries=DEFAULT_RETRIES,
        max_steps=DEFAULT_MAX_STEPS,
        handler=handler,
        module="",
        source=f"{function_id} (removed)",
        is_removed=True,
    )


def _failure_function(handler: Any, function: Function, fn_id: str) -> Function:
    """The function that `on_failure` of another one makes, as the official SDKs make it.

    Raises:
        ConfigurationError: the handler cannot be one, or the id becomes too long.
    """
    failure_id = fn_id + FAILURE_SUFFIX
    fault = None
    if not callable(handler):
        fault = f"on_failure={handler!r} is no function; write def on_failure(ctx)"
    elif len(failure_id) > MAX_ID_LENGTH:
        most = MAX_ID_LENGTH - len(FAILURE_SUFFIX)
        fault = (
            f"on_failure makes a function {failure_id!r}, whose id is too long; "
            f"use at most {most} characters"
        )
    elif not _takes_context(handler):
        fault = "on_failure must take one argument, the context: def on_failure(ctx)"
    else:
        wrong = annotation_fault(handler, [None], can_have_class=False)
        fault = f"on_failure: {wrong}" if wrong else None
    if fault:
        raise ConfigurationError(f"{function.source}: function {fn_id!r}: {fault}")
    expression = f"event.data.function_id == '{function.id}'"
    return Function(
        id=function.id + FAILURE_SUFFIX,
        app_id=function.app_id,
        name=f"{function.name} (failure)",
        triggers=(TriggerEvent(event=FAILED, expression=expression),),
        crons=(),
        retries=DEFAULT_RETRIES,
        max_steps=DEFAULT_MAX_STEPS,
        handler=handler,
        # The handler may come from elsewhere; it is registered where its function is.
        module=function.module,
        source=f"{_source(handler)} (on_failure of {fn_id!r})",
    )


def _takes_context(handler: Handler) -> bool:
    try:
        inspect.signature(handler).bind(object())
    except TypeError:
        return False
    return True


def _fault(handler: Handler, fn_id: str, triggers: tuple[Any, ...], retries: Any) -> str | None:
    if not isinstance(fn_id, str) or not _ID.match(fn_id):
        return "fn_id takes letters, digits, '-', '_' and '.', at most 128"
    if len(triggers) > MAX_TRIGGERS:
        return f"it has {len(triggers)} triggers; at most {MAX_TRIGGERS} are possible"
    for trigger in triggers:
        if isinstance(trigger, TriggerCron):
            fault = trigger.fault()
            if fault:
                return fault
        elif not isinstance(trigger, TriggerEvent):
            return f"{trigger!r} is no trigger; use {_TRIGGERS}"
    if len({t.cron if isinstance(t, TriggerCron) else t for t in triggers}) != len(triggers):
        return "a trigger is listed twice"
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MAX_RETRIES:
        return f"retries={retries!r} is not a number from 0 to {MAX_RETRIES}"
    if not _takes_context(handler):
        return "it must take one argument, the context: def f(ctx)"
    # The event of a cron has a dict for data.
    models = [t.model if isinstance(t, TriggerEvent) else None for t in triggers]
    return annotation_fault(handler, models)


def _steps_fault(max_steps: Any) -> str | None:
    if isinstance(max_steps, bool) or not isinstance(max_steps, int):
        return f"max_steps={max_steps!r} is no number"
    if not 1 <= max_steps <= MAX_MAX_STEPS:
        return f"max_steps={max_steps} is not between 1 and {MAX_MAX_STEPS}"
    return None


def _cancel_fault(cancel: Any, timeouts: Any) -> str | None:
    cancels = cancel or ()
    if not isinstance(cancels, list | tuple) or not all(isinstance(c, Cancel) for c in cancels):
        return f"cancel={cancel!r} is no list of Cancel(event='…')"
    if len(cancels) > MAX_CANCELS:
        return f"it has {len(cancels)} events that cancel it; at most {MAX_CANCELS} are possible"
    if not isinstance(timeouts, Timeouts | None):
        return f"timeouts={timeouts!r} is no Timeouts(start=…, finish=…)"
    return None


def _idempotency_fault(expression: Any) -> str | None:
    # It is read, as the triggers' expressions are, when the manifest is made.
    if expression is None or (isinstance(expression, str) and expression.strip()):
        return None
    return f"idempotency={expression!r} is no expression; write it as 'event.data.orderId'"


def check_app_id(app_id: str) -> None:
    """Raise ConfigurationError unless the text can be an app's id."""
    if not _ID.match(app_id):
        raise ConfigurationError(
            f"app_id={app_id!r}: use letters, digits, '-', '_' and '.', at most 128"
        )


def _source(handler: Handler) -> str:
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is None:
        return getattr(handler, "__module__", repr(handler))
    return f"{code.co_filename}:{code.co_firstlineno}"
