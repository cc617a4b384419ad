"""Steps in the REST API: what a run's steps gave, and how each of their attempts went."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from tidegate.attempt import Attempt, Attempts
from tidegate.aws import concurrently
from tidegate.batch import chunks
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError, RequestError
from tidegate.rest_call import FETCHED_AT_ONCE, MAX_LIST_BYTES, Call, Result, Time, rfc3339
from tidegate.rest_operation import operation
from tidegate.rest_runs import ErrorObject, asked_run
from tidegate.run import Failure, Run
from tidegate.run_store import RunStore
from tidegate.step import Op, StepRecord, StepState
from tidegate.step_store import StepStore

OpName = Literal["run", "sleep", "wait_for_event", "invoke"]
OP_NAMES: dict[Op, OpName] = {
    Op.RUN: "run",
    Op.SLEEP: "sleep",
    Op.WAIT_FOR_EVENT: "wait_for_event",
    Op.INVOKE: "invoke",
}

_SINGLY = "GET /v1/runs/<run_id>/steps/<step_id>"


class AttemptObject(TypedDict):
    """One attempt of a step that has ended, and why it failed, if it did."""

    attempt: int
    started_at: Time
    ended_at: Time
    error: NotRequired[ErrorObject]


class StepObject(TypedDict):
    """A step of a run.

    Attributes:
        step_id: what it is known by: a hash of its name and index.
        index: 0 for the first use of the name in the run, 1 for the second, and so on.
        attempt: the attempt that is due or was the last; 0 is the first.
        due_at: while it waits, when its next attempt is due, or when it is over.
        event_name: the name of the event that it waits for, if it waits for one.
        note: why the output is not there.
    """

    step_id: str
    index: int
    name: str
    op: OpName
    status: Literal["Waiting", "Completed", "Failed"]
    attempt: int
    started_at: Time
    ended_at: Time | None
    due_at: Time | None
    event_name: NotRequired[str]
    output: NotRequired[Any]
    error: NotRequired[ErrorObject]
    note: NotRequired[str]
    attempts: list[AttemptObject]


@dataclass(frozen=True)
class StepEndpoints:
    """What can be asked about a run's steps.

    Attributes:
        runs: the runs.
        steps: their steps.
    """

    runs: RunStore
    steps: StepStore

    @operation("GET", "/v1/runs/<run_id>/steps", list[StepObject], tag="Runs")
    def list_steps(self, call: Call) -> Result:
        """The steps of a run, in the order in which they began."""
        run = asked_run(self.runs, call)
        shown: list[StepObject] = []
        total = 0
        for chunk in chunks(in_order(self.steps.heads(run), run, call.now_ms), FETCHED_AT_ONCE):
            is_full = total > MAX_LIST_BYTES
            found = chunk if is_full else concurrently(self._with_memo, chunk)
            for record in found:
                total += len(record.memo or "")
                fits = not record.is_done or (not is_full and total <= MAX_LIST_BYTES)
                note = None if fits else f"the steps give too much for a list; {_SINGLY}"
                shown.append(_object(record, note))
        return Result(shown)

    @operation("GET", "/v1/runs/<run_id>/steps/<step_id>", StepObject, tag="Runs")
    def get_step(self, call: Call) -> Result:
        """One step of a run."""
        run = asked_run(self.runs, call)
        records = {r.step.hashed: r for r in in_order(self.steps.heads(run), run, call.now_ms)}
        record = records.get(call.path["step_id"].lower())
        if record is None:
            raise RequestError(404, "Step not found; see the step_id of the run's steps")
        return Result(_object(self._with_memo(record), None))

    def _with_memo(self, record: StepRecord) -> StepRecord:
        try:
            return self.steps.with_memo(record)
        except DeadLetterError:
            return record


def in_order(records: dict[str, StepRecord], run: Run, now_ms: int) -> list[StepRecord]:
    """The steps of a run, in the order in which they began, as they stand now."""
    now_ms = run.ended_ms or now_ms
    settled = [_as_of(record, now_ms) for record in records.values()]
    return sorted(
        settled, key=lambda r: (r.started_ms, r.ended_ms or now_ms, r.step.name, r.step.index)
    )


def attempts_of(record: StepRecord) -> Attempts:
    """The attempts of a step that have ended; of many, the last ones."""
    if record.op != Op.RUN or record.attempts or record.attempt or record.ended_ms is None:
        return record.attempts
    failure = error_of(record)
    return (Attempt.of(0, record.started_ms, record.ended_ms, failure),)


def error_of(record: StepRecord) -> Failure | None:
    """Why a step failed for good, if it did, as far as its record alone tells."""
    if record.state != StepState.FAILED or record.memo is None:
        return None
    error = decode(record.memo)["error"]
    return Failure(error["name"], error["message"], error.get("stack", ""))


def error_object(error: Attempt) -> ErrorObject:
    """Why an attempt failed."""
    return {"name": error.error_name, "message": error.error_message}


def _as_of(record: StepRecord, now_ms: int) -> StepRecord:
    """A step at some time: when a sleep is over is not recorded anew."""
    is_over = record.op == Op.SLEEP and not record.is_done and (record.due_ms or 0) <= now_ms
    if not is_over:
        return record
    return replace(record, state=StepState.COMPLETED, ended_ms=record.due_ms, due_ms=None)


def _object(record: StepRecord, note: str | None) -> StepObject:
    shown: StepObject = {
        "step_id": record.step.hashed,
        "index": record.step.index,
        "name": record.step.name,
        "op": OP_NAMES[record.op],
        "status": record.state.value,
        "attempt": record.attempt,
        "started_at": rfc3339(record.started_ms),
        "ended_at": None if record.ended_ms is None else rfc3339(record.ended_ms),
        "due_at": None if record.due_ms is None else rfc3339(record.due_ms),
        "attempts": [_attempt(attempt) for attempt in attempts_of(record)],
    }
    if record.event_name:
        shown["event_name"] = record.event_name
    if note is not None:
        shown["note"] = note
    elif record.is_done and record.op != Op.SLEEP:
        _add_result(shown, record)
    return shown


def _add_result(shown: StepObject, record: StepRecord) -> None:
    failure = error_of(record)
    if record.memo is None:
        shown["output"] = None
        shown["note"] = "the output is gone; its retention has ended"
    elif failure is not None:
        shown["error"] = {
            "name": failure.name,
            "message": failure.message,
            "stack": failure.stack,
        }
    else:
        memo = decode(record.memo)
        shown["output"] = memo if record.op == Op.WAIT_FOR_EVENT else memo["data"]


def _attempt(attempt: Attempt) -> AttemptObject:
    shown: AttemptObject = {
        "attempt": attempt.number,
        "started_at": rfc3339(attempt.started_ms),
        "ended_at": rfc3339(attempt.ended_ms),
    }
    if attempt.error_name:
        shown["error"] = error_object(attempt)
    return shown
