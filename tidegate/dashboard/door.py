"""The dashboard's own requests: its page, its files, and logging in and out.

All else that the page shows or does goes through the REST API.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.caller import Callers, check_origin
from tidegate.dashboard.files import PAGE, StaticFile, static_file, version
from tidegate.dashboard.session import END_OF_COOKIE, Session
from tidegate.encoding import decode
from tidegate.errors import PlatformError, RequestError
from tidegate.http import Request, Response
from tidegate.key import Key

logger = logging.getLogger("tidegate.dashboard")

# Nothing but this host's own files and API. Trusted Types: no text can become HTML in this page.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_PRIVATE = {"cache-control": "no-store"}
_FILE = re.compile(r"/dashboard/(?P<version>[0-9a-f]{16})/(?P<name>[\w./-]+)\Z")
_SESSION = "/dashboard/session"
_NOBODY = {"data": None}
_MAX_LOGIN_BYTES = 4_096


@dataclass(frozen=True)
class Dashboard:
    """Answers what the REST API does not.

    Attributes:
        callers: who may look.
    """

    callers: Callers

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The gateway's answer to the gateway's event; it never raises."""
        try:
            answer = self._answer(Request.from_gateway(event))
        except RequestError as error:
            headers = {"allow": error.allow} if error.allow else {}
            answer = _failure(error.status, error.message, headers)
        except PlatformError as error:
            logger.error("request failed", extra={"status": 503, "error": str(error)})
            retry = {"retry-after": str(error.retry_after_s)}
            answer = _failure(503, "the stored keys did not answer; try again", retry)
        except Exception:
            logger.exception("request crashed", extra={"status": 500})
            answer = _failure(500, "internal error; try again", {})
        return {**answer, "headers": {**SECURITY_HEADERS, **answer["headers"]}}

    def _answer(self, request: Request) -> dict[str, Any]:
        check_origin(request, is_open=self.callers.is_open)
        if request.path == _SESSION:
            return self._session(request).to_gateway()
        found = _FILE.match(request.path)
        file = static_file(PAGE if request.path == "/" else found["name"] if found else "")
        if file is None:
            raise RequestError(404, f"no such path: {request.path}; the dashboard is at /")
        _allow(request, "GET", "HEAD")
        # During a deployment a page of the one version may ask the other one for its files.
        is_fixed = found is not None and found["version"] == version()
        return _sent(request, file, is_fixed=is_fixed)

    def _session(self, request: Request) -> Response:
        _allow(request, "GET", "POST", "DELETE")
        sessions = self.callers.sessions
        if sessions is None:
            return _told(self.callers.key(request), None)
        if request.method == "POST":
            session = sessions.open(_secret(request))
            if session is None:
                logger.warning("login refused")
                raise RequestError(401, "this is not a signing key that is valid here")
            logger.info("logged in", extra={"env": session.key.env})
            return _told(session.key, session, session.cookie)
        session = sessions.find(request.cookies)
        if request.method == "GET":
            # Whoever is not logged in may ask, too: the page does, before it shows the login.
            return _told(session.key, session) if session else Response(200, _NOBODY, _PRIVATE)
        self.callers.key(request)
        if session is None:
            raise RequestError(401, "you are not logged in")
        sessions.close(session)
        return Response(204, headers=_PRIVATE, cookies=(END_OF_COOKIE,))


def _told(key: Key, session: Session | None, *cookies: str) -> Response:
    """What the page has to know of who looks at it."""
    data = {
        "auth": "open" if session is None else "session",
        "env": key.env,
        "branch": key.branch,
        "csrf_token": "" if session is None else session.csrf_token,
    }
    return Response(200, {"data": data}, _PRIVATE, cookies)


def _secret(request: Request) -> str:
    try:
        body = decode(request.body(_MAX_LOGIN_BYTES))
    except ValueError as error:
        raise RequestError(400, f"the body is not valid JSON: {error}") from None
    key = body.get("key") if isinstance(body, dict) else None
    if not isinstance(key, str):
        raise RequestError(400, 'send {"key": "<signing key>"}')
    return key.strip()


def _sent(request: Request, file: StaticFile, *, is_fixed: bool) -> dict[str, Any]:
    cache = "public, max-age=31536000, immutable" if is_fixed else "no-cache"
    gzipped = "gzip" in request.headers.get("accept-encoding", "").lower()
    answer = {"statusCode": 200, **file.body(gzipped=gzipped)}
    answer["headers"]["cache-control"] = cache
    if request.headers.get("if-none-match") == file.etag:
        return {"statusCode": 304, "headers": answer["headers"], "body": ""}
    return {**answer, "body": ""} if request.method == "HEAD" else answer


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        allow = ", ".join(methods)
        raise RequestError(405, f"this path takes {allow} only", allow=allow)


def _failure(status: int, message: str, headers: Mapping[str, str]) -> dict[str, Any]:
    content = {"error": message, "data": None, "status": status}
    return Response(status, content, {**_PRIVATE, **headers}).to_gateway()
