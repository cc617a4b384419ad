"""`tidegate runs`: what became of events, and acting on it."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import typer

from tidegate.commands.arguments import All, From, Limit, Timeout, Until, seconds_ms
from tidegate.commands.bulk import cancel_all, recover, replay
from tidegate.commands.completion import event_names, function_ids, statuses
from tidegate.commands.connection import Connection, connected
from tidegate.commands.events import print_pages
from tidegate.commands.exits import CommandError, ExitCode, exit_code
from tidegate.commands.following import Follower, has_ended
from tidegate.commands.groups import group
from tidegate.commands.moment import moment_text, parse_moment
from tidegate.commands.run_output import (
    RUN_COLUMNS,
    check_success,
    print_outcomes,
    print_run,
    run_row,
)
from tidegate.commands.tailing import Window, polls
from tidegate.errors import ConfigurationError, RestError
from tidegate.rest_client import path_of

runs = group("runs", "Look up runs, cancel them, run them again, have them go on.")

# How many runs that began long ago are looked at one by one, each time.
_MOST_LOOKED_AT = 50
_STEP_ID = re.compile(r"[0-9a-f]{40}\Z")

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Function = Annotated[
    str | None,
    typer.Option(
        "--function", metavar="ID", help="Only of that function.", autocompletion=function_ids
    ),
]
Status = Annotated[
    str | None,
    typer.Option(
        metavar="STATUS",
        help="Scheduled, Running, Completed, Failed or Cancelled; several with commas.",
        autocompletion=statuses,
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait for it to end; exit 1 unless it completes.")
]
runs.command("replay")(replay)
runs.command("recover")(recover)


@runs.command("list")
@connected
def list_runs(
    connection: Connection,
    status: Status = None,
    function: Function = None,
    event: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only of events of that name.", autocompletion=event_names
        ),
    ] = None,
    since: From = None,
    until: Until = None,
    limit: Limit = 20,
    everything: All = False,
) -> None:
    """List runs, the newest first; those of the last day unless --from says more."""
    now_ms = connection.clock.now_ms()
    query = {
        "status": status,
        "function_id": function,
        "event_name": event,
        "from": moment_text(since, now_ms, "--from"),
        "until": moment_text(until, now_ms, "--until"),
    }
    pages = connection.api.pages("/v1/runs", query, None if everything else limit)
    print_pages(connection.out, pages, RUN_COLUMNS, run_row)


@runs.command("show")
@connected
def show(connection: Connection, run_id: RunId) -> None:
    """Show a run: its timeline, its steps with their attempts, its output or error."""
    run = connection.api.get(path_of("runs", run_id))
    steps = connection.api.get(path_of("runs", run_id, "steps"))
    timeline = connection.api.get(path_of("runs", run_id, "timeline"))
    if connection.out.as_json:
        connection.out.json({**run, "steps": steps, "timeline": timeline})
    else:
        print_run(connection.out, run, steps, timeline)


@runs.command("cancel")
@connected
def cancel(
    connection: Connection,
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="The runs' ids.")
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            "--function",
            metavar="ID",
            help="All runs of that function instead.",
            autocompletion=function_ids,
        ),
    ] = None,
    since: From = None,
    until: Until = None,
    condition: Annotated[
        str | None,
        typer.Option(
            "--if",
            metavar="EXPRESSION",
            help="Only those of whose event it holds, such as 'event.data.order > 9'.",
        ),
    ] = None,
) -> None:
    """Cancel runs: some by their ids, or all of a function in a time."""
    if bool(run_ids) == bool(function):
        raise ConfigurationError("cancel takes the ids of runs, or --function; not both")
    if function:
        cancel_all(connection, function, since, until, condition)
        return
    if since or until or condition:
        raise ConfigurationError("--from, --until and --if go with --function")
    _cancel_each(connection, run_ids or [])


def _cancel_each(connection: Connection, run_ids: list[str]) -> None:
    """Cancel runs one by one: one that cannot be does not keep the others from it."""
    cancelled, faults = [], []
    for run_id in dict.fromkeys(run_ids):
        try:
            cancelled.append(connection.api.delete(path_of("runs", run_id)))
        except RestError as error:
            if error.status not in (400, 404):
                raise
            faults.append((run_id, error))
    out = connection.out
    if out.as_json:
        out.json(cancelled)
    elif cancelled:
        out.rows(*RUN_COLUMNS).print([run_row(run) for run in cancelled])
    if faults:
        said = "; ".join(f"{run_id}: {error.message}" for run_id, error in faults)
        raise CommandError(said, exit_code(faults[0][1]))


@runs.command("rerun")
@connected
def rerun(
    connection: Connection,
    run_id: RunId,
    from_step: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="Go on from a step, by name or step_id; those before are kept."
        ),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Run a run again, as a new run of the same event, and print the new run's id."""
    body = {} if from_step is None else {"from_step": _step_id(connection, run_id, from_step)}
    run = connection.api.post(path_of("runs", run_id, "rerun"), body)
    finish(connection, run, run["run_id"], wait, seconds_ms(timeout))


def finish(
    connection: Connection,
    started: dict[str, Any],
    run_id: str,
    wait: bool,
    timeout_ms: int | None,
    *,
    must_come: bool = True,
) -> None:
    """Print what was started; with `wait`, when it has ended, and whether it went well.

    Args:
        connection: where it runs.
        started: what the server answered.
        run_id: the run.
        wait: whether to wait for its end.
        timeout_ms: for how long at the most.
        must_come: False if an idempotency key may keep it from coming.
    """
    out = connection.out
    if not wait:
        if out.as_json:
            out.json(started)
        else:
            out.text(run_id)
        return
    if not out.as_json:
        out.text(run_id)
    run = Follower(connection, timeout_ms).run(run_id, must_come=must_come)
    if out.as_json:
        out.json(run)
    else:
        print_outcomes(out, [run])
    check_success([run])


def _step_id(connection: Connection, run_id: str, step: str) -> str:
    """The id of a step that is known by its name or id."""
    if _STEP_ID.match(step):
        return step
    steps = connection.api.get(path_of("runs", run_id, "steps"))
    named = [one["step_id"] for one in steps if one["name"] == step]
    if not named:
        names = ", ".join(dict.fromkeys(one["name"] for one in steps)) or "none"
        raise CommandError(
            f"run {run_id} has no step {step!r}; its steps are: {names}", ExitCode.NOT_FOUND
        )
    first = hashlib.sha1(step.encode(), usedforsecurity=False).hexdigest()
    if len(named) > 1 and first not in named:
        raise ConfigurationError(f"{len(named)} steps are called {step!r}; give the step_id")
    # Of several of one name, the first.
    return first if first in named else str(named[0])


@runs.command("tail")
@connected
def tail(
    connection: Connection,
    function: Function = None,
    status: Status = None,
    since: From = None,
) -> None:
    """Print runs as they begin and change, until Ctrl-C; JSON is one run a line."""
    now_ms = connection.clock.now_ms()
    from_ms = None if since is None else parse_moment(since, now_ms, "--from")
    wanted = {name.strip() for name in status.split(",")} if status else None
    window = Window(
        connection.api, connection.clock, "/v1/runs", "from", {"function_id": function}, from_ms
    )
    changes = RunChanges(connection, window)
    rows = connection.out.rows(*RUN_COLUMNS)
    for _ in polls(connection.clock):
        for run in changes.next():
            if wanted is not None and run["status"] not in wanted:
                continue
            if connection.out.as_json:
                connection.out.json_line(run)
            else:
                rows.print([run_row(run)])


class RunChanges:
    """Runs that are new or have changed since the last look.

    Args:
        connection: where they are.
        window: the newest ones.
    """

    def __init__(self, connection: Connection, window: Window) -> None:
        self._api = connection.api
        self._window = window
        self._seen: dict[str, tuple[str, int]] = {}

    def next(self) -> list[dict[str, Any]]:
        """Those that have changed, the oldest first."""
        listed = {run["run_id"]: run for run in self._window.items()}
        current = {**self._others(set(listed)), **listed}
        changed = []
        for run_id in sorted(current):
            run = current[run_id]
            state = (run["status"], run["attempt"])
            if self._seen.get(run_id) != state:
                # What is looked at comes last, so that of many each gets its turn.
                self._seen.pop(run_id, None)
                self._seen[run_id] = state
                changed.append(run)
        # One that has ended changes no more, and does not come back once it has left the list.
        self._seen = {
            run_id: state
            for run_id, state in self._seen.items()
            if run_id in listed or not has_ended({"status": state[0]})
        }
        return changed

    def _others(self, listed: set[str]) -> dict[str, dict[str, Any]]:
        """Runs that go on for longer than the window reaches back."""
        found = {}
        open_ids = [i for i, state in self._seen.items() if not has_ended({"status": state[0]})]
        for run_id in [i for i in open_ids if i not in listed][:_MOST_LOOKED_AT]:
            self._seen[run_id] = self._seen.pop(run_id)
            try:
                found[run_id] = self._api.get(path_of("runs", run_id))
            except RestError as error:
                if error.status != 404:
                    raise
                del self._seen[run_id]
        return found
