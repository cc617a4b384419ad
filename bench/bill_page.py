"""The bill of calls as the tables of docs/performance.md.

`python -m bench.bill_page` prints them; a test holds the page to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench import bill
from bench.figure import Figure
from bench.scenarios import Bill

# The stages of an event's way, in its order.
_STAGES = ("ingest", "worker's queue", "worker", "matcher's queue", "matcher", "scheduler")


def pages(bills: Mapping[str, Bill]) -> dict[str, str]:
    """The tables by what they show.

    Args:
        bills: of all scenarios, by their names in `bench.bill`.
    """
    return {
        "counted": _counted(bill.counted(dict(bills))),
        "stages": _by_stage(bills),
        "idle": _idle(bill.idle()),
    }


def _counted(figures: Iterable[Figure]) -> str:
    rows = [
        (figure.name, f"{_short(figure)} {figure.unit}", f"≤ {figure.goal:g}")
        for figure in figures
        if figure.goal is not None
    ]
    return _table(("what", "value", "goal"), rows)


def _by_stage(bills: Mapping[str, Bill]) -> str:
    rows = []
    for name, one in bills.items():
        costs = [
            f"{one.dollars_per_million(stage):.2f}" if stage in one.usage else ""
            for stage in _STAGES
        ]
        rows.append((name, *costs, f"{one.dollars_per_million():.2f}"))
    return _table(("$ per million events", *_STAGES, "in all"), rows)


def _idle(figures: Iterable[Figure]) -> str:
    return _table(
        ("$ a month", "value"), [(figure.name, f"{figure.value:.2f}") for figure in figures]
    )


def _short(figure: Figure) -> str:
    return f"{figure.value:g}" if figure.value == int(figure.value) else f"{figure.value:.2f}"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = list(headings)
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables."""
    made = {name: make() for name, make in (bill.COUNTED | bill.OTHERS).items()}
    print("\n\n".join(pages(made).values()))


if __name__ == "__main__":
    main()
