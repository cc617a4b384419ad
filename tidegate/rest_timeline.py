"""A run's timeline in the REST API: what it did and what it waited for, as spans of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from tidegate.attempt import Attempt
from tidegate.event_store import EventStore
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_operation import Ulid, operation
from tidegate.rest_runs import ErrorObject, asked_run
from tidegate.rest_steps import attempts_of, error_object, error_of, in_order
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.run_store import RunStore
from tidegate.step import Op, StepRecord, StepState
from tidegate.step_store import StepStore

Kind = Literal["queue", "attempt", "step", "sleep", "wait", "invoke"]
SpanStatus = Literal["Running", "Completed", "Failed", "Waiting", "Cancelled"]

_KINDS: dict[Op, Kind] = {
    Op.RUN: "step",
    Op.SLEEP: "sleep",
    Op.WAIT_FOR_EVENT: "wait",
    Op.INVOKE: "invoke",
}


class SpanObject(TypedDict):
    """Something that took time.

    Attributes:
        kind: what it is; `queue` is the time from the event's receipt to the first attempt,
            `attempt` an attempt of the function, `step` one of a step.
        name: the event's name, the function's id or the step's name.
        ended_at: null while it goes on.
    """

    kind: Kind
    name: str
    step_id: NotRequired[str]
    attempt: NotRequired[int]
    started_at: Time
    ended_at: Time | None
    status: SpanStatus
    error: NotRequired[ErrorObject]


TimelineObject = TypedDict(
    "TimelineObject",
    {"run_id": Ulid, "status": Status, "from": Time, "until": Time, "spans": list[SpanObject]},
)


@dataclass(frozen=True)
class _Span:
    """A span, with its times in UTC ms."""

    kind: Kind
    name: str
    started_ms: int
    ended_ms: int | None
    status: SpanStatus
    step_id: str = ""
    attempt: int | None = None
    error: ErrorObject | None = None

    def shown(self) -> SpanObject:
        shown: SpanObject = {
            "kind": self.kind,
            "name": self.name,
            "started_at": rfc3339(self.started_ms),
            "ended_at": None if self.ended_ms is None else rfc3339(self.ended_ms),
            "status": self.status,
        }
        if self.step_id:
            shown["step_id"] = self.step_id
        if self.attempt is not None:
            shown["attempt"] = self.attempt
        if self.error is not None:
            shown["error"] = self.error
        return shown


@dataclass(frozen=True)
class TimelineEndpoints:
    """What can be asked about where a run's time went.

    Attributes:
        runs: the runs.
        steps: their steps.
        events: the events that started them.
    """

    runs: RunStore
    steps: StepStore
    events: EventStore

    @operation("GET", "/v1/runs/<run_id>/timeline", TimelineObject, tag="Runs")
    def get_timeline(self, call: Call) -> Result:
        """The spans of a run, in the order in which they began."""
        run = asked_run(self.runs, call)
        records = in_order(self.steps.heads(run), run, call.now_ms)
        steps = list(_steps(run, records, call.now_ms))
        spans = [self._queue(run, call.now_ms), *_attempts(run, records, steps), *steps]
        spans.sort(key=lambda span: span.started_ms)
        last_ms = max(span.ended_ms or 0 for span in spans)
        timeline: TimelineObject = {
            "run_id": run.id,
            "status": run.status,
            "from": rfc3339(spans[0].started_ms),
            "until": rfc3339(max(run.ended_ms or call.now_ms, last_ms)),
            "spans": [span.shown() for span in spans],
        }
        return Result(timeline)

    def _queue(self, run: Run, now_ms: int) -> _Span:
        """The time until the first attempt; a rerun's begins when it was asked for."""
        item = None if run.rerun else self.events.item(run.env, run.event_id, now_ms)
        since_ms = int(item["received_ms"]["N"]) if item else run.queued_ms
        name = item["name"]["S"] if item else run.event_name
        if run.rerun is not None:
            since_ms = run.rerun.asked_ms
        status: SpanStatus = "Completed"
        if run.started_ms is None:
            status = _closed(run) if run.has_ended else "Waiting"
        until_ms = run.started_ms or run.ended_ms
        return _Span("queue", name, since_ms, until_ms, status)


def _closed(run: Run) -> SpanStatus:
    """What becomes of that which goes on when a run ends."""
    return "Failed" if run.status == Status.FAILED else "Cancelled"


def _attempts(run: Run, records: Sequence[StepRecord], steps: Iterable[_Span]) -> Iterator[_Span]:
    """The attempts of the function, as far as they are not told by its steps."""
    for attempt in run.attempts:
        yield _ended("attempt", run.function_id, attempt)
    began_ms = run.leased_ms or run.started_ms
    if began_ms is None or run.started_ms is None:
        return
    if not run.has_ended:
        if run.lease and not any(span.status == "Running" for span in steps):
            yield _Span("attempt", run.function_id, began_ms, None, "Running", attempt=run.attempt)
    elif not run.attempts and (not records or _failed_outside(run, records)):
        has_failed = run.status != Status.COMPLETED
        yield _Span(
            "attempt",
            run.function_id,
            began_ms,
            run.ended_ms,
            _closed(run) if has_failed else "Completed",
            attempt=run.attempt,
            error=_brief(failure_of(run.output)) if has_failed else None,
        )


def _failed_outside(run: Run, records: Iterable[StepRecord]) -> bool:
    """Whether a run failed, and none of its steps."""
    has_failed = any(record.state == StepState.FAILED for record in records)
    return run.status == Status.FAILED and not has_failed


def _brief(failure: Failure) -> ErrorObject:
    """A failure as those of attempts are shown."""
    return error_object(Attempt.of(0, 0, 0, failure))


def _ended(kind: Kind, name: str, attempt: Attempt, step_id: str = "") -> _Span:
    has_failed = bool(attempt.error_name)
    return _Span(
        kind,
        name,
        attempt.started_ms,
        attempt.ended_ms,
        "Failed" if has_failed else "Completed",
        step_id,
        attempt.number,
        error_object(attempt) if has_failed else None,
    )


def _steps(run: Run, records: Iterable[StepRecord], now_ms: int) -> Iterator[_Span]:
    for record in records:
        if record.op == Op.RUN:
            yield from _tries(run, record, now_ms)
        else:
            yield _wait(run, record)


def _tries(run: Run, record: StepRecord, now_ms: int) -> Iterator[_Span]:
    """The attempts of a step, the one included that goes on."""
    step_id, name = record.step.hashed, record.step.name
    for attempt in attempts_of(record):
        yield _ended("step", name, attempt, step_id)
    due_ms = record.due_ms or 0
    if not record.is_done and run.lease and not run.has_ended and due_ms <= now_ms:
        since_ms = max(due_ms, run.leased_ms or 0)
        yield _Span("step", name, since_ms, None, "Running", step_id, record.attempt)


def _wait(run: Run, record: StepRecord) -> _Span:
    """The time for which a step waits."""
    ended_ms, failure = record.ended_ms, error_of(record)
    status: SpanStatus = record.state.value
    if not record.is_done and run.has_ended:
        ended_ms, status = run.ended_ms, "Cancelled"
    return _Span(
        _KINDS[record.op],
        record.step.name,
        record.started_ms,
        ended_ms,
        status,
        record.step.hashed,
        error=None if failure is None else _brief(failure),
    )
