"""A run's timeline, drawn to scale: a bar for each thing that took time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tidegate.commands.moment import duration, ms_of
from tidegate.commands.output import STATUS_STYLES, plain

_KIND_WIDTH = 8
_MOST_OF_A_NAME = 28
_AFTER_WIDTH = 38
_LEAST_BAR = 16


@dataclass(frozen=True)
class Characters:
    """What bars consist of.

    Attributes:
        kinds: the character for each kind of span.
        open_end: the end of what still goes on.
        empty: where nothing is.
    """

    kinds: Mapping[str, str]
    open_end: str
    empty: str = " "


UNICODE = Characters(
    {"queue": "·", "attempt": "█", "step": "█", "sleep": "░", "wait": "▒", "invoke": "▓"}, "▶"
)
ASCII = Characters(
    {"queue": ".", "attempt": "#", "step": "#", "sleep": "~", "wait": "-", "invoke": "="}, ">"
)


def draw(timeline: Mapping[str, Any], width: int, characters: Characters = UNICODE) -> list[Text]:
    """The lines of a drawing.

    Args:
        timeline: what `GET /v1/runs/{id}/timeline` gives.
        width: how many columns it may have.
        characters: what bars consist of.
    """
    from_ms, until_ms = ms_of(timeline["from"]), ms_of(timeline["until"])
    spans = timeline["spans"]
    names = [_label(span) for span in spans]
    name_width = min(max(map(cell_len, names), default=0), _MOST_OF_A_NAME)
    before = _KIND_WIDTH + name_width + 2
    bar_width = max(width - before - _AFTER_WIDTH, _LEAST_BAR)
    scale = _Scale(from_ms, max(until_ms, from_ms + 1), bar_width, characters)
    lines = [_axis(before, bar_width, until_ms - from_ms)]
    for span, name in zip(spans, names, strict=True):
        line = Text(f"{plain(span['kind']):<{_KIND_WIDTH}}", style="dim")
        line.append(f"{_cut(name, name_width)}  ", style="not dim")
        line.append(scale.bar(span), style=f"not dim {STATUS_STYLES.get(span['status'], '')}")
        line.append(_after(span, until_ms, width - before - bar_width), style="not dim")
        line.rstrip()
        lines.append(line)
    return lines


@dataclass(frozen=True)
class _Scale:
    """Where a time is in a bar of some width."""

    from_ms: int
    until_ms: int
    width: int
    characters: Characters

    def bar(self, span: Mapping[str, Any]) -> str:
        ended_at = span["ended_at"]
        first = min(self._column(ms_of(span["started_at"])), self.width - 1)
        end = self.width if ended_at is None else self._column(ms_of(ended_at))
        # What took no time at all is seen, too.
        end = max(end, first + 1)
        body = self.characters.kinds.get(span["kind"], "#") * (end - first)
        if ended_at is None:
            body = body[:-1] + self.characters.open_end
        return (self.characters.empty * first + body).ljust(self.width, self.characters.empty)

    def _column(self, ms: int) -> int:
        part = (ms - self.from_ms) / (self.until_ms - self.from_ms)
        return min(max(round(part * self.width), 0), self.width)


def _label(span: Mapping[str, Any]) -> str:
    attempt = span.get("attempt")
    return plain(span["name"]) + (f" #{attempt}" if attempt else "")


def _axis(before: int, bar_width: int, span_ms: int) -> Text:
    end = duration(span_ms)
    return Text(" " * before + "0" + end.rjust(bar_width - 1), style="dim")


def _after(span: Mapping[str, Any], until_ms: int, width: int) -> str:
    """How long it took, and how it went if not well."""
    ended_ms = until_ms if span["ended_at"] is None else ms_of(span["ended_at"])
    text = f"  {duration(max(ended_ms - ms_of(span['started_at']), 0)):<8}"
    if span["status"] != "Completed":
        text += f"  {plain(span['status'])}"
    if span.get("error"):
        text += f" {plain(span['error']['name'])}"
    return _cut(text, width)


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "…"[:width]
