"""Runs in the REST API, listed: the newest first, of one function or of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from tidegate.listing import Filter, Page, newest_items
from tidegate.rest_call import Call, Result
from tidegate.rest_field import text
from tidegate.rest_operation import operation
from tidegate.rest_query import (
    CURSOR,
    DAY_MS,
    LIMIT,
    Range,
    moment,
    parse_query,
    some_statuses,
)
from tidegate.rest_runs import ErrorObject, Outcome, RunObject, run_object
from tidegate.run import Run, Status, failure_of
from tidegate.run_store import RunStore
from tidegate.step import MAX_WAIT_MS

RunsQuery = TypedDict(
    "RunsQuery",
    {
        "function_id": NotRequired[Annotated[str, text("The function whose runs are listed")]],
        "status": NotRequired[
            Annotated[tuple[Status, ...], some_statuses("What may have become of the runs")]
        ],
        "event_name": NotRequired[
            Annotated[str, text("The exact name of the event that started the runs")]
        ],
        "limit": Annotated[int, LIMIT],
        "cursor": NotRequired[Annotated[str, CURSOR]],
        "from": NotRequired[
            Annotated[int, moment("The first moment; one day before `until` or now")]
        ],
        "until": NotRequired[
            Annotated[
                int, moment("The moment before which the list ends; up to a day ahead of now")
            ]
        ],
    },
)


@dataclass(frozen=True)
class RunListEndpoints:
    """What can be asked about runs of a time.

    Attributes:
        runs: where they are.
    """

    runs: RunStore

    @operation("GET", "/v1/runs", list[RunObject], tag="Runs", query=RunsQuery)
    def list_runs(self, call: Call) -> Result:
        """The newest runs, without what they gave."""
        page = self._page(call, parse_query(RunsQuery, call.query))
        runs = [self.runs.run_of(call.env, item) for item in page.items]
        return Result(
            [run_object(run, _outcome(run)) for run in runs],
            {"has_more": page.next_cursor is not None, "next_cursor": page.next_cursor},
        )

    def _page(self, call: Call, query: RunsQuery) -> Page:
        # A run that waits, or begins late, is kept for longer than others.
        oldest_ms = call.now_ms - MAX_WAIT_MS - self.runs.retention_s * 1000
        begin_ms, end_ms = query.get("from"), query.get("until")
        time = Range.of(begin_ms, end_ms, call.now_ms, DAY_MS, ("from", "until"))
        span = time.span(oldest_ms, call.now_ms, query.get("cursor"))
        if span is None:
            return Page([], None)
        return newest_items(
            self.runs.table, call.env, span, query["limit"], _wanted(query, call.now_ms)
        )


def _wanted(query: RunsQuery, now_ms: int) -> Filter:
    """The runs that are asked for, but for those whose retention has ended; TTL deletes late."""
    conditions = ["expires_at > :now"]
    names: dict[str, str] = {}
    values: dict[str, Any] = {":now": {"N": str(now_ms // 1000)}}
    asked = {"function_id": query.get("function_id"), "event_name": query.get("event_name")}
    for name, value in asked.items():
        if value is not None:
            conditions.append(f"{name} = :{name}")
            values[f":{name}"] = {"S": value}
    if "status" in query:
        names["#status"] = "status"
        statuses = {f":status{n}": {"S": status} for n, status in enumerate(query["status"])}
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
