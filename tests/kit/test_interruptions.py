"""Random functions give the same result whether or not their processes die on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.backends import CALLEE, Backend, MemoryBackend
from tests.kit.player import Later, Played, Player, Process
from tidegate import ContextSync, Event, InvokeError, NonRetriableError, StepError


@dataclass(frozen=True)
class Run:
    """A step that fails some times and then succeeds, or never does; what it raises is caught."""

    name: str
    failures: int


@dataclass(frozen=True)
class Sleep:
    name: str
    ms: int


@dataclass(frozen=True)
class Send:
    name: str


@dataclass(frozen=True)
class Wait:
    """A wait for an event that is sent every day, or never."""

    name: str
    is_met: bool


@dataclass(frozen=True)
class Invoke:
    """A function that is invoked, takes a while, and then returns or fails."""

    name: str
    ms: int
    fails: bool


@dataclass(frozen=True)
class Parallel:
    branches: tuple[Program, ...]


Program = tuple[Run | Sleep | Send | Wait | Invoke | Parallel, ...]
NEVER = 99
WAIT = timedelta(days=100)
DAILY = [Later(n * 86_400_000, "app/daily") for n in range(1, 60)]

_steps = st.one_of(
    st.builds(Run, st.sampled_from("abc"), st.sampled_from([0, 0, 0, 1, 2, NEVER])),
    st.builds(Sleep, st.sampled_from("de"), st.sampled_from([0, 400, 60_000, 86_400_000])),
    st.builds(Send, st.sampled_from("fg")),
    st.builds(Wait, st.sampled_from("hi"), st.booleans()),
    st.builds(Invoke, st.sampled_from("jk"), st.sampled_from([0, 3_600_000]), st.booleans()),
)
_programs: st.SearchStrategy[Program] = st.recursive(
    st.lists(_steps, max_size=4).map(tuple),
    lambda inner: st.lists(
        _steps | st.builds(Parallel, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        max_size=4,
    ).map(tuple),
    max_leaves=8,
)
_deaths = st.dictionaries(
    st.integers(0, 40), st.sampled_from(["before", "after"]), min_size=1, max_size=2
)


class Interpreter:
    """A program as a function.

    Args:
        program: what it does.
        player: is told what runs.
    """

    def __init__(self, program: Program, player: Player) -> None:
        self._program = program
        self._player = player
        self._executions: Counter[str] = Counter()

    def __call__(self, ctx: ContextSync) -> Any:
        return self._sequence(ctx, self._program, "")

    def called(self, ctx: ContextSync) -> str:
        """What the function does that is invoked."""
        data = ctx.event.data
        ctx.step.sleep("rest", data["ms"])
        name = ctx.step.run("name", self._execute_called, ctx.run_id, data["name"])
        if data["fails"]:
            raise NonRetriableError(name)
        return f"{name} {data['index']}"

    def _execute_called(self, run_id: str, name: str) -> str:
        self._player.executes("name", run_id=run_id)
        return f"called {name}"

    def _sequence(self, ctx: ContextSync, program: Program, path: str) -> Any:
        # A branch is gone through several times; each time counts its uses anew.
        uses: Counter[str] = Counter()
        return [self._do(ctx, item, path, n, uses) for n, item in enumerate(program)]

    def _do(self, ctx: ContextSync, item: Any, path: str, n: int, uses: Counter[str]) -> Any:
        if isinstance(item, Parallel):
            branches: list[Callable[[], Any]] = [
                partial(self._sequence, ctx, branch, f"{path}{n}.{number}.")
                for number, branch in enumerate(item.branches)
            ]
            return ctx.group.parallel(branches)
        # Ids are repeated within a sequence, not by branches beside each other.
        name = f"{path}{item.name}"
        index = uses[name]
        uses[name] += 1
        if isinstance(item, Sleep):
            return ctx.step.sleep(name, item.ms)
        if isinstance(item, Send):
            return len(ctx.step.send_event(name, Event(name="app/b", data={"at": [name, index]})))
        if isinstance(item, Wait):
            event = "app/daily" if item.is_met else "app/never"
            return ctx.step.wait_for_event(name, event=event, timeout=WAIT) is not None
        if isinstance(item, Invoke):
            data = {"name": name, "index": index, "ms": item.ms, "fails": item.fails}
            try:
                return ctx.step.invoke(name, function=CALLEE, data=data)
            except InvokeError as error:
                return f"caught {error.name} {error.message}"
        try:
            return ctx.step.run(name, self._execute, name, index, item.failures)
        except StepError as error:
            return f"caught {error.message}"

    def _execute(self, name: str, index: int, failures: int) -> str:
        self._player.executes(name, index)
        self._executions[f"{name}:{index}"] += 1
        if failures == NEVER:
            raise NonRetriableError(f"{name} {index}")
        if self._executions[f"{name}:{index}"] <= failures:
            raise ValueError(name)
        return f"{name} {index}"


def played_by(backend: Backend, process: Process, program: Program) -> Played:
    player = Player(backend, process)
    interpreter = Interpreter(program, player)
    return player.play(interpreter, called=interpreter.called, later=DAILY)


def check(backend: Backend, program: Program, deaths: dict[int, str]) -> None:
    expected = played_by(MemoryBackend(), Process(), program)
    played = played_by(backend, Process(deaths), program)
    assert played.run.status == expected.run.status == "Completed"
    assert json.loads(played.output or "") == json.loads(expected.output or "")
    assert played.records.keys() == expected.records.keys()
    assert played.executed_again == []
    assert played.stored == expected.stored
    assert set(played.stored.values()) <= {1}
    assert sent(played) == sent(expected)
    assert sorted(run.status for run in played.invoked) == sorted(
        run.status for run in expected.invoked
    )


def sent(played: Any) -> list[str]:
    """What the listener was sent, each event once."""
    events = [message.event.event for message in played.sent.values()]
    return sorted(f"{event.name} {event.data.get('at')}" for event in events)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=_programs, deaths=_deaths)
def test_interruptions_change_nothing_in_memory(program: Program, deaths: dict[int, str]) -> None:
    check(MemoryBackend(), program, deaths)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=_programs, deaths=_deaths)
def test_interruptions_change_nothing_on_aws(
    moto_backend: Backend, program: Program, deaths: dict[int, str]
) -> None:
    check(moto_backend, program, deaths)


def test_the_check_sees_a_step_that_runs_again() -> None:
    class Forgetful(MemoryBackend):
        def __init__(self) -> None:
            super().__init__()
            self.steps.load = lambda run: {}  # type: ignore[method-assign]

    program: Program = (Run("a", 0), Sleep("d", 60_000))
    with pytest.raises(AssertionError):
        check(Forgetful(), program, {})
