"""A function that waits for an answer, and then has another one do the work."""

from typing import Any

from tidegate import Cancel, Client, ContextSync, InvokeError, Timeouts, TriggerEvent

client = Client(app_id="approval")


@client.create_function(fn_id="pay", trigger=[])
def pay(ctx: ContextSync) -> dict[str, Any]:
    amount = ctx.event.data["amount"]
    if amount > 1_000:
        raise ValueError("too much")
    return {"paid": amount}


@client.create_function(fn_id="refund", retries=0, trigger=TriggerEvent(event="refund/asked"))
def refund(ctx: ContextSync) -> Any:
    answer = ctx.step.wait_for_event(
        "answer",
        event="refund/answered",
        if_exp="async.data.refund == event.data.refund",
        timeout=60_000,
    )
    if answer is None or not answer.data["approved"]:
        return "refused"
    return ctx.step.invoke("pay", function=pay, data={"amount": ctx.event.data["amount"]})


@client.create_function(fn_id="hasty", trigger=TriggerEvent(event="refund/hasty"))
def hasty(ctx: ContextSync) -> Any:
    none = ctx.step.wait_for_event("never", event="refund/never", timeout=1_200)
    try:
        ctx.step.invoke_by_id("unknown", function_id="unknown")
    except InvokeError as error:
        return [none, error.message]


@client.create_function(
    fn_id="reminder",
    trigger=TriggerEvent(event="refund/forgotten"),
    cancel=[
        Cancel(event="refund/withdrawn", if_exp="async.data.refund == event.data.refund"),
    ],
)
def reminder(ctx: ContextSync) -> str:
    ctx.step.sleep("patience", 3_600_000)
    return "reminded"


@client.create_function(
    fn_id="impatient", trigger=TriggerEvent(event="refund/urgent"), timeouts=Timeouts(finish=1_200)
)
def impatient(ctx: ContextSync) -> None:
    ctx.step.sleep("patience", 3_600_000)


@client.create_function(fn_id="ledger", trigger=TriggerEvent(event="inngest/function.cancelled"))
def ledger(ctx: ContextSync) -> str:
    return str(ctx.event.data["run_id"])
