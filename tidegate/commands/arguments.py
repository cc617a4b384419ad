"""What is typed as JSON, as a number of seconds, or as the name of a step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.encoding import decode
from tidegate.errors import ConfigurationError

From = Annotated[
    str | None,
    typer.Option("--from", metavar="MOMENT", help="From when on: 2h, 7d, 2026-11-23T18:00:00Z, …"),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="MOMENT", help="Until when, without that moment.")
]
Limit = Annotated[int, typer.Option(min=1, help="How many at the most.")]
# Thirty years at the most: what is no number, or has no end, is no time to wait.
Timeout = Annotated[
    float | None,
    typer.Option(min=0, max=1e9, metavar="SECONDS", help="Wait no longer than this."),
]
All = Annotated[bool, typer.Option("--all", help="List all, however many there are.")]


def read_json(text: str | None, option: str) -> Any:
    """The value of an option that is JSON, `@file`, or `-` for stdin; None stays None.

    Raises:
        ConfigurationError: it is no JSON, or the file cannot be read.
    """
    if text is None:
        return None
    source, content = option, text.encode(errors="surrogateescape")
    try:
        if text == "-":
            source, content = f"{option} -", sys.stdin.buffer.read()
        elif text.startswith("@"):
            source = f"{option} {text}"
            content = Path(text[1:]).read_bytes()
        return decode(content)
    except OSError as error:
        raise ConfigurationError(f"{source}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(
            f"{source} is not valid JSON: {error}; quote it, as '{{\"a\": 1}}'"
        ) from None


def seconds_ms(seconds: float | None) -> int | None:
    """Milliseconds of what was given in seconds; None stays None."""
    return None if seconds is None else round(seconds * 1000)
