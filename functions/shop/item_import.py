"""An import: one event becomes hundreds, and each of them a run of its own."""

from typing import Any

from functions.shop.app import client
from tidegate import Context, ContextSync, Event, TriggerEvent


@client.create_function(
    fn_id="import-catalog",
    name="Import the catalog",
    trigger=TriggerEvent(event="storefront/catalog.uploaded"),
)
async def import_catalog(ctx: Context) -> dict[str, Any]:
    """Send an event for each item of an uploaded catalog."""
    catalog = ctx.event.data.get("catalogId", "catalog")
    numbers = range(int(ctx.event.data.get("items", 300)))
    items = [
        Event(name="storefront/item.imported", data={"catalogId": catalog, "item": number})
        for number in numbers
    ]
    ids = await ctx.step.send_event("send-items", items)
    return {"imported": len(ids)}


@client.create_function(
    fn_id="index-item",
    name="Index an item",
    trigger=[
        TriggerEvent(event="storefront/item.*"),
        TriggerEvent(event="storefront/coupon.used"),
    ],
)
def index_item(ctx: ContextSync) -> dict[str, Any]:
    """Bring the search up to date with whatever happened to an item."""
    return {"indexed": ctx.event.data}
