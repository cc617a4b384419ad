"""How fast the test kit is: `python bench/testkit.py` prints the figures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tidegate import Client, Context, ContextSync, Event, TriggerEvent
from tidegate.function import Function
from tidegate.testing import run

STEPS = 1_000
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


def main() -> None:
    for handler, count in (
        (thousand_steps, STEPS),
        (thousand_async_steps, STEPS),
        (hour, 1),
        (hundred_sleeps, 100),
    ):
        made = function(handler.__name__.replace("_", "-"), handler)
        ms = best_ms(lambda made=made: run(made, EVENT).raise_for_status())
        print(f"{handler.__name__:24}{ms:9.1f} ms{ms / count:9.3f} ms each")
    bare_ms = best_ms(imported("sys"))
    for module in ("tidegate.testing", "tidegate", "pydantic", "boto3"):
        print(f"import {module:17}{best_ms(imported(module)) - bare_ms:9.1f} ms")


if __name__ == "__main__":
    main()
