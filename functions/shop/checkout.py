"""A completed checkout: one event, two functions that know nothing of each other."""

from typing import Any

from functions.shop.app import client
from tidegate import Context, ContextSync, NonRetriableError, TriggerEvent

CHECKOUT_COMPLETED = TriggerEvent(event="storefront/cart.checkout.completed")


@client.create_function(
    fn_id="send-receipt", name="Send the receipt", trigger=CHECKOUT_COMPLETED, retries=10
)
def send_receipt(ctx: ContextSync) -> dict[str, Any]:
    """Write to the customer what was bought."""
    email = ctx.event.data.get("account", {}).get("email")
    if not email:
        # No retry makes an address appear.
        raise NonRetriableError("the checkout has no account.email to send a receipt to")
    items = ctx.event.data.get("itemIds", [])
    ctx.logger.info("receipt for %d items", len(items))
    return {"sent_to": email, "items": len(items)}


@client.create_function(fn_id="reserve-stock", name="Reserve the stock", trigger=CHECKOUT_COMPLETED)
async def reserve_stock(ctx: Context) -> dict[str, Any]:
    """Take what was bought out of the stock."""
    return {"cart": ctx.event.data.get("cartId"), "reserved": ctx.event.data.get("itemIds", [])}
