"""The drawing of a timeline, line by line."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tidegate.commands.timeline import ASCII, draw
from tidegate.rest_call import rfc3339

T0 = 1_760_000_000_000


def span(kind: str, name: str, began: int, ended: int | None, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "started_at": rfc3339(T0 + began),
        "ended_at": None if ended is None else rfc3339(T0 + ended),
        "status": "Completed",
        **more,
    }


def timeline(until: int, *spans: dict[str, Any]) -> dict[str, Any]:
    return {"from": rfc3339(T0), "until": rfc3339(T0 + until), "spans": list(spans)}


FAILURE = {"name": "CardError", "message": "declined"}
SPANS = (
    span("queue", "shop/order.placed", 0, 1_000),
    span("step", "charge", 1_000, 3_000, attempt=0, status="Failed", error=FAILURE),
    span("step", "charge", 4_000, 4_000, attempt=1),
    span("sleep", "cool down", 4_000, 8_000),
    span("invoke", "refund", 8_000, 8_500),
    span("wait", "approval", 8_500, None, status="Waiting"),
)


def lines(characters: Any = None, width: int = 85) -> list[str]:
    drawn = draw(timeline(10_000, *SPANS), width, *([characters] if characters else []))
    return [line.plain for line in drawn]


def test_bars_are_drawn_to_scale() -> None:
    assert lines() == [
        "                           0             10.0 s",
        "queue   shop/order.placed  ··                    1.00 s",
        "step    charge               ████                2.00 s    Failed CardError",
        "step    charge #1                  █             0 ms",
        "sleep   cool down                  ░░░░░░░░      4.00 s",
        "invoke  refund                             ▓     500 ms",
        "wait    approval                            ▒▒▶  1.50 s    Waiting",
    ]


def test_bars_are_drawn_in_ascii_where_nothing_else_can_be_printed() -> None:
    drawn = lines(ASCII)
    assert "".join(drawn).isascii()
    assert drawn[-1].split()[2] == "-->"


def test_long_names_are_cut_and_wide_ones_do_not_push_the_bars() -> None:
    spans = (span("step", "x" * 60, 0, 5), span("step", "配送" * 3, 5, 10))
    first, second = [line.plain for line in draw(timeline(10, *spans), 100)[1:]]
    assert "…" in first
    assert cell_len(first.partition("█")[0]) + 12 == cell_len(second.partition("█")[0])


def test_a_run_that_took_no_time_has_bars() -> None:
    drawn = draw(timeline(0, span("step", "a", 0, 0)), 80)
    assert "█" in drawn[1].plain


MOMENTS = st.integers(0, 10_000)


@given(st.lists(st.tuples(MOMENTS, MOMENTS | st.none()), max_size=8), st.integers(20, 200))
def test_no_bar_leaves_its_place(times: list[tuple[int, int | None]], width: int) -> None:
    spans = [span("step", "a", began, ended) for began, ended in times]
    drawn = draw(timeline(5_000, *spans), width)
    bar_width = cell_len(drawn[0].plain) - 11
    for line, (began, _) in zip(drawn[1:], times, strict=True):
        bar = line.plain[11 : 11 + bar_width]
        assert bar.strip(), "each has a bar"
        assert abs((len(bar) - len(bar.lstrip())) - min(began / 5_000, 1) * bar_width) <= 1
