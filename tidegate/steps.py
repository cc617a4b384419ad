"""What a function's `ctx.step` offers, for `def` (`StepSync`) and for `async def` (`Step`)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, overload

from tidegate.effect import Sleep
from tidegate.errors import StepUsageError
from tidegate.event_model import Sendable, plain_events
from tidegate.session import Session, StepCall, current, is_inside_step
from tidegate.step import MAX_WAIT_MS, Op, StepRecord

P = ParamSpec("P")
T = TypeVar("T")
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
        self._sleep(step_id, self._session.journal.now_ms() + _ms(duration))

    def sleep_until(self, step_id: str, until: int | datetime) -> None:
        """Go on at a time; at once if it is past.

        Args:
            step_id: the step's id.
            until: UTC ms, or a datetime (a naive one is UTC), up to 366 days ahead.
        """
        self._sleep(step_id, _moment_ms(until))

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

    def _sleep(self, step_id: str, until_ms: int) -> None:
        self._session.outcome(_slept(self._session, step_id, until_ms))


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
        await self._sleep(step_id, self._session.journal.now_ms() + _ms(duration))

    async def sleep_until(self, step_id: str, until: int | datetime) -> None:
        """As `StepSync.sleep_until`."""
        await self._sleep(step_id, _moment_ms(until))

    async def send_event(self, step_id: str, events: Sendable | Sequence[Sendable]) -> list[str]:
        """As `StepSync.send_event`."""
        send = self._session.sender(plain_events(events), step_id)
        return await self.run(step_id, lambda: asyncio.to_thread(send))

    async def _sleep(self, step_id: str, until_ms: int) -> None:
        self._session.outcome(await asyncio.to_thread(_slept, self._session, step_id, until_ms))


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


def _slept(session: Session, step_id: str, until_ms: int) -> StepRecord:
    step, record = session.begin(step_id, Op.SLEEP)
    if record is not None:
        return record
    if until_ms - session.journal.now_ms() > MAX_WAIT_MS:
        raise StepUsageError(f"step {step_id!r} sleeps for more than 366 days")
    return session.journal.record(Sleep(step, until_ms))


def _ms(duration: int | timedelta) -> int:
    if isinstance(duration, timedelta):
        return duration // timedelta(milliseconds=1)
    return duration


def _moment_ms(moment: int | datetime) -> int:
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
