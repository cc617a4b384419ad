"""Bulk jobs in the REST API: started, listed, looked up and stopped, whatever they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.bulk_job import BulkJob, JobKind, JobStatus
from tidegate.errors import RequestError
from tidegate.job_store import JobQueue, JobStore
from tidegate.rest_call import Call, Endpoint, Result, Routes, rfc3339
from tidegate.rest_query import cursor_of, limit_of


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
        self.queue.ask(job)
        return Result(job_object(self.store.create(job)), status=201)

    def routes(self, path: str, kind: JobKind, create: Endpoint) -> Routes:
        """The paths of a kind of jobs.

        Args:
            path: of the list, such as `/v1/replays`.
            kind: the kind.
            create: what POST does.
        """
        return {
            path: {"GET": lambda call: self._list(call, kind), "POST": create},
            f"{path}/<job_id>": {
                "GET": lambda call: self._get(call, kind),
                "DELETE": lambda call: self._stop(call, kind),
            },
        }

    def _list(self, call: Call, kind: JobKind) -> Result:
        limit, cursor = limit_of(call.query), cursor_of(call.query)
        jobs, has_more = self.store.newest(call.env, kind, limit, cursor, call.now_ms)
        next_cursor = jobs[-1].id if has_more else None
        metadata = {"has_more": has_more, "next_cursor": next_cursor}
        return Result([job_object(job) for job in jobs], metadata)

    def _get(self, call: Call, kind: JobKind) -> Result:
        job = self.store.get(call.env, kind, _job_id(call, kind), call.now_ms)
        return Result(job_object(_found(job, kind)))

    def _stop(self, call: Call, kind: JobKind) -> Result:
        job_id = _job_id(call, kind)
        _found(self.store.get(call.env, kind, job_id, call.now_ms), kind)
        job = self.store.end(call.env, kind, job_id, JobStatus.STOPPED, call.now_ms)
        return Result(job_object(_found(job, kind)))


def job_object(job: BulkJob) -> dict[str, Any]:
    """A job as it is shown."""
    shown: dict[str, Any] = {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "function_id": job.function_id,
        "from": rfc3339(job.from_ms),
        "until": rfc3339(job.until_ms),
        "run_statuses": list(job.run_statuses),
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
    if job.note is not None:
        shown["note"] = job.note
    return shown


def _job_id(call: Call, kind: JobKind) -> str:
    return call.ulid("job_id", f"{kind} ID")


def _found(job: BulkJob | None, kind: JobKind) -> BulkJob:
    if job is None:
        raise RequestError(404, f"{kind.capitalize()} not found")
    return job
