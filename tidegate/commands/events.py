"""`tidegate events`: the events that were received."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tidegate.commands.arguments import All, From, Limit, Until
from tidegate.commands.completion import event_names, function_ids
from tidegate.commands.connection import Connection, connected
from tidegate.commands.groups import group
from tidegate.commands.jobs import finish, print_job
from tidegate.commands.moment import moment_text, parse_moment, time_text
from tidegate.commands.output import Output, json_text
from tidegate.commands.run_output import RUN_COLUMNS, run_row
from tidegate.commands.tailing import Window, polls
from tidegate.errors import ConfigurationError
from tidegate.rest_client import path_of

events = group("events", "Look up events.")

_COLUMNS = ("EVENT", "TIME", "NAME", "DATA")
_MOST_OF_DATA = 120

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Only events of that name.", autocompletion=event_names),
]


@events.command("list")
@connected
def list_events(
    connection: Connection,
    name: Name = None,
    since: From = None,
    until: Until = None,
    limit: Limit = 20,
    everything: All = False,
) -> None:
    """List events, the newest first; those of the last hour unless --from says more."""
    now_ms = connection.clock.now_ms()
    query = {
        "name": name,
        "received_after": moment_text(since, now_ms, "--from"),
        "received_before": moment_text(until, now_ms, "--until"),
    }
    pages = connection.api.pages("/v1/events", query, None if everything else limit)
    print_pages(connection.out, pages, _COLUMNS, _row)


@events.command("show")
@connected
def show_event(
    connection: Connection,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="Its internal id.")],
) -> None:
    """Show an event and the runs that it started."""
    event = connection.api.get(path_of("events", event_id))
    runs = connection.api.get(path_of("events", event_id, "runs"))
    out = connection.out
    if out.as_json:
        out.json({**event, "runs": runs})
        return
    own_id = event["id"]
    out.facts(
        {
            "Event": event["internal_id"],
            "Name": event["name"],
            "Id": None if own_id == event["internal_id"] else own_id,
            "Environment": event["environment"],
            "Received": event["received_at"],
            "Ts": event["ts"],
            "Version": event.get("v"),
            "Note": event.get("note"),
        }
    )
    out.value("Data", event["data"])
    if event.get("user"):
        out.value("User", event["user"])
    out.heading("Runs")
    if runs:
        out.rows(*RUN_COLUMNS).print([run_row(run) for run in runs])
    else:
        out.block("none")


@events.command("tail")
@connected
def tail_events(connection: Connection, name: Name = None, since: From = None) -> None:
    """Print events as they are received, until Ctrl-C; JSON is one event a line."""
    now_ms = connection.clock.now_ms()
    from_ms = None if since is None else parse_moment(since, now_ms, "--from")
    window = Window(
        connection.api, connection.clock, "/v1/events", "received_after", {"name": name}, from_ms
    )
    seen: set[str] = set()
    rows = connection.out.rows(*_COLUMNS)
    for _ in polls(connection.clock):
        current = window.items()
        for event in reversed(current):
            if event["internal_id"] in seen:
                continue
            if connection.out.as_json:
                connection.out.json_line(event)
            else:
                rows.print([_row(event)])
        seen = {event["internal_id"] for event in current}


@events.command("replay")
@connected
def replay_events(
    connection: Connection,
    function: Annotated[
        str,
        typer.Argument(metavar="FUNCTION", help="Who gets them.", autocompletion=function_ids),
    ],
    since: From = None,
    until: Until = None,
    name: Name = None,
    condition: Annotated[
        str | None,
        typer.Option("--if", metavar="EXPRESSION", help="Only events for which it holds."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(metavar="N", help="Start at most so many runs a second.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job, and do not wait for its end.")
    ] = False,
) -> None:
    """Give stored events of a time to one function; Ctrl-C leaves the job running."""
    if since is None:
        raise ConfigurationError("--from is needed, such as --from 7d")
    now_ms = connection.clock.now_ms()
    body = {
        "function_id": function,
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until or "now", now_ms, "--until"),
        "event_name": name,
        "if": condition,
        "per_second": rate,
    }
    given = {key: value for key, value in body.items() if value is not None}
    job = connection.api.post("/v1/event_replays", given)
    if detach:
        print_job(connection, job)
    else:
        finish(connection, job, None)


def print_pages(out: Output, pages: Iterator[list[Any]], columns: Any, row: Any) -> None:
    """A list as it comes, page by page.

    Args:
        out: where to print.
        pages: the items.
        columns: the head of a table.
        row: gives the row of an item.
    """
    if out.as_json:
        out.json_array(item for page in pages for item in page)
        return
    rows = out.rows(*columns)
    for page in pages:
        rows.print([row(item) for item in page])
    if rows.is_empty:
        out.note("none")


def _row(event: dict[str, Any]) -> list[Any]:
    data = event.get("note") if event["data"] is None else json_text(event["data"])
    data = str(data)
    short = data if len(data) <= _MOST_OF_DATA else data[:_MOST_OF_DATA] + "…"
    return [event["internal_id"], time_text(event["received_at"]), event["name"], short]
