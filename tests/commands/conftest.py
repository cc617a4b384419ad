"""The commands, against the dev server and against the handlers of a deployment."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage, stage
from tests.aws.deployed import Deployed, match, settle
from tests.aws.rest import load_handler
from tests.clock import FakeClock
from tests.local.conftest import AppFolder, app_folder
from tidegate import registry
from tidegate.cli import app
from tidegate.clock import Clock, SystemClock
from tidegate.commands.connection import Surroundings
from tidegate.commands.ending import run_to_the_end
from tidegate.key import StoredKeys
from tidegate.local.http_front import HttpFront
from tidegate.local.lambda_function import LambdaFunction
from tidegate.local.server import DevServer, _listen, _serve_http
from tidegate.manifest import ROUTES

__all__ = ["app_folder", "stage"]

APP = """
from datetime import timedelta
from pathlib import Path
from tidegate import Client, NonRetriableError, TriggerEvent
client = Client(app_id="shop")

@client.create_function(fn_id="greet", trigger=TriggerEvent(event="app/hello"))
def greet(ctx):
    return ctx.step.run("write", lambda: f"hello, {ctx.event.data['name']}")

@client.create_function(fn_id="pay", trigger=TriggerEvent(event="app/order"), retries=0)
def pay(ctx):
    ctx.step.run("book", lambda: "booked")
    def charge():
        if not Path("{mended}").exists():
            raise NonRetriableError("card declined")
        return "charged"
    return ctx.step.run("charge", charge)

@client.create_function(fn_id="rest", trigger=TriggerEvent(event="app/tired"))
def rest(ctx):
    ctx.step.sleep("nap", timedelta(days=3))

@client.create_function(
    fn_id="big",
    trigger=TriggerEvent(event="app/choosy", expression="event.data.total > 100"),
)
def big(ctx):
    return "big"

@client.create_function(
    fn_id="once", trigger=TriggerEvent(event="app/once"), idempotency="event.data.key"
)
def once(ctx):
    return "once"
"""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """The only line on stderr."""
        [line] = self.err.splitlines()
        assert line.startswith("tidegate: "), line
        return line.removeprefix("tidegate: ")


Run = Callable[..., Ran]


@dataclass
class Commands:
    """Runs commands in this process."""

    capture: pytest.CaptureFixture[str]
    clock: Clock
    is_terminal: bool | None = None
    width: int | None = None
    before: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> Ran:
        self.capture.readouterr()
        around = Surroundings(self.clock, self.is_terminal, self.width)
        code = run_to_the_end(app, [*self.before, *arguments], around)
        return Ran(code, *self.capture.readouterr())


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "BASE_URL", "API_BASE_URL", "EVENT_API_BASE_URL", "DEV", "ENV", "EVENT_KEY",
        "SIGNING_KEY", "SIGNING_KEY_FALLBACK",
    )  # fmt: skip
    for name in names:
        monkeypatch.delenv(f"TIDEGATE_{name}", raising=False)
        monkeypatch.delenv(f"INNGEST_{name}", raising=False)


@pytest.fixture
def offline(capsys: pytest.CaptureFixture[str]) -> Commands:
    """Commands with no server; its clock does not wait."""
    return Commands(capsys, FakeClock())


@dataclass
class Server:
    """A server, and what waiting does while commands wait for it.

    Attributes:
        run: runs a command against it.
        mended: the file whose presence mends the function `pay`.
    """

    run: Commands
    mended: Path

    def mend(self) -> None:
        self.mended.touch()


@pytest.fixture(params=["dev", "deployed"])
def server(
    request: pytest.FixtureRequest,
    app_folder: AppFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Server]:
    """The dev server, and production's handlers with stored keys behind a front on loopback."""
    mended = app_folder.path / "mended"
    file = app_folder.write("shop_app.py", APP, mended=mended)
    if request.param == "dev":
        with DevServer([str(file)], port=0) as dev:
            yield Server(Commands(capsys, SystemClock(), before=("--url", dev.url)), mended)
        return
    yield from _deployed(request, str(file), capsys, monkeypatch, mended)


class DrivingClock:
    """A stage's clock: who sleeps by it lets the stage's functions work."""

    def __init__(self, stage: Stage, deployed: list[Deployed]) -> None:
        self._stage = stage
        self._deployed = deployed

    def now_ms(self) -> int:
        return self._stage.clock.now_ms()

    def sleep(self, seconds: float) -> None:
        self._stage.clock.advance(seconds=seconds)
        settle(self._stage, *self._deployed)


def _deployed(
    request: pytest.FixtureRequest,
    file: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mended: Path,
) -> Iterator[Server]:
    stage: Stage = request.getfixturevalue("stage")
    registry.load([file])
    deployed = Deployed.all(stage, *registry.registered())
    api = load_handler(stage, monkeypatch, auth="keys")
    variables = stage.cloud.ingest_environment() | {"TIDEGATE_AUTH": "keys"}
    ingest = LambdaFunction("ingest", "tidegate.handlers.ingest", variables)
    # A Lambda's log would go to this process's stderr; the stage puts back what was there.
    logging.getLogger("tidegate").handlers.clear()
    lambdas: dict[str, Callable[[dict[str, Any]], Any]] = {
        "api": lambda event: api(event, None),
        "ingest": ingest.invoke,
    }
    keys = StoredKeys(stage.settings.keys_table, stage.clock)
    for kind in ("event", "signing"):
        secret = keys.create(kind, ENV)  # type: ignore[arg-type]
        monkeypatch.setenv(f"TIDEGATE_{kind.upper()}_KEY", secret)
    listener = _listen(0)
    stop = _serve_http(HttpFront(ROUTES, lambda name: lambdas[name]), listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Server(Commands(capsys, DrivingClock(stage, deployed), before=("--url", url)), mended)
    finally:
        stop()
        listener.close()
        match(stage)
        sys.modules.pop("tidegate.handlers.ingest", None)
