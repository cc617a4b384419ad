"""`tidegate dead-letters`: messages that were given up on, and putting them back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegate.commands.arguments import From, Limit, Until
from tidegate.commands.completion import function_ids
from tidegate.commands.connection import Connection, connected
from tidegate.commands.groups import group
from tidegate.commands.jobs import finish, print_job
from tidegate.commands.moment import moment_text, time_text
from tidegate.commands.output import status_text
from tidegate.errors import ConfigurationError
from tidegate.rest_client import path_of

dead_letters = group("dead-letters", "Look up messages that were given up on, and put them back.")

# The server gives so many at once.
_MOST = 100

FunctionId = Annotated[
    str,
    typer.Argument(
        metavar="FUNCTION", help="The function's id, or `matcher`.", autocompletion=function_ids
    ),
]
MessageIds = Annotated[
    list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="The messages' ids.")
]
All = Annotated[bool, typer.Option("--all", help="All that there are, or that are of the time.")]
Rate = Annotated[
    int | None, typer.Option(metavar="N", help="Put at most so many back in a second.")
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Start the job, and do not wait for its end.")
]


@dead_letters.command("list")
@connected
def list_queues(connection: Connection) -> None:
    """List the functions that have dead letters, and how many."""
    found = connection.api.get("/v1/dead_letter_queues")
    out = connection.out
    rows = [[one["function_id"], one["messages"]] for one in found if one["messages"]]
    if out.as_json:
        out.json(found)
    elif rows:
        out.rows("FUNCTION", "MESSAGES").print(rows)
    else:
        out.note("none")


@dead_letters.command("show")
@connected
def show(connection: Connection, function: FunctionId, limit: Limit = 20) -> None:
    """Show dead letters of a function, the newest first, and why they are there."""
    path = path_of("functions", function, "dead_letters")
    found = connection.api.ask("GET", path, {"limit": min(limit, _MOST)}).data
    out = connection.out
    if out.as_json:
        out.json(found)
        return
    letters = found["dead_letters"]
    if letters:
        rows = out.rows("MESSAGE", "SENT", "EVENT", "RUN", "STATUS", "REASON")
        rows.print([_row(letter) for letter in letters])
    if found["messages"] > len(letters):
        out.note(
            f"{found['messages'] - len(letters)} more, of other environments, in somebody's hand, "
            "or beyond --limit"
        )
    elif not letters:
        out.note("none")


@dead_letters.command("redrive")
@connected
def redrive(
    connection: Connection,
    function: FunctionId,
    messages: MessageIds = None,
    everything: All = False,
    since: From = None,
    until: Until = None,
    rate: Rate = None,
    detach: Detach = False,
) -> None:
    """Put dead letters back into their function's queue; Ctrl-C leaves the job running."""
    body = _chosen(connection, function, messages or [], everything, since, until)
    _start(
        connection, "/v1/redrives", body | ({} if rate is None else {"per_second": rate}), detach
    )


@dead_letters.command("delete")
@connected
def delete(
    connection: Connection,
    function: FunctionId,
    messages: MessageIds = None,
    everything: All = False,
    since: From = None,
    until: Until = None,
    detach: Detach = False,
) -> None:
    """Delete dead letters for good; their runs stay as they are."""
    body = _chosen(connection, function, messages or [], everything, since, until)
    _start(connection, "/v1/dead_letter_deletions", body, detach)


def _chosen(
    connection: Connection,
    function: str,
    messages: list[str],
    everything: bool,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    """Which dead letters are meant.

    Raises:
        ConfigurationError: none are named, or both some and all.
    """
    if bool(messages) == everything:
        raise ConfigurationError(
            "name the messages, as `tidegate dead-letters show` has them, or say --all; not both"
        )
    now_ms = connection.clock.now_ms()
    body = {
        "function_id": function,
        "message_ids": messages or None,
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until, now_ms, "--until"),
    }
    return {name: value for name, value in body.items() if value is not None}


def _start(connection: Connection, path: str, body: dict[str, Any], detach: bool) -> None:
    job = connection.api.post(path, body)
    if detach:
        print_job(connection, job)
    else:
        finish(connection, job, len(body["message_ids"]) if "message_ids" in body else None)


def _row(letter: dict[str, Any]) -> list[Any]:
    status = letter["run_status"]
    return [
        letter["id"],
        time_text(letter["sent_at"]),
        letter["event_name"] or "-",
        letter["run_id"] or "-",
        status_text(status) if status else "-",
        letter["reason"],
    ]
