"""The stock: a report that is ready when the shop opens, with no event to wait for."""

from datetime import timedelta
from typing import Any

from functions.shop.app import client
from tidegate import ContextSync, TriggerCron


@client.create_function(
    fn_id="stock-report",
    name="Report the stock",
    trigger=TriggerCron(cron="TZ=Europe/Berlin 0 5 * * MON-SAT", jitter=timedelta(minutes=1)),
)
def stock_report(ctx: ContextSync) -> dict[str, Any]:
    """Count the stock as it is before the day's first order."""
    ctx.logger.info("counting the stock of %s", ctx.event.data["scheduledAt"])
    return {"report": ctx.event.data["scheduledAt"]}
