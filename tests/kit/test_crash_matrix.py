"""Runs with every kind of step, their processes killed at each write and each send.

Those of the function, of the function that it invokes, and of the matcher are killed, before and
after each write; then what they were doing is delivered again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.aws.conftest import ENV
from tests.kit.backends import CALLEE, Backend, MemoryBackend
from tests.kit.player import Later, Played, Player, Process
from tidegate import Cancel, ContextSync, Event, ParallelMode, step
from tidegate.run import Status
from tidegate.step import Op, StepState

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# The run is at its wait for more than a day before, whatever died on the way.
ANSWERED = Later(int(2.5 * DAY.total_seconds() * 1000), "app/answered", {"n": 7})


class Executions:
    """What the handlers of steps do; what fails does so a number of times.

    Args:
        player: is told what runs.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._counted: Counter[str] = Counter()

    def __call__(self, name: str, value: Any, *, failures: int = 0, run_id: str = "") -> Any:
        self._player.executes(name, run_id=run_id)
        self._counted[name] += 1
        if self._counted[name] <= failures:
            raise ValueError(name)
        return value

    def called(self, ctx: ContextSync) -> Any:
        """The function that is invoked."""
        is_slow = ctx.event.data.get("is_slow", False)
        if is_slow:
            # It lasts longer than its caller's process stays dead.
            ctx.step.sleep("rest", HOUR)
        doubled = partial(
            self, "double", ctx.event.data["n"] * 2, failures=int(is_slow), run_id=ctx.run_id
        )
        return {"doubled": ctx.step.run("double", doubled)}


@dataclass(frozen=True)
class Program:
    """A function, and what comes of it.

    Attributes:
        handler: what it does.
        output: what it returns.
        steps: the names of its steps.
        waiting: those of them that are not recorded as done: that a sleep is over is known by the
            time, and what lost a race is not waited for.
        invoked: how many runs of the other function it starts.
        sent: the names of the events that it sends, the announcements of all ends included.
    """

    handler: Callable[[Executions, ContextSync], Any]
    output: Any
    steps: set[str]
    waiting: set[str]
    invoked: int
    sent: tuple[str, ...]


def _everything(execute: Executions, ctx: ContextSync) -> dict[str, Any]:
    @step
    def label(total: int) -> Any:
        return execute("label", f"total {total}")

    def branch() -> list[str]:
        a = ctx.step.run("a", execute, "a", "a")
        ctx.step.sleep("pause", HOUR)
        return [a, ctx.step.run("b", execute, "b", "b")]

    def waits(name: str, event: str) -> str:
        ctx.step.wait_for_event(name, event=event, timeout=90 * DAY)
        return name

    first = ctx.step.run("first", execute, "first", 1)
    flaky = ctx.step.run("flaky", partial(execute, "flaky", 2, failures=1))
    ctx.step.sleep("rest", DAY)
    events = [
        Event(name="app/b", data={"run": ctx.run_id}),
        Event(name="app/b", data={"run": ctx.run_id}, id=ctx.run_id),
    ]
    ctx.step.send_event("notify", events)
    unmet = ctx.step.wait_for_event("unmet", event="app/never", timeout=HOUR)
    flaky_branch = partial(execute, "flaky branch", "flaky branch", failures=1)
    group = ctx.group.parallel((branch, lambda: ctx.step.run("flaky branch", flaky_branch)))
    met = ctx.step.wait_for_event("met", event="app/answered", match="data.n", timeout=9 * DAY)
    invoked = ctx.step.invoke("invoked", function=CALLEE, data={"n": first + flaky})
    slow = ctx.step.invoke("slow", function=CALLEE, data={"n": 4, "is_slow": True})
    race = ctx.group.parallel(
        (
            partial(waits, "loser", "app/never"),
            lambda: ctx.step.run("winner", execute, "winner", 1),
        ),
        ParallelMode.RACE,
    )
    labelled = label(first + flaky)
    execute("function", None, failures=1)
    return {
        "first": first,
        "flaky": flaky,
        "group": group,
        "unmet": unmet,
        "met": met and met.data,
        "invoked": [invoked, slow],
        "race": race,
        "label": labelled,
    }


EVERYTHING = Program(
    _everything,
    {
        "first": 1,
        "flaky": 2,
        "group": [["a", "b"], "flaky branch"],
        "unmet": None,
        "met": {"n": 7},
        "invoked": [{"doubled": 6}, {"doubled": 8}],
        "race": [1],
        "label": "total 3",
    },
    {"first", "flaky", "rest", "notify", "unmet", "a", "pause", "b", "flaky branch", "met"}
    | {"invoked", "slow", "race", "loser", "winner", "label"},
    {"rest", "pause", "loser"},
    2,
    ("app/b", "app/b", *["inngest/function.finished"] * 3),
)


def _outside(execute: Executions, ctx: ContextSync) -> dict[str, Any]:
    first = ctx.step.run("first", partial(execute, "first", 1, failures=1))
    ctx.step.send_event("notify", Event(name="app/b", data={"run": ctx.run_id}))
    unmet = ctx.step.wait_for_event("unmet", event="app/never", timeout=HOUR)
    met = ctx.step.wait_for_event("met", event="app/answered", match="data.n", timeout=9 * DAY)
    invoked = ctx.step.invoke("invoked", function=CALLEE, data={"n": first})
    return {"unmet": unmet, "met": met and met.data, "invoked": invoked}


# On moto each play takes a while, so it has no step twice, and fewer writes.
OUTSIDE = Program(
    _outside,
    {"unmet": None, "met": {"n": 7}, "invoked": {"doubled": 2}},
    {"first", "notify", "unmet", "met", "invoked"},
    set(),
    1,
    ("app/b", *["inngest/function.finished"] * 2),
)

WRITES = {
    "runs.create",
    "runs.take",
    "runs.release",
    "runs.end",
    "steps.put",
    "steps.keep",
    "queue.at",
    "queue.forget",
    "events.put_payloads",
    "events.put",
    "topic.publish",
    "topic.send_to",
    "waits.put",
    "waits.delete",
    "looks.ask",
}


def played(program: Program, backend: Backend, process: Process) -> Played:
    player = Player(backend, process)
    execute = Executions(player)
    return player.play(
        partial(program.handler, execute),
        called=execute.called,
        later=[ANSWERED],
        ts=backend.clock.ms + 30_000,
        data={"n": 7},
    )


def killed_everywhere(program: Program, backend: Backend) -> tuple[int, set[str]]:
    """Kill a process at each point; gives how many there are, and what was written."""
    process = Process()
    check(program, played(program, backend, process))
    points = [(n, when) for n in range(len(process.writes)) for when in ("before", "after")]
    for n, when in points:
        killed = Process({n: when})
        try:
            check(program, played(program, backend, killed))
        except AssertionError as error:
            pytest.fail(f"killed {when} write {n}, {killed.writes[n]}: {error}")
        assert len(killed.writes) > n, "it was killed there"
    return len(points), set(process.writes)


def test_crash_at_each_write_and_send(record_property: Callable[[str, object], None]) -> None:
    points, writes = killed_everywhere(EVERYTHING, MemoryBackend())
    record_property("crash_points", points)
    print(f"{points} crash points in memory")
    assert writes == WRITES | {"dedup.claim"}
    assert points >= 250


def test_crash_at_each_write_and_send_on_aws(
    moto_backend: Backend, record_property: Callable[[str, object], None]
) -> None:
    points, writes = killed_everywhere(OUTSIDE, moto_backend)
    record_property("crash_points", points)
    print(f"{points} crash points on AWS")
    assert writes == WRITES
    assert points >= 120


def _stopped(ctx: ContextSync) -> None:
    ctx.step.run("first", lambda: 1)
    ctx.step.wait_for_event("never", event="app/never", timeout=90 * DAY)


STOPPED = Later(int(DAY.total_seconds() * 1000), "app/stop", {"n": 7})
CANCEL = Cancel(event="app/stop", if_exp="async.data.n == event.data.n")


def cancelled(backend: Backend, process: Process) -> None:
    """Play a run that an event cancels while it waits; nothing of it is left."""
    played = Player(backend, process, cancel=[CANCEL]).play(
        _stopped, later=[STOPPED], data={"n": 7}
    )
    assert played.run.status == Status.CANCELLED, played.output
    assert "app/stop" in (played.output or "")
    assert set(played.stored.values()) == {1}
    assert len(played.stored) == 1
    assert played.names_sent() == ["inngest/function.finished"]
    for name in ("app/stop", "app/never"):
        assert not backend.waits.is_awaited(ENV, name)


@pytest.mark.parametrize("on_aws", [False, True], ids=["memory", "moto"])
def test_crash_at_each_write_and_send_of_a_cancellation(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None], on_aws: bool
) -> None:
    backend = request.getfixturevalue("moto_backend") if on_aws else MemoryBackend()
    process = Process()
    cancelled(backend, process)
    assert {"runs.cancel", "queue.forget", "waits.put", "waits.delete"} <= set(process.writes)
    points = [(n, when) for n in range(len(process.writes)) for when in ("before", "after")]
    for n, when in points:
        killed = Process({n: when})
        try:
            cancelled(backend, killed)
        except AssertionError as error:
            pytest.fail(f"killed {when} write {n}, {killed.writes[n]}: {error}")
        assert len(killed.writes) > n, "it was killed there"
    record_property("crash_points", len(points))
    print(f"{len(points)} crash points of a cancellation")
    assert len(points) >= 40


def check(program: Program, played: Played) -> None:
    """The run ended as if nothing had happened."""
    assert played.run.status == Status.COMPLETED, played.output
    assert json.loads(played.output or "") == program.output
    assert {record.step.name for record in played.records.values()} == program.steps
    waiting = {r.step.name for r in played.records.values() if r.state != StepState.COMPLETED}
    assert waiting == program.waiting
    assert set(played.stored.values()) == {1}, "each output is stored once"
    assert len(played.stored) == len(program.steps - program.waiting)
    assert played.executed_again == [], "what is completed never runs again"
    assert tuple(played.names_sent()) == program.sent
    ends = [run.status for run in played.invoked]
    assert ends == [Status.COMPLETED] * program.invoked, "each invocation starts one run"
    awaited = {r.event_name for r in played.records.values() if r.op == Op.WAIT_FOR_EVENT}
    assert awaited == {"app/never", "app/answered"}
