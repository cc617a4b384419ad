"""The lines that a developer reads."""

import io
import logging
import re

import pytest

from tidegate.local import console as console_module
from tidegate.local.console import Console


@pytest.fixture
def printed():
    """Logs a record, as the core does, and gives the lines that were printed."""

    def log(message, *args, name="tidegate.engine", level=logging.INFO, exc_info=None, **extra):
        stream = io.StringIO()
        logger = logging.Logger(name)
        logger.addHandler(Console(stream))
        logger.log(level, message, *args, exc_info=exc_info, extra=extra)
        return stream.getvalue().splitlines()

    return log


RUN = {"run_id": "01R", "function_id": "shop-f"}
LATER_MS = 4_000_000_000_000


@pytest.mark.parametrize(
    ("message", "extra", "shown"),
    [
        (
            "event received",
            {"event_id": "01E", "event_name": "app/hello", "env": "dev"},
            ["app/hello", "01E", "dev"],
        ),
        (
            "event duplicate",
            {"event_id": "01E", "event_name": "app/hello", "sender_id": "cart-1"},
            ["app/hello", "01E", "'cart-1'"],
        ),
        (
            "run scheduled",
            RUN | {"due_ms": LATER_MS, "event_id": "01E"},
            ["shop-f", "01R", "2096-10-0", "01E"],
        ),
        (
            "run started",
            RUN | {"attempt": 2, "event_name": "a/b"},
            ["shop-f", "01R", "attempt 2", "a/b"],
        ),
        (
            "run completed",
            RUN | {"attempt": 0, "duration_ms": 12, "output": '{"a":1}'},
            ["shop-f", "01R", "12 ms", '{"a":1}'],
        ),
        (
            "run failed",
            RUN | {"attempt": 4, "error": "KeyError: 'x'", "duration_ms": 12_300},
            ["shop-f", "01R", "attempt 4", "KeyError: 'x'", "12.3 s"],
        ),
        (
            "run skipped",
            {"function_id": "shop-f", "event_id": "01E", "first_event_id": "01F"},
            ["shop-f", "event 01E", "its idempotency key is that of event 01F"],
        ),
        (
            "attempt failed",
            RUN | {"attempt": 0, "error": "boom", "retry_at_ms": LATER_MS},
            ["shop-f", "01R", "attempt 0", "boom", "next try 2096-10-0"],
        ),
        (
            "message dead-lettered",
            {"function_id": "shop-f", "reason": "not a message"},
            ["shop-f", "not a message"],
        ),
        ("request refused", {"status": 400, "error": "no name"}, ["400", "no name"]),
    ],
)
def test_each_step_of_an_event_is_one_line(printed, message, extra, shown):
    (line,) = printed(message, **extra)
    assert re.match(r"\d\d:\d\d:\d\d\.\d\d\d  ", line)
    assert message in line
    for text in shown:
        assert text in line


def test_columns_are_aligned(printed):
    started = printed("run started", run_id="01R", function_id="f")[0]
    completed = printed("run completed", run_id="01R", function_id="a-longer-one")[0]
    assert started.index("01R") == completed.index("01R")


def test_a_functions_own_lines_say_which_run_they_belong_to(printed):
    (line,) = printed(
        "receipt for %d items",
        3,
        name="tidegate.function",
        run_id="01R",
        function_id="f",
        attempt=1,
    )
    assert "receipt for 3 items" in line
    assert "01R" in line
    assert "attempt 1" in line


def test_an_error_is_followed_by_its_traceback(printed):
    try:
        raise ValueError("boom")
    except ValueError as error:
        lines = printed("it crashed", level=logging.ERROR, exc_info=error)
    assert "error" in lines[0]
    assert "it crashed" in lines[0]
    assert lines[-1] == "ValueError: boom"


def test_an_output_with_line_breaks_stays_one_line(printed):
    lines = printed("run completed", run_id="01R", function_id="f", output="a\nb\x1b[31mc")
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        return 1


def test_on_a_terminal_lines_are_coloured_and_cut_to_its_width(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(
        console_module.os, "get_terminal_size", lambda fd: __import__("os").terminal_size((90, 30))
    )
    stream = Terminal()
    logger = logging.Logger("tidegate")
    logger.addHandler(Console(stream))
    extra = {"run_id": "01R", "function_id": "f", "output": "日本語" * 100}
    logger.info("run completed", extra=extra)
    (line,) = stream.getvalue().splitlines()
    assert "\x1b[32m" in line
    text = re.sub(r"\x1b\[[\d;]*m", "", line)
    assert text.endswith("…")
    assert 80 < console_module.cell_len(text) <= 90
