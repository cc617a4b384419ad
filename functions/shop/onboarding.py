"""A new customer: welcomed at once, looked after days later, and nothing runs in between."""

from datetime import timedelta
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from functions.shop.app import client
from tidegate import ContextSync, EventModel, TriggerEvent


class CustomerJoined(EventModel, name="storefront/customer.joined"):
    """Somebody has become a customer; the sender may set another pace than the usual one."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={
            "examples": [{"customerId": "c-1", "settleIn": "PT2S", "orderWithin": "PT1M"}]
        },
    )

    customer_id: str
    settle_in: timedelta = timedelta(days=1)
    order_within: timedelta = timedelta(days=3)


@client.create_function(
    fn_id="onboard-customer",
    name="Onboard a customer",
    trigger=TriggerEvent(event=CustomerJoined),
)
def onboard_customer(ctx: ContextSync[CustomerJoined]) -> dict[str, Any]:
    """Welcome a customer; then give a tip to those who order soon, and remind those who do not."""
    joined = ctx.event.data
    ctx.step.run("welcome", write, joined.customer_id, "welcome")
    ctx.step.sleep("settle in", joined.settle_in)
    order = ctx.step.wait_for_event(
        "first order",
        event="storefront/order.placed",
        match="data.customerId",
        timeout=joined.order_within,
    )
    if order is None:
        return ctx.step.run("remind", write, joined.customer_id, "reminder")
    tip = ctx.step.run("tip", write, joined.customer_id, "tip")
    return {**tip, "order": order.data["orderId"]}


def write(customer_id: str, letter: str) -> dict[str, Any]:
    """Write to a customer."""
    return {"customer": customer_id, "letter": letter}
