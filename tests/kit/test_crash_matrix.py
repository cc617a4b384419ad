"""One run with every kind of step, its process killed at each write and each send."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.kit.backends import Backend, Played, Player, Process
from tidegate import ContextSync, Event, step
from tidegate.run import Status
from tidegate.step import StepState

OUTPUT = {"first": 1, "flaky": 2, "group": [["a", "b"], "flaky branch"], "label": "total 3"}
STEPS = {"first", "flaky", "rest", "notify", "a", "pause", "b", "flaky branch", "label"}


def everything(player: Player) -> Callable[[ContextSync], Any]:
    """A function with every kind of step; what fails does so once."""
    executions: Counter[str] = Counter()

    def execute(name: str, value: Any, *, failures: int = 0) -> Any:
        player.executes(name)
        executions[name] += 1
        if executions[name] <= failures:
            raise ValueError(name)
        return value

    @step
    def label(total: int) -> Any:
        return execute("label", f"total {total}")

    def handler(ctx: ContextSync) -> dict[str, Any]:
        def branch() -> list[str]:
            a = ctx.step.run("a", execute, "a", "a")
            ctx.step.sleep("pause", timedelta(hours=1))
            return [a, ctx.step.run("b", execute, "b", "b")]

        first = ctx.step.run("first", execute, "first", 1)
        flaky = ctx.step.run("flaky", partial(execute, "flaky", 2, failures=1))
        ctx.step.sleep("rest", timedelta(days=1))
        events = [
            Event(name="app/b", data={"run": ctx.run_id}),
            Event(name="app/b", data={"run": ctx.run_id}, id=ctx.run_id),
        ]
        ctx.step.send_event("notify", events)
        flaky_branch = partial(execute, "flaky branch", "flaky branch", failures=1)
        group = ctx.group.parallel(
            (branch, lambda: ctx.step.run("flaky branch", flaky_branch)),
        )
        labelled = label(first + flaky)
        executions["function"] += 1
        if executions["function"] == 1:
            raise ValueError("the function itself is tried again, too")
        return {"first": first, "flaky": flaky, "group": group, "label": labelled}

    return handler


def played(backend: Backend, process: Process) -> Played:
    player = Player(backend, process)
    return player.play(everything(player), ts=backend.clock.ms + 30_000)


def test_crash_at_each_write_and_send(
    backend: Backend, record_property: Callable[[str, object], None]
) -> None:
    process = Process()
    check(played(backend, process))
    points = [(n, when) for n in range(len(process.writes)) for when in ("before", "after")]
    record_property("crash_points", len(points))
    assert set(process.writes) == {
        "runs.create",
        "runs.take",
        "runs.release",
        "runs.end",
        "steps.put",
        "steps.keep",
        "queue.at",
        "dedup.claim",
        "events.put_payloads",
        "events.put",
        "topic.publish",
    }
    assert len(points) >= 80
    for n, when in points:
        process = Process({n: when})
        try:
            check(played(backend, process))
        except AssertionError as error:
            pytest.fail(f"killed {when} write {n}, {process.writes[n]}: {error}")
        assert len(process.writes) > n, "it was killed there"


def check(played: Played) -> None:
    """The run ended as if nothing had happened."""
    assert played.run.status == Status.COMPLETED, played.output
    assert json.loads(played.output or "") == OUTPUT
    assert {record.step.name for record in played.records.values()} == STEPS
    waiting = {r.step.name for r in played.records.values() if r.state != StepState.COMPLETED}
    assert waiting == {"rest", "pause"}, "that a sleep is over is not recorded"
    assert set(played.stored.values()) == {1}, "each output is stored once"
    assert len(played.stored) == len(STEPS) - 2
    assert played.executed_again == [], "what is completed never runs again"
    assert played.names_sent() == ["app/b", "app/b", "inngest/function.finished"]
