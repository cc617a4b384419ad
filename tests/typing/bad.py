"""What a type checker must refuse: each line with a comment `# E:` has an error of that code."""

from typing import Any

from tidegate import Client, Context, ContextSync, Event, EventModel, TriggerCron, TriggerEvent

client = Client(app_id="typing")


class CheckedOut(EventModel, name="typing/cart.checked-out"):
    cart_id: str


class Abandoned(EventModel, name="typing/cart.abandoned"):
    minutes: int


@client.create_function(fn_id="a", trigger=TriggerEvent(event=CheckedOut))
def unknown_field(ctx: ContextSync[CheckedOut]) -> Any:
    return ctx.event.data.card_id  # E: attr-defined


@client.create_function(fn_id="b", trigger=TriggerEvent(event=CheckedOut))
def class_as_dict(ctx: ContextSync[CheckedOut]) -> Any:
    return ctx.event.data["cart_id"]  # E: index


@client.create_function(fn_id="c", trigger=TriggerEvent(event=CheckedOut))  # E: arg-type
def wrong_class(ctx: ContextSync[Abandoned]) -> None: ...


@client.create_function(fn_id="d", trigger=TriggerEvent(event=CheckedOut))  # E: arg-type
async def wrong_class_async(ctx: Context[Abandoned]) -> None: ...


@client.create_function(fn_id="e", trigger=TriggerEvent(event=CheckedOut))  # E: arg-type
def no_class(ctx: ContextSync) -> None: ...


@client.create_function(fn_id="f", trigger=TriggerEvent(event="typing/plain"))  # E: arg-type
def class_for_a_name(ctx: ContextSync[CheckedOut]) -> None: ...


@client.create_function(fn_id="g", trigger=TriggerCron(cron="0 9 * * *"))  # E: arg-type
def class_for_a_cron(ctx: ContextSync[CheckedOut]) -> None: ...


def failed(ctx: ContextSync[CheckedOut]) -> None: ...


client.create_function(
    fn_id="h",
    trigger=TriggerEvent(event=CheckedOut),
    on_failure=failed,  # E: arg-type
)


def plain(ctx: ContextSync) -> Any:
    return ctx.event.data.cart_id  # E: attr-defined


CheckedOut(cart_id=1)  # E: arg-type
CheckedOut()  # E: call-arg
CheckedOut(cart_id="1").event(id=1)  # E: arg-type
TriggerEvent(event=dict)  # E: type-var
TriggerEvent(event=CheckedOut(cart_id="1"))  # E: call-overload
typed: Event[CheckedOut] = Event(name="a", data={"cart_id": "1"})  # E: assignment
Event(name="a", data=CheckedOut(cart_id="1"))  # E: arg-type
client.send_sync({"name": "a"})  # E: arg-type
client.send_sync([CheckedOut(cart_id="1"), "b"])  # E: list-item
