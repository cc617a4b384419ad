"""Declaring events as classes, and what becomes of them on the wire."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from tidegate import ConfigurationError, Event, EventEncodingError, EventModel
from tidegate.encoding import decode, encode
from tidegate.errors import EventValidationError
from tidegate.event import check_events
from tidegate.event_model import (
    MAX_FAULTS,
    declared,
    event_name,
    forget_declared,
    plain_events,
    received,
)

NOW = 1_760_000_000_000
ItemT = TypeVar("ItemT")


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    forget_declared()
    yield
    forget_declared()


class Currency(StrEnum):
    EUR = "EUR"
    USD = "USD"


class Price(BaseModel):
    amount: Decimal
    currency: Currency = Currency.EUR


class Item(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    item_id: UUID
    unit_price: Price
    tags: frozenset[str] = frozenset()


class Paid(EventModel, name="shop/cart.paid"):
    """A cart was paid."""

    model_config = ConfigDict(
        alias_generator=to_camel, ser_json_bytes="base64", val_json_bytes="base64"
    )

    cart_id: str
    paid_at: datetime
    line_items: tuple[Item, ...] = ()
    due: date | None = None
    patience: timedelta = timedelta(0)
    seal: bytes = b""
    counts: dict[int, int] = Field(default_factory=dict)


def over_the_wire(event: Event, model: type[EventModel]) -> Any:
    """The data as a function sees it, once the event was sent, checked, stored and delivered."""
    [checked] = check_events([decode(encode(event.model_dump()))])
    return received(checked.accept("01JQDAE4RQ0000000000000001", "dev", NOW).event, model).data


# --- declaring ----------------------------------------------------------------------------------


def test_a_class_declares_an_event() -> None:
    class B(EventModel, name="test/b"):
        n: int = 1

    class A(EventModel, name="test/a", extra="forbid"):
        name: str
        id: str

    assert declared() == [A, B]
    assert (event_name(A), event_name(B)) == ("test/a", "test/b")
    assert A(name="x", id="y").event() == Event(name="test/a", data={"name": "x", "id": "y"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        A(name="x", id="y", more=1)


def test_abstract_classes_share_fields_and_settings() -> None:
    class Cart(EventModel, abstract=True):
        model_config = ConfigDict(alias_generator=to_camel)
        cart_id: str

    class Opened(Cart, name="test/opened"): ...

    class Closed(Opened, name="test/closed"):
        reason: str

    assert declared() == [Closed, Opened]
    assert Opened(cart_id="1").event() == Event(name="test/opened", data={"cartId": "1"})
    closed = Closed(cart_id="1", reason="x").event()
    assert closed == Event(name="test/closed", data={"cartId": "1", "reason": "x"})
    with pytest.raises(ConfigurationError, match="Cart declares no event"):
        event_name(Cart)
    with pytest.raises(EventEncodingError, match="Cart declares no event"):
        Cart(cart_id="1").event()


def test_generic_classes_are_abstract() -> None:
    class Imported(EventModel, Generic[ItemT], abstract=True):
        items: list[ItemT]

    class Numbers(Imported[int], name="test/numbers"): ...

    assert declared() == [Numbers]
    assert Numbers(items=[1]).event().data == {"items": [1]}
    with pytest.raises(ValidationError):
        Numbers(items=["x"])  # type: ignore[list-item]


def place(function: Any, after: int) -> str:
    """File and line of the class statement, so many lines after the function's first."""
    return f"{Path(__file__)}:{function.__code__.co_firstlineno + after}"


def nameless() -> None:
    class Nameless(EventModel):
        n: int


def test_a_class_without_a_name_is_refused_where_it_stands() -> None:
    with pytest.raises(ConfigurationError) as refused:
        nameless()
    message = str(refused.value)
    assert message.startswith(f"{place(nameless, 1)}: class Nameless: it has no event name")
    assert "class Nameless(EventModel, name='…')" in message
    assert "abstract=True" in message
    assert declared() == []


def test_a_name_is_not_inherited() -> None:
    class Paid(EventModel, name="test/paid"): ...

    with pytest.raises(ConfigurationError, match="class PaidTwice: it has no event name"):

        class PaidTwice(Paid): ...


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "at least 1 character"),
        ("x" * 257, "at most 256 characters"),
        ("a\nb\x00", r"control character '\\x00'"),
        ("inngest/function.failed", "'inngest/' are reserved"),
        ("Inngest/x", "'inngest/' are reserved"),
        ("\ud800", "string"),
        ("app/*", "a class has one name, so no wildcard"),
        (5, "name=5 is no text"),
    ],
)
def test_a_name_that_no_event_has_is_refused(name: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as refused:

        class Wrong(EventModel, name=name): ...

    assert str(refused.value).startswith(f"{Path(__file__)}:")
    assert ": class Wrong: name=" in str(refused.value)


def test_other_mistakes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="abstract, so leave out the name"):

        class Both(EventModel, name="test/both", abstract=True): ...

    with pytest.raises(ConfigurationError, match="no option nmae; there are name and abstract"):

        class Misspelt(EventModel, nmae="test/x"): ...  # type: ignore[call-arg]

    with pytest.raises(ConfigurationError, match="it is generic, so make it abstract=True"):

        class Box(EventModel, Generic[ItemT], name="test/box"):
            item: ItemT


@pytest.mark.filterwarnings("ignore:Field name")
@pytest.mark.parametrize("field", ["event", "dict", "json", "copy"])
def test_a_field_cannot_have_the_name_of_a_method(field: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{field}_: … = Field\(alias='{field}'\)"):
        type(EventModel)(
            "Wrong", (EventModel,), {"__annotations__": {field: "str"}}, name="test/wrong"
        )

    class Right(EventModel, name="test/right"):
        event_: str = Field(alias="event")

    assert Right(event_="x").event().data == {"event": "x"}


def first() -> None:
    class First(EventModel, name="test/one"): ...


def second() -> None:
    class Second(
        EventModel,
        name="test/one",
    ): ...


def test_two_classes_cannot_have_one_name() -> None:
    first()
    with pytest.raises(ConfigurationError) as refused:
        second()
    message = str(refused.value)
    assert message.startswith(f"{place(second, 1)}: class Second: the event 'test/one' is already")
    assert message.endswith(f"by First, {place(first, 1)}")
    assert [model.__name__ for model in declared()] == ["First"]


def test_the_same_line_may_be_executed_again() -> None:
    first()
    [before] = declared()
    first()
    [after] = declared()
    assert after is not before


def test_a_cell_of_a_notebook_may_be_executed_again() -> None:
    cell = "class Paid(EventModel, name='test/paid'): ..."
    cells = {"EventModel": EventModel, "__name__": "__main__"}
    exec(compile(cell, "<cell 1>", "exec"), cells)  # noqa: S102
    exec(compile(cell, "<cell 2>", "exec"), cells)  # noqa: S102
    assert [model.__source__ for model in declared()] == ["<cell 2>:1"]
    with pytest.raises(ConfigurationError, match=r"<cell 3>:1: .* by Paid, <cell 2>:1"):
        exec(compile(cell.replace("Paid", "P"), "<cell 3>", "exec"), cells)  # noqa: S102
    with pytest.raises(ConfigurationError, match=r"<cell 2>:2: .* by Paid, <cell 2>:1"):
        exec(compile(f"\n{cell}", "<cell 2>", "exec"), cells)  # noqa: S102


def test_an_event_cannot_be_changed() -> None:
    paid = Paid(cart_id="1", paid_at=datetime.now(UTC))
    with pytest.raises(ValidationError, match="frozen"):
        paid.cart_id = "2"


# --- to the wire and back -----------------------------------------------------------------------


def test_the_data_is_json_under_the_aliases() -> None:
    paid = Paid(
        cart_id="1",
        paid_at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        line_items=(Item(item_id=UUID(int=1), unit_price=Price(amount=Decimal("10.50"))),),
        due=date(2026, 2, 1),
        patience=timedelta(days=1, seconds=1),
        seal=b"\xff\x00",
        counts={1: 2},
    )
    assert paid.event().data == {
        "cartId": "1",
        "paidAt": "2026-01-02T03:04:05.000678Z",
        "lineItems": [
            {
                "itemId": "00000000-0000-0000-0000-000000000001",
                "unitPrice": {"amount": "10.50", "currency": "EUR"},
                "tags": [],
            }
        ],
        "due": "2026-02-01",
        "patience": "P1DT1S",
        "seal": "_wA=",
        "counts": {"1": 2},
    }
    assert over_the_wire(paid.event(), Paid) == paid


def test_an_event_has_what_else_it_is_given() -> None:
    paid = Paid(cart_id="1", paid_at=datetime(2026, 1, 1, tzinfo=UTC))
    event = paid.event(id="order-1", ts=NOW, user={"id": 7}, v="2")
    assert (event.id, event.ts, event.user, event.v) == ("order-1", NOW, {"id": 7}, "2")
    assert type(event) is Event
    plain = paid.event()
    assert (plain.id, plain.ts, plain.user, plain.v) == ("", 0, {}, None)


zones = st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))).map(
    lambda zone: timezone(timedelta(minutes=zone.utcoffset(None) // timedelta(minutes=1)))
)
# Not st.builds: it would give fields that have an alias twice, under both names.
items = st.fixed_dictionaries(
    {
        "item_id": st.uuids(),
        "unit_price": st.builds(
            Price,
            amount=st.decimals(allow_nan=False, allow_infinity=False),
            currency=st.sampled_from(Currency),
        ),
        "tags": st.frozensets(st.text()),
    }
).map(lambda fields: Item(**fields))
paids = st.fixed_dictionaries(
    {
        "cart_id": st.text(),
        "paid_at": st.datetimes(timezones=zones),
        "line_items": st.lists(items, max_size=3).map(tuple),
        "due": st.none() | st.dates(),
        "patience": st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
        "seal": st.binary(),
        "counts": st.dictionaries(st.integers(-(2**63), 2**63), st.integers()),
    }
).map(lambda fields: Paid(**fields))


@given(paids)
def test_whatever_is_sent_is_received(paid: Paid) -> None:
    seen = over_the_wire(paid.event(), Paid)
    assert seen == paid


def test_strict_classes_take_what_they_wrote() -> None:
    class Strict(EventModel, name="test/strict", strict=True):
        when: datetime
        price: Decimal
        kind: Currency
        pair: tuple[int, str]

    strict = Strict(
        when=datetime(2026, 1, 1, tzinfo=UTC),
        price=Decimal("1.10"),
        kind=Currency.USD,
        pair=(1, "a"),
    )
    assert over_the_wire(strict.event(), Strict) == strict


def test_a_sender_may_add_fields_and_use_an_older_name() -> None:
    class Renamed(EventModel, name="test/renamed"):
        cart_id: str = Field(validation_alias=AliasChoices("cartId", "cart"))

    for name in ("cartId", "cart", "cart_id"):
        seen = over_the_wire(Event(name="test/renamed", data={name: "1", "new": True}), Renamed)
        assert seen == Renamed(cart_id="1")


def test_an_event_is_received_with_all_that_it_has() -> None:
    event = Event(
        name="shop/cart.paid",
        data={"cartId": "1", "paidAt": "2026-01-01T00:00:00Z"},
        id="mine",
        ts=NOW,
        user={"id": 1},
        v="2",
    )
    seen = received(event, Paid)
    assert (seen.id, seen.ts, seen.user, seen.v) == ("mine", NOW, {"id": 1}, "2")
    assert isinstance(seen, Event)
    assert isinstance(seen.data, Paid)
    [forwarded] = plain_events(seen)
    assert forwarded.data == seen.data.event().data
    assert (forwarded.id, forwarded.ts, forwarded.user, forwarded.v) == (
        "mine",
        NOW,
        {"id": 1},
        "2",
    )


def test_several_events_of_both_kinds_are_listed() -> None:
    paid = Paid(cart_id="1", paid_at=datetime(2026, 1, 1, tzinfo=UTC))
    event = Event(name="test/other")
    assert plain_events([event, paid]) == [event, paid.event()]
    assert plain_events(paid) == [paid.event()]
    assert plain_events(event) == [event]
    assert plain_events([]) == []


def test_what_json_cannot_hold_is_named() -> None:
    class Strange(EventModel, name="test/strange", arbitrary_types_allowed=True):
        thing: object

    with pytest.raises(
        EventEncodingError, match=r"^events\[1\]: Strange cannot be written as JSON"
    ):
        plain_events([Event(name="a"), Strange(thing=sys)])


# --- data that does not fit ---------------------------------------------------------------------


def test_the_faults_are_told_with_their_places_and_without_the_payload() -> None:
    data = {
        "cartId": 7,
        "paidAt": "the-secret-day",
        "lineItems": [{"itemId": "the-secret-id", "unitPrice": {"amount": "x-secret"}}],
    }
    with pytest.raises(EventValidationError) as refused:
        received(Event(name="shop/cart.paid", data=data), Paid)
    message = str(refused.value)
    assert message.startswith("the data of 'shop/cart.paid' is no Paid: cartId: Input should be a ")
    assert re.search(r"; paidAt: Input should be a valid datetime", message)
    assert re.search(r"; lineItems\.0\.itemId: Input should be a valid UUID", message)
    assert re.search(r"; lineItems\.0\.unitPrice\.amount: Input should be a valid decimal", message)
    assert "secret" not in message
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_many_faults_are_cut_short() -> None:
    class Numbers(EventModel, name="test/numbers"):
        n: list[int]

    with pytest.raises(EventValidationError) as refused:
        received(Event(name="test/numbers", data={"n": ["x"] * 1_000}), Numbers)
    message = str(refused.value)
    assert message.count("n.") == MAX_FAULTS
    assert message.endswith(f"; and {1_000 - MAX_FAULTS} more")


def test_a_validators_own_words_are_kept() -> None:
    class Even(EventModel, name="test/even"):
        n: int

        @field_validator("n")
        @classmethod
        def _even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("must be even")
            return n

    with pytest.raises(EventValidationError, match=r"is no Even: n: must be even$"):
        received(Event(name="test/even", data={"n": 3}), Even)
