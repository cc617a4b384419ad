"""An item runs low: all suppliers are asked at the same time, and the cheapest gets the order."""

from functools import partial
from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from functions.shop.app import client
from tidegate import Context, EventModel, NonRetriableError, StepError, TriggerEvent

# What each supplier has, and for how much a piece.
SUPPLIERS = {"harbour": (50, 4.2), "mill": (500, 4.5), "northern": (5_000, 4.9)}


class StockLow(EventModel, name="storefront/stock.low"):
    """There is less of an item than the shop wants."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={"examples": [{"itemId": "9f08sdh84", "quantity": 100}]},
    )

    item_id: str
    quantity: int = 10


@client.create_function(
    fn_id="restock-item", name="Restock an item", trigger=TriggerEvent(event=StockLow)
)
async def restock_item(ctx: Context[StockLow]) -> dict[str, Any]:
    """Ask for quotes and buy where it is cheapest."""
    wanted = ctx.event.data

    async def ask(supplier: str) -> dict[str, Any] | None:
        try:
            return await ctx.step.run(f"ask {supplier}", quote, supplier, wanted.quantity)
        except StepError as error:
            ctx.logger.warning("no quote from %s: %s", supplier, error)
            return None

    answers = await ctx.group.parallel([partial(ask, supplier) for supplier in SUPPLIERS])
    quotes = [answer for answer in answers if answer is not None]
    if not quotes:
        return {"item": wanted.item_id, "status": "sold out everywhere"}
    best = min(quotes, key=lambda quoted: quoted["price"])
    await ctx.step.run("order", order, best["supplier"], wanted.item_id, wanted.quantity)
    return {"item": wanted.item_id, "status": "ordered", **best}


async def quote(supplier: str, quantity: int) -> dict[str, Any]:
    """What a supplier asks for."""
    available, price = SUPPLIERS[supplier]
    if quantity > available:
        raise NonRetriableError(f"{supplier} has only {available}")
    return {"supplier": supplier, "price": round(quantity * price, 2)}


async def order(supplier: str, item_id: str, quantity: int) -> str:
    """Buy at a supplier."""
    return f"{quantity} of {item_id} from {supplier}"
