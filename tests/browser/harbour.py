"""Functions to look at: quick, asleep, failing, tried again, waiting, and full of HTML."""

import os
from collections import Counter
from datetime import timedelta
from typing import Any

from tidegate import Client, ContextSync, NonRetriableError, RetryAfterError, TriggerEvent

client = Client(app_id="harbour")

# What inspections call is out of order while the process has this variable.
BROKEN = "TESTS_HARBOUR_BROKEN"

# Runs scripts wherever it is taken for HTML.
HOSTILE = """<img src=x onerror="pwned=1"><script>pwned=1</script>'&amp;<b>"""


@client.create_function(fn_id="moor", trigger=TriggerEvent(event="harbour/ship.arrived"))
def moor(ctx: ContextSync) -> dict[str, Any]:
    """End at once."""
    return {"moored": ctx.event.data.get("ship", "nobody")}


@client.create_function(fn_id="stow", trigger=[])
def stow(ctx: ContextSync) -> str:
    """Run when it is invoked only."""
    return "stowed"


@client.create_function(fn_id="anchor", trigger=TriggerEvent(event="harbour/ship.anchored"))
def anchor(ctx: ContextSync) -> None:
    """Sleep for days."""
    ctx.step.run("drop", lambda: "dropped")
    ctx.step.sleep("tide", timedelta(days=3))


@client.create_function(fn_id="inspect", trigger=TriggerEvent(event="harbour/ship.inspected"))
def inspect(ctx: ContextSync) -> str:
    """Fail until what it calls is mended."""
    holds = ctx.step.run("holds", lambda: "holds are dry")
    return f"{holds}, {ctx.step.run('engine', _engine)}"


def _engine() -> str:
    if BROKEN in os.environ:
        raise NonRetriableError("the lamp is broken")
    return "engine runs"


_lifts: Counter[str] = Counter()


@client.create_function(fn_id="unload", trigger=TriggerEvent(event="harbour/cargo.unloaded"))
def unload(ctx: ContextSync) -> str:
    """Succeed at the third attempt of a step."""

    def crane() -> str:
        _lifts[ctx.run_id] += 1
        if _lifts[ctx.run_id] < 3:
            raise RetryAfterError("the crane is stuck", 1_000)
        return "unloaded"

    return ctx.step.run("crane", crane)


@client.create_function(fn_id="clear", trigger=TriggerEvent(event="harbour/customs.asked"))
def clear(ctx: ContextSync) -> Any:
    """Wait for an event, then invoke a function."""
    answer = ctx.step.wait_for_event(
        "answer", event="harbour/customs.answered", match="data.ship", timeout=timedelta(days=1)
    )
    if answer is None:
        return "nobody answered"
    return ctx.step.invoke("berth", function=moor, data={"ship": answer.data["ship"]})


class HostileError(Exception):
    """An error whose name is hostile as well."""


HostileError.__name__ = HOSTILE


@client.create_function(
    fn_id="flotsam", name=HOSTILE, retries=0, trigger=TriggerEvent(event="flotsam/*")
)
def flotsam(ctx: ContextSync) -> dict[str, str]:
    """Give hostile text wherever a function can give any."""
    found = ctx.step.run(HOSTILE, lambda: {HOSTILE: HOSTILE})
    if ctx.event.data.get("sinks"):
        raise HostileError(HOSTILE)
    if ctx.event.data.get("drifts"):
        ctx.step.wait_for_event("shore", event=f"shore/{HOSTILE}", timeout=timedelta(days=1))
    return found
