"""Functions that note each run when it is done, for who counts whether none is lost nor done twice.

They note into the file that the environment variable `LOAD_RECORD` names, a line a run: the
function and the number of the event.
"""

from __future__ import annotations

import functools
import os

from tidegate import Client, ContextSync, TriggerEvent

RECORD = "LOAD_RECORD"
ORDER = "load/order"
PLAIN, STEPS, FAILED = "load-plain", "load-steps", "failed"

client = Client(app_id="load", is_production=False)


@functools.cache
def _record() -> int:
    return os.open(os.environ[RECORD], os.O_WRONLY | os.O_APPEND)


def _note(what: str, number: object) -> None:
    # Of lines that are appended none is torn, whatever else writes.
    os.write(_record(), f"{what} {number}\n".encode())


@client.create_function(fn_id="plain", trigger=TriggerEvent(event=ORDER))
def plain(ctx: ContextSync) -> None:
    """Has no steps."""
    _note(PLAIN, ctx.event.data["number"])


@client.create_function(fn_id="steps", trigger=TriggerEvent(event=ORDER))
def steps(ctx: ContextSync) -> str:
    """Has three steps, of which the last one notes the run."""
    number = ctx.step.run("read", lambda: ctx.event.data["number"])
    text = ctx.step.run("write", lambda: f"order {number}")
    ctx.step.run("note", lambda: _note(STEPS, number))
    return text


@client.create_function(fn_id="failures", trigger=TriggerEvent(event="inngest/function.failed"))
def failures(ctx: ContextSync) -> None:
    """Notes runs that failed for good."""
    _note(FAILED, ctx.event.data["event"]["data"]["number"])
