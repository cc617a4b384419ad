"""A client of the REST API: requests as API Gateway hands them to the Lambda, and its answers."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.openapi import check_answer

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@dataclass
class Answer:
    """An answer of the API, its body decoded."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def data(self) -> Any:
        assert self.status in (200, 201), self.body
        return self.body["data"]

    @property
    def metadata(self) -> dict[str, Any]:
        assert self.status == 200, self.body
        return dict(self.body["metadata"])


def load_handler(stage: Stage, monkeypatch: pytest.MonkeyPatch, auth: str = "open") -> Handler:
    """The Lambda's handler, as a new execution environment loads it, with the stage's clock."""
    for name, value in (stage.cloud.api_environment() | {"TIDEGATE_AUTH": auth}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tidegate.clock.SystemClock", lambda: stage.clock)
    monkeypatch.delitem(sys.modules, "tidegate.handlers.api", raising=False)
    handler: Handler = importlib.import_module("tidegate.handlers.api").handler
    monkeypatch.delitem(sys.modules, "tidegate.handlers.api")
    return handler


@dataclass
class Rest:
    """Calls a handler.

    Attributes:
        handler: the Lambda's handler.
        token: the bearer token that is sent.
    """

    handler: Handler
    token: str = ""

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """The answer to a request, which must be as the OpenAPI document says."""
        sent = {"accept": "*/*", **(headers or {})}
        if self.token:
            sent.setdefault("authorization", f"Bearer {self.token}")
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "ANY /v1/{proxy+}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": sent,
            "requestContext": {
                "http": {"method": method, "path": path},
                "requestId": "r1",
                "stage": "$default",
            },
            "isBase64Encoded": False,
        }
        if isinstance(body, bytes):
            event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        elif body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if query is not None:
            event["queryStringParameters"] = dict(query)
        answer = answer_of(self.handler(event, None))
        check_answer(method, path, answer.status, answer.body)
        return answer

    def send(self, method: str, path: str, body: bytes, encoding: str = "") -> Answer:
        """The answer to a body of bytes, in that encoding."""
        headers = {"content-encoding": encoding} if encoding else {}
        return self.get(path, method=method.upper(), headers=headers, body=body)

    def post(self, path: str, body: Any = None) -> Answer:
        """The answer to a body that is sent, as JSON unless it is text already."""
        return self.get(path, method="POST", body=body)

    def delete(self, path: str) -> Answer:
        """The answer to DELETE."""
        return self.get(path, method="DELETE")


def answer_of(raw: Mapping[str, Any]) -> Answer:
    headers = {name.lower(): value for name, value in raw["headers"].items()}
    body = raw["body"]
    if raw.get("isBase64Encoded"):
        body = gzip.decompress(base64.b64decode(body))
    assert headers["content-type"] == "application/json"
    return Answer(raw["statusCode"], headers, json.loads(body))
