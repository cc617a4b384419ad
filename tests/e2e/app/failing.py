"""Functions that fail: once, or for good; and one that hears of it."""

from typing import Any

from tests.e2e.app import client
from tidegate import Context, ContextSync, NonRetriableError, RetryAfterError, TriggerEvent


@client.create_function(fn_id="fail-once", trigger=TriggerEvent(event="fail/once"), retries=1)
async def fail_once(ctx: Context) -> dict[str, Any]:
    if ctx.attempt == 0:
        raise RetryAfterError("the first try fails", ctx.event.data["retry_after_ms"])
    return {"attempt": ctx.attempt}


@client.create_function(fn_id="fail-for-good", trigger=TriggerEvent(event="fail/for-good"))
def fail_for_good(ctx: ContextSync) -> None:
    raise NonRetriableError(f"nothing can be done about {ctx.event.data['what']}")


@client.create_function(fn_id="hear", trigger=TriggerEvent(event="inngest/function.failed"))
def hear(ctx: ContextSync) -> dict[str, Any]:
    return {"id": ctx.event.id, "data": ctx.event.data}
