"""The example app's functions of several steps: what they do on each of their ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.shop.goods_return import GoodsReturned, accept_return, refund_payment
from functions.shop.onboarding import CustomerJoined, onboard_customer
from functions.shop.order import OrderPlaced, fulfil_order
from functions.shop.restock import SUPPLIERS, StockLow, restock_item
from tidegate import Event
from tidegate.testing import run

START = datetime(2026, 1, 1, tzinfo=UTC)
DOING = ["reserve", "charge", "ship"]
UNDONE = {"refund": "refunded o-1", "release": "released o-1"}


def placed(**data: Any) -> Event:
    return OrderPlaced(
        **{"order_id": "o-1", "customer_id": "c-1", "address": "1 Quay Street"} | data
    ).event()


# --- onboarding ---------------------------------------------------------------------------------


def test_a_customer_who_orders_nothing_is_reminded_after_four_days() -> None:
    result = run(onboard_customer, CustomerJoined(customer_id="c-1").event())
    assert result.value == {"customer": "c-1", "letter": "reminder"}
    assert result.elapsed == timedelta(days=4)
    assert list(result.steps) == ["welcome", "settle in", "first order", "remind"]
    assert result.steps["welcome"].ended_at == START
    assert result.steps["first order"].started_at == START + timedelta(days=1)


def test_a_customer_who_orders_gets_a_tip_at_once() -> None:
    joined = CustomerJoined(customer_id="c-1", settle_in=timedelta(seconds=1)).event()
    result = run(onboard_customer, [joined, placed(customer_id="c-2", order_id="o-0"), placed()])
    assert result.value == {"customer": "c-1", "letter": "tip", "order": "o-1"}
    assert result.elapsed == timedelta(seconds=1)
    assert list(result.steps) == ["welcome", "settle in", "first order", "tip"]


@pytest.mark.parametrize(
    "order",
    [placed(customer_id="c-2"), Event(name="storefront/order.placed")],
    ids=["another customer's", "nobody's"],
)
def test_the_order_of_somebody_else_does_not_count(order: Event) -> None:
    pace = {"settle_in": timedelta(seconds=1), "order_within": timedelta(hours=1)}
    joined = CustomerJoined(customer_id="c-1", **pace).event()
    result = run(onboard_customer, [joined, order])
    assert result.value["letter"] == "reminder"
    assert result.elapsed == timedelta(hours=1, seconds=1)


# --- an order, done or undone -------------------------------------------------------------------


def test_an_order_is_reserved_charged_and_shipped() -> None:
    result = run(fulfil_order, placed(quantity=2, total=59.8))
    assert result.value == {
        "order": "o-1",
        "status": "shipped",
        "parcel": "o-1 to 1 Quay Street",
    }
    outputs = {step.id: step.output for step in result.steps.values()}
    assert outputs == {
        "reserve": "2 for o-1",
        "charge": "59.80 for o-1",
        "ship": "o-1 to 1 Quay Street",
    }


@pytest.mark.parametrize(
    ("order", "reason", "steps"),
    [
        (placed(quantity=101), "only 100 are in stock", ["reserve"]),
        (placed(total=1_000.01), "the card was declined", ["reserve", "charge", "release"]),
        (
            placed(address=""),
            "there is no address to ship to",
            ["reserve", "charge", "ship", "refund", "release"],
        ),
    ],
    ids=["reserve", "charge", "ship"],
)
def test_what_was_done_for_a_failed_order_is_undone_backwards(
    order: Event, reason: str, steps: list[str]
) -> None:
    result = run(fulfil_order, order)
    assert result.value == {"order": "o-1", "status": "cancelled", "reason": reason}
    assert list(result.steps) == steps
    [failed] = [step for step in result.steps.values() if step.status == "Failed"]
    assert failed.attempts == 1
    undone = {step.id: step.output for step in result.steps.values() if step.id not in DOING}
    assert undone == {name: UNDONE[name] for name in steps if name in UNDONE}


@pytest.mark.parametrize("step", DOING)
def test_nothing_is_undone_before_the_last_attempt(step: str) -> None:
    result = run(fulfil_order, placed(), steps={step: ConnectionError("nobody answers")})
    assert result.value == {"order": "o-1", "status": "cancelled", "reason": "nobody answers"}
    assert result.steps[step].attempts == 5
    later = [undone for undone in result.steps.values() if undone.id in UNDONE]
    assert all(undone.started_at == result.steps[step].ended_at for undone in later)
    assert len(later) == DOING.index(step)


def test_a_step_that_succeeds_in_the_end_undoes_nothing() -> None:
    answers = [ConnectionError("nobody answers"), "o-1 is on its way"]

    def ship(*_order: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    result = run(fulfil_order, placed(), steps={"ship": ship})
    assert (result.value["status"], result.value["parcel"]) == ("shipped", "o-1 is on its way")
    assert list(result.steps) == DOING


def test_an_order_that_cannot_be_undone_fails() -> None:
    result = run(fulfil_order, placed(address=""), steps={"refund": OSError("the bank is closed")})
    assert result.status == "Failed"
    assert result.error is not None
    assert result.error.message == "the bank is closed"


# --- quotes of several suppliers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "supplier", "price"),
    [(10, "harbour", 42.0), (100, "mill", 450.0), (1_000, "northern", 4_900.0)],
)
def test_the_cheapest_who_has_enough_gets_the_order(
    quantity: int, supplier: str, price: float
) -> None:
    result = run(restock_item, StockLow(item_id="i-1", quantity=quantity).event())
    assert result.value == {
        "item": "i-1",
        "status": "ordered",
        "supplier": supplier,
        "price": price,
    }
    assert result.steps["order"].output == f"{quantity} of i-1 from {supplier}"
    assert [step for step in result.steps if step != "order"] == [f"ask {s}" for s in SUPPLIERS]


def test_the_price_decides_and_not_who_is_asked_first() -> None:
    cheap = {"supplier": "northern", "price": 1}
    result = run(restock_item, StockLow(item_id="i-1").event(), steps={"ask northern": cheap})
    assert (result.value["supplier"], result.value["price"]) == ("northern", 1)


def test_a_supplier_who_does_not_answer_is_left_out() -> None:
    silent = {"ask harbour": ConnectionError("nobody answers")}
    result = run(restock_item, StockLow(item_id="i-1").event(), steps=silent)
    assert result.value["supplier"] == "mill"
    assert result.steps["ask harbour"].attempts == 5


def test_nothing_is_ordered_when_nobody_has_enough() -> None:
    result = run(restock_item, StockLow(item_id="i-1", quantity=5_001).event())
    assert result.value == {"item": "i-1", "status": "sold out everywhere"}
    assert "order" not in result.steps


# --- one function invokes another ---------------------------------------------------------------


def test_a_return_is_refunded_by_another_function() -> None:
    goods = GoodsReturned(order_id="o-1", amount=29.9).event()
    result = run(accept_return, goods, functions=[refund_payment])
    assert result.value == {"order": "o-1", "status": "refunded", "refunded": 29.9}
    assert result.sent == ()
    [refund] = result.runs_of(refund_payment)
    assert refund.value == {"refunded": 29.9}
    assert (refund.event.data["orderId"], refund.event.data["amount"]) == ("o-1", 29.9)


def test_a_refund_that_fails_is_a_case_for_the_support() -> None:
    goods = GoodsReturned(order_id="o-1", amount=500.01).event()
    result = run(accept_return, goods, functions=[refund_payment])
    reason = "500.01 is more than may be refunded unseen"
    assert result.value == {"order": "o-1", "status": "refused", "reason": reason}
    [case] = result.sent
    assert (case.name, case.data) == (
        "storefront/refund.refused",
        {"orderId": "o-1", "reason": reason},
    )
    [refund] = result.runs_of(refund_payment)
    assert (refund.status, refund.attempts) == ("Failed", 1)
