"""Runs in the REST API, listed: the newest first, of one function or of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.listing import Filter, Page, newest_items
from tidegate.rest_call import Call, Result, Routes
from tidegate.rest_query import RunsQuery
from tidegate.rest_runs import ErrorObject, Outcome, run_object
from tidegate.run import Run, Status, failure_of
from tidegate.run_store import RunStore
from tidegate.step import MAX_WAIT_MS


@dataclass(frozen=True)
class RunListEndpoints:
    """What can be asked about runs of a time.

    Attributes:
        runs: where they are.
    """

    runs: RunStore

    def routes(self) -> Routes:
        """The paths."""
        return {"/v1/runs": {"GET": self.list_runs}}

    def list_runs(self, call: Call) -> Result:
        """The newest runs, without what they gave."""
        page = self._page(call, RunsQuery.parse(call.query, call.now_ms))
        runs = [self.runs.run_of(call.env, item) for item in page.items]
        return Result(
            [run_object(run, _outcome(run)) for run in runs],
            {"has_more": page.next_cursor is not None, "next_cursor": page.next_cursor},
        )

    def _page(self, call: Call, query: RunsQuery) -> Page:
        # A run that waits, or begins late, is kept for longer than others.
        oldest_ms = call.now_ms - MAX_WAIT_MS - self.runs.retention_s * 1000
        span = query.time.span(oldest_ms, call.now_ms, query.cursor)
        if span is None:
            return Page([], None)
        return newest_items(
            self.runs.table, call.env, span, query.limit, _wanted(query, call.now_ms)
        )


def _wanted(query: RunsQuery, now_ms: int) -> Filter:
    """The runs that are asked for, but for those whose retention has ended; TTL deletes late."""
    conditions = ["expires_at > :now"]
    names: dict[str, str] = {}
    values: dict[str, Any] = {":now": {"N": str(now_ms // 1000)}}
    for name, text in (("function_id", query.function_id), ("event_name", query.event_name)):
        if text is not None:
            conditions.append(f"{name} = :{name}")
            values[f":{name}"] = {"S": text}
    if query.statuses:
        names["#status"] = "status"
        statuses = {f":status{n}": {"S": status} for n, status in enumerate(query.statuses)}
        conditions.append(f"#status IN ({', '.join(statuses)})")
        values |= statuses
    return Filter(" AND ".join(conditions), names, values, selective=len(conditions) > 1)


def _outcome(run: Run) -> Outcome:
    """Why a run failed, as far as its record alone tells, and without the stack."""
    if run.output is None or run.status == Status.COMPLETED:
        return {}
    failure = failure_of(run.output)
    error: ErrorObject = {"name": failure.name, "message": failure.message}
    return {"error": error} if run.has_ended else {"last_error": error}
