"""`tidegate doctor`: whether a deployment works, and what to do if it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.commands.arguments import Timeout, seconds_ms
from tidegate.commands.checkup import Checkup, Finding, Verdict
from tidegate.commands.completion import function_ids
from tidegate.commands.connection import Connection, connected
from tidegate.commands.exits import ExitCode
from tidegate.commands.output import Output, plain

_MARKS = {Verdict.OK: "✓", Verdict.FAILED: "✗", Verdict.SKIPPED: "–"}  # noqa: RUF001
_WORDS = {Verdict.OK: "ok", Verdict.FAILED: "FAILED", Verdict.SKIPPED: "-"}


@connected
def doctor(
    connection: Connection,
    function: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Run it as well.", autocompletion=function_ids),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Look at the alarms of this stack, with your AWS credentials."
        ),
    ] = None,
    timeout: Timeout = 30,
) -> None:
    """Check a deployment: is it reachable, are the keys valid, does an event come through."""
    patience_ms = seconds_ms(timeout) or 0
    findings = Checkup(connection, function, stack, patience_ms).findings()
    out = connection.out
    seen = list(findings) if out.as_json else _printed(out, findings)
    is_well = all(one.verdict != Verdict.FAILED for one in seen)
    if out.as_json:
        out.json({"ok": is_well, "checks": [asdict(one) for one in seen]})
    if not is_well:
        raise typer.Exit(ExitCode.FAILED)


def _printed(out: Output, findings: Iterable[Finding]) -> list[Finding]:
    """Print each as it is found, since some take a while."""
    seen = []
    marks = _MARKS if out.draws_unicode else _WORDS
    for one in findings:
        seen.append(one)
        advice = f"; {one.advice}" if one.advice else ""
        out.text(plain(f"{marks[one.verdict]} {one.check}: {one.said}{advice}"))
    return seen
