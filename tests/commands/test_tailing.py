"""Following runs: which are told again, and which are forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tests.clock import FakeClock
from tidegate.commands.moment import ms_of
from tidegate.commands.runs import RunChanges
from tidegate.commands.tailing import OVERLAP_MS, Window
from tidegate.ids import ulid_at
from tidegate.rest_call import rfc3339
from tidegate.rest_client import Reply


@dataclass
class Api:
    """A server with runs, whose clock is an hour ahead."""

    clock: FakeClock
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        return self.clock.now_ms() + 3_600_000

    def begin(self, number: int) -> str:
        run_id = ulid_at(self.now_ms, number.to_bytes(10))
        self.runs[run_id] = {"run_id": run_id, "status": "Running", "attempt": 0}
        return run_id

    def ask(self, method: str, path: str, query: Any) -> Reply:
        return Reply([], {"fetched_at": rfc3339(self.now_ms)})

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        return dict(self.runs[path.rpartition("/")[2]])

    def pages(self, path: str, query: Mapping[str, str], limit: int) -> Iterator[list[Any]]:
        first = ulid_at(ms_of(query["from"]), bytes(10))
        yield [
            dict(run) for run_id, run in sorted(self.runs.items(), reverse=True) if run_id >= first
        ]


def test_runs_are_followed_until_they_end_however_long_that_takes() -> None:
    clock = FakeClock()
    api = Api(clock)
    api.begin(0)
    clock.advance(seconds=1)
    changes = RunChanges(
        SimpleNamespace(api=api),  # type: ignore[arg-type]
        Window(api, clock, "/v1/runs", "from", {}, None),  # type: ignore[arg-type]
    )

    def told() -> list[tuple[str, str, int]]:
        return [(run["run_id"], run["status"], run["attempt"]) for run in changes.next()]

    assert told() == [], "what began before is of no interest"
    long, short = api.begin(1), api.begin(2)
    assert told() == [(long, "Running", 0), (short, "Running", 0)]
    assert told() == []
    api.runs[short]["status"] = "Completed"
    api.runs[long]["attempt"] = 1
    assert told() == [(long, "Running", 1), (short, "Completed", 0)]
    clock.advance(seconds=2 * OVERLAP_MS / 1000)
    assert told() == []
    api.asked.clear()
    api.runs[long]["status"] = "Failed"
    assert told() == [(long, "Failed", 1)]
    assert api.asked == [f"/v1/runs/{long}"], "one that has ended is not asked for"
    api.asked.clear()
    assert told() == []
    assert api.asked == []
