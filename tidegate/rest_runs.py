"""Runs in the REST API: those of an event, and one by its id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NotRequired

from typing_extensions import TypedDict

from tidegate.aws import concurrently
from tidegate.batch import chunks
from tidegate.cancelling import Canceller
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError, RequestError
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.rest_call import (
    FETCHED_AT_ONCE,
    MAX_LIST_BYTES,
    ZERO_UUID,
    Call,
    Result,
    Time,
    rfc3339,
)
from tidegate.rest_events import EventEndpoints
from tidegate.rest_operation import Ulid, operation
from tidegate.run import Run, Status
from tidegate.run_store import RunStore

_SINGLY = "GET /v1/runs/<run_id>"


class ErrorObject(TypedDict):
    """Why something failed.

    Attributes:
        name: the exception's type.
        message: its message.
        stack: its traceback; left out in lists.
    """

    name: str
    message: str
    stack: NotRequired[str]


class Outcome(TypedDict):
    """What a run has come to: an output once it has ended, before that the latest failure.

    In a list there is no output, but `error` of a run that failed or was cancelled.
    """

    output: NotRequired[Any]
    error: NotRequired[ErrorObject]
    last_error: NotRequired[ErrorObject]
    note: NotRequired[str]


class RunObject(Outcome):
    """A run, with the field names of Inngest's REST API (v1), and a few more.

    Attributes:
        function_id: the function's id as text, `<app>-<function>`.
        environment: the environment's name.
        event_id: the internal id of its event.
        event_name: the name of its event; null for runs of long ago.
        original_run_id: the run that this one repeats, if it does.
        replay_id: the replay that started it, if one did.
        cron: the expression by whose time it was started, if it was.
        status: `Running` is one between two attempts, too.
        attempt: the attempt that runs, is due or was the last; 0 is the first.
        queued_at: when it was recorded.
        run_started_at: when its first attempt began.
        next_attempt_at: when it goes on, while it waits.
        ended_at: when it ended; null before.
        output: what the function returned, or why it failed or was cancelled, as an error; absent
            before, and in lists of runs.
        error: in lists of runs, why it failed or was cancelled, without the stack.
        last_error: why the latest attempt failed, until the run has ended.
        note: why the output is not there.
    """

    run_id: Ulid
    function_id: str
    function_version: int
    environment_id: str
    environment: str
    event_id: Ulid
    event_name: str | None
    batch_id: None
    original_run_id: Ulid | None
    replay_id: Ulid | None
    cron: str | None
    status: Status
    attempt: int
    queued_at: Time
    run_started_at: Time | None
    next_attempt_at: NotRequired[Time]
    ended_at: Time | None


@dataclass(frozen=True)
class RunEndpoints:
    """What can be asked about runs.

    Attributes:
        runs: where they are.
        canceller: cancels them.
        events: finds the event whose runs are asked for.
        manifest: the functions that an event may have started.
    """

    runs: RunStore
    canceller: Canceller
    events: EventEndpoints
    manifest: Manifest

    @operation("GET", "/v1/events/<event_id>/runs", list[RunObject], tag="Events")
    def list_runs_of_event(self, call: Call) -> Result:
        """The runs that an event started, with their reruns, by function."""
        internal_id = self.events.item(call)["sk"]["S"]
        ids = [run_id_of(call.env, f.id, internal_id) for f in self.manifest.deployed]
        runs = self.runs.get_all(call.env, ids, call.now_ms)
        reruns = [rerun_id for run in runs for rerun_id in run.reruns]
        runs += self.runs.get_all(call.env, reruns, call.now_ms)
        runs.sort(key=lambda run: (run.function_id, run.id))
        shown: list[RunObject] = []
        total = 0
        for chunk in chunks(runs, FETCHED_AT_ONCE):
            for run, (output, size) in zip(chunk, concurrently(self._output, chunk), strict=True):
                if total + size > MAX_LIST_BYTES:
                    output = {"note": f"{size} bytes are too many for a list; {_SINGLY}"}
                else:
                    total += size
                shown.append(run_object(run, output))
        return Result(shown)

    @operation("GET", "/v1/runs/<run_id>", RunObject, tag="Runs")
    def get_run(self, call: Call) -> Result:
        """One run."""
        run = asked_run(self.runs, call)
        return Result(run_object(run, self._output(run)[0]))

    @operation("DELETE", "/v1/runs/<run_id>", RunObject, tag="Runs")
    def cancel_run(self, call: Call) -> Result:
        """Cancel one run; it ends at once, or behind the step that it is in. Ended ones stay."""
        run_id = call.ulid("run_id", "run ID")
        run = self.canceller.cancel(call.env, run_id, "by a call of the REST API")
        if run is None:
            raise RequestError(404, "Run not found")
        return Result(run_object(run, self._output(run)[0]))

    def _output(self, run: Run) -> tuple[Outcome, int]:
        """What a run has come to so far, and its bytes."""
        try:
            text = self.runs.output_of(run)
        except DeadLetterError as error:
            return {"output": None, "note": str(error)}, 0
        if text is None:
            return {}, 0
        value, size = decode(text), len(text.encode())
        return ({"output": value} if run.has_ended else {"last_error": value}), size


def asked_run(runs: RunStore, call: Call) -> Run:
    """The run that a call's path names.

    Raises:
        RequestError: 400 no possible id, 404 no such run.
    """
    run = runs.get(call.env, call.ulid("run_id", "run ID"), call.now_ms)
    if run is None:
        raise RequestError(404, "Run not found")
    return run


def run_object(run: Run, outcome: Outcome) -> RunObject:
    shown: RunObject = {
        "run_id": run.id,
        "function_id": run.function_id,
        "function_version": 1,
        "environment_id": ZERO_UUID,
        "environment": run.env,
        "event_id": run.event_id,
        "event_name": run.event_name or None,
        "batch_id": None,
        "original_run_id": run.original_run_id,
        "replay_id": run.replay_id,
        "cron": run.cron,
        "status": run.status,
        "attempt": run.attempt,
        "queued_at": rfc3339(run.queued_ms),
        "run_started_at": None if run.started_ms is None else rfc3339(run.started_ms),
        "ended_at": None if run.ended_ms is None else rfc3339(run.ended_ms),
    }
    if run.due_ms is not None and not run.has_ended:
        shown["next_attempt_at"] = rfc3339(run.due_ms)
    return {**shown, **outcome}
