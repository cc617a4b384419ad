"""A sign-up: a function that sends the event that starts the next one."""

from typing import Any

from functions.shop.app import client
from tidegate import Context, ContextSync, Event, TriggerEvent


@client.create_function(
    fn_id="user-onboarding", name="Onboard a user", trigger=TriggerEvent(event="app/user.signup")
)
async def user_onboarding(ctx: Context) -> dict[str, Any]:
    """Set the account up, then tell everybody who cares that it is active."""
    user_id = ctx.event.data["userId"]
    ids = await ctx.step.send_event(
        "send-activation-event", Event(name="app/user.activated", data={"userId": user_id})
    )
    return {"activated": user_id, "event": ids[0]}


@client.create_function(
    fn_id="welcome-mail",
    name="Send the welcome mail",
    trigger=TriggerEvent(event="app/user.activated"),
)
def welcome_mail(ctx: ContextSync) -> str:
    """Greet the new user."""
    return f"welcome, {ctx.event.data['userId']}"
