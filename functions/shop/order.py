"""An order: a saga. What was done for an order that cannot be fulfilled is undone."""

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from functions.shop.app import client
from tidegate import ContextSync, EventModel, NonRetriableError, StepError, TriggerEvent, step

IN_STOCK = 100
CREDIT = 1_000.0


class OrderPlaced(EventModel, name="storefront/order.placed"):
    """A customer wants things sent."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={
            "examples": [
                {
                    "orderId": "o-1",
                    "customerId": "c-1",
                    "quantity": 2,
                    "total": 59.8,
                    "address": "1 Quay Street",
                }
            ]
        },
    )

    order_id: str
    customer_id: str
    quantity: int = 1
    total: float = 0
    address: str = ""


@client.create_function(
    fn_id="fulfil-order", name="Fulfil an order", trigger=TriggerEvent(event=OrderPlaced)
)
def fulfil_order(ctx: ContextSync[OrderPlaced]) -> dict[str, Any]:
    """Reserve, charge and ship; when one of them fails for good, undo the ones before it.

    An undoing that itself fails for good fails the run: somebody has to look.
    """
    order = ctx.event.data
    undo: list[Callable[[str], object]] = []
    try:
        reserve(order.order_id, order.quantity)
        undo.append(release)
        charge(order.order_id, order.total)
        undo.append(refund)
        parcel = ship(order.order_id, order.address)
    except StepError as error:
        for undoing in reversed(undo):
            undoing(order.order_id)
        return {"order": order.order_id, "status": "cancelled", "reason": error.message}
    return {"order": order.order_id, "status": "shipped", "parcel": parcel}


@step
def reserve(order_id: str, quantity: int) -> str:
    """Keep things back for an order."""
    if quantity > IN_STOCK:
        raise NonRetriableError(f"only {IN_STOCK} are in stock")
    return f"{quantity} for {order_id}"


@step
def charge(order_id: str, total: float) -> str:
    """Take the money."""
    if total > CREDIT:
        raise NonRetriableError("the card was declined")
    return f"{total:.2f} for {order_id}"


@step
def ship(order_id: str, address: str) -> str:
    """Hand the things to the carrier."""
    if not address:
        raise NonRetriableError("there is no address to ship to")
    return f"{order_id} to {address}"


@step
def refund(order_id: str) -> str:
    """Give the money back."""
    return f"refunded {order_id}"


@step
def release(order_id: str) -> str:
    """Put the things back on sale."""
    return f"released {order_id}"
