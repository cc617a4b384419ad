"""An app of three functions, in a module of its own, for the tests of the stack."""

from tidegate import Client, ContextSync, TriggerCron, TriggerEvent

client = Client(app_id="warehouse")


@client.create_function(fn_id="reserve", trigger=TriggerEvent(event="shop/order.placed"))
def reserve(ctx: ContextSync) -> str:
    return ctx.event.name


@client.create_function(
    fn_id="audit.all",
    retries=0,
    trigger=[
        TriggerEvent(event="shop/*"),
        TriggerEvent(event="billing/invoice.*"),
        TriggerEvent(event="user/created"),
    ],
)
def audit(ctx: ContextSync) -> None:
    ctx.logger.info("seen")


@client.create_function(
    fn_id="count",
    trigger=[
        TriggerCron(cron="TZ=Europe/Berlin 0 5 * * MON-SAT", jitter="1m"),
        TriggerCron(cron="30 23 1 * SUN"),
    ],
)
def count(ctx: ContextSync) -> None:
    ctx.logger.info("counted")
