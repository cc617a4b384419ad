"""A stage as it is deployed: behind keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tidegate.aws import client
from tidegate.clock import SystemClock
from tidegate.dashboard.session import PREFIX
from tidegate.key import StoredKeys
from tidegate.local.http_front import HttpFront
from tidegate.local.lambda_function import LambdaFunction
from tidegate.local.server import HOST, DevServer, _listen, _serve_http
from tidegate.manifest import HANDLERS, ROUTES


@dataclass(frozen=True)
class Deployed:
    """A stage behind keys.

    Attributes:
        url: where it listens.
        keys: its keys.
    """

    url: str
    keys: StoredKeys

    def end_sessions(self) -> int:
        """Forget who is logged in; gives how many were."""
        items = client("dynamodb").scan(TableName=self.keys.table)["Items"]
        sessions = [item["pk"] for item in items if item["pk"]["S"].startswith(PREFIX)]
        for pk in sessions:
            client("dynamodb").delete_item(TableName=self.keys.table, Key={"pk": pk})
        return len(sessions)


@contextmanager
def deployed(server: DevServer) -> Iterator[Deployed]:
    """Serves the stage of a dev server a second time, with its handlers behind keys."""
    environments = {
        "ingest": server._cloud.ingest_environment(),
        "api": server._cloud.api_environment(),
    }
    lambdas = {
        name: LambdaFunction(name, HANDLERS[name], {**variables, "TIDEGATE_AUTH": "keys"})
        for name, variables in environments.items()
    }
    listener = _listen(0)
    stop = _serve_http(HttpFront(ROUTES, lambda name: lambdas[name].invoke), listener)
    try:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        keys = StoredKeys(environments["api"]["TIDEGATE_KEYS_TABLE"], SystemClock())
        yield Deployed(url, keys)
    finally:
        stop()
        listener.close()
