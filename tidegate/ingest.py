"""The Event API: size → key → parse → check all → ids → admit → publish → answer."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tidegate.admission import Admission
from tidegate.errors import PlatformError, RequestError
from tidegate.event import parse_events
from tidegate.http import Request, Response, bearer_token, request_id
from tidegate.key import Key, Keys
from tidegate.tracing import Origin, came_from, logged

logger = logging.getLogger("tidegate.ingest")

_EVENTS_PATH = re.compile(r"/e(?:/(?P<key>[^/]*))?\Z")
# What is left for sending the answer.
_RESERVE_MS = 1_500
_CORS = {"access-control-allow-origin": "*"}


@dataclass(frozen=True)
class Ingest:
    """Answers the requests of the Event API; every answer is JSON that its clients understand.

    Attributes:
        keys: who may send.
        admission: where events go.
        max_bytes: the largest body, after decompression.
    """

    keys: Keys
    admission: Admission
    max_bytes: int

    def handle(self, event: Mapping[str, Any], remaining_ms: int = 25_000) -> dict[str, Any]:
        """The gateway's answer to the gateway's event, whatever happens.

        Args:
            event: payload format 2.0.
            remaining_ms: how long this invocation may still take. If it were killed the gateway
                would answer, in a way that the official Python client takes for success.
        """
        answer: Future[Response] = Future()

        def respond() -> None:
            try:
                answer.set_result(self._response(event))
            except BaseException as error:
                # It ends the invocation now, not when its time is up.
                answer.set_exception(error)

        threading.Thread(target=respond, name="request", daemon=True).start()
        try:
            response = answer.result(max(remaining_ms - _RESERVE_MS, 0) / 1000)
        except TimeoutError:
            with logged(request_id=request_id(event)):
                logger.error("request failed", extra={"status": 503, "error": "it took too long"})
            response = _unavailable(retry_after_s=1)
        return response.to_gateway()

    def _response(self, event: Mapping[str, Any]) -> Response:
        with logged(request_id=request_id(event)):
            return self._safely(event)

    def _safely(self, event: Mapping[str, Any]) -> Response:
        try:
            return self._answer(Request.from_gateway(event))
        except RequestError as error:
            logger.info("request refused", extra={"status": error.status, "error": error.message})
            headers = {"allow": error.allow} if error.allow else {}
            return _failure(error.status, error.message, headers)
        except PlatformError as error:
            logger.error("request failed", extra={"status": 503, "error": str(error)})
            return _unavailable(error.retry_after_s)
        except Exception:
            logger.exception("request crashed", extra={"status": 500})
            return _failure(500, "internal error; send the request again", {})

    def _answer(self, request: Request) -> Response:
        if request.path == "/health":
            _allow(request, "GET")
            return Response(200, {"status": 200, "message": "OK"}, _CORS)
        match = _EVENTS_PATH.match(request.path)
        if match is None:
            # The path stays out of this message and the next, and so of the log: it may hold a key.
            raise RequestError(404, "no such path; send events to POST /e/<event key>")
        if request.method == "OPTIONS":
            return _preflight(request)
        _allow(request, "POST")
        return self._receive(request, unquote(match["key"] or ""))

    def _receive(self, request: Request, path_key: str) -> Response:
        body = request.body(self.max_bytes)
        key = self._key(path_key or bearer_token(request.headers))
        env = key.environment(request.headers.get("x-inngest-env"))
        events = parse_events(body)
        key.check_names(event.incoming.name for event in events)
        self.keys.open_environment(key, env)
        seed = key.seed(request.headers.get("x-inngest-event-id-seed"))
        with came_from(Origin.of_request(request)):
            ids = self.admission.admit(env, events, seed, is_limited=key.is_limited)
        logger.debug("request answered", extra={"env": env, "events": len(ids)})
        return Response(200, {"ids": ids, "status": 200}, _CORS)

    def _key(self, secret: str) -> Key:
        if not secret:
            raise RequestError(
                401,
                "Event key is required: POST /e/<event key>, or an Authorization: Bearer header",
            )
        key = self.keys.find("event", secret)
        if key is None:
            raise RequestError(401, "Event key not found")
        return key


def _allow(request: Request, method: str) -> None:
    if request.method != method:
        raise RequestError(
            405, f"{request.method!r} is not possible on this path; use {method}", allow=method
        )


def _preflight(request: Request) -> Response:
    """The answer to a browser that asks whether it may send."""
    wanted = request.headers.get("access-control-request-headers", "content-type")
    return Response(
        204,
        headers={
            **_CORS,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": wanted,
            "access-control-max-age": "3600",
            "allow": "POST, OPTIONS",
        },
    )


def _unavailable(retry_after_s: int) -> Response:
    return _failure(
        503,
        "the events could not be stored and published; send the request again",
        {"retry-after": str(retry_after_s)},
    )


def _failure(status: int, message: str, headers: Mapping[str, str]) -> Response:
    # The official Python client goes by `error` alone and the others by `status`: both are there.
    return Response(status, {"ids": [], "status": status, "error": message}, {**_CORS, **headers})
