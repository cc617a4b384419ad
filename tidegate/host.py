"""The host of user code: calls a function and gives back its effect.

The engine knows this interface only, so that a Python function in this process and one behind a
URL are driven alike.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import traceback
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tidegate.context import Context, ContextSync, Step, StepSender, StepSync
from tidegate.effect import Effect, RunComplete, RunError
from tidegate.encoding import encode
from tidegate.errors import CallerError, NonRetriableError, OutputError, RetryAfterError
from tidegate.event import Event
from tidegate.function import Function
from tidegate.ids import Seed
from tidegate.run import Failure, Run

MAX_OUTPUT_BYTES = 4 * 1024 * 1024


class EventSender(Protocol):
    """Sends events on behalf of a run."""

    def __call__(self, env: str, events: Sequence[Event], seed: Seed) -> list[str]:
        """The internal ids of the events, once they are stored and published."""


class Host(Protocol):
    """Where a function's code runs."""

    def call(self, run: Run, event: Event) -> Effect:
        """Run one attempt of the function and give back what it asks for; never raises."""


@dataclass(frozen=True)
class PythonHost:
    """Functions in this process.

    Attributes:
        function: the function.
        send: sends the events of its steps.
    """

    function: Function
    send: EventSender

    def call(self, run: Run, event: Event) -> Effect:
        """Run one attempt of the function."""
        try:
            return RunComplete(self._encoded(self._returned(run, event)))
        # Also what does not derive from Exception: sys.exit() in a function ends its attempt, not
        # the worker that runs other functions beside it.
        except BaseException as error:
            return _error(error, self.function)

    def _returned(self, run: Run, event: Event) -> Any:
        event = self.function.received(event)
        sender = self._step_sender(run)
        shared: dict[str, Any] = {
            "event": event,
            "events": [event],
            "run_id": run.id,
            "attempt": run.attempt,
            "logger": logging.LoggerAdapter(
                logging.getLogger("tidegate.function"),
                {"run_id": run.id, "function_id": run.function_id, "attempt": run.attempt},
            ),
        }
        handler: Any = self.function.handler
        if self.function.is_async:
            return _await(handler(Context(step=Step(sender), **shared)))
        return handler(ContextSync(step=StepSync(sender), **shared))

    def _step_sender(self, run: Run) -> StepSender:
        uses: Counter[str] = Counter()

        def send(step_id: str, events: Sequence[Event]) -> list[str]:
            # Two steps of one id are told apart by count; both ids are the same at every attempt,
            # and so are the ids of the events, which therefore start nothing twice.
            unique = f"{step_id}:{uses[step_id]}" if uses[step_id] else step_id
            uses[step_id] += 1
            seed = Seed.derived(run.started_ms or run.queued_ms, "step", run.id, unique)
            return self.send(run.env, events, seed)

        return send

    def _encoded(self, output: Any) -> str:
        try:
            text = encode(output)
        except (TypeError, ValueError, RecursionError) as error:
            raise OutputError(
                f"function {self.function.id!r} returned what JSON cannot hold: {error}"
            ) from None
        size = len(text.encode())
        if size > MAX_OUTPUT_BYTES:
            raise OutputError(
                f"function {self.function.id!r} returned {size} bytes of JSON; "
                f"at most {MAX_OUTPUT_BYTES} are kept, store the rest elsewhere"
            )
        return text


def _error(error: BaseException, function: Function) -> RunError:
    stack = "".join(traceback.format_exception(error.with_traceback(_user_frames(error, function))))
    return RunError(
        Failure(type(error).__name__, str(error), stack),
        retriable=not isinstance(error, (NonRetriableError, CallerError)),
        retry_after=error if isinstance(error, RetryAfterError) else None,
    )


def _user_frames(error: BaseException, function: Function) -> Any:
    """The traceback from the function on, without the frames of the host above it."""
    code = getattr(function.handler, "__code__", None)
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code is not code:
        frame = frame.tb_next
    return frame or error.__traceback__


def _await(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, run on the process's one event loop.

    One loop for the life of the process, so that what a module keeps (an HTTP client, a database
    pool) is always used on the loop that it is bound to.
    """
    return asyncio.run_coroutine_threadsafe(coroutine, _event_loop()).result()


_loop_lock = threading.Lock()


@functools.cache
def _running_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="functions", daemon=True).start()
    return loop


def _event_loop() -> asyncio.AbstractEventLoop:
    with _loop_lock:
        return _running_loop()
