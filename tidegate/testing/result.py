"""What came of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.encoding import decode, encode
from tidegate.errors import TidegateError
from tidegate.event_model import Event
from tidegate.function import Function
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.step import Op, StepRecord, StepState
from tidegate.testing.mocks import step_key
from tidegate.testing.watch import Seen


class RunFailedError(TidegateError):
    """A run that was expected to complete did not; the message ends with the function's stack.

    Args:
        function_id: the function.
        error: what went wrong.
    """

    def __init__(self, function_id: str, error: Failure) -> None:
        stack = f"\n\n{error.stack}" if error.stack else ""
        super().__init__(f"the run of {function_id!r} failed: {error}{stack}")
        self.error = error


@dataclass(frozen=True)
class StepResult:
    """What came of a step.

    Attributes:
        id: its id.
        kind: `run` (also for `@step`), `sleep`, `send_event`, `wait_for_event`, `invoke`, `race`.
        status: `Completed`, `Failed` for good, or `Waiting` when the run ended without it.
        attempts: how often it was tried; what is waited for, once.
        output: what it gave, as plain JSON data: of a wait the event, or None when none came in
            time; None for a sleep.
        error: what it failed with for good, or what the function failed with that it invoked.
        started_at, ended_at: virtual time, UTC; `ended_at` is None while it waits.
    """

    id: str
    kind: str
    status: StepState
    attempts: int
    output: Any
    error: Failure | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        function_id: the function.
        run_id: the run; the same in every execution of the same test.
        event: the event that started it, as the function saw it.
        status: `Completed`, `Failed` or `Cancelled`.
        output: what the function returned, as plain JSON data; None if it did not complete.
        error: what it failed with, or why it was cancelled: `name`, `message`, `stack`; None if it
            completed.
        steps: its steps by id, `id:1`, `id:2` for repeated use, in the function's order.
        attempts: how often the function was tried: once, and once more after each time it raised.
            Steps have attempts of their own.
        calls: how often its code was called; each sleep and each retry of a step brings one more.
        sent: the events that its steps sent, in the function's order.
        started_at, ended_at: virtual time, UTC.
        elapsed: the virtual time from when the first event was sent to the run's end.
        runs: all other runs, in the order in which they began.
    """

    function_id: str
    run_id: str
    event: Event
    status: Status
    output: Any
    error: Failure | None
    steps: Mapping[str, StepResult]
    attempts: int
    calls: int
    sent: tuple[Event, ...]
    started_at: datetime
    ended_at: datetime
    elapsed: timedelta
    runs: tuple[Result, ...] = field(default=(), repr=False)

    @property
    def value(self) -> Any:
        """What the function returned.

        Raises:
            RunFailedError: it did not complete.
        """
        self.raise_for_status()
        return self.output

    def raise_for_status(self) -> None:
        """Raise RunFailedError, with the function's stack, unless the run completed."""
        if self.error is not None:
            raise RunFailedError(self.function_id, self.error)

    def runs_of(self, function: Function | str) -> list[Result]:
        """The other runs of a function, given itself or its id."""
        function_id = function if isinstance(function, str) else function.id
        return [run for run in self.runs if run.function_id == function_id]


def result_of(
    run: Run,
    event: Event,
    output: str | None,
    records: Mapping[str, StepRecord],
    seen: Seen,
    began_ms: int,
) -> Result:
    """The result of a run that has ended.

    Args:
        run: its record.
        event: what started it.
        output: JSON text of its output or failure.
        records: its steps, by hashed id.
        seen: what was seen of it.
        began_ms: when the first event was sent, UTC ms.
    """
    ended_ms = run.ended_ms or run.queued_ms
    has_failed = run.status != Status.COMPLETED
    steps = {
        step_key(step): _step_result(records[step.hashed], kind, ended_ms)
        for step, kind in seen.kinds.items()
        if step.hashed in records
    }
    return Result(
        function_id=run.function_id,
        run_id=run.id,
        event=event,
        status=run.status,
        output=None if has_failed else decode(output or "null"),
        error=failure_of(output) if has_failed else None,
        steps=steps,
        attempts=len(seen.failures) + (run.status != Status.FAILED and seen.calls > 0),
        calls=seen.calls,
        sent=tuple(sent for step in seen.kinds if step in seen.sent for sent in seen.sent[step]),
        started_at=_moment(run.started_ms or run.queued_ms),
        ended_at=_moment(ended_ms),
        elapsed=timedelta(milliseconds=ended_ms - began_ms),
    )


def _step_result(record: StepRecord, kind: str, run_ended_ms: int) -> StepResult:
    status, ended_ms = record.state, record.ended_ms
    if record.op == Op.SLEEP and not record.is_done and (record.due_ms or 0) <= run_ended_ms:
        # That a sleep is over is not recorded: it is known by the time.
        status, ended_ms = StepState.COMPLETED, record.due_ms
    memo = decode(record.memo or "null")
    fields = memo if isinstance(memo, dict) else {}
    error = fields.get("error") if status == StepState.FAILED else None
    return StepResult(
        id=record.step.name,
        kind=kind,
        status=status,
        attempts=record.attempt + (record.is_done or record.op != Op.RUN),
        output=memo if record.op == Op.WAIT_FOR_EVENT else fields.get("data"),
        error=failure_of(encode(error)) if error else None,
        started_at=_moment(record.started_ms),
        ended_at=None if ended_ms is None else _moment(ended_ms),
    )


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
