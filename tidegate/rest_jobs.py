"""Bulk jobs in the REST API: started, listed, looked up and stopped, whatever they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NotRequired

from typing_extensions import TypedDict

from tidegate.bulk_job import BulkJob, JobKind, JobStatus
from tidegate.errors import RequestError
from tidegate.job_store import JobQueue, JobStore
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_operation import Ulid
from tidegate.rest_query import PageQuery, parse_query
from tidegate.run import Status
from tidegate.step import MAX_WAIT_MS

JobObject = TypedDict(
    "JobObject",
    {
        "id": Ulid,
        "kind": JobKind,
        "status": JobStatus,
        "function_id": str,
        "from": Time,
        "until": Time,
        "run_statuses": list[Status],
        "created_at": Time,
        "ended_at": Time | None,
        "found": int,
        "done": int,
        "skipped": int,
        "app_id": NotRequired[str],
        "if": NotRequired[str],
        "event_name": NotRequired[str],
        "per_second": NotRequired[int],
        "message_ids": NotRequired[list[str]],
        "note": NotRequired[str],
    },
)
JobObject.__doc__ = """What is done to runs, events or dead letters of a function; its progress.

Attributes:
    run_statuses: the statuses of the runs that it is about; empty where it is not about runs.
    found: how many runs, events or letters it concerned so far.
    done: how many of these it has started, resumed, cancelled, moved or deleted.
    skipped: with how many that could not be done.
    app_id, if, event_name, per_second, message_ids: as they were sent; absent otherwise.
    note: why, of the latest one that was skipped; absent if none was.
"""


@dataclass(frozen=True)
class Jobs:
    """What the resources of all kinds of jobs have in common.

    Attributes:
        store: their records.
        queue: where their slices are asked for.
    """

    store: JobStore
    queue: JobQueue

    def start(self, job: BulkJob) -> Result:
        """Start a job, and answer with it.

        It is asked for before it is recorded: the message has all of it, so whoever gets it can
        record it, while of a record alone nobody would know.
        """
        # A run that waits is kept for longer than others; older ones are not there.
        oldest_ms = job.created_ms - MAX_WAIT_MS - self.store.retention_s * 1000
        job = replace(job, from_ms=max(job.from_ms, oldest_ms, 0))
        self.queue.ask(job)
        return Result(job_object(self.store.create(job)), status=201)

    def list(self, call: Call, kind: JobKind) -> Result:
        """The newest jobs of a kind."""
        query = parse_query(PageQuery, call.query)
        jobs, has_more = self.store.newest(
            call.env, kind, query["limit"], query.get("cursor"), call.now_ms
        )
        next_cursor = jobs[-1].id if has_more else None
        metadata = {"has_more": has_more, "next_cursor": next_cursor}
        return Result([job_object(job) for job in jobs], metadata)

    def get(self, call: Call, kind: JobKind) -> Result:
        """The job of a kind that a call's path names."""
        job = self.store.get(call.env, kind, _job_id(call, kind), call.now_ms)
        return Result(job_object(_found(job, kind)))

    def stop(self, call: Call, kind: JobKind) -> Result:
        """Stop it; one that has ended stays as it is."""
        job_id = _job_id(call, kind)
        _found(self.store.get(call.env, kind, job_id, call.now_ms), kind)
        job = self.store.end(call.env, kind, job_id, JobStatus.STOPPED, call.now_ms)
        return Result(job_object(_found(job, kind)))


def past_time(from_ms: int, until_ms: int | None, now_ms: int) -> tuple[int, int]:
    """The time that a replay is about; it ends now at the latest.

    What a replay starts belongs to the time from now on, and must not be replayed by it.

    Raises:
        RequestError: 400, it ends before it begins.
    """
    until_ms = now_ms if until_ms is None else min(until_ms, now_ms)
    if from_ms >= until_ms:
        raise RequestError(400, "from must be earlier than until, and than now")
    return from_ms, until_ms


def job_object(job: BulkJob) -> JobObject:
    """A job as it is shown."""
    shown: JobObject = {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "function_id": job.function_id,
        "from": rfc3339(job.from_ms),
        "until": rfc3339(job.until_ms),
        "run_statuses": [Status(status) for status in job.run_statuses],
        "created_at": rfc3339(job.created_ms),
        "ended_at": None if job.ended_ms is None else rfc3339(job.ended_ms),
        "found": job.found,
        "done": job.done,
        "skipped": job.skipped,
    }
    if job.app_id is not None:
        shown["app_id"] = job.app_id
    if job.expression is not None:
        shown["if"] = job.expression.text
    if job.event_name is not None:
        shown["event_name"] = job.event_name
    if job.per_second is not None:
        shown["per_second"] = job.per_second
    if job.message_ids:
        shown["message_ids"] = list(job.message_ids)
    if job.note is not None:
        shown["note"] = job.note
    return shown


def _job_id(call: Call, kind: JobKind) -> str:
    return call.ulid("job_id", f"{_named(kind)} ID")


def _found(job: BulkJob | None, kind: JobKind) -> BulkJob:
    if job is None:
        raise RequestError(404, f"{_named(kind).capitalize()} not found")
    return job


def _named(kind: JobKind) -> str:
    return kind.replace("_", " ")
