"""The work on bulk jobs: pages of runs, events or letters, acted on slice by slice."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tidegate.aws import concurrently
from tidegate.bulk_job import AT_END, OF_DEAD_LETTERS, BulkJob, JobKind, JobStatus, Progress
from tidegate.cancelling import Canceller
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError, RequestError
from tidegate.event_replay import EventReplayer
from tidegate.expression import ExpressionError
from tidegate.ids import derived_ulid
from tidegate.job_store import JobQueue, JobStore
from tidegate.listing import Filter, Span, newest_items
from tidegate.recovery import Recovery
from tidegate.redrive import Redriver
from tidegate.rerunning import Rerunner
from tidegate.run import Rerun, Run
from tidegate.run_store import RunStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

logger = logging.getLogger("tidegate.jobs")

# How many runs are acted on between two notes of progress.
PAGE = 50
# A slice asks for the next one after this. Its invocation has more time by far than it and a page.
SLICE_MS = 5_000

_WHAT = {
    JobKind.REPLAY: "run",
    JobKind.EVENT_REPLAY: "event",
    JobKind.CANCELLATION: "run",
}


@dataclass(frozen=True)
class JobWork:
    """Works on jobs.

    Attributes:
        jobs: their records.
        queue: where the next slice is asked for.
        runs: the runs.
        rerunner: starts them again.
        canceller: cancels them.
        redriver: moves dead letters.
        recovery: has them go on whose messages may be lost.
        clock: the time.
        slice_ms: how long a slice goes on, at least one page.
    """

    jobs: JobStore
    queue: JobQueue
    runs: RunStore
    rerunner: Rerunner
    canceller: Canceller
    redriver: Redriver
    recovery: Recovery
    clock: Clock
    slice_ms: int = SLICE_MS

    @cached_property
    def _replayer(self) -> EventReplayer:
        rerunner = self.rerunner
        return EventReplayer(
            rerunner.events, self.runs, self._rerun, rerunner.bus, rerunner.manifest, self.clock
        )

    def work(self, job: BulkJob) -> None:
        """Do a slice of a job, and ask for the next one unless the job has come to its end.

        Args:
            job: what was asked for; how far it has come is read from its record.

        Raises:
            PlatformError: it was not all done; repeating the call is safe.
        """
        until_ms = self.clock.now_ms() + self.slice_ms
        most, started = job.per_second or math.inf, 0
        now: BulkJob | None = self.jobs.create(job)
        if now is not None and now.slice > job.slice:
            # The message came twice: going on would have two chains of slices at twice the rate.
            return
        while now is not None and now.status == JobStatus.RUNNING:
            if now.cursor == AT_END:
                self._complete(now)
                return
            limit = int(min(PAGE, most - started))
            page = self._work(job.kind)(now, limit)
            # None when the same message was delivered twice, and the other one is ahead.
            now = self.jobs.advance(now, page)
            if now is None:
                return
            started += page.found
            if page.pause_s or started >= most or self.clock.now_ms() >= until_ms:
                following = replace(job, slice=job.slice + 1)
                self.queue.ask(following, max(_pause_s(job, started), page.pause_s))
                # Only now: until then this message is what makes the job go on.
                self.jobs.note_slice(following)
                return

    def _complete(self, job: BulkJob) -> None:
        self.jobs.end(job.env, job.kind, job.id, JobStatus.COMPLETED, self.clock.now_ms())
        logger.info(
            "job completed",
            extra={
                "job_id": job.id,
                "kind": job.kind,
                "function_id": job.function_id,
                "found": job.found,
                "done": job.done,
                "skipped": job.skipped,
            },
        )

    def _work(self, kind: JobKind) -> Callable[[BulkJob, int], Progress]:
        """What does a page of a job, with so many runs, events or letters at the most."""
        if kind == JobKind.RECOVERY:
            return self.recovery.page
        return self.redriver.page if kind in OF_DEAD_LETTERS else self._page

    def _page(self, job: BulkJob, limit: int) -> Progress:
        """Act on a page of runs, or events."""
        span = Span.of(job.from_ms, job.until_ms - 1, job.cursor or None)
        if span is None:
            return Progress(AT_END)
        if job.kind == JobKind.EVENT_REPLAY:
            if self.rerunner.manifest.function(job.function_id) is None:
                gone = f"function {job.function_id!r} is not registered any more"
                return Progress(AT_END, note=gone)
            page = self._replayer.page(job, span, limit)
        else:
            page = newest_items(self.runs.table, job.env, span, PAGE, _concerned(job))
        outcomes = concurrently(lambda item: self._outcome(job, item), page.items)
        faults = [fault for is_found, fault in outcomes if is_found and fault]
        found = sum(is_found for is_found, _ in outcomes)
        note = faults[-1] if faults else None
        return Progress(page.next_cursor or AT_END, found, found - len(faults), note)

    def _outcome(self, job: BulkJob, item: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether the job concerns a run, or an event, and what kept it from being done."""
        try:
            if job.kind == JobKind.EVENT_REPLAY:
                return self._replayer.replay(job, item)
            run = self.runs.run_of(job.env, item)
            if not self._is_wanted(job, run):
                return False, None
            act = self._rerun if job.kind == JobKind.REPLAY else self._cancel
            return True, act(job, run)
        except RequestError as error:
            return True, error.message
        except (DeadLetterError, ExpressionError) as error:
            return True, f"{_WHAT[job.kind]} {item['sk']['S']}: {error}"

    def _is_wanted(self, job: BulkJob, run: Run) -> bool:
        """Whether the job's expression holds of the run's event."""
        if job.expression is None:
            return True
        event = self.canceller.events.get(run.env, run.event_id, now_ms=0)
        if event is None:
            raise DeadLetterError("its event is no longer stored")
        return job.expression.matches(event=decode(event.body), now_ms=event.received_ms)

    def _rerun(self, job: BulkJob, run: Run) -> None:
        # The same at every repetition, and with a time that the job does not come to.
        rerun_id = derived_ulid(job.created_ms, "replay", job.env, job.id, run.id)
        # A job may take long, and waiting for it is not waiting to start.
        self.rerunner.rerun(run, Rerun(rerun_id, run.id, job.id, sent_ms=self.clock.now_ms()))

    def _cancel(self, job: BulkJob, run: Run) -> str | None:
        reason = _reason(job)
        now = self.canceller.cancel(run.env, run.id, reason)
        # An earlier try of this page may have cancelled it, and it has ended since.
        if now is not None and now.cancel_reason == reason:
            return None
        return f"run {run.id} ended, or was cancelled otherwise, in the meantime"


def _pause_s(job: BulkJob, found: int) -> int:
    """How long a job rests after it has started runs, in whole seconds."""
    return 0 if job.per_second is None else -(-found // job.per_second)


def _reason(job: BulkJob) -> str:
    """Why a run is cancelled; it also tells which job did it."""
    return f"by cancellation {job.id}"


def _concerned(job: BulkJob) -> Filter:
    """The runs of a job, those included that an earlier try of a page has cancelled."""
    values: dict[str, Value] = {":function": {"S": job.function_id}}
    values |= {f":status{n}": {"S": status} for n, status in enumerate(job.run_statuses)}
    statuses = ", ".join(f":status{n}" for n in range(len(job.run_statuses)))
    condition = f"#status IN ({statuses})"
    if job.kind == JobKind.CANCELLATION:
        condition = f"({condition} OR cancel_reason = :reason)"
        values[":reason"] = {"S": _reason(job)}
    return Filter(
        f"function_id = :function AND {condition}", {"#status": "status"}, values, selective=True
    )
