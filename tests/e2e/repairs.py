"""A function that fails until what it calls is mended, and one that goes on for days."""

import os
from datetime import timedelta

from tidegate import Client, ContextSync, NonRetriableError, TriggerEvent

client = Client(app_id="repairs")

# What its step calls is out of order while the process has this variable.
BROKEN = "TESTS_MILL_BROKEN"


@client.create_function(fn_id="grind", trigger=TriggerEvent(event="mill/grain.came"))
def grind(ctx: ContextSync) -> str:
    """Weigh, then grind."""
    kilos = ctx.step.run("weigh", lambda: ctx.event.data.get("kilos", 1))
    ctx.step.sleep("settle", 5)
    return ctx.step.run("mill", mill, kilos)


def mill(kilos: int) -> str:
    """Turn grain into flour."""
    if BROKEN in os.environ:
        raise NonRetriableError("the mill is broken")
    return f"{kilos} kg of flour"


@client.create_function(fn_id="age", trigger=TriggerEvent(event="mill/flour.stored"))
def age(ctx: ContextSync) -> None:
    """Wait for days."""
    ctx.step.sleep("rest", timedelta(days=3))
