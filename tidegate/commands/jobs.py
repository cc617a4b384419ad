"""`tidegate jobs`: replays, cancellations, recoveries and redrives, which go on by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tidegate.commands.arguments import Limit
from tidegate.commands.connection import Connection, connected
from tidegate.commands.exits import CommandError, ExitCode
from tidegate.commands.groups import group
from tidegate.commands.moment import time_text
from tidegate.commands.output import plain, status_text
from tidegate.errors import RestError
from tidegate.rest_client import path_of

jobs = group("jobs", "Replays, recoveries, redrives and the like: look them up, follow, stop them.")

_PAUSE_S = 0.5
_PATHS = {
    "replay": "replays",
    "event_replay": "event_replays",
    "cancellation": "cancellations",
    "recovery": "recoveries",
    "redrive": "redrives",
    "dead_letter_deletion": "dead_letter_deletions",
}
_DOES = {
    "replay": ("Replaying", "runs run again"),
    "event_replay": ("Replaying events to", "events replayed"),
    "cancellation": ("Cancelling", "runs cancelled"),
    "redrive": ("Putting back dead letters of", "dead letters put back"),
    "dead_letter_deletion": ("Deleting dead letters of", "dead letters deleted"),
    "recovery": ("Recovering", "runs and events recovered"),
}
_COLUMNS = ("JOB", "KIND", "STATUS", "BEGAN", "FUNCTION", "FOUND", "DONE", "SKIPPED")

Job = dict[str, Any]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@jobs.command("list")
@connected
def list_jobs(connection: Connection, limit: Limit = 20) -> None:
    """List replays, cancellations, recoveries and redrives, the newest first."""
    found: list[Job] = []
    for path in _PATHS.values():
        for page in connection.api.pages(path_of(path), {}, limit):
            found += page
    found.sort(key=lambda job: str(job["id"]), reverse=True)
    out = connection.out
    if out.as_json:
        out.json(found[:limit])
    elif found:
        out.rows(*_COLUMNS).print([_row(job) for job in found[:limit]])
    else:
        out.note("none")


@jobs.command("show")
@connected
def show(connection: Connection, job_id: JobId) -> None:
    """Show how far a job is."""
    print_job(connection, _found(connection, job_id))


@jobs.command("follow")
@connected
def follow(connection: Connection, job_id: JobId) -> None:
    """Follow a job until it has ended; Ctrl-C leaves it running."""
    finish(connection, _found(connection, job_id), None)


@jobs.command("stop")
@connected
def stop(connection: Connection, job_id: JobId) -> None:
    """Stop a job; what it has done stays done."""
    job = _found(connection, job_id)
    print_job(connection, connection.api.delete(path_of(_PATHS[job["kind"]], job_id)))


def _found(connection: Connection, job_id: str) -> Job:
    """A job, of whatever kind."""
    for path in _PATHS.values():
        try:
            return dict(connection.api.get(path_of(path, job_id)))
        except RestError as error:
            if error.status != 404:
                raise
    raise RestError(f"there is no job {job_id}; see `tidegate jobs`", status=404)


def expected(connection: Connection, job: Job, fields: Sequence[str]) -> int | None:
    """How many runs a job will find; None if they are too many to count.

    Args:
        connection: where it runs.
        job: what the server said of it.
        fields: the counts of `GET /v1/functions/{id}/stats` that tell.
    """
    try:
        stats = connection.api.ask(
            "GET",
            path_of("functions", job["function_id"], "stats"),
            {"from": job["from"], "until": job["until"], "buckets": 1},
        ).data
    except RestError:
        return None
    if not stats["complete"]:
        return None
    return sum(int(bucket.get(field, 0)) for bucket in stats["buckets"] for field in fields)


def finish(connection: Connection, job: Job, total: int | None) -> None:
    """Follow a job until it has ended, and print it.

    Args:
        connection: where it runs.
        job: what the server said of it.
        total: how many runs it will find, for the bar; None if nobody knows.

    Raises:
        CommandError: somebody pressed Ctrl-C, or stopped it.
    """
    try:
        job = _ended(connection, job, total)
    except KeyboardInterrupt:
        raise CommandError(
            f"{job['kind']} {job['id']} goes on; see `tidegate jobs follow {job['id']}`, "
            f"and `tidegate jobs stop {job['id']}` to stop it",
            ExitCode.INTERRUPTED,
        ) from None
    print_job(connection, job)
    if job["status"] == "Stopped":
        raise CommandError(f"{job['kind']} {job['id']} was stopped", ExitCode.FAILED)


def _ended(connection: Connection, job: Job, total: int | None) -> Job:
    path = path_of(_PATHS[job["kind"]], job["id"])
    title, _ = _DOES[job["kind"]]
    with connection.out.progress(f"{title} {job['function_id']}", total) as bar:
        while job["status"] == "Running":
            seen = job["done"] + job["skipped"]
            of = None if total is None else max(total, job["found"])
            bar.show(seen, of, f"{seen:,} of {of or job['found']:,}")
            connection.clock.sleep(_PAUSE_S)
            job = connection.api.get(path)
    return job


def print_job(connection: Connection, job: Job) -> None:
    """How far a job is, in a line."""
    out = connection.out
    if out.as_json:
        out.json(job)
        return
    _, done = _DOES[job["kind"]]
    skipped = f", {job['skipped']} skipped" if job["skipped"] else ""
    note = f" ({job['note']})" if job.get("note") else ""
    text = f"{job['status']}: {job['done']} of {job['found']} {done}{skipped}{note}"
    out.text(f"{job['id']}  {plain(text)}")


def _row(job: Job) -> list[Any]:
    return [
        job["id"],
        job["kind"],
        status_text(job["status"]),
        time_text(job["created_at"]),
        job["function_id"],
        *(job[name] for name in ("found", "done", "skipped")),
    ]
