"""The host of user code: calls a function and gives back its effect.

The engine knows this interface only, so that a Python function in this process and one behind a
URL are driven alike.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.context import Context, ContextSync
from tidegate.effect import RunComplete, RunEffect, RunError, RunSuspended
from tidegate.errors import (
    Abandoned,
    Aborted,
    CallerError,
    Interrupt,
    NonRetriableError,
    RetryAfterError,
    StepError,
)
from tidegate.event_model import Event
from tidegate.function import Function
from tidegate.group import SWALLOWED
from tidegate.journal import Journal
from tidegate.run import Failure, Run
from tidegate.serialise import serialise
from tidegate.session import EventSender, Session, current, failure_from
from tidegate.tracing import RunLogger, current_origin, logged


class Host(Protocol):
    """Where a function's code runs."""

    def call(self, run: Run, event: Event, journal: Journal) -> RunEffect:
        """Call the function, tell the journal of its steps, and give back how the call ended.

        Raises:
            PlatformError: a step could not be recorded.
        """


@dataclass(frozen=True)
class PythonHost:
    """Functions in this process.

    Attributes:
        function: the function.
        send: sends the events of its steps.
        session: makes what tells the steps of one call apart.
    """

    function: Function
    send: EventSender
    session: Callable[[Run, Journal, EventSender], Session] = Session

    def call(self, run: Run, event: Event, journal: Journal) -> RunEffect:
        """Call the function."""
        ids = {"event_id": run.event_id, "run_id": run.id, "function_id": run.function_id}
        with logged(**ids, attempt=run.attempt):
            return self._called(self.session(run, journal, self.send), run, event)

    def _called(self, session: Session, run: Run, event: Event) -> RunEffect:
        token = current.set(session)
        try:
            output = self._returned(session, run, event)
            if session.interrupted:
                return RunError(Failure("SuspendSwallowed", SWALLOWED), retriable=False)
            return RunComplete(serialise(output, f"function {self.function.id!r}"))
        # Also what does not derive from Exception: sys.exit() in a function ends its attempt, not
        # the worker that runs other functions beside it.
        except BaseException as error:
            return self._ended(error, session)
        finally:
            current.reset(token)

    def _returned(self, session: Session, run: Run, event: Event) -> Any:
        event = self.function.received(event)
        given: dict[str, Any] = {
            "event": event,
            "events": [event],
            "run_id": run.id,
            "attempt": run.attempt,
            "logger": RunLogger(logging.getLogger("tidegate.function")),
            "origin": current_origin(),
            "session": session,
        }
        handler: Any = self.function.handler
        if self.function.is_async:
            return _await(handler(Context(**given)))
        return handler(ContextSync(**given))

    def _ended(self, error: BaseException, session: Session) -> RunEffect:
        if isinstance(error, Abandoned):
            raise error.cause
        if isinstance(error, Aborted):
            return RunError(Failure(error.name, error.message), retriable=False)
        if isinstance(error, Interrupt):
            return RunSuspended()
        failure = failure_from(error, getattr(self.function.handler, "__code__", None))
        if session.interrupted:
            message = f"{SWALLOWED}. Then it raised {failure}"
            return RunError(Failure("SuspendSwallowed", message, failure.stack), retriable=False)
        return RunError(
            failure,
            # What a step failed with for good it would fail with again.
            retriable=not isinstance(error, (NonRetriableError, CallerError, StepError)),
            retry_after=error if isinstance(error, RetryAfterError) else None,
        )


def _await(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, run on the process's one event loop.

    One loop for the life of the process, so that what a module keeps (an HTTP client, a database
    pool) is always used on the loop that it is bound to.
    """
    outcome = asyncio.run_coroutine_threadsafe(_outcome(coroutine), _event_loop()).result()
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


@dataclass(frozen=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = None


async def _outcome(coroutine: Coroutine[Any, Any, Any]) -> _Outcome:
    # An exception that is no Exception would end the loop, and with it every other function.
    try:
        return _Outcome(await coroutine)
    except BaseException as error:
        return _Outcome(error=error)


_loop_lock = threading.Lock()


@functools.cache
def _running_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="functions", daemon=True).start()
    return loop


def _event_loop() -> asyncio.AbstractEventLoop:
    with _loop_lock:
        return _running_loop()
