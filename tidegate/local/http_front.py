"""API Gateway's HTTP API: requests become events for a Lambda, what it returns becomes a response.

Payload format 2.0, see
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from tidegate.local.lambda_function import ACCOUNT_ID

logger = logging.getLogger("tidegate.local.http_front")

MAX_BODY_BYTES = 10 * 1024 * 1024
THREADS = 64

# A client that is cut off while it sends may miss the answer; up to here it may finish.
_PATIENCE_BYTES = 10 * MAX_BODY_BYTES

Invoke = Callable[[dict[str, Any]], Any]
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_WITHOUT_BODY = (204, 304)

_TEXT = re.compile(r"text/.*|application/(json|javascript|xml|[\w.-]+\+(json|xml))\Z")


@dataclass(frozen=True)
class HttpResponse:
    """What goes back to the client; header names may repeat."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class HttpFront:
    """An ASGI application that hands each request to the Lambda of its route, in a thread.

    Args:
        routes: route keys, most special first, each with the name of its Lambda: `$default`, a
            path, or a path that ends in `{proxy+}`.
        invoke: what invokes a Lambda, by the Lambda's name; asked anew for each request.
    """

    def __init__(self, routes: Iterable[tuple[str, str]], invoke: Callable[[str], Invoke]) -> None:
        self._routes = list(routes)
        self._invoke = invoke
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="http")

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Answer one HTTP request."""
        body = await _read(receive)
        if body is None:
            message = f"the body has more than {MAX_BODY_BYTES} bytes; send fewer events at once"
            response = failure(413, message)
        else:
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._threads, self._respond, scope, body)
        pairs = list(response.headers)
        if response.status not in _WITHOUT_BODY:
            pairs.append(("content-length", str(len(response.body))))
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def close(self) -> None:
        """Take no more requests."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _respond(self, scope: Mapping[str, Any], body: bytes) -> HttpResponse:
        try:
            route, name = self._route(scope["path"])
            event = gateway_event(scope, body, route, time.time_ns() // 1_000_000)
            response = http_response(self._invoke(name)(event))
            request_id = ("apigw-requestid", event["requestContext"]["requestId"])
            return replace(response, headers=[*response.headers, request_id])
        except Exception:
            logger.exception("handler crashed")
            return failure(500, "the handler crashed; the server's log says where")

    def _route(self, path: str) -> tuple[str, str]:
        for route, name in self._routes:
            if route in ("$default", path) or _greedy_part(route, path):
                return route, name
        raise LookupError(f"no route takes {path}")


def gateway_event(scope: Mapping[str, Any], body: bytes, route: str, now_ms: int) -> dict[str, Any]:
    """The event that API Gateway makes of a request.

    Args:
        scope: the request, as ASGI describes it.
        body: its whole body.
        route: the route key that took it.
        now_ms: when it arrived, UTC ms.
    """
    headers, cookies = _headers(scope["headers"])
    query = scope["query_string"].decode("latin-1")
    # The gateway decodes the path, and cuts it at a `?` that was written as %3F.
    path = scope["path"].partition("?")[0]
    host = headers.get("host", "localhost")
    event = {
        "version": "2.0",
        "routeKey": route if route == "$default" else f"ANY {route}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": (scope.get("client") or ("127.0.0.1", 0))[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route if route == "$default" else f"ANY {route}",
            "stage": "$default",
            "time": datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": now_ms,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    greedy = _greedy_part(route, path)
    if greedy:
        event["pathParameters"] = {"proxy": greedy}
    if body:
        event |= _body(body, headers)
    return event


def http_response(returned: Any) -> HttpResponse:
    """The response that API Gateway makes of what a Lambda returned.

    Raises:
        ValueError, TypeError: it makes no sense.
    """
    if not isinstance(returned, Mapping) or "statusCode" not in returned:
        # The gateway infers a response, from format 2.0 on.
        return HttpResponse(
            200, [("content-type", "application/json")], json.dumps(returned).encode()
        )
    headers = {name.lower(): str(value) for name, value in (returned.get("headers") or {}).items()}
    text = returned.get("body") or ""
    body = base64.b64decode(text) if returned.get("isBase64Encoded") else text.encode()
    status = int(returned["statusCode"])
    if status in _WITHOUT_BODY:
        body = b""
    if body:
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    headers.pop("content-length", None)
    cookies = [("set-cookie", cookie) for cookie in returned.get("cookies") or []]
    return HttpResponse(status, [*headers.items(), *cookies], body)


def failure(status: int, message: str) -> HttpResponse:
    """A failure of the front's own, in the Event API's shape; a browser may read it."""
    body = json.dumps({"ids": [], "status": status, "error": message}).encode()
    headers = [("content-type", "application/json"), ("access-control-allow-origin", "*")]
    return HttpResponse(status, headers, body)


async def _read(receive: _Receive) -> bytes | None:
    """The whole body; None when it is too large."""
    body = bytearray()
    size = 0
    while size <= _PATIENCE_BYTES:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            body += part
        if not message.get("more_body"):
            break
    return bytes(body) if size <= MAX_BODY_BYTES else None


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    cookies = [
        part.strip() for name, value in pairs if name == "cookie" for part in value.split(";")
    ]
    return _joined(pair for pair in pairs if pair[0] != "cookie"), [c for c in cookies if c]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value a name; several are joined with commas, as the gateway does."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Text stays text only for the content types for which the gateway leaves it so."""
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if _TEXT.match(content_type) and "content-encoding" not in headers:
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _greedy_part(route: str, path: str) -> str:
    """What `{proxy+}` stands for when the route takes the path, else nothing."""
    prefix, marker, _ = route.partition("{proxy+}")
    return path[len(prefix) :] if marker and path.startswith(prefix) else ""
