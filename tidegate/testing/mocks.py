"""Mocks: what takes the place of steps, by their ids."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tidegate.effect import Invoke, WaitForEvent
from tidegate.encoding import decode
from tidegate.errors import (
    CallerError,
    ConfigurationError,
    FunctionNotFoundError,
    InvokeCancelledError,
    InvokeError,
    InvokeTimeoutError,
    OutputError,
)
from tidegate.event import AcceptedEvent, check_events
from tidegate.event_model import Event, EventModel, plain_events
from tidegate.ids import Seed
from tidegate.invocation import failure_memo
from tidegate.run import Failure, Run
from tidegate.serialise import serialise
from tidegate.session import failure_from
from tidegate.step import Op, StepId, StepRecord, StepState, data_memo
from tidegate.wait import Condition
from tidegate.waiting import Waiting

_INVOKE_KINDS = {
    InvokeTimeoutError: "timeout",
    InvokeCancelledError: "cancelled",
    FunctionNotFoundError: "unknown",
}


def step_key(step: StepId) -> str:
    """What a result and mocks call a step: its id, and `id:1`, `id:2` where it is used again."""
    return f"{step.name}:{step.index}" if step.index else step.name


@dataclass(frozen=True)
class Mock:
    """What takes the place of a step.

    Attributes:
        value: what the test gave for its id.
    """

    value: Any

    @property
    def error(self) -> BaseException | None:
        """The exception that it stands for, if it is one, or the class of one."""
        if isinstance(self.value, BaseException):
            return self.value.with_traceback(None)
        if not isinstance(self.value, type) or not issubclass(self.value, BaseException):
            return None
        if issubclass(self.value, InvokeError):
            return self.value(self.value.__doc__ or "")
        return self.value()

    def result(self, *args: Any, **options: Any) -> Any:
        """What it gives; what it raises is raised."""
        if self.error is not None:
            raise self.error
        return self.value(*args, **options) if callable(self.value) else self.value


class Mocks:
    """The steps that are replaced.

    Args:
        values: by id, what a step gives, a callable that takes its place, or what it raises.

    Attributes:
        fault: what is wrong with a mock that turned out to be none for its kind of step.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.fault: ConfigurationError | None = None
        self._values = dict(values)
        self._unused = dict.fromkeys(values)

    @property
    def unused(self) -> list[str]:
        """The ids of which no step ran."""
        return list(self._unused)

    def of(self, step: StepId) -> Mock | None:
        """The mock of a step, if it has one."""
        key = step_key(step)
        if key not in self._values:
            key = step.name
        if key not in self._values:
            return None
        self._unused.pop(key, None)
        return Mock(self._values[key])

    def in_place_of(self, step: StepId, handler: Callable[..., Any]) -> Callable[..., Any]:
        """What is to run for a step: its mock, or its own handler."""
        mock = self.of(step)
        if mock is None:
            return handler
        if isinstance(handler, functools.partial):
            return functools.partial(mock.result, *handler.args, **handler.keywords)
        return mock.result

    def refuse(self, step: StepId, fault: str) -> NoReturn:
        """Stop the test: the mock of a step is none that it can have."""
        self.fault = ConfigurationError(f"the mock of step {step_key(step)!r}: {fault}")
        raise self.fault


@dataclass(frozen=True)
class MockedWaiting(Waiting):
    """Waits and invocations, those that are mocked done at once.

    What is done at once is recorded before the journal records that it waits: the first output
    wins, so that the function goes on.

    Attributes:
        mocks: the steps that are replaced.
    """

    mocks: Mocks

    def listen(self, run: Run, event: AcceptedEvent, effect: WaitForEvent, now_ms: int) -> None:
        """As of any; the event may be a mock."""
        mock = self.mocks.of(effect.step)
        if mock is None:
            super().listen(run, event, effect, now_ms)
            return
        # An expression that cannot be read fails the run all the same.
        Condition.of(effect.if_exp, effect.match, decode(event.body))
        came = self._event(mock, run, effect, now_ms)
        if came is not None:
            self._complete(run, effect, now_ms, Op.WAIT_FOR_EVENT, came.body)

    def invoke(self, run: Run, event: AcceptedEvent, effect: Invoke, now_ms: int) -> str | None:
        """As of any; the function may be a mock, and then need not be there."""
        mock = self.mocks.of(effect.step)
        if mock is None:
            return super().invoke(run, event, effect, now_ms)
        try:
            result = mock.result(decode(effect.data))
        except Exception as error:
            return _memo_of(error, mock)
        try:
            output = serialise(result, "it")
        except OutputError as error:
            self.mocks.refuse(effect.step, str(error))
        self._complete(run, effect, now_ms, Op.INVOKE, data_memo(output))
        return None

    def _event(
        self, mock: Mock, run: Run, effect: WaitForEvent, now_ms: int
    ) -> AcceptedEvent | None:
        """The event that a mock gives, as if it were sent now; None when nobody sends one."""
        step, wanted = effect.step, f"Event(name={effect.event_name!r}) or None"
        try:
            given = mock.result()
        except Exception as error:
            self.mocks.refuse(
                step, f"it raised {error!r}; a wait raises nothing, it gives {wanted}"
            )
        if given is None:
            return None
        if not isinstance(given, Event | EventModel):
            self.mocks.refuse(step, f"{given!r} is no event; a wait gives {wanted}")
        try:
            [checked] = check_events([one.model_dump() for one in plain_events(given)])
        except CallerError as error:
            self.mocks.refuse(step, str(error))
        if checked.incoming.name != effect.event_name:
            name = checked.incoming.name
            self.mocks.refuse(step, f"its event is called {name!r}; the wait gives {wanted}")
        seed = Seed.derived(now_ms, "mock", run.id, step.hashed)
        return checked.accept(seed.ulid(1), run.env, now_ms)

    def _complete(
        self, run: Run, effect: WaitForEvent | Invoke, now_ms: int, op: Op, memo: str
    ) -> None:
        record = StepRecord(
            effect.step, op, StepState.COMPLETED, started_ms=now_ms, ended_ms=now_ms, memo=memo
        )
        self.waker.steps.put(run, record)


def _memo_of(error: Exception, mock: Mock) -> str:
    """The memo of a step whose function failed with an error, or could not be invoked."""
    if not isinstance(error, InvokeError):
        return failure_memo(failure_from(error, getattr(mock.value, "__code__", None)))
    failure = Failure(error.name, error.message, error.stack)
    kinds = (kind for raised, kind in _INVOKE_KINDS.items() if isinstance(error, raised))
    return failure_memo(failure, next(kinds, ""))
