"""A run that began with one version of its function ends with the next one.

Whatever it was at when that was deployed: asleep, waiting for an event or for another function, or
to be tried again. No step that was completed is repeated, and what is new runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.kit.backends import CALLEE, Backend, MemoryBackend
from tests.kit.player import Deployment, Later, Played, Player, Process
from tidegate import Cancel, Context, ContextSync, Timeouts, TriggerEvent
from tidegate.run import Status

DAY = timedelta(days=1)
HOUR_MS = 3_600_000
ANSWER = Later(HOUR_MS, "app/answered")
# Behind all that happens at once, and before whatever else.
DEPLOYED_MS = 5_000


class Version:
    """A version of the function, and what it has done.

    Args:
        number: which one it is.
        done: the steps that have run, with the version that ran them.
        player: is told what runs.
    """

    def __init__(self, number: int, done: list[str], player: Player) -> None:
        self.number = number
        self._done = done
        self._player = player

    def do(self, name: str) -> Callable[[], str]:
        """The handler of a step, which gives its name and the version."""

        def run() -> str:
            self._player.executes(name)
            self._done.append(f"{name}{self.number}")
            return f"{name}{self.number}"

        return run

    def fail_at_first(self) -> None:
        """What was mended in the second version."""
        if self.number == 1:
            raise ConnectionError("try again")


Body = Callable[[Version, Any, Callable[[], None]], Any]
Pause = Callable[[Version, ContextSync], None]


def sleeps(version: Version, ctx: ContextSync) -> None:
    ctx.step.sleep("pause", DAY)


def waits(version: Version, ctx: ContextSync) -> None:
    assert ctx.step.wait_for_event("pause", event="app/answered", timeout=DAY) is not None


def waits_in_vain(version: Version, ctx: ContextSync) -> None:
    assert ctx.step.wait_for_event("pause", event="app/never", timeout=DAY) is None


def invokes(version: Version, ctx: ContextSync) -> None:
    assert ctx.step.invoke("pause", function=CALLEE, data={}) == "called"


def retries_a_step(version: Version, ctx: ContextSync) -> None:
    ctx.step.run("pause", version.fail_at_first)


def retries(version: Version, ctx: ContextSync) -> None:
    version.fail_at_first()


PAUSES = (sleeps, waits, waits_in_vain, invokes, retries_a_step, retries)


def called(ctx: ContextSync) -> str:
    """The function that is invoked."""
    ctx.step.sleep("rest", DAY)
    return "called"


def first(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    """The version that the run begins with."""
    a = ctx.step.run("a", version.do("a"))
    pause()
    return [a, ctx.step.run("b", version.do("b"))]


def with_one_before(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    new = ctx.step.run("new", version.do("new"))
    return [new, *first(version, ctx, pause)]


def with_one_behind(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    return [*first(version, ctx, pause), ctx.step.run("new", version.do("new"))]


def without_one(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    pause()
    return [ctx.step.run("b", version.do("b"))]


def without_the_pause(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    return first(version, ctx, lambda: None)


def in_another_order(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    b = ctx.step.run("b", version.do("b"))
    pause()
    return [b, ctx.step.run("a", version.do("a"))]


def with_another_name(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    a = ctx.step.run("renamed", version.do("renamed"))
    pause()
    return [a, ctx.step.run("b", version.do("b"))]


def beside_each_other(version: Version, ctx: ContextSync, pause: Callable[[], None]) -> list[str]:
    pause()
    one, other = (lambda name=name: ctx.step.run(name, version.do(name)) for name in "ab")
    return list(ctx.group.parallel((one, other)))


@dataclass(frozen=True)
class Change:
    """What the second version does, and what comes of it.

    Attributes:
        body: what it does.
        output: what the run gives.
        done: the steps that run in all, in their order.
        options: how it is registered.
    """

    body: Body
    output: list[str]
    done: list[str]
    options: dict[str, Any] = field(default_factory=dict)


SAME = (["a1", "b2"], ["a1", "b2"])
CHANGES = {
    "other code in the steps": Change(first, *SAME),
    "a step before": Change(with_one_before, ["new2", "a1", "b2"], ["a1", "new2", "b2"]),
    "a step behind": Change(with_one_behind, ["a1", "b2", "new2"], ["a1", "b2", "new2"]),
    "a step less": Change(without_one, ["b2"], ["a1", "b2"]),
    "nothing to wait for": Change(without_the_pause, *SAME),
    "another order": Change(in_another_order, ["b2", "a1"], ["a1", "b2"]),
    "another name": Change(with_another_name, ["renamed2", "b2"], ["a1", "renamed2", "b2"]),
    "beside each other": Change(beside_each_other, *SAME),
    "fewer retries": Change(first, *SAME, {"retries": 1}),
    "more retries": Change(first, *SAME, {"retries": 20}),
    "another trigger": Change(first, *SAME, {"trigger": TriggerEvent(event="app/other")}),
    "another expression": Change(
        first, *SAME, {"trigger": TriggerEvent(event="app/a", expression="event.data.n > 1")}
    ),
    "a cancellation": Change(first, *SAME, {"cancel": [Cancel(event="app/never")]}),
    "time-outs": Change(first, *SAME, {"timeouts": Timeouts(start=1_000, finish=3 * DAY)}),
    "an idempotency key": Change(first, *SAME, {"idempotency": "event.data.n"}),
}


def handler(version: Version, body: Body, pause: Pause) -> Callable[[ContextSync], Any]:
    return lambda ctx: body(version, ctx, lambda: pause(version, ctx))


def play(
    backend: Backend, pause: Pause, change: Change, process: Process | None = None
) -> tuple[Played, list[str]]:
    """A run of the first version, over which the second one comes while it pauses."""
    player = Player(backend, process or Process())
    done: list[str] = []
    one, other = (Version(number, done, player) for number in (1, 2))
    played = player.play(
        handler(one, first, pause),
        called=called,
        later=[ANSWER],
        deployment=Deployment(DEPLOYED_MS, handler(other, change.body, pause), change.options),
        data={"n": 1},
    )
    return played, done


@pytest.mark.parametrize("pause", PAUSES, ids=lambda pause: pause.__name__)
@pytest.mark.parametrize("name", CHANGES)
def test_it_goes_on_with_the_new_code(backend: Backend, name: str, pause: Pause) -> None:
    change = CHANGES[name]
    played, done = play(backend, pause, change)
    assert (played.run.status, json.loads(played.output or "")) == (
        Status.COMPLETED,
        change.output,
    )
    assert done == change.done
    assert played.executed_again == []


def test_its_steps_may_leave_a_group(backend: Backend) -> None:
    done: list[str] = []
    player = Player(backend, Process())
    one, other = (Version(number, done, player) for number in (1, 2))

    def grouped(ctx: ContextSync) -> list[str]:
        def behind() -> str:
            ctx.step.sleep("pause", DAY)
            return ctx.step.run("b", one.do("b"))

        return list(ctx.group.parallel((lambda: ctx.step.run("a", one.do("a")), behind)))

    changed = Deployment(DEPLOYED_MS, handler(other, first, sleeps))
    played = player.play(grouped, deployment=changed, data={"n": 1})
    assert json.loads(played.output or "") == done == ["a1", "b2"]


@pytest.mark.parametrize("pause", [sleeps, retries], ids=lambda pause: pause.__name__)
def test_it_may_become_async(backend: Backend, pause: Pause) -> None:
    done: list[str] = []
    player = Player(backend, Process())
    one, other = (Version(number, done, player) for number in (1, 2))

    async def changed(ctx: Context) -> list[str]:
        a = await ctx.step.run("a", other.do("a"))
        if pause is sleeps:
            await ctx.step.sleep("pause", DAY)
        return [a, await ctx.step.run("b", other.do("b"))]

    played = player.play(
        handler(one, first, pause), deployment=Deployment(DEPLOYED_MS, changed), data={"n": 1}
    )
    assert json.loads(played.output or "") == done == ["a1", "b2"]


@pytest.mark.parametrize("pause", PAUSES, ids=lambda pause: pause.__name__)
@pytest.mark.parametrize("name", ["a step before", "another name", "a step less"])
def test_the_old_process_may_die_at_any_write(name: str, pause: Pause) -> None:
    change, whole = CHANGES[name], Process()
    play(MemoryBackend(), pause, change, whole)
    for number in range(len(whole.writes)):
        for when in ("before", "after"):
            played, done = play(MemoryBackend(), pause, change, Process({number: when}))
            assert played.run.status == Status.COMPLETED, (number, when)
            assert played.executed_again == [], (number, when)
            output = json.loads(played.output or "")
            assert len(output) == len(change.output)
            assert set(output) <= set(done)
