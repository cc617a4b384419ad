"""Goods come back: one function has another one do a part of its work, and uses what it returns."""

from datetime import timedelta
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from functions.shop.app import client
from tidegate import ContextSync, Event, EventModel, InvokeError, NonRetriableError, TriggerEvent

REFUND_LIMIT = 500.0


class GoodsReturned(EventModel, name="storefront/goods.returned"):
    """A customer has sent goods back."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={"examples": [{"orderId": "o-1", "amount": 29.9}]},
    )

    order_id: str
    amount: float


@client.create_function(fn_id="refund-payment", name="Refund a payment", trigger=[])
def refund_payment(ctx: ContextSync) -> dict[str, Any]:
    """Give money back; without a trigger it runs only where another function invokes it."""
    amount = ctx.event.data["amount"]
    if amount > REFUND_LIMIT:
        raise NonRetriableError(f"{amount:.2f} is more than may be refunded unseen")
    return {"refunded": amount}


@client.create_function(
    fn_id="accept-return",
    name="Accept returned goods",
    trigger=TriggerEvent(event=GoodsReturned),
)
def accept_return(ctx: ContextSync[GoodsReturned]) -> dict[str, Any]:
    """Have the payment refunded; what cannot be refunded is a case for the support."""
    goods = ctx.event.data
    try:
        refund = ctx.step.invoke(
            "refund",
            function=refund_payment,
            data={"orderId": goods.order_id, "amount": goods.amount},
            timeout=timedelta(hours=1),
        )
    except InvokeError as error:
        case = {"orderId": goods.order_id, "reason": error.message}
        ctx.step.send_event("tell the support", Event(name="storefront/refund.refused", data=case))
        return {"order": goods.order_id, "status": "refused", "reason": error.message}
    return {"order": goods.order_id, "status": "refunded", **refund}
