"""A dev server in this process, and what a test asks it: over HTTP, as any client would."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import httpx

from tidegate import registry
from tidegate.local.server import DevServer

T = TypeVar("T")

# Far beyond what anything here takes: it ends a test that would never end.
PATIENCE_S = 60.0
ENDED = ("Completed", "Failed", "Cancelled")


def until(ask: Callable[[], T | None]) -> T:
    """What `ask` gives as soon as that is anything true."""
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not (answer := ask()):
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.01)
    return answer


@dataclass
class Served:
    """A running dev server.

    Attributes:
        server: the server.
        http: a client of it, which keeps its connection.
        log: what the server's console was told.
    """

    server: DevServer
    http: httpx.Client
    log: list[logging.LogRecord] = field(default_factory=list)

    def send(self, events: Any, **headers: str) -> list[str]:
        """The internal ids of events, accepted; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.post("/e/any-key", json=events, headers=named)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() == {"ids", "status"}
        return body["ids"]

    def look(self, path: str, env: str = "", **parameters: str | int) -> Any:
        """The answer of the REST API to a GET; `data` and `metadata`."""
        headers = {"x-inngest-env": env} if env else {}
        answer = self.http.get(f"/v1/{path}", params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def event(self, event_id: str, env: str = "") -> dict[str, Any]:
        """A stored event."""
        return self.look(f"events/{event_id}", env)["data"]

    def events(self, name: str) -> list[dict[str, Any]]:
        """All events of a name, read page by page."""
        found, cursor = [], {}
        while True:
            page = self.look("events", name=name, limit=100, **cursor)
            found += page["data"]
            if not page["metadata"]["has_more"]:
                return found
            cursor = {"cursor": page["metadata"]["next_cursor"]}

    def runs(self, event_id: str, env: str = "") -> list[dict[str, Any]]:
        """The runs that an event has started by now, ordered by function."""
        return self.look(f"events/{event_id}/runs", env)["data"]

    def ended(self, event_id: str, count: int = 1, env: str = "") -> list[dict[str, Any]]:
        """The runs of an event, once that many have ended."""

        def ask() -> list[dict[str, Any]] | None:
            runs = self.runs(event_id, env)
            over = [run for run in runs if run["status"] in ENDED]
            return runs if len(over) >= count else None

        runs = until(ask)
        assert len(runs) == count
        return runs

    def run(self, event_id: str) -> dict[str, Any]:
        """The one run of an event, once it has ended."""
        [run] = self.ended(event_id)
        return run

    def output(self, event_id: str) -> Any:
        """What the one function that an event starts returned."""
        run = self.run(event_id)
        assert run["status"] == "Completed", run
        return run["output"]

    def starts(self, event_name: str) -> list[str]:
        """The ids of runs, once for each attempt that began because of events of that name."""
        return [
            str(vars(record)["run_id"])
            for record in list(self.log)
            if record.getMessage() == "run started" and vars(record)["event_name"] == event_name
        ]


class _Console(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)


@contextmanager
def serving(*targets: str) -> Iterator[Served]:
    """Serves modules; afterwards this process knows of modules and functions what it knew before.

    Args:
        targets: dotted names of modules or paths of files.
    """
    console = _Console()
    with (
        _forgetting(targets),
        DevServer(targets, port=0, console=console) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE_S) as http,
    ):
        yield Served(server, http, console.kept)


@contextmanager
def _forgetting(targets: tuple[str, ...]) -> Iterator[None]:
    """Others may have imported these modules, or made the process forget their functions."""
    names = {Path(target).stem if target.endswith(".py") else target for target in targets}
    path, functions = list(sys.path), registry.registered()
    modules = _take_out(names)
    registry.clear()
    try:
        yield
    finally:
        _take_out(names)
        sys.modules.update(modules)
        sys.path[:] = path
        registry.clear()
        for function in functions:
            registry.register(function)


def _take_out(names: set[str]) -> dict[str, ModuleType]:
    """Take the modules of those names, and those below them, out of what is imported."""
    found = [
        loaded
        for loaded in sys.modules
        if any(f"{loaded}.".startswith(f"{name}.") for name in names)
    ]
    return {name: sys.modules.pop(name) for name in found}
