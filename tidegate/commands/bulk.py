"""Acting on all runs of a function: running them again, cancelling them, having them go on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegate.commands.arguments import From, Until
from tidegate.commands.completion import function_ids
from tidegate.commands.connection import Connection, connected
from tidegate.commands.jobs import expected, finish, print_job
from tidegate.commands.moment import moment_text, parse_moment
from tidegate.errors import ConfigurationError
from tidegate.rest_client import path_of

_FIELDS = {"Completed": "completed", "Failed": "failed", "Cancelled": "cancelled"}
_ACTIVE = ("running",)


@connected
def replay(
    connection: Connection,
    function: Annotated[
        str,
        typer.Argument(metavar="FUNCTION", help="The function's id.", autocompletion=function_ids),
    ],
    since: From = None,
    until: Until = None,
    status: Annotated[
        str, typer.Option(metavar="STATUS", help="Failed, Cancelled, or Failed,Cancelled.")
    ] = "Failed",
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job, and do not wait for its end.")
    ] = False,
) -> None:
    """Run all runs of a function again that failed in a time; Ctrl-C leaves the job running."""
    if since is None:
        raise ConfigurationError("--from is needed, such as --from 2h")
    statuses = [name.strip() for name in status.split(",")]
    now_ms = connection.clock.now_ms()
    body: dict[str, Any] = {
        "function_id": function,
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until or "now", now_ms, "--until"),
        "status": statuses,
    }
    job = connection.api.post("/v1/replays", body)
    if detach:
        print_job(connection, job)
        return
    fields = [_FIELDS.get(name, name) for name in statuses]
    finish(connection, job, expected(connection, job, fields))


@connected
def recover(
    connection: Connection,
    function: Annotated[
        str,
        typer.Argument(metavar="FUNCTION", help="The function's id.", autocompletion=function_ids),
    ],
    since: From = None,
    until: Until = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job, and do not wait for its end.")
    ] = False,
) -> None:
    """Resume all runs of a function, and start those of events of a time, if messages were lost.

    Nothing starts twice. Ctrl-C leaves the job running.
    """
    if since is None:
        raise ConfigurationError("--from is needed: since when events may be lost, such as 2d")
    now_ms = connection.clock.now_ms()
    body = {
        "function_id": function,
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until or "now", now_ms, "--until"),
    }
    job = connection.api.post("/v1/recoveries", body)
    if detach:
        print_job(connection, job)
    else:
        finish(connection, job, None)


def cancel_all(
    connection: Connection,
    function: str,
    since: str | None,
    until: str | None,
    condition: str | None,
) -> None:
    """Cancel all runs of a function in a time, and follow the job until it has ended.

    Args:
        connection: where they are.
        function: its id.
        since, until: the time, as it was typed; from the beginning until now by default.
        condition: an expression that must hold of a run's event.
    """
    found = connection.api.get(path_of("functions", function))
    now_ms = connection.clock.now_ms()
    until_ms = parse_moment(until or "now", now_ms, "--until")
    body = {
        "app_id": found["app_id"],
        "function_id": found["id"],
        "started_after": moment_text(since, now_ms, "--from"),
        # The server wants a time that has passed, by its own clock.
        "started_before": moment_text(str(min(until_ms, now_ms)), now_ms, "--until"),
        "if": condition,
    }
    given = {name: value for name, value in body.items() if value is not None}
    job = connection.api.post("/v1/cancellations", given)
    counted = since is not None and condition is None
    total = expected(connection, job, _ACTIVE) if counted else None
    finish(connection, job, total)
