"""The example app's functions of several steps, over HTTP and in real time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e import readme
from tests.e2e.serving import Served, serving, until


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving("functions.shop") as served:
        yield served


def seconds(run: dict[str, Any], since: str, to: str) -> float:
    """How long it was between two times of a run; 0 when one of them is not known yet."""
    if not run.get(since) or not run.get(to):
        return 0
    began, ended = (datetime.fromisoformat(run[field]) for field in (since, to))
    return (ended - began).total_seconds()


# --- onboarding ---------------------------------------------------------------------------------


def test_a_customer_who_orders_gets_a_tip(served: Served) -> None:
    shown = readme.block("curl", "storefront/customer.joined")
    joined, placed = (json.loads(curl.body) for curl in readme.curls_of(shown))
    joined["data"] |= {"settleIn": "PT0.3S", "orderWithin": "PT5M"}
    another = joined | {"data": joined["data"] | {"customerId": "c-2"}}
    first, second = served.send([joined, another])

    def waits_for_an_order() -> bool:
        """Whether it has slept already, and nothing but its time-out would wake it."""
        runs = served.runs(first)
        return bool(runs) and seconds(runs[0], "run_started_at", "next_attempt_at") > 60

    until(waits_for_an_order)
    [order] = served.send(placed)
    run = served.run(first)
    assert run["output"] == {"customer": "c-1", "letter": "tip", "order": "o-1"}
    assert 0.3 <= seconds(run, "run_started_at", "ended_at") < 60
    assert served.look(f"runs/{run['run_id']}")["data"] == run
    # The same event has started a run of its own, and is of no use to another customer.
    assert served.output(order)["status"] == "shipped"
    [waiting] = served.runs(second)
    assert waiting["status"] == "Running"


def test_a_customer_who_orders_nothing_is_reminded(served: Served) -> None:
    pace = {"settleIn": "PT0.2S", "orderWithin": "PT0.5S"}
    [joined] = served.send(
        {"name": "storefront/customer.joined", "data": {"customerId": "c-3", **pace}}
    )
    run = served.run(joined)
    assert run["output"] == {"customer": "c-3", "letter": "reminder"}
    assert seconds(run, "run_started_at", "ended_at") >= 0.7


# --- an order, quotes, a return -----------------------------------------------------------------


def test_orders_are_shipped_or_undone(served: Served) -> None:
    order = {"orderId": "o-2", "customerId": "c-4", "total": 59.8, "address": "1 Quay Street"}
    shipped, declined, lost = served.send(
        [
            {"name": "storefront/order.placed", "data": data}
            for data in (order, order | {"total": 5_000}, order | {"address": ""})
        ]
    )
    parcel = "o-2 to 1 Quay Street"
    assert served.output(shipped) == {"order": "o-2", "status": "shipped", "parcel": parcel}
    cancelled = {"order": "o-2", "status": "cancelled"}
    assert served.output(declined) == cancelled | {"reason": "the card was declined"}
    assert served.output(lost) == cancelled | {"reason": "there is no address to ship to"}


def test_an_item_is_ordered_where_it_is_cheapest(served: Served) -> None:
    few, many = served.send(
        [
            {"name": "storefront/stock.low", "data": {"itemId": "i-1", "quantity": quantity}}
            for quantity in (10, 100)
        ]
    )
    ordered = {"item": "i-1", "status": "ordered"}
    assert served.output(few) == ordered | {"supplier": "harbour", "price": 42.0}
    assert served.output(many) == ordered | {"supplier": "mill", "price": 450.0}


def test_a_return_is_refunded_or_refused(served: Served) -> None:
    refunded, refused = served.send(
        [
            {"name": "storefront/goods.returned", "data": {"orderId": order, "amount": amount}}
            for order, amount in (("o-3", 29.9), ("o-4", 600))
        ]
    )
    assert served.output(refunded) == {"order": "o-3", "status": "refunded", "refunded": 29.9}
    reason = "600.00 is more than may be refunded unseen"
    assert served.output(refused) == {"order": "o-4", "status": "refused", "reason": reason}
    [case] = served.events("storefront/refund.refused")
    assert case["data"] == {"orderId": "o-4", "reason": reason}
