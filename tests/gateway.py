"""Requests as API Gateway hands them to the ingest Lambda, and its answers taken apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

KEY = "test-key"


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers, and what the JSON body says."""

    status: int
    headers: dict[str, str]
    content: Any

    @property
    def error(self) -> str:
        assert isinstance(self.content["error"], str)
        return self.content["error"]


def request(
    body: bytes | str | list[Any] | dict[str, Any] = b"",
    *,
    method: str = "POST",
    path: str = f"/e/{KEY}",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A request in payload format 2.0: bytes as base64, text as it is, anything else as JSON."""
    text = json.dumps(body) if isinstance(body, list | dict) else body
    is_bytes = isinstance(text, bytes)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "192.0.2.1"},
            "requestId": "request-1",
            "stage": "$default",
        },
        "body": base64.b64encode(text).decode() if is_bytes else text,
        "isBase64Encoded": is_bytes,
    }


def ask(handle: Callable[[Any], Any], event: dict[str, Any]) -> Answer:
    """The answer to a request, after checking what holds for each: CORS, JSON, and its shape."""
    raw = handle(event)
    headers = {name.lower(): value for name, value in raw["headers"].items()}
    assert headers["access-control-allow-origin"] == "*"
    if raw["statusCode"] == 204:
        assert raw["body"] == ""
        return Answer(204, headers, None)
    assert headers["content-type"] == "application/json"
    content = json.loads(raw["body"])
    assert content["status"] == raw["statusCode"]
    if raw["statusCode"] != 200:
        assert content.keys() == {"ids", "status", "error"}
        assert content["ids"] == []
        assert content["error"].strip()
    return Answer(raw["statusCode"], headers, content)
