"""What happens, as it happens: one readable line for each event, run and failure."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size
from rich.color import ColorSystem
from rich.style import Style

_WIDTH_WITHOUT_TERMINAL = 2_000
_WHAT_WIDTH = 21

_STYLES = {
    "event received": "bold cyan",
    "event duplicate": "yellow",
    "run scheduled": "blue",
    "run started": "cyan",
    "run completed": "green",
    "attempt failed": "yellow",
    "run failed": "bold red",
    "run skipped": "yellow",
    "message dead-lettered": "bold red",
    "request refused": "yellow",
}
_LEVEL_STYLES = {logging.WARNING: "yellow", logging.ERROR: "bold red", logging.CRITICAL: "bold red"}

_Fields = Mapping[str, Any]


class Console(logging.Handler):
    """Prints log records, one line each; the traceback of an error follows in lines of its own.

    Args:
        stream: where to; colours are for terminals only, and `NO_COLOR` is respected. On a
            terminal lines are cut to its width.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._colours = self._is_terminal and "NO_COLOR" not in os.environ
        self._write_lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        try:
            text = self._line(record)
            if record.exc_info and record.exc_info[0] is not None:
                text += "".join(traceback.format_exception(*record.exc_info))
            with self._write_lock:
                self._stream.write(text)
                self._stream.flush()
        except Exception:
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        fields = vars(record)
        message = record.getMessage()
        describe = _DESCRIPTIONS.get(message)
        if describe is not None and _STYLES.get(message):
            what, details, style = message, describe(fields), _STYLES[message]
        else:
            style = _LEVEL_STYLES.get(record.levelno, "")
            what, details = _label(record), _plain(record.name, message, fields)
        moment = datetime.fromtimestamp(record.created)
        time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
        rest = self._cut(_one_line(details), len(time) + _WHAT_WIDTH + 4)
        return (
            f"{self._paint(time, 'dim')}  {self._paint(f'{what:<{_WHAT_WIDTH}}', style)}  {rest}\n"
        )

    def _cut(self, text: str, used: int) -> str:
        width = os.get_terminal_size(self._stream.fileno()).columns if self._is_terminal else 0
        room = max((width or _WIDTH_WITHOUT_TERMINAL) - used, 20)
        return text if cell_len(text) <= room else set_cell_size(text, room - 1) + "…"

    def _paint(self, text: str, style: str) -> str:
        if not self._colours or not style:
            return text
        return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def _event(f: _Fields) -> str:
    return _words(f"{f.get('event_name', '?'):<28}", f.get("event_id"), _named(f, "env"))


def _duplicate(f: _Fields) -> str:
    name = f"{f.get('event_name', '?'):<28}"
    return _words(name, f.get("event_id"), f"ignored: id {f.get('sender_id', '?')!r} is known")


def _run(*details: Callable[[_Fields], str]) -> Callable[[_Fields], str]:
    def describe(f: _Fields) -> str:
        function = f"{f.get('function_id', '?'):<28}"
        return _words(function, f.get("run_id"), *(detail(f) for detail in details))

    return describe


def _attempt(f: _Fields) -> str:
    return f"attempt {f['attempt']}" if f.get("attempt") else ""


def _duration(f: _Fields) -> str:
    ms = f.get("duration_ms")
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1000:.1f} s"


def _error(f: _Fields) -> str:
    return str(f.get("error", ""))


def _moment(ms: Any) -> str:
    if not isinstance(ms, int | float):
        return "?"
    return f"{datetime.fromtimestamp(ms / 1000):%Y-%m-%d %H:%M:%S}"


_DESCRIPTIONS: dict[str, Callable[[_Fields], str]] = {
    "event received": _event,
    "event duplicate": _duplicate,
    "run scheduled": _run(
        lambda f: f"for {_moment(f.get('due_ms'))}", lambda f: _named(f, "event_id")
    ),
    "run started": _run(_attempt, lambda f: str(f.get("event_name", ""))),
    "run completed": _run(
        _attempt, _duration, lambda f: f"→ {f['output']}" if "output" in f else ""
    ),
    "run failed": _run(_attempt, _duration, _error),
    "attempt failed": _run(
        lambda f: f"attempt {f.get('attempt', 0)}",
        lambda f: f"next try {_moment(f.get('retry_at_ms'))}" if f.get("retry_at_ms") else "",
        _error,
    ),
    "run skipped": lambda f: _words(
        f"{f.get('function_id', '?'):<28}",
        _named(f, "event_id"),
        f"its idempotency key is that of event {f.get('first_event_id', '?')}",
    ),
    "message dead-lettered": lambda f: _words(f"{f.get('function_id', '?'):<28}", f.get("reason")),
    "request refused": lambda f: _words(f.get("status"), f.get("error")),
}


def _label(record: logging.LogRecord) -> str:
    if record.levelno >= logging.WARNING:
        return record.levelname.lower()
    return "log" if record.name.startswith("tidegate.function") else ""


def _plain(logger: str, message: str, f: _Fields) -> str:
    """A line that is not of the life of an event: its text, and what it belongs to."""
    error = "" if "error" not in f else f": {f['error']}"
    if logger.startswith("tidegate.function"):
        return _words(f"{f.get('function_id', '?'):<28}", f.get("run_id"), _attempt(f), message)
    return _words(message + error, *(_named(f, name) for name in ("function_id", "run_id")))


def _named(f: _Fields, name: str) -> str:
    return f"{name.removesuffix('_id')} {f[name]}" if f.get(name) else ""


def _words(*parts: Any) -> str:
    return "  ".join(str(part) for part in parts if part not in (None, ""))


def _one_line(text: str) -> str:
    """The text without line breaks and other control characters."""
    return "".join(c if c.isprintable() else " " for c in text)
