"""What a function's `ctx.step` offers, for `def` (`StepSync`) and for `async def` (`Step`)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, TypeVarTuple, overload

from tidegate.event_model import Event, EventModel, Sendable, plain_events
from tidegate.session import Session, StepCall, current, is_inside_step
from tidegate.step_request import (
    awaited,
    duration_ms,
    event_of,
    ids_of,
    invoked,
    moment_ms,
    slept,
)

if TYPE_CHECKING:
    from tidegate.function import Function

P = ParamSpec("P")
T = TypeVar("T")
ModelT = TypeVar("ModelT", bound=EventModel)
Ts = TypeVarTuple("Ts")


class StepSync:
    """The steps of a function written with `def`; each is done once, however often it is called.

    A step's id should be unique within its function. Where it is used again, as in a loop, the
    uses are told apart by count.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *handler_args: *Ts,
        output_type: Any = None,
    ) -> T:
        """What a handler returns; it is called until it succeeds once, and remembered from then on.

        Args:
            step_id: the step's id.
            handler: what to do; it has attempts of its own, as many as the function.
            handler_args: what to call it with.
            output_type: what its output becomes; without it, plain JSON data.

        Raises:
            StepError: it failed for good.
            OutputError: JSON cannot hold what it returned.
        """
        done = self._session.start(step_id, handler, handler_args)
        record = self._session.execute(done) if isinstance(done, StepCall) else done
        return self._session.typed(self._session.outcome(record), output_type)  # type: ignore[no-any-return]

    def sleep(self, step_id: str, duration: int | timedelta) -> None:
        """Go on after a while; nothing runs and nothing is paid meanwhile.

        Args:
            step_id: the step's id.
            duration: ms, or a timedelta, up to 366 days.
        """
        self._sleep(step_id, self._session.journal.now_ms() + duration_ms(duration))

    def sleep_until(self, step_id: str, until: int | datetime) -> None:
        """Go on at a time; at once if it is past.

        Args:
            step_id: the step's id.
            until: UTC ms, or a datetime (a naive one is UTC), up to 366 days ahead.
        """
        self._sleep(step_id, moment_ms(until))

    def send_event(self, step_id: str, events: Sendable | Sequence[Sendable]) -> list[str]:
        """Send events from within the function, once.

        Args:
            step_id: the step's id.
            events: one event or several, also as instances of the classes that declare them.

        Returns:
            Their internal ids, in order.

        Raises:
            StepError: an event is not valid, or they could not be sent.
        """
        return self.run(step_id, self._session.sender(plain_events(events), step_id))

    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Event | None: ...
    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: type[ModelT],
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Event[ModelT] | None: ...
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: Any,
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Any:
        """The next event of a name, as soon as it comes; nothing runs meanwhile.

        Events count from 5 seconds before the function comes here; the one that started the run
        never does.

        Args:
            step_id: the step's id.
            event: the event's exact name, or the class that declares it.
            if_exp: a CEL expression that must hold; `event` in it is the one that started the run,
                `async` the one that came in.
            match: the path of a field that must be the same in both, such as `data.userId`.
            timeout: how long to wait, ms or a timedelta, up to 366 days.

        Returns:
            The event, its data of the class if one was given; None when none came in time.

        Raises:
            EventValidationError: its data does not fit the class.
            ConfigurationError: the expression cannot be read.
        """
        begin = awaited(self._session, step_id, event, if_exp, match, timeout)
        return event_of(self._session.outcome(begin()), event)

    def invoke(
        self,
        step_id: str,
        *,
        function: Function,
        data: Mapping[str, Any] | None = None,
        timeout: int | timedelta | None = None,
        v: str | None = None,
    ) -> Any:
        """What another function returns; it starts a run of its own, whatever its triggers are.

        Args:
            step_id: the step's id.
            function: the function.
            data: the data of the event that it is given.
            timeout: how long to wait, ms or a timedelta, up to 366 days; one year by default.
            v: the version of the data's shape.

        Raises:
            InvokeError: it failed; or one of the following, which derive from it.
            InvokeTimeoutError: it did not end in time.
            InvokeCancelledError: its run was cancelled.
            FunctionNotFoundError: it is not deployed here.
        """
        app_id, function_id = ids_of(function)
        return self._invoke(step_id, app_id, function_id, data, timeout, v)

    def invoke_by_id(
        self,
        step_id: str,
        *,
        app_id: str | None = None,
        function_id: str,
        data: Mapping[str, Any] | None = None,
        timeout: int | timedelta | None = None,
        v: str | None = None,
    ) -> Any:
        """As `invoke`, for a function whose code is not at hand.

        Args:
            step_id: the step's id.
            app_id: its app; the app of this function by default.
            function_id: its id within the app.
            data, timeout, v: as for `invoke`.
        """
        return self._invoke(step_id, app_id, function_id, data, timeout, v)

    def _invoke(self, *invocation: Any) -> Any:
        return self._session.outcome(invoked(self._session, *invocation)())

    def _sleep(self, step_id: str, until_ms: int) -> None:
        self._session.outcome(slept(self._session, step_id, until_ms))


class Step:
    """The steps of a function written with `async def`; see `StepSync`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *handler_args: *Ts,
        output_type: Any = None,
    ) -> T: ...
    @overload
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *handler_args: *Ts,
        output_type: Any = None,
    ) -> T: ...
    async def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Any],
        *handler_args: *Ts,
        output_type: Any = None,
    ) -> Any:
        """As `StepSync.run`; the handler may be a coroutine function."""
        done = self._session.start(step_id, handler, handler_args)
        record = await self._session.execute_async(done) if isinstance(done, StepCall) else done
        return self._session.typed(self._session.outcome(record), output_type)

    async def sleep(self, step_id: str, duration: int | timedelta) -> None:
        """As `StepSync.sleep`."""
        await self._sleep(step_id, self._session.journal.now_ms() + duration_ms(duration))

    async def sleep_until(self, step_id: str, until: int | datetime) -> None:
        """As `StepSync.sleep_until`."""
        await self._sleep(step_id, moment_ms(until))

    async def send_event(self, step_id: str, events: Sendable | Sequence[Sendable]) -> list[str]:
        """As `StepSync.send_event`."""
        send = self._session.sender(plain_events(events), step_id)
        return await self.run(step_id, lambda: asyncio.to_thread(send))

    @overload
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Event | None: ...
    @overload
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: type[ModelT],
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Event[ModelT] | None: ...
    async def wait_for_event(
        self,
        step_id: str,
        *,
        event: Any,
        if_exp: str | None = None,
        match: str | None = None,
        timeout: int | timedelta,
    ) -> Any:
        """As `StepSync.wait_for_event`."""
        begin = awaited(self._session, step_id, event, if_exp, match, timeout)
        return event_of(self._session.outcome(await asyncio.to_thread(begin)), event)

    async def invoke(
        self,
        step_id: str,
        *,
        function: Function,
        data: Mapping[str, Any] | None = None,
        timeout: int | timedelta | None = None,
        v: str | None = None,
    ) -> Any:
        """As `StepSync.invoke`."""
        app_id, function_id = ids_of(function)
        return await self._invoke(step_id, app_id, function_id, data, timeout, v)

    async def invoke_by_id(
        self,
        step_id: str,
        *,
        app_id: str | None = None,
        function_id: str,
        data: Mapping[str, Any] | None = None,
        timeout: int | timedelta | None = None,
        v: str | None = None,
    ) -> Any:
        """As `StepSync.invoke_by_id`."""
        return await self._invoke(step_id, app_id, function_id, data, timeout, v)

    async def _invoke(self, *invocation: Any) -> Any:
        begin = invoked(self._session, *invocation)
        return self._session.outcome(await asyncio.to_thread(begin))

    async def _sleep(self, step_id: str, until_ms: int) -> None:
        self._session.outcome(await asyncio.to_thread(slept, self._session, step_id, until_ms))


@overload
def step(step_id: Callable[P, T], *, output_type: Any = None) -> Callable[P, T]: ...
@overload
def step(
    step_id: str | None = None, *, output_type: Any = None
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def step(step_id: str | Callable[P, T] | None = None, *, output_type: Any = None) -> Any:
    """Make a plain function a step wherever a run calls it; elsewhere it stays a plain function.

    Used as `@step`, `@step("id")` or `@step(output_type=…)`; the id is the function's name unless
    one is given. Inside another step it is simply a part of that one. A coroutine function becomes
    a step of functions written with `async def`.
    """
    if callable(step_id):
        return _as_step(step_id, step_id.__name__, output_type)
    return lambda function: _as_step(function, step_id or function.__name__, output_type)


def _as_step(function: Callable[P, Any], name: str, output_type: Any) -> Callable[P, Any]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        session = current.get()
        if session is None or is_inside_step():
            return function(*args, **kwargs)
        handler = functools.partial(function, *args, **kwargs)
        if asyncio.iscoroutinefunction(function):
            return Step(session).run(name, handler, output_type=output_type)
        return StepSync(session).run(name, handler, output_type=output_type)

    return call
