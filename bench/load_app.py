"""The functions that the dev server is put under load with."""

from __future__ import annotations

from collections.abc import Callable

from tidegate import Client, ContextSync, TriggerEvent

STEPS = (1, 10, 100)
NO_STEPS = "load/no-steps"
# No function wants events of this name.
UNWANTED = "load/unwanted"

client = Client(app_id="load", is_production=False)


def with_steps(count: int) -> str:
    """The event that starts the function with that many steps."""
    return f"load/steps-{count}"


def _steps(count: int) -> Callable[[ContextSync], int]:
    def handler(ctx: ContextSync) -> int:
        return sum(ctx.step.run(f"step {number}", lambda: 1) for number in range(count))

    return handler


for _count in STEPS:
    client.create_function(fn_id=f"steps-{_count}", trigger=TriggerEvent(event=with_steps(_count)))(
        _steps(_count)
    )


@client.create_function(fn_id="no-steps", trigger=TriggerEvent(event=NO_STEPS))
def no_steps(ctx: ContextSync) -> None:
    """Does nothing."""
