"""What a type checker must accept; `tests/unit/test_typing.py` has mypy read it."""

from datetime import timedelta
from typing import Any, assert_type

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from tidegate import (
    Cancel,
    Client,
    Context,
    ContextSync,
    Event,
    EventModel,
    Function,
    Timeouts,
    TriggerCron,
    TriggerEvent,
    step,
)

client = Client(app_id="typing")


class Cart(EventModel, abstract=True):
    model_config = ConfigDict(alias_generator=to_camel)

    cart_id: str


class CheckedOut(Cart, name="typing/cart.checked-out"):
    item_ids: tuple[str, ...] = ()


class Abandoned(EventModel, name="typing/cart.abandoned", extra="forbid"):
    minutes: int


@client.create_function(fn_id="sync", trigger=TriggerEvent(event=CheckedOut))
def with_class(ctx: ContextSync[CheckedOut]) -> str:
    assert_type(ctx.event, Event[CheckedOut])
    assert_type(ctx.events, list[Event[CheckedOut]])
    assert_type(ctx.event.data, CheckedOut)
    assert_type(ctx.event.data.item_ids, tuple[str, ...])
    ctx.step.send_event("forward", [ctx.event.data, ctx.event, Event(name="typing/other")])
    return ctx.event.data.cart_id


@client.create_function(fn_id="async", trigger=TriggerEvent(event=CheckedOut))
async def with_class_async(ctx: Context[CheckedOut]) -> str:
    assert_type(ctx.event.data, CheckedOut)
    await ctx.step.send_event("next", Abandoned(minutes=1))
    return ctx.event.data.cart_id


@client.create_function(fn_id="base", trigger=TriggerEvent(event=CheckedOut))
def with_the_class_it_derives(ctx: ContextSync[Cart]) -> str:
    return ctx.event.data.cart_id


@client.create_function(fn_id="any", trigger=TriggerEvent(event=CheckedOut))
def with_any(ctx: ContextSync[Any]) -> Any:
    return ctx.event.data


@client.create_function(
    fn_id="union", trigger=[TriggerEvent(event=CheckedOut), TriggerEvent(event=Abandoned)]
)
def with_several(ctx: ContextSync[CheckedOut | Abandoned]) -> int:
    if isinstance(ctx.event.data, Abandoned):
        return assert_type(ctx.event.data.minutes, int)
    return len(assert_type(ctx.event.data, CheckedOut).item_ids)


@client.create_function(
    fn_id="mixed", trigger=[TriggerEvent(event=CheckedOut), TriggerEvent(event="typing/*")]
)
def with_a_wildcard(ctx: ContextSync[CheckedOut | dict[str, Any]]) -> None: ...


@client.create_function(fn_id="plain", trigger=TriggerEvent(event="typing/plain"))
def without_class(ctx: ContextSync) -> str:
    assert_type(ctx.event, Event[dict[str, Any]])
    assert_type(ctx.event.data, dict[str, Any])
    return str(ctx.event.data["name"])


@client.create_function(fn_id="plain-async", trigger=[TriggerEvent(event="typing/plain")])
async def without_class_async(ctx: Context) -> None:
    assert_type(ctx.event.data, dict[str, Any])


@client.create_function(fn_id="cron", trigger=TriggerCron(cron="0 9 * * *"))
def by_the_clock(ctx: ContextSync) -> str:
    return str(assert_type(ctx.event.data, dict[str, Any])["scheduledAt"])


@client.create_function(
    fn_id="clock-or-event",
    trigger=[TriggerEvent(event=CheckedOut), TriggerCron(cron="0 9 * * *")],
)
async def by_the_clock_or_an_event(ctx: Context[CheckedOut | dict[str, Any]]) -> None: ...


def failed(ctx: ContextSync) -> None:
    assert_type(ctx.event.data, dict[str, Any])


async def failed_async(ctx: Context) -> None: ...


@client.create_function(fn_id="x", trigger=TriggerEvent(event=CheckedOut), on_failure=failed)
async def with_failure_handler(ctx: Context[CheckedOut]) -> None: ...


@client.create_function(fn_id="y", trigger=[TriggerCron(cron="0 9 * * *")], on_failure=failed_async)
def with_async_failure_handler(ctx: ContextSync) -> None: ...


@client.create_function(
    fn_id="z",
    trigger=TriggerEvent(event=CheckedOut),
    cancel=[Cancel(event=Abandoned, timeout=timedelta(days=1)), Cancel(event="a", timeout=1)],
    timeouts=Timeouts(start=timedelta(hours=1), finish=1_000),
)
def that_is_cancelled(ctx: ContextSync[CheckedOut]) -> None: ...


def registered() -> Function:
    return with_class


async def send() -> None:
    assert_type(CheckedOut(cart_id="1").event(id="order-1", ts=1_760_000_000_000), Event)
    # The types of two dicts differ, those of their events do not.
    events = [Event(name="a", data={"n": 1}), Event(name="a", data={"n": "1"}, user={"id": 1})]
    client.send_sync(events)
    client.send_sync(CheckedOut(cart_id="1", item_ids=("a",)))
    await client.send([CheckedOut(cart_id="1"), Abandoned(minutes=5), *events])
    await client.send([CheckedOut(cart_id="1").event(), Abandoned(minutes=5)])


@step
def doubled(n: int) -> int:
    return 2 * n


@step("named", output_type=int)
def named(n: int) -> int:
    return n


@client.create_function(fn_id="waits", trigger=TriggerEvent(event="a"))
def waits(ctx: ContextSync) -> None:
    came = ctx.step.wait_for_event("w", event=Abandoned, timeout=1)
    assert_type(came, Event[Abandoned] | None)
    assert_type(ctx.step.wait_for_event("p", event="a", timeout=1), Event | None)
    assert_type(doubled(1), int)
    assert_type(named(1), int)


@client.create_function(fn_id="waits-async", trigger=TriggerEvent(event="a"))
async def waits_async(ctx: Context) -> None:
    assert_type(
        await ctx.step.wait_for_event("w", event=Abandoned, timeout=1), Event[Abandoned] | None
    )
