"""`tidegate functions`: what is registered, and starting one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegate.commands.arguments import From, Timeout, Until, read_json, seconds_ms
from tidegate.commands.completion import function_ids
from tidegate.commands.connection import Connection, connected
from tidegate.commands.groups import group
from tidegate.commands.moment import duration, moment_text
from tidegate.commands.output import json_text
from tidegate.commands.runs import Wait, finish
from tidegate.rest_client import path_of

functions = group("functions", "Look up functions, and start one.")

_COUNTED = ("completed", "failed", "cancelled", "running")

FunctionId = Annotated[
    str,
    typer.Argument(metavar="FUNCTION", help="The function's id.", autocompletion=function_ids),
]


@functions.command("list")
@connected
def list_functions(connection: Connection) -> None:
    """List the registered functions, and what starts them."""
    found = connection.api.get("/v1/functions")
    out = connection.out
    if out.as_json:
        out.json(found)
    elif found:
        rows = [[one["id"], one["name"], _started_by(one)] for one in found]
        out.rows("FUNCTION", "CALLED", "STARTED BY").print(rows)
    else:
        out.note("none")


@functions.command("show")
@connected
def show(
    connection: Connection, function: FunctionId, since: From = None, until: Until = None
) -> None:
    """Show a function: its triggers, its settings, how its runs of the last day went."""
    now_ms = connection.clock.now_ms()
    found = connection.api.get(path_of("functions", function))
    query = {
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until, now_ms, "--until"),
    }
    stats = connection.api.ask("GET", path_of("functions", function, "stats"), query).data
    out = connection.out
    if out.as_json:
        out.json({**found, "stats": stats})
        return
    config = {name: _setting(name, value) for name, value in found["config"].items()}
    out.facts(
        {
            "Function": found["id"],
            "Name": found["name"],
            "App": found["app_id"],
            "Started by": _started_by(found) or "invocations",
            "Retries": found["retries"],
            **{_title(name): value for name, value in config.items()},
        }
    )
    out.heading(f"Runs from {stats['from']} until {stats['until']}")
    buckets = stats["buckets"]
    counts = [sum(bucket[name] for bucket in buckets) for name in _COUNTED]
    out.rows(*(name.upper() for name in _COUNTED)).print([counts])
    if not stats["complete"]:
        out.note("there are more runs than are counted; --from a later moment counts all")


@functions.command("invoke")
@connected
def invoke(
    connection: Connection,
    function: FunctionId,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="Its event's data: JSON, @file, or -.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="JSON", help="Whom it concerns: JSON, @file, or -.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Start a run of one function, whatever its triggers are, and print the run's id."""
    sent = {"data": read_json(data, "--data"), "user": read_json(user, "--user")}
    body = {name: value for name, value in sent.items() if value is not None}
    must_come = True
    if wait:
        found = connection.api.get(path_of("functions", function))
        must_come = "idempotency" not in found["config"]
    started = connection.api.post(path_of("functions", function, "invoke"), body)
    finish(connection, started, started["run_id"], wait, seconds_ms(timeout), must_come=must_come)


def _started_by(function: dict[str, Any]) -> str:
    if function.get("removed"):
        return "nothing: it was removed, and its runs that wait are ended"
    return ", ".join(map(_trigger, function["triggers"]))


def _trigger(trigger: dict[str, Any]) -> str:
    if "cron" in trigger:
        jitter = f" within {duration(trigger['jitter_ms'])}" if trigger.get("jitter_ms") else ""
        return f"{trigger['cron']}{jitter}"
    condition = f" if {trigger['expression']}" if trigger.get("expression") else ""
    return f"{trigger['event']}{condition}"


def _title(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ").capitalize()


def _setting(name: str, value: Any) -> str:
    if name.endswith("_s") and isinstance(value, int):
        return f"{value} s"
    return value if isinstance(value, str) else json_text(value)
