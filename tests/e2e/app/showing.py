"""Functions that return what they received."""

import hashlib
from typing import Any

from tests.e2e.app import client
from tidegate import Context, ContextSync, TriggerEvent


@client.create_function(
    fn_id="show",
    trigger=[TriggerEvent(event=name) for name in ("show/*", "show/twice.*", "show/twice.over")],
)
def show(ctx: ContextSync) -> dict[str, Any]:
    return {"event": ctx.event.model_dump(), "run_id": ctx.run_id, "attempt": ctx.attempt}


@client.create_function(fn_id="measure", trigger=TriggerEvent(event="measure/asked"))
async def measure(ctx: Context) -> dict[str, Any]:
    text = ctx.event.data["text"]
    return {"length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
