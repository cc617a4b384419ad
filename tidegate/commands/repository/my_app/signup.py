"""A sign-up: somebody new is welcomed, and asked a little later how it goes."""

from datetime import timedelta

from pydantic import ConfigDict
from tidegate import ContextSync, EventModel, TriggerEvent

from my_app.client import client


class UserCreated(EventModel, name="app/user.created"):
    """Somebody has signed up."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ada"}]})

    name: str


@client.create_function(
    fn_id="welcome", name="Welcome a user", trigger=TriggerEvent(event=UserCreated)
)
def welcome(ctx: ContextSync[UserCreated]) -> str:
    """Write twice; nothing runs between the two, however long that is."""
    name = ctx.event.data.name
    ctx.step.run("welcome", write, name, "welcome")
    ctx.step.sleep("let them look around", timedelta(seconds=2))
    return ctx.step.run("ask", write, name, "how does it go?")


def write(name: str, text: str) -> str:
    """Write to a user. A step that has succeeded is not run again, whatever crashes."""
    return f"to {name}: {text}"
