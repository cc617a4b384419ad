"""Runs the benchmarks: `python -m bench [PART]...`, all of them by default.

Prints a table and writes `bench/results.json`, a list of
`{name, value, unit, goal, met, floor}` of the parts that were run.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figure import Figure

# Each has a function `measure() -> Iterable[Figure]`.
PARTS = {
    "handlers": "bench.handlers",
    "cold_start": "bench.cold_start",
    "bill": "bench.bill",
    "send_to_start": "bench.send_to_start",
    "dev_server": "bench.dev_server",
    "load": "bench.load",
    "growth": "bench.growth",
    "testkit": "bench.testkit",
}
RESULTS = Path(__file__).parent / "results.json"
# Of a table that is written to a file, in characters.
_WIDTH = 120


def figures_of(part: str) -> list[Figure]:
    """Run one part.

    Args:
        part: its name in `PARTS`.

    Raises:
        ImportError: the part's module cannot be imported; it is never left out in silence.
    """
    return list(importlib.import_module(PARTS[part]).measure())


def number(value: float | None) -> str:
    """A value as the table shows it, in about four digits; nothing for None."""
    if value is None:
        return ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def table(part: str, figures: Iterable[Figure]) -> Table:
    """The figures of a part, a line each."""
    made = Table(title=part, title_justify="left", title_style="bold")
    made.add_column("figure", overflow="fold")
    for heading in ("value", "goal", "floor"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("unit")
    made.add_column("met")
    for figure in figures:
        goal = f"{'≤' if figure.is_at_most else '≥'} {number(figure.goal)}"
        made.add_row(
            figure.name,
            number(figure.value),
            goal if figure.goal is not None else "",
            number(figure.floor),
            figure.unit,
            {True: "yes", False: "[bold red]no[/]", None: ""}[figure.met],
        )
    return made


def main(arguments: Sequence[str]) -> int:
    """Run the named parts, or all; the result is the exit status."""
    unknown = [name for name in arguments if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    found: list[Figure] = []
    for part in arguments or PARTS:
        figures = figures_of(part)
        console.print(table(part, figures))
        found += figures
    RESULTS.write_text(
        json.dumps([figure.as_dict() for figure in found], indent=2, ensure_ascii=False) + "\n"
    )
    missed = [figure.name for figure in found if figure.met is False]
    console.print(f"{len(found)} figures in bench/results.json, {len(missed)} goals not reached")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
