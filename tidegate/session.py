"""One call of a function: tells its steps apart, recalls them, and runs those that are new."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import random
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Any, NoReturn, Protocol

from tidegate.effect import StepEffect, StepErred, StepRan
from tidegate.encoding import decode, encode
from tidegate.errors import (
    BranchPending,
    CallerError,
    Interrupt,
    NonRetriableError,
    RetryAfterError,
    StepError,
    StepUsageError,
    Suspended,
)
from tidegate.event_model import Event
from tidegate.ids import Seed
from tidegate.invocation import invoke_error
from tidegate.journal import Journal
from tidegate.run import Failure, Run
from tidegate.serialise import deserialise, serialise
from tidegate.step import MAX_STEP_ID_LENGTH, Op, StepId, StepIds, StepRecord, StepState
from tidegate.tracing import logged

_MAX_THREADS = 16
_MAX_FAILURE_LENGTH = 16_000

# The step whose handler runs at the moment, and the call of a function that `@step` joins.
_inside_step: contextvars.ContextVar[str | None] = contextvars.ContextVar("step", default=None)
current: contextvars.ContextVar[Session | None] = contextvars.ContextVar("session", default=None)


class EventSender(Protocol):
    """Sends events on behalf of a run."""

    def __call__(self, env: str, events: Sequence[Event], seed: Seed) -> list[str]:
        """The internal ids of the events, once they are stored and published."""


def is_inside_step() -> bool:
    """Whether a step's handler runs at the moment."""
    return _inside_step.get() is not None


@dataclass(frozen=True)
class StepCall:
    """A step that is to run now."""

    step: StepId
    handler: Callable[..., Any]
    args: tuple[Any, ...]


class Session:
    """The steps of one call of a function.

    Args:
        run: the run.
        journal: decides and remembers.
        send: sends the events of its steps.

    Attributes:
        ids: tells the steps apart.
        random: the same numbers at every call.
        planned: the steps that a parallel group is to run beside each other; None outside of one.
        time_ms: when the last step before this point ended; the same at every call, UTC ms.
        interrupted: whether the function was told to stop here.
        branches_pending: how many branches were told to stop so far.
    """

    def __init__(self, run: Run, journal: Journal, send: EventSender) -> None:
        self.run = run
        self.journal = journal
        self.ids = StepIds()
        self.random = random.Random(run.id)
        self.planned: list[StepCall] | None = None
        self.time_ms = run.started_ms or run.queued_ms
        self.interrupted = False
        self.branches_pending = 0
        self._send = send

    # --- what the kinds of steps have in common --------------------------------------------------

    def begin(self, name: str, op: Op) -> tuple[StepId, StepRecord | None]:
        """The next use of a step's name, and what became of it before."""
        if not isinstance(name, str) or not name:
            raise StepUsageError(f"a step's id is a text, not {name!r}")
        if len(name) > MAX_STEP_ID_LENGTH:
            raise StepUsageError(
                f"step {name[:40]!r}…: its id has {len(name)} characters; at most "
                f"{MAX_STEP_ID_LENGTH} are possible"
            )
        outer = _inside_step.get()
        if outer is not None:
            raise StepUsageError(
                f"step {name!r} is used inside step {outer!r}; a step is repeated as a whole, so "
                "call the steps one after the other in the function itself"
            )
        step = self.ids.next(name)
        record = self.journal.recall(step, op)
        if record is None and self.journal.stopped:
            self._suspend()
        return step, record

    def outcome(self, record: StepRecord) -> Any:
        """The value of a step.

        Raises:
            StepError: it failed for good.
            Interrupt: it waits.
        """
        if not record.is_done:
            self.interrupt()
        self.time_ms = max(self.time_ms, record.ended_ms or 0)
        memo = decode(record.memo or "null")
        if record.state == StepState.FAILED:
            error = memo["error"]
            if record.op == Op.INVOKE:
                raise invoke_error(error)
            raise StepError(error["message"], name=error["name"], stack=error.get("stack", ""))
        return memo["data"] if record.op in (Op.RUN, Op.INVOKE) else memo

    def interrupt(self) -> NoReturn:
        """Stop here: the function, or the branch of a parallel group."""
        if self.planned is not None:
            self.branches_pending += 1
            raise BranchPending
        self._suspend()

    def _suspend(self) -> NoReturn:
        self.interrupted = True
        raise Suspended

    # --- steps that run --------------------------------------------------------------------------

    def start(
        self, name: str, handler: Callable[..., Any], args: tuple[Any, ...]
    ) -> StepRecord | StepCall:
        """A step that is done, or one that is to run now.

        Raises:
            Interrupt: it waits for its retry, its group runs it, or the time is nearly up.
        """
        step, record = self.begin(name, Op.RUN)
        if record is not None and (record.is_done or record.due_ms is not None):
            return record
        call = StepCall(step, handler, args)
        if self.planned is not None:
            self.planned.append(call)
            self.interrupt()
        self.check_time()
        return call

    def check_time(self) -> None:
        """Suspend when no new step may begin: another invocation goes on here, or nothing does."""
        if self.journal.stopped or self.journal.must_hand_over():
            self._suspend()

    def typed(self, value: Any, output_type: Any) -> Any:
        """A step's value as the type that the function asked for."""
        return value if output_type is None else deserialise(encode(value), output_type)

    def execute(self, call: StepCall) -> StepRecord:
        """Run a step's handler and record what comes of it."""
        with logged(step=call.step.name):
            return self._executed(call)

    def _executed(self, call: StepCall) -> StepRecord:
        started_ms = self.journal.now_ms()
        token = _inside_step.set(call.step.name)
        try:
            output = serialise(call.handler(*call.args), f"step {call.step.name!r}")
        except BaseException as error:
            return self.journal.record(_erred(call, error, started_ms))
        finally:
            _inside_step.reset(token)
        return self.journal.record(StepRan(call.step, output, started_ms))

    async def execute_async(self, call: StepCall) -> StepRecord:
        """As `execute`, for a handler that may be a coroutine function."""
        with logged(step=call.step.name):
            return await self._executed_async(call)

    async def _executed_async(self, call: StepCall) -> StepRecord:
        started_ms = self.journal.now_ms()
        token = _inside_step.set(call.step.name)
        effect: StepEffect
        try:
            output = call.handler(*call.args)
            if inspect.isawaitable(output):
                output = await output
            effect = StepRan(call.step, serialise(output, f"step {call.step.name!r}"), started_ms)
        except BaseException as error:
            effect = _erred(call, error, started_ms)
        finally:
            _inside_step.reset(token)
        return await asyncio.to_thread(self.journal.record, effect)

    def execute_all(self, calls: Sequence[StepCall]) -> list[StepRecord]:
        """Run several steps beside each other, in threads."""
        if len(calls) == 1:
            return [self.execute(calls[0])]
        with ThreadPoolExecutor(min(len(calls), _MAX_THREADS), "step") as threads:
            futures = [
                threads.submit(contextvars.copy_context().run, self.execute, call) for call in calls
            ]
        return [future.result() for future in futures]

    async def execute_all_async(self, calls: Sequence[StepCall]) -> list[StepRecord]:
        """Run several steps beside each other, as tasks."""
        done = await asyncio.gather(
            *(self.execute_async(call) for call in calls), return_exceptions=True
        )
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return [result for result in done if isinstance(result, StepRecord)]

    def sender(self, events: Sequence[Event], name: str) -> Callable[[], list[str]]:
        """What sends the events of a step; the ids are the same however often it is repeated."""
        step = self.ids.peek(name)
        seed = Seed.derived(self.run.started_ms or 0, "step", self.run.id, step.hashed)
        return lambda: self._send(self.run.env, events, seed)


def _erred(call: StepCall, error: BaseException, started_ms: int) -> StepErred:
    if isinstance(error, Interrupt):
        raise error
    return StepErred(
        call.step,
        failure_from(error, getattr(call.handler, "__code__", None)),
        started_ms,
        retriable=not isinstance(error, (NonRetriableError, CallerError)),
        retry_after=error if isinstance(error, RetryAfterError) else None,
    )


def failure_from(error: BaseException, code: CodeType | None) -> Failure:
    """What an exception says, its traceback beginning at the user's own code.

    Long texts are cut, since a failure is stored in the run's record; what cannot be stored (lone
    surrogates, as in file names that are no UTF-8) is replaced.
    """
    shown = error.with_traceback(_from(error.__traceback__, code))
    try:
        message = str(error)
    except Exception as fault:
        message = f"(its message cannot be had: {type(fault).__name__})"
    stack = "".join(traceback.format_exception(shown))
    return Failure(type(error).__name__, _storable(message), _storable(stack))


def _storable(text: str) -> str:
    text = text.encode(errors="replace").decode()
    if len(text) <= _MAX_FAILURE_LENGTH:
        return text
    half = _MAX_FAILURE_LENGTH // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _from(frames: TracebackType | None, code: CodeType | None) -> TracebackType | None:
    frame = frames
    while frame is not None and frame.tb_frame.f_code is not code:
        frame = frame.tb_next
    return frame or frames
