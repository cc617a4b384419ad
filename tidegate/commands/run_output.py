"""Runs as they are printed: in rows, as outcomes, and one with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from tidegate.commands.exits import CommandError, ExitCode
from tidegate.commands.moment import duration, ms_of, time_text
from tidegate.commands.output import Output, json_text, plain, plain_lines, status_text
from tidegate.commands.timeline import ASCII, UNICODE, draw

RUN_COLUMNS = ("RUN", "STATUS", "BEGAN", "TOOK", "FUNCTION", "EVENT NAME", "ERROR")
_MOST_OF_A_VALUE = 4_000

Run = Mapping[str, Any]


def run_row(run: Run) -> list[Any]:
    """A run as a row of a table."""
    return [
        run["run_id"],
        status_text(run["status"]),
        time_text(run["run_started_at"] or run["queued_at"]),
        took(run),
        run["function_id"],
        run.get("event_name") or "",
        error_text(_error(run)),
    ]


def took(run: Run) -> str:
    """How long a run took; nothing while it goes on."""
    if not run["ended_at"]:
        return ""
    return duration(
        max(ms_of(run["ended_at"]) - ms_of(run["run_started_at"] or run["queued_at"]), 0)
    )


def error_text(error: Any) -> str:
    """An error in one line."""
    if not isinstance(error, Mapping):
        return ""
    return f"{error.get('name', '')}: {error.get('message', '')}"


def check_success(runs: Sequence[Run]) -> None:
    """End with a failure unless all runs completed.

    Raises:
        CommandError: one did not, or there is none.
    """
    if not runs:
        raise CommandError(
            "the event was accepted and started no run: no function wants it, see "
            "`tidegate functions`",
            ExitCode.FAILED,
        )
    bad = [run for run in runs if run["status"] != "Completed"]
    if bad:
        what = ", ".join(f"{run['run_id']} ({run['status']})" for run in bad)
        raise CommandError(
            f"{len(bad)} of {len(runs)} runs did not complete: {what}", ExitCode.FAILED
        )


def print_outcomes(out: Output, runs: Sequence[Run]) -> None:
    """What runs have come to, a line each."""
    rows = [
        [
            run["run_id"],
            status_text(run["status"]),
            took(run),
            run["function_id"],
            error_text(_error(run)) or json_text(run.get("output")),
        ]
        for run in runs
    ]
    if rows:
        out.rows("RUN", "STATUS", "TOOK", "FUNCTION", "OUTPUT").print(rows)


def print_run(out: Output, run: Run, steps: Sequence[Any], timeline: Mapping[str, Any]) -> None:
    """All that is known of a run."""
    replayed = run.get("replay_id")
    out.facts(
        {
            "Run": run["run_id"],
            "Function": run["function_id"],
            "Status": _status(run),
            "Event": f"{run['event_id']}  {run.get('event_name') or ''}".rstrip(),
            "Cron": run.get("cron"),
            "Environment": run["environment"],
            "Rerun of": run.get("original_run_id"),
            "Replay": replayed,
            "Queued": run["queued_at"],
            "Began": run["run_started_at"],
            "Goes on": run.get("next_attempt_at"),
            "Ended": run["ended_at"],
        }
    )
    out.heading("Timeline")
    for line in draw(timeline, out.width - 2, UNICODE if out.draws_unicode else ASCII):
        out.text(Text("  ").append_text(line))
    if steps:
        out.heading("Steps")
        for step in steps:
            _print_step(out, step)
    error = _error(run)
    if error:
        _print_error(out, "Error", error)
    elif "output" in run:
        out.heading("Output")
        out.block(_value(run["output"]))
    if run.get("note"):
        out.note(f"note: {run['note']}")


def _error(run: Run) -> Any:
    if run["status"] in ("Failed", "Cancelled"):
        return run.get("error") or run.get("output")
    return run.get("last_error")


def _status(run: Run) -> Text:
    attempts = run["attempt"] + 1
    text = status_text(run["status"])
    if run["ended_at"]:
        text.append(f" after {took(run)}", style="default")
    if attempts > 1:
        text.append(f", attempt {run['attempt']}", style="default")
    return text


def _print_step(out: Output, step: Mapping[str, Any]) -> None:
    line = Text("  ").append_text(status_text(f"{step['status']:<9}"))
    line.append(f"  {plain(step['name'])}", style="bold")
    line.append(f"  {step['op']}", style="dim")
    if step.get("event_name"):
        line.append(f" {plain(step['event_name'])}", style="dim")
    if step.get("due_at"):
        line.append(f"  until {plain(step['due_at'])}", style="yellow")
    out.text(line)
    for attempt in step["attempts"]:
        if attempt.get("error"):
            took_ms = ms_of(attempt["ended_at"]) - ms_of(attempt["started_at"])
            said = f"attempt {attempt['attempt']}, {duration(max(took_ms, 0))}: "
            out.text(f"    {said}{plain(error_text(attempt['error']))}")
    if step.get("error") and step["op"] != "run":
        out.text(f"    {plain(error_text(step['error']))}")
    if "output" in step:
        out.text(f"    → {_short(json_text(step['output']), 200)}")


def _print_error(out: Output, title: str, error: Any) -> None:
    out.heading(title)
    if not isinstance(error, Mapping):
        out.block(_value(error))
        return
    out.block(plain(error_text(error)))
    if error.get("stack"):
        out.block(plain_lines(str(error["stack"])))


def _value(value: Any) -> str:
    return _short(json_text(value, indent=2), _MOST_OF_A_VALUE)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters; see --json)"
