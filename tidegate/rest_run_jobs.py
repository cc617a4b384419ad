"""The jobs of a run in the REST API: what is queued for it, the next ten at the most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_operation import operation
from tidegate.rest_runs import asked_run
from tidegate.rest_steps import in_order
from tidegate.run import Run, Status
from tidegate.run_store import RunStore
from tidegate.step import Op, StepRecord
from tidegate.step_store import StepStore

MAX_JOBS = 10

Kind = Literal["start", "edge", "sleep", "pause"]

_KINDS: dict[Op, Kind] = {
    Op.RUN: "edge",
    Op.SLEEP: "sleep",
    Op.WAIT_FOR_EVENT: "pause",
    Op.INVOKE: "pause",
}


class JobStepObject(TypedDict):
    """The step that a job is about."""

    step_id: str
    name: str


class RunJobObject(TypedDict):
    """Something that is queued for a run, with the field names of Inngest's REST API (v1).

    Attributes:
        JobID: its id.
        at: when it is due, or since when it is worked on.
        position: how many of the run's jobs are before it.
        kind: `start` and `edge` call the function, `sleep` ends a sleep, and `pause` is when a
            step gives up waiting.
        attempt: the attempt that it makes.
        Raw: the step that it is about, if it is about one.
    """

    JobID: str
    at: Time
    position: int
    kind: Kind
    attempt: int
    Raw: JobStepObject | None


@dataclass(frozen=True)
class RunJobEndpoints:
    """What can be asked about what is queued for a run.

    Attributes:
        runs: the runs.
        steps: their steps.
    """

    runs: RunStore
    steps: StepStore

    @operation("GET", "/v1/runs/<run_id>/jobs", list[RunJobObject], tag="Runs")
    def list_jobs(self, call: Call) -> Result:
        """The jobs of a run, the one that is due first first; none when it has ended."""
        run = asked_run(self.runs, call)
        if run.has_ended:
            return Result([])
        records = in_order(self.steps.heads(run), run, call.now_ms)
        jobs = sorted(_jobs(run, records), key=lambda job: job[0])
        return Result([_object(*job, n) for n, job in enumerate(jobs[:MAX_JOBS])])


_Job = tuple[int, Kind, int, Run, StepRecord | None]


def _jobs(run: Run, records: Sequence[StepRecord]) -> Iterator[_Job]:
    """When each is due, its kind, its attempt, and what it is about."""
    waiting = [record for record in records if not record.is_done]
    at_ms = run.due_ms or run.leased_ms or run.started_ms or run.queued_ms
    # A run that waits goes on when the first of its steps does.
    if run.lease or at_ms not in [record.due_ms for record in waiting]:
        kind: Kind = "start" if run.status == Status.SCHEDULED else "edge"
        yield at_ms, kind, run.attempt, run, None
    for record in waiting:
        yield record.due_ms or at_ms, _KINDS[record.op], record.attempt, run, record


def _object(
    at_ms: int, kind: Kind, attempt: int, run: Run, record: StepRecord | None, position: int
) -> RunJobObject:
    raw: JobStepObject | None = None
    if record is not None:
        raw = {"step_id": record.step.hashed, "name": record.step.name}
    return {
        "JobID": run.id if record is None else f"{run.id}-{record.step.hashed}",
        "at": rfc3339(at_ms),
        "position": position,
        "kind": kind,
        "attempt": attempt,
        "Raw": raw,
    }
