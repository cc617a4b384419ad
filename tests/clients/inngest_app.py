"""An app as it is written for Inngest's Python SDK, with all of it that runs here unchanged."""

import datetime

import inngest

client = inngest.Inngest(app_id="moved", is_production=False)


@client.create_function(
    fn_id="charge",
    name="Charge the card",
    trigger=inngest.TriggerEvent(event="moved/order.placed"),
    retries=2,
)
async def charge(ctx: inngest.Context) -> dict[str, object]:
    ctx.logger.info("charging for %s", ctx.event.data["order"])
    if ctx.attempt == 0:
        raise inngest.RetryAfterError("the bank is asleep", datetime.timedelta(seconds=1))
    ids = await ctx.step.send_event(
        "announce",
        inngest.Event(
            name="moved/order.charged", data={"order": ctx.event.data["order"], "run": ctx.run_id}
        ),
    )
    return {"attempt": ctx.attempt, "sent": ids, "same": ctx.events[0].id == ctx.event.id}


@client.create_function(
    fn_id="ship",
    trigger=[
        inngest.TriggerEvent(event="moved/order.charged"),
        inngest.TriggerEvent(event="moved/order.gift"),
    ],
    idempotency="event.data.to",
)
def ship(ctx: inngest.ContextSync) -> object:
    ctx.step.send_event("log", [inngest.Event(name="moved/log", data=ctx.event.data)])
    return ctx.event.data


def apologise(ctx: inngest.ContextSync) -> None:
    ctx.step.send_event("sorry", inngest.Event(name="moved/sorry", data={"for": ctx.event.data}))


@client.create_function(
    fn_id="refuse",
    trigger=inngest.TriggerEvent(event="moved/order.refused"),
    retries=0,
    on_failure=apologise,
)
def refuse(ctx: inngest.ContextSync) -> None:
    raise inngest.NonRetriableError("not deliverable")
