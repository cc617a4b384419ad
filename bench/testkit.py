"""How fast the test kit is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from bench.figure import Figure
from tidegate import Client, Context, ContextSync, Event, TriggerEvent
from tidegate.function import Function
from tidegate.testing import run

STEPS = 1_000
# Half of what the test runner of AWS durable execution takes to skip a sleep of an hour, 0.22 s,
# and for a step, 3 ms.
GOAL_HOUR_MS = 110
GOAL_STEP_MS = 1.5
EVENT = Event(name="bench/started")
client = Client(app_id="bench")


def function(fn_id: str, handler: Callable[..., Any]) -> Function:
    trigger = TriggerEvent(event=EVENT.name)
    return client.create_function(fn_id=fn_id, trigger=trigger, max_steps=STEPS)(handler)


def thousand_steps(ctx: ContextSync) -> int:
    return sum(ctx.step.run(f"step {n}", lambda: 1) for n in range(STEPS))


async def thousand_async_steps(ctx: Context) -> int:
    async def one() -> int:
        return 1

    return sum([await ctx.step.run(f"step {n}", one) for n in range(STEPS)])


def hour(ctx: ContextSync) -> None:
    ctx.step.sleep("rest", timedelta(hours=1))


def hundred_sleeps(ctx: ContextSync) -> None:
    for n in range(100):
        ctx.step.sleep(f"rest {n}", timedelta(hours=1))


def best_ms(action: Callable[[], Any], times: int = 5) -> float:
    """The shortest time that an action takes, in ms."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken)


def imported(module: str) -> Callable[[], Any]:
    command = [sys.executable, "-c", f"import {module}"]
    return lambda: subprocess.run(command, check=True)  # noqa: S603


def measure() -> Iterator[Figure]:
    """Runs with a thousand steps, skipped sleeps, and what importing the test kit costs."""
    for handler, count, goal_ms in (
        (thousand_steps, STEPS, GOAL_STEP_MS),
        (thousand_async_steps, STEPS, GOAL_STEP_MS),
        (hour, 1, GOAL_HOUR_MS),
        (hundred_sleeps, 100, GOAL_STEP_MS),
    ):
        made = function(handler.__name__.replace("_", "-"), handler)
        ms = best_ms(lambda made=made: run(made, EVENT).raise_for_status())  # type: ignore[misc]
        name = f"test kit: {handler.__name__.replace('_', ' ')}"
        yield Figure(f"{name}, each", ms / count, "ms", goal_ms)
    bare_ms = best_ms(imported("sys"))
    pydantic_ms = best_ms(imported("pydantic")) - bare_ms
    for module in ("tidegate.testing", "tidegate"):
        yield Figure(
            f"import {module}", best_ms(imported(module)) - bare_ms, "ms", floor=pydantic_ms
        )
