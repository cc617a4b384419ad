"""What commands print: tables for people, JSON for programs, and nothing a terminal would obey.

Names, payloads and errors come from whoever sends events. They are shown with their control
characters escaped, and never read as markup.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

STATUS_STYLES = {
    "Completed": "green",
    "Failed": "red",
    "Cancelled": "magenta",
    "Running": "cyan",
    "Waiting": "yellow",
    "Scheduled": "yellow",
    "Stopped": "magenta",
}
# Rows that are read by programs keep their whole length, whatever the width of a terminal.
_WIDTH_OF_FILES = 10_000
_WIDTHS = {"RUN": 26, "EVENT": 26, "JOB": 26, "STATUS": 9, "TIME": 19, "BEGAN": 19, "TOOK": 7}
_MOST_OF_A_CELL = 60
_LEAST_OF_THE_LAST = 20


def plain(text: Any) -> str:
    """A text as one line in which nothing is left that a terminal would obey.

    Control characters, also those that change the direction of writing, become `\\x1b` and so on.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def plain_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(plain(line) for line in text.expandtabs(4).splitlines())


def _escaped(character: str) -> str:
    code = ord(character)
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    return known or (f"\\x{code:02x}" if code < 256 else f"\\u{{{code:x}}}")


def json_text(value: Any, indent: int | None = None, *, ascii_only: bool = False) -> str:
    """The JSON text of a value: exactly it, and safe to print.

    Args:
        value: what to write.
        indent: by how much to indent what is nested; None gives one line.
        ascii_only: whether nothing else can be printed.
    """
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
    # Outside of strings there are no such characters, but for the lines' ends.
    return re.sub(r"[^\x20-\x7e\n]", _json_escaped, text)


def _json_escaped(match: re.Match[str]) -> str:
    character = match[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


class Output:
    """Where a command prints.

    Args:
        as_json: whether programs read it: one JSON document, or of streams one a line.
        stdout, stderr: where to; the process's own by default.
        is_terminal: whether people look at them; found out by default.
        width: how many columns there are; found out by default.
    """

    def __init__(
        self,
        as_json: bool,
        *,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
        is_terminal: bool | None = None,
        width: int | None = None,
    ) -> None:
        self.as_json = as_json
        self._out = _console(stdout or sys.stdout, is_terminal, width)
        self._err = _console(stderr or sys.stderr, is_terminal, width)

    @property
    def width(self) -> int:
        """How many columns a drawing may have."""
        return min(self._out.width, 160) if self._out.is_terminal else 100

    @property
    def room(self) -> int | None:
        """How many columns the terminal has; None if it is none."""
        return self._out.width if self._out.is_terminal else None

    @property
    def draws_unicode(self) -> bool:
        """Whether more than ASCII can be printed."""
        return (self._out.encoding or "").lower().startswith("utf")

    def json(self, value: Any) -> None:
        """Print a JSON document."""
        self._write(self._json_text(value, indent=2))

    def json_line(self, value: Any) -> None:
        """Print a JSON document in one line, at once."""
        self._write(self._json_text(value))

    def json_array(self, items: Iterable[Any]) -> None:
        """Print items, as they come, as one JSON array."""
        opened = False
        for item in items:
            text = self._json_text(item, indent=2).replace("\n", "\n  ")
            self._write(f"{',' if opened else '['}\n  {text}", end="")
            opened = True
        self._write("\n]" if opened else "[]")

    def text(self, text: str | Text = "") -> None:
        """Print a line, or lines, of text that has been made plain."""
        self._out.print(text, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell people something beside the result."""
        self._err.print(plain(text), markup=False, highlight=False, soft_wrap=True)

    def rows(self, *columns: str) -> Rows:
        """A table with these columns, to print rows into."""
        return Rows(self, columns)

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Print what is known of one thing, a line each; what is None is left out."""
        width = max(map(len, facts))
        for name, value in facts.items():
            if value is not None:
                line = Text(f"{name:<{width}}", style="bold")
                line.append("  ", style="not bold")
                cell = value if isinstance(value, Text) else Text(plain(value))
                self.text(Text.assemble(line, cell))

    def value(self, title: str, value: Any) -> None:
        """Print a JSON value under a title."""
        self.heading(title)
        self.block(json_text(value, indent=2))

    def heading(self, title: str) -> None:
        """Print what follows."""
        self._out.print()
        self._out.print(Text(plain(title), style="bold"))

    def block(self, text: str) -> None:
        """Print lines, a little indented; they have been made plain."""
        self.text(Text(textwrap.indent(text, "  ", lambda _: True)))

    @contextmanager
    def progress(self, title: str, total: int | None) -> Iterator[ProgressBar]:
        """A bar on stderr, if people look at it.

        Args:
            title: what goes on.
            total: how much there is to do; None if nobody knows.
        """
        bar = Progress(
            TextColumn(
                "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(),
            # How far it is matters most where there is little room.
            _Count(table_column=Column(no_wrap=True, min_width=24)),
            console=self._err,
            auto_refresh=False,
            transient=True,
            disable=not self._err.is_terminal,
        )
        with bar:
            yield ProgressBar(bar, bar.add_task(plain(title), total=total, count=""))

    def _json_text(self, value: Any, indent: int | None = None) -> str:
        return json_text(value, indent, ascii_only=not self.draws_unicode)

    def _write(self, text: str, end: str = "\n") -> None:
        self._out.file.write(text + end)
        self._out.file.flush()


class Rows:
    """A table that is printed as it comes; its columns only ever get wider.

    Only the last column is cut where a terminal ends: ids must stay whole, to be copied.

    Args:
        out: where to print.
        columns: their names.
    """

    def __init__(self, out: Output, columns: Sequence[str]) -> None:
        self._out = out
        self._columns = columns
        self._widths = [_WIDTHS.get(name, len(name)) for name in columns]
        self._has_header = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was printed."""
        return not self._has_header

    def print(self, rows: Sequence[Sequence[Any]]) -> None:
        """Print rows, and before the first of them the columns' names.

        Args:
            rows: a value for each column; what is no `Text` is made plain.
        """
        lines = [[c if isinstance(c, Text) else Text(plain(c)) for c in row] for row in rows]
        if not self._has_header and lines:
            lines.insert(0, [Text(name, style="bold") for name in self._columns])
            self._has_header = True
        for line in lines:
            for n, cell in enumerate(line[:-1]):
                if self._out.room is not None:
                    cell.truncate(_MOST_OF_A_CELL, overflow="ellipsis")
                self._widths[n] = max(self._widths[n], cell.cell_len)
        for line in lines:
            self._out.text(self._line(line))

    def _line(self, cells: Sequence[Text]) -> Text:
        line = Text()
        for cell, width in zip(cells[:-1], self._widths, strict=False):
            cell.pad_right(width - cell.cell_len + 2)
            line.append_text(cell)
        last = cells[-1]
        if self._out.room is not None:
            room = max(self._out.room - line.cell_len, _LEAST_OF_THE_LAST)
            last.truncate(room, overflow="ellipsis")
        line.append_text(last)
        line.rstrip()
        return line


class ProgressBar:
    """What has been done of some work.

    Args:
        progress: where it is drawn.
        task: which of its bars it is.
    """

    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def show(self, done: int, total: int | None, count: str) -> None:
        """Draw how far it is.

        Args:
            done: how much is done.
            total: of how much; None if nobody knows.
            count: the same in words.
        """
        self._progress.update(self._task, completed=done, total=total, count=plain(count))
        self._progress.refresh()


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields["count"]))


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(plain(status), style=STATUS_STYLES.get(status.strip(), ""))


class _PipingConsole(Console):
    """A console that leaves it to its caller what a reader's going means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console(file: IO[str], is_terminal: bool | None, width: int | None) -> Console:
    # A pipe gets no colours whatever FORCE_COLOR says, and NO_COLOR takes them from a terminal.
    terminal = file.isatty() if is_terminal is None else is_terminal
    return _PipingConsole(
        file=file,
        force_terminal=terminal,
        width=width or (None if terminal else _WIDTH_OF_FILES),
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
