"""A completed checkout: one event, two functions that know nothing of each other."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from functions.shop.app import client
from tidegate import Context, ContextSync, EventModel, NonRetriableError, TriggerEvent


class Account(BaseModel):
    """Who bought."""

    email: str | None = None


class CheckoutCompleted(EventModel, name="storefront/cart.checkout.completed"):
    """A customer has paid for a cart."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={
            "examples": [
                {
                    "cartId": "ed12c8bde",
                    "itemIds": ["9f08sdh84"],
                    "account": {"email": "test@example.com"},
                }
            ]
        },
    )

    cart_id: str
    item_ids: tuple[str, ...] = ()
    account: Account = Account()


@client.create_function(
    fn_id="send-receipt",
    name="Send the receipt",
    trigger=TriggerEvent(event=CheckoutCompleted),
    retries=10,
)
def send_receipt(ctx: ContextSync[CheckoutCompleted]) -> dict[str, Any]:
    """Write to the customer what was bought."""
    checkout = ctx.event.data
    if not checkout.account.email:
        # No retry makes an address appear.
        raise NonRetriableError("the checkout has no account.email to send a receipt to")
    ctx.logger.info("receipt for %d items", len(checkout.item_ids))
    return {"sent_to": checkout.account.email, "items": len(checkout.item_ids)}


@client.create_function(
    fn_id="reserve-stock",
    name="Reserve the stock",
    trigger=TriggerEvent(event="storefront/cart.checkout.completed"),
)
async def reserve_stock(ctx: Context) -> dict[str, Any]:
    """Take what was bought out of the stock, without asking for more than is there."""
    return {"cart": ctx.event.data.get("cartId"), "reserved": ctx.event.data.get("itemIds", [])}
