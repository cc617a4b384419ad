"""The functions whose histories are recorded; each step that runs is told to `executed`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from tidegate import (
    ContextSync,
    Event,
    InvokeError,
    NonRetriableError,
    ParallelMode,
    StepError,
    step,
)

Executed = Callable[[str], int]


def order(executed: Executed) -> Callable[[ContextSync], Any]:
    """Steps, sleeps, a sent event and a step that fails at first."""

    def charge(amount: int) -> dict[str, int]:
        if executed("charge") == 1:
            raise ConnectionError("try again")
        return {"charged": amount}

    def handler(ctx: ContextSync) -> Any:
        amount = ctx.step.run("price", lambda: executed("price") and ctx.event.data["n"] * 10)
        charged = ctx.step.run("charge", charge, amount)
        ctx.step.sleep("cool off", timedelta(days=3))
        ids = ctx.step.send_event("notify", Event(name="app/b", data={"amount": amount}))
        return [charged, len(ids), round(ctx.random(), 6), ctx.now().isoformat()]

    return handler


def fan(executed: Executed) -> Callable[[ContextSync], Any]:
    """Nested parallel groups with sleeps and a retried step, and a race."""

    def flaky() -> str:
        if executed("flaky") == 1:
            raise ValueError
        return "flaky"

    def handler(ctx: ContextSync) -> Any:
        def branch(name: str, hours: int) -> str:
            ctx.step.sleep(f"{name} rests", timedelta(hours=hours))
            return ctx.step.run(name, lambda: executed(name) and name)

        def inner() -> Any:
            return ctx.group.parallel([partial(branch, "x", 1), partial(branch, "y", 2)])

        group = ctx.group.parallel([inner, lambda: ctx.step.run("flaky", flaky)])
        slow, fast = partial(branch, "slow", 9), partial(branch, "fast", 1)
        return [group, ctx.group.parallel([slow, fast], ParallelMode.RACE)]

    return handler


def caught(executed: Executed) -> Callable[[ContextSync], Any]:
    """A failure that is caught, ids that are used again, and `@step`."""

    @step
    def label(n: int) -> str:
        executed("label")
        return f"label {n}"

    def refuse() -> None:
        executed("refuse")
        raise NonRetriableError("declined")

    def handler(ctx: ContextSync) -> Any:
        try:
            ctx.step.run("refuse", refuse)
        except StepError as error:
            seen = [error.name, error.message]
        for n in range(3):
            seen.append(label(n))
            ctx.step.sleep("pause", timedelta(minutes=5))
        return seen

    return handler


def outside(executed: Executed) -> Callable[[ContextSync], Any]:
    """Waits that are met, not met and lost in a race, and invocations, one of which fails."""

    def handler(ctx: ContextSync) -> Any:
        def wait(name: str, event: str, days: int) -> Any:
            timeout = timedelta(days=days)
            found = ctx.step.wait_for_event(name, event=event, match="data.n", timeout=timeout)
            return found and [found.name, found.data, found.id, found.ts]

        def invoke(name: str, data: dict[str, Any]) -> Any:
            try:
                return ctx.step.invoke_by_id(name, function_id="callee", data=data)
            except InvokeError as error:
                return [type(error).__name__, error.name, error.message]

        seen = [wait("unmet", "app/answered", 1), wait("met", "app/answered", 9)]
        slow = partial(wait, "slow", "app/never", 300)
        fast = partial(invoke, "fast", {"n": ctx.event.data["n"]})
        seen += ctx.group.parallel([slow, fast], ParallelMode.RACE)
        seen.append(invoke("refused", {}))
        return [*seen, ctx.step.run("last", lambda: executed("last")), ctx.now().isoformat()]

    return handler


def called(ctx: ContextSync) -> Any:
    """The function that is invoked; it is no history of its own."""
    if "n" not in ctx.event.data:
        raise NonRetriableError("no n")
    return ctx.event.data["n"] * 2


FUNCTIONS = {"order": order, "fan": fan, "caught": caught, "outside": outside}
