"""How a function's runs went, in the REST API: counts and durations, by the time of the runs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.ids import ulid_ms
from tidegate.listing import Filter, Page, newest_items
from tidegate.manifest import Manifest
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_functions import asked_function
from tidegate.rest_operation import operation
from tidegate.rest_query import DAY_MS, Range, moment, number, parse_query
from tidegate.run import Status
from tidegate.run_store import RunStore

# So many runs are counted in one request, the newest ones.
MAX_RUNS = 5_000

StatsQuery = TypedDict(
    "StatsQuery",
    {
        "from": NotRequired[
            Annotated[int, moment("The first moment; one day before `until` or now")]
        ],
        "until": NotRequired[Annotated[int, moment("The moment before which the time ends; now")]],
        "buckets": Annotated[
            int, number("Into how many pieces the time is cut", default=24, most=200)
        ],
    },
)

BucketObject = TypedDict(
    "BucketObject",
    {
        "from": Time,
        "until": Time,
        "completed": int,
        "failed": int,
        "cancelled": int,
        "running": int,
        "p50_ms": int | None,
        "p95_ms": int | None,
    },
)

StatsObject = TypedDict(
    "StatsObject",
    {
        "function_id": str,
        "from": Time,
        "until": Time,
        "complete": bool,
        "buckets": list[BucketObject],
    },
)


@dataclass
class _Bucket:
    """What is counted of a piece of the time."""

    counts: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    durations_ms: list[int] = field(default_factory=list)

    def add(self, item: dict[str, Any]) -> None:
        status = Status(item["status"]["S"])
        self.counts[status] += 1
        if status in (Status.COMPLETED, Status.FAILED) and "started_ms" in item:
            self.durations_ms.append(int(item["ended_ms"]["N"]) - int(item["started_ms"]["N"]))

    def shown(self, from_ms: int, until_ms: int) -> BucketObject:
        counts = self.counts
        return {
            "from": rfc3339(from_ms),
            "until": rfc3339(until_ms),
            "completed": counts[Status.COMPLETED],
            "failed": counts[Status.FAILED],
            "cancelled": counts[Status.CANCELLED],
            "running": counts[Status.RUNNING] + counts[Status.SCHEDULED],
            "p50_ms": percentile(self.durations_ms, 50),
            "p95_ms": percentile(self.durations_ms, 95),
        }


@dataclass(frozen=True)
class StatsEndpoints:
    """What can be asked about how a function's runs went.

    Attributes:
        runs: the runs.
        manifest: what is registered.
    """

    runs: RunStore
    manifest: Manifest

    @operation(
        "GET",
        "/v1/functions/<function_id>/stats",
        StatsObject,
        tag="Functions",
        query=StatsQuery,
    )
    def get_stats(self, call: Call) -> Result:
        """Counts and durations of the newest runs of a time."""
        function = asked_function(self.manifest, call)
        query = parse_query(StatsQuery, call.query)
        begin_ms, end_ms = query.get("from"), query.get("until")
        time = Range.of(begin_ms, end_ms, call.now_ms, DAY_MS, ("from", "until"))
        until_ms = call.now_ms if time.before_ms is None else time.before_ms
        count = query["buckets"]
        if time.after_ms >= until_ms:
            raise RequestError(400, "from must be earlier than until, which is now by default")
        edges = _edges(time.after_ms, until_ms, count)
        buckets = [_Bucket() for _ in range(count)]
        page = self._page(call, function.id, Range(edges[0], edges[-1]))
        for item in page.items:
            buckets[bisect_right(edges, ulid_ms(item["sk"]["S"])) - 1].add(item)
        stats: StatsObject = {
            "function_id": function.id,
            "from": rfc3339(edges[0]),
            "until": rfc3339(edges[-1]),
            "complete": page.next_cursor is None,
            "buckets": [b.shown(*edges[n : n + 2]) for n, b in enumerate(buckets)],
        }
        return Result(stats)

    def _page(self, call: Call, function_id: str, time: Range) -> Page:
        span = time.span(0, call.now_ms, None)
        if span is None:
            return Page([], None)
        only = Filter(
            "function_id = :function AND expires_at > :now",
            {"#status": "status"},
            {":function": {"S": function_id}, ":now": {"N": str(call.now_ms // 1000)}},
            selective=True,
            fields="sk, #status, started_ms, ended_ms",
        )
        return newest_items(self.runs.table, call.env, span, MAX_RUNS, only)


def percentile(values: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many percent of all do not exceed; None when there are none."""
    if not values:
        return None
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def _edges(from_ms: int, until_ms: int, count: int) -> list[int]:
    """Where the pieces of a time begin, and where the last one ends, UTC ms."""
    length_ms = until_ms - from_ms
    return [from_ms + length_ms * n // count for n in range(count + 1)]
