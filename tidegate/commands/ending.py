"""Running a command to its end, whatever it is: an exit code, and an error in one line."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence

import typer
from typer.main import get_command

from tidegate.commands.connection import Surroundings
from tidegate.commands.exits import ExitCode, exit_code
from tidegate.commands.output import plain
from tidegate.errors import TidegateError


def run_to_the_end(app: typer.Typer, arguments: Sequence[str], around: Surroundings) -> int:
    """The exit code of a command.

    Args:
        app: the commands.
        arguments: what was typed after `tidegate`.
        around: the time, and the terminal.
    """
    command = get_command(app)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding has no characters for must not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command.main(list(arguments), "tidegate", standalone_mode=False, obj=around)
        sys.stdout.flush()
    except TidegateError as error:
        _complain(str(error))
        return exit_code(error)
    except typer.TyperException as error:
        return _usage_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        code = ExitCode.BROKEN_PIPE
    if code == ExitCode.BROKEN_PIPE:
        # Else Python would complain when it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code if isinstance(code, int) else ExitCode.OK


def _complain(message: str) -> None:
    # One line whatever the server or a file said.
    text = plain(" ".join(message.split()))
    print(f"tidegate: {text}", file=sys.stderr)


def _usage_error(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "tidegate"
    message = error.format_message().rstrip(".")
    if "\n" in message:
        # `tidegate` alone: its help is the answer.
        print(message, file=sys.stderr)
    else:
        _complain(f"{message}; see {path} --help")
    return error.exit_code
