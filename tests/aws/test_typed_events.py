"""Functions whose trigger is a class: what they are given, and what becomes of a wrong event."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_validator
from pydantic.alias_generators import to_camel

from tests.aws.conftest import ENV, Stage
from tests.aws.test_engine import Deployed, waiting
from tidegate import Context, ContextSync, Event, EventModel, TriggerEvent, registry
from tidegate.encoding import decode
from tidegate.ids import run_id_of
from tidegate.run import Status, failure_of


class Line(BaseModel):
    price: Decimal


class Paid(EventModel, name="typed/cart.paid"):
    model_config = ConfigDict(alias_generator=to_camel)

    cart_id: str
    paid_at: datetime
    lines: tuple[Line, ...] = ()

    @field_validator("cart_id")
    @classmethod
    def _known(cls, cart_id: str) -> str:
        if cart_id == "breaks":
            raise KeyError("a validator with a fault of its own")
        return cart_id


class Refunded(EventModel, name="typed/cart.refunded"):
    amount: Decimal


PAID = TriggerEvent(event=Paid)
DATA = {"cartId": "1", "paidAt": "2026-01-01T00:00:00Z", "lines": [{"price": "1.50"}]}
SEEN = Paid(
    cart_id="1", paid_at=datetime(2026, 1, 1, tzinfo=UTC), lines=(Line(price=Decimal("1.50")),)
)


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    yield
    registry.clear()


def handlers(contexts: list[Any]) -> list[Any]:
    """The same function with def and with async def; it notes its contexts."""

    def handler(ctx: ContextSync[Paid]) -> str:
        contexts.append(ctx)
        return ctx.event.data.cart_id

    async def handler_async(ctx: Context[Paid]) -> str:
        contexts.append(ctx)
        return ctx.event.data.cart_id

    return [handler, handler_async]


@pytest.mark.parametrize("kind", [0, 1], ids=["sync", "async"])
def test_a_function_is_given_an_instance_of_the_class(stage: Stage, kind: int) -> None:
    contexts: list[Any] = []
    deployed = Deployed(stage, handlers(contexts)[kind], trigger=PAID)
    message = deployed.send(name="typed/cart.paid", data=DATA, user={"id": 1}, v="2")
    assert deployed.handle(message) == []
    assert deployed.run_of(message).output == '"1"'
    [ctx] = contexts
    assert ctx.event.data == SEEN
    assert type(ctx.event.data) is Paid
    assert ctx.events == [ctx.event]
    assert (ctx.event.name, ctx.event.user, ctx.event.v) == ("typed/cart.paid", {"id": 1}, "2")
    assert (ctx.event.id, ctx.event.ts) == (message.event.internal_id, message.event.ts)


def test_data_in_the_bucket_is_given_as_the_class_too(stage: Stage) -> None:
    contexts: list[Any] = []
    deployed = Deployed(stage, handlers(contexts)[0], trigger=PAID)
    lines = [{"price": "1.50"}] * 10_000
    message = deployed.send(name="typed/cart.paid", data={**DATA, "lines": lines})
    assert message.body_key is not None
    assert deployed.handle(message) == []
    assert len(contexts[0].event.data.lines) == 10_000


def test_each_of_several_triggers_gives_its_own_class(stage: Stage) -> None:
    seen: list[Any] = []

    def handler(ctx: ContextSync[Paid | Refunded | dict[str, Any]]) -> None:
        seen.append(ctx.event.data)

    triggers = [TriggerEvent(event="typed/*"), PAID, TriggerEvent(event=Refunded)]
    deployed = Deployed(stage, handler, trigger=triggers)
    for name, data in [
        ("typed/cart.refunded", {"amount": 2}),
        ("typed/cart.paid", DATA),
        ("typed/other", {"x": 1}),
    ]:
        assert deployed.handle(deployed.send(name=name, data=data)) == []
    assert seen == [Refunded(amount=Decimal(2)), SEEN, {"x": 1}]


@pytest.mark.parametrize("kind", [0, 1], ids=["sync", "async"])
def test_an_event_that_does_not_fit_fails_the_run_without_a_retry(
    stage: Stage, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    contexts: list[Any] = []
    deployed = Deployed(stage, handlers(contexts)[kind], trigger=PAID)
    data = {"paidAt": "the-secret", "lines": [{"price": "the-secret"}]}
    message = deployed.send(name="typed/cart.paid", data=data)
    with caplog.at_level(logging.INFO, "tidegate"):
        assert deployed.handle(message) == []
    assert contexts == []
    run = deployed.run_of(message)
    assert (run.status, run.attempt) == (Status.FAILED, 0)
    assert waiting(stage, deployed.function) == []
    assert stage.dead(deployed.function) == []
    failure = failure_of(run.output)
    assert failure.name == "EventValidationError"
    assert failure.message.startswith(
        "the data of 'typed/cart.paid' is no Paid: cartId: Field required; paidAt: "
    )
    assert "lines.0.price: Input should be a valid decimal" in failure.message
    assert failure.message in failure.stack
    assert "the-secret" not in (run.output or "")
    assert "the-secret" not in caplog.text
    assert any("EventValidationError" in str(vars(record)) for record in caplog.records)


def test_other_functions_of_the_event_are_not_affected(stage: Stage) -> None:
    contexts: list[Any] = []
    strict = Deployed(stage, handlers(contexts)[0], trigger=PAID).function
    loose = Deployed(
        stage, lambda ctx: ctx.event.data, fn_id="g", trigger=TriggerEvent(event="typed/*")
    ).function
    stage.deploy(strict, loose)
    [event_id] = stage.send({"name": "typed/cart.paid", "data": {"cartId": 1}})
    for function in (strict, loose):
        [record] = stage.queued(function)
        answer = stage.worker(function).handle({"Records": [record]}, 120_000)
        assert answer == {"batchItemFailures": []}
    found = [stage.runs.get(ENV, run_id_of(ENV, f.id, event_id)) for f in (strict, loose)]
    assert [run.status for run in found if run] == [Status.FAILED, Status.COMPLETED]
    assert found[1] is not None
    assert decode(found[1].output or "") == {"cartId": 1}


def test_a_failed_event_is_announced_as_it_was_sent(stage: Stage) -> None:
    def handler(ctx: ContextSync[Paid]) -> None: ...

    deployed = Deployed(stage, handler, trigger=PAID)
    watcher = Deployed(
        stage,
        lambda ctx: None,
        fn_id="watch",
        trigger=TriggerEvent(event="inngest/function.failed"),
    ).function
    stage.deploy(deployed.function, watcher)
    deployed.worker = stage.worker(deployed.function)
    deployed.handle(deployed.send(name="typed/cart.paid", data={"cartId": 1}))
    [failed] = stage.messages(watcher)
    assert failed.event.event.data["event"]["data"] == {"cartId": 1}
    assert failed.event.event.data["error"]["name"] == "EventValidationError"


def test_what_the_function_itself_raises_is_tried_again(stage: Stage) -> None:
    seen: list[Any] = []

    def handler(ctx: ContextSync[Paid]) -> int:
        seen.append((ctx.attempt, ctx.event.data))
        if ctx.attempt < 2:
            raise ValueError("not yet")
        return ctx.attempt

    deployed = Deployed(stage, handler, trigger=PAID, retries=2)
    message = deployed.send(name="typed/cart.paid", data=DATA)
    assert deployed.handle(message) == []
    deployed.drive()
    assert seen == [(0, SEEN), (1, SEEN), (2, SEEN)]
    assert deployed.run_of(message).status == Status.COMPLETED


def test_a_validator_that_breaks_is_an_error_of_the_functions_own(stage: Stage) -> None:
    contexts: list[Any] = []
    deployed = Deployed(stage, handlers(contexts)[0], trigger=PAID, retries=1)
    message = deployed.send(name="typed/cart.paid", data={**DATA, "cartId": "breaks"})
    deployed.handle(message)
    assert deployed.run_of(message).status == Status.RUNNING, "it is tried again"
    deployed.drive()
    run = deployed.run_of(message)
    assert (run.status, run.attempt) == (Status.FAILED, 1)
    assert failure_of(run.output).name == "KeyError"
    assert "_known" in failure_of(run.output).stack


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_step_sends_declared_events(stage: Stage, kind: str) -> None:
    def handler(ctx: ContextSync[Paid]) -> list[str]:
        events = [Refunded(amount=Decimal("1.10")), Event(name="typed/plain"), ctx.event]
        return ctx.step.send_event("refund", events)

    async def handler_async(ctx: Context[Paid]) -> list[str]:
        return await ctx.step.send_event("refund", Refunded(amount=Decimal("1.10")))

    deployed = Deployed(stage, handler if kind == "sync" else handler_async, trigger=PAID)
    message = deployed.send(name="typed/cart.paid", data=DATA)
    deployed.handle(message)
    ids = decode(deployed.run_of(message).output or "")
    sent = stage.store.get(ENV, ids[0], stage.clock.now_ms())
    assert sent is not None
    assert (sent.name, sent.event.data) == ("typed/cart.refunded", {"amount": "1.10"})
    if kind == "sync":
        assert len(ids) == 3
        assert ids[2] != message.event.internal_id
        again = stage.store.get(ENV, ids[2], stage.clock.now_ms())
        assert again is not None
        assert again.event.data == SEEN.event().data


def test_a_step_that_cannot_write_an_event_fails_the_run(stage: Stage) -> None:
    class Strange(EventModel, name="typed/strange", arbitrary_types_allowed=True):
        thing: object

    def handler(ctx: ContextSync[Paid]) -> None:
        ctx.step.send_event("strange", Strange(thing=stage))

    deployed = Deployed(stage, handler, trigger=PAID)
    message = deployed.send(name="typed/cart.paid", data=DATA)
    deployed.handle(message)
    run = deployed.run_of(message)
    assert (run.status, run.attempt) == (Status.FAILED, 0)
    assert failure_of(run.output).message.startswith("events[0]: Strange cannot be written as JSON")
