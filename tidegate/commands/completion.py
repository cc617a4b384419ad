"""What a shell is offered to complete: ids and names that the server knows, if it answers fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer

from tidegate.commands.connection import connection_of

TIMEOUT_S = 0.7

Functions = list[dict[str, Any]]


def function_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of functions that begin as what is typed."""
    return _offered(ctx, incomplete, lambda functions: [one["id"] for one in functions])


def event_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of events that start functions and begin as what is typed."""
    return _offered(ctx, incomplete, _event_names)


def statuses(incomplete: str) -> list[str]:
    """What may have become of a run."""
    names = ("Scheduled", "Running", "Completed", "Failed", "Cancelled")
    return [name for name in names if name.startswith(incomplete)]


def _event_names(functions: Functions) -> Iterable[str]:
    triggers = [trigger for function in functions for trigger in function["triggers"]]
    names = dict.fromkeys(trigger["event"] for trigger in triggers if "event" in trigger)
    return [name for name in names if not name.endswith("*")]


def _offered(
    ctx: typer.Context, incomplete: str, names: Callable[[Functions], Iterable[str]]
) -> list[str]:
    # Somebody is typing: whatever is wrong, nothing is offered and nothing is said.
    try:
        connection = connection_of(ctx, ctx.params)
        api = connection.api_with(timeout_s=TIMEOUT_S, tries=1)
        found = names(api.get("/v1/functions"))
        # A shell would cut a name at spaces, and obey control characters.
        return [name for name in found if name.startswith(incomplete) and _is_word(name)]
    except Exception:
        return []


def _is_word(name: str) -> bool:
    return name.isprintable() and not any(character.isspace() for character in name)
