"""Which server a command asks, and as whom: the options that all commands share."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints
from urllib.parse import quote

import typer

from tidegate.client_settings import (
    DEFAULT_MAX_REQUEST_BYTES,
    DEV_BASE_URL,
    DEV_EVENT_KEY,
    checked_env,
    settled_base_url,
    variable,
)
from tidegate.clock import Clock, SystemClock
from tidegate.commands.exits import ExitCode, explained
from tidegate.commands.output import Output
from tidegate.errors import RestError, SendEventsError
from tidegate.rest_client import RestClient, host_of

if TYPE_CHECKING:
    from tidegate.sending import Sender

TIMEOUT_S = 30.0
# Tries that failed are told when the last one did.
_QUIET = logging.Logger("tidegate.commands", logging.CRITICAL)
_PANEL = "Connection"


def _option(*names: str, text: str, metavar: str) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=_PANEL)


OPTIONS: dict[str, Any] = {
    "url": Annotated[
        str | None,
        _option(
            "--url",
            metavar="URL",
            text="The deployment, https://…; else TIDEGATE_BASE_URL, TIDEGATE_DEV, "
            f"or the dev server, {DEV_BASE_URL}.",
        ),
    ],
    "env": Annotated[
        str | None,
        _option(
            "--env", metavar="NAME", text="The branch environment, for branch keys; TIDEGATE_ENV."
        ),
    ],
    "signing_key": Annotated[
        str | None,
        _option(
            "--signing-key",
            metavar="KEY",
            text="Opens look-ups and actions. Better set TIDEGATE_SIGNING_KEY: others on this "
            "machine can read arguments.",
        ),
    ],
    "fallback_signing_key": Annotated[
        str | None,
        _option(
            "--fallback-signing-key",
            metavar="KEY",
            text="Tried when that one is refused; TIDEGATE_SIGNING_KEY_FALLBACK.",
        ),
    ],
    "event_key": Annotated[
        str | None,
        _option("--event-key", metavar="KEY", text="Opens sending. Better set TIDEGATE_EVENT_KEY."),
    ],
    "as_json": Annotated[
        bool,
        typer.Option("--json", help="Print JSON, for programs.", rich_help_panel=_PANEL),
    ],
}


@dataclass(frozen=True)
class Surroundings:
    """What a command finds around it.

    Attributes:
        clock: the time.
        is_terminal: whether people look at the output; found out by default.
        width: how many columns there are; found out by default.
    """

    clock: Clock
    is_terminal: bool | None = None
    width: int | None = None


@dataclass(frozen=True)
class Connection:
    """What a command works with.

    Attributes:
        given: the options that were given, by name.
        surroundings: the time, and the terminal.
    """

    given: Mapping[str, Any]
    surroundings: Surroundings

    @property
    def clock(self) -> Clock:
        """The time."""
        return self.surroundings.clock

    @cached_property
    def out(self) -> Output:
        """Where to print."""
        return Output(
            bool(self.given.get("as_json")),
            is_terminal=self.surroundings.is_terminal,
            width=self.surroundings.width,
        )

    @cached_property
    def api(self) -> RestClient:
        """The server's REST API.

        Raises:
            ConfigurationError: the URL or the environment's name cannot be used.
        """
        return self.api_with()

    def api_with(self, **options: Any) -> RestClient:
        """The same, with other options of `RestClient`."""
        return RestClient(
            settled_base_url("API", {"--url": self.given.get("url")}, dev=True) or DEV_BASE_URL,
            signing_key=self.given.get("signing_key") or variable("SIGNING_KEY"),
            fallback_signing_key=self.given.get("fallback_signing_key")
            or variable("SIGNING_KEY_FALLBACK"),
            env=self._env,
            clock=self.clock,
            **options,
        )

    @property
    def event_url(self) -> str:
        """Where to post events, the event key included; errors as for `api`."""
        given = {"--url": self.given.get("url")}
        url = settled_base_url("EVENT_API", given, dev=True) or DEV_BASE_URL
        key = self.given.get("event_key") or variable("EVENT_KEY") or DEV_EVENT_KEY
        return f"{url}/e/{quote(key, safe='')}"

    def sender(self) -> Sender:
        """What sends events; errors as for `api`."""
        # Only here: it loads pydantic's models, which no other command needs.
        from tidegate.sending import Sender

        return Sender(
            headers={"x-inngest-env": self._env} if self._env else {},
            timeout_s=TIMEOUT_S,
            max_request_bytes=DEFAULT_MAX_REQUEST_BYTES,
            clock=_SendingClock(self.clock),
            logger=_QUIET,
        )

    @property
    def _env(self) -> str | None:
        return checked_env(self.given.get("env") or variable("ENV"))


@dataclass(frozen=True)
class _SendingClock:
    """A clock as senders want it; a command has no event loop that it could block."""

    clock: Clock

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.clock.sleep(seconds)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of its connection, after or before its own name.

    Args:
        command: a function whose first parameter is the `Connection`.
    """
    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        *(p.replace(kind=keyword, annotation=hints[p.name]) for p in own),
        *_option_parameters(),
    ]

    @functools.wraps(command)
    def call(ctx: typer.Context, **arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in OPTIONS}
        connection = connection_of(ctx, given)
        try:
            command(connection, **arguments)
        except SendEventsError as error:
            raise explained(error, host_of(connection.event_url)) from None
        except RestError as error:
            raise explained(error, host_of(connection.api.base_url)) from None
        except BrokenPipeError:
            # Whoever read has enough.
            raise typer.Exit(ExitCode.BROKEN_PIPE) from None

    del call.__wrapped__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def takes_options(text: str) -> Callable[..., None]:
    """A callback that takes the options before a command's name, for that command to find.

    Args:
        text: what `--help` says.
    """

    def call(**_: Any) -> None:
        pass

    parameters = _option_parameters()
    call.__doc__ = text
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def _option_parameters() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "as_json" else None,
            annotation=annotation,
        )
        for name, annotation in OPTIONS.items()
    ]


def connection_of(ctx: typer.Context, given: Mapping[str, Any]) -> Connection:
    """The connection of a command: its own options win over those before its name.

    Args:
        ctx: where it was called.
        given: its own options.
    """
    root = ctx.find_root()
    before = {name: root.params.get(name) for name in OPTIONS}
    return Connection(
        {name: given.get(name) or before[name] for name in OPTIONS},
        root.obj or Surroundings(SystemClock()),
    )
