"""How the process ends: the exit codes, and errors in one line."""

from __future__ import annotations

from enum import IntEnum

from tidegate.errors import CallerError, RestError, SendEventsError, TidegateError


class ExitCode(IntEnum):
    """What became of a command; scripts go by it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    NO_SERVER = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandError(TidegateError):
    """A command that cannot go on.

    Args:
        message: what is wrong, where, and what to do.
        code: the exit code.
    """

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


_CODES = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    405: ExitCode.NO_SERVER,
    429: ExitCode.NO_SERVER,
}


def exit_code(error: TidegateError) -> ExitCode:
    """The exit code that an error ends the process with."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, RestError | SendEventsError) and not isinstance(error, CallerError):
        status = error.status
        if status is None or status >= 500 or status < 400:
            return ExitCode.NO_SERVER
        return _CODES.get(status, ExitCode.FAILED)
    return ExitCode.USAGE if isinstance(error, CallerError) else ExitCode.FAILED


def explained(error: RestError | SendEventsError, server: str) -> CommandError:
    """What the server or the network said, where, and what to do about it.

    Args:
        error: what it said.
        server: its URL without secrets.
    """
    code = exit_code(error)
    if error.status is None:
        said = error.message.removeprefix(f"no answer from {server.partition('://')[2]}: ")
        advice = (
            "start the dev server with `tidegate dev`, or name the server with --url or "
            "TIDEGATE_BASE_URL"
        )
        return CommandError(f"{server}: {said}; {advice}", code)
    advice = ""
    if code == ExitCode.NOT_ALLOWED:
        kind = "EVENT" if isinstance(error, SendEventsError) else "SIGNING"
        advice = f"; check TIDEGATE_{kind}_KEY, and --env"
    return CommandError(f"{server}: {error.message} (HTTP {error.status}){advice}", code)
