"""Who makes a request of the REST API: a signing key's bearer, or a browser that is logged in.

A browser sends its cookies along whoever makes it send a request, and reaches a dev server on its
own machine from any page. So what a browser asks to be changed must come from the dashboard itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tidegate.dashboard.session import Sessions
from tidegate.errors import RequestError
from tidegate.http import Request, bearer_token
from tidegate.key import Key, Keys, OpenKeys, StoredKeys

_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Callers:
    """Who may ask.

    Attributes:
        keys: the signing keys.
        sessions: of the dashboard; None where nobody has to log in.
    """

    keys: Keys
    sessions: Sessions | None = None

    def key(self, request: Request) -> Key:
        """The signing key with which, now or when logging in, a request is made.

        Raises:
            RequestError: 401 without one; 403 for a browser that was misled.
            PlatformError: DynamoDB did not answer.
        """
        check_origin(request, is_open=self.is_open)
        token = bearer_token(request.headers)
        session = self.sessions.find(request.cookies) if self.sessions and not token else None
        if session is not None:
            if request.method not in _READING and not session.allows(
                request.headers.get("x-csrf-token", "")
            ):
                raise RequestError(403, "the header x-csrf-token is missing or wrong; reload")
            return session.key
        key = self.keys.find("signing", token)
        if key is None:
            raise RequestError(
                401, "Authentication failed: send Authorization: Bearer <signing key>"
            )
        return key

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask who can reach the server."""
        return isinstance(self.keys, OpenKeys)


def callers_of(keys: Keys) -> Callers:
    """Who may ask, given the signing keys."""
    return Callers(keys, Sessions(keys, keys.clock) if isinstance(keys, StoredKeys) else None)


def check_origin(request: Request, *, is_open: bool) -> None:
    """Raise RequestError (403) for what a page of another origin makes a browser do.

    Args:
        request: the request.
        is_open: whether no key is needed. Then the host must be this machine, by a name that
            nobody else can give it: a page could have its own name lead here (DNS rebinding).
    """
    host = request.headers.get("host", "")
    if is_open and host and not _is_local(host):
        raise RequestError(403, f"this server is for its own machine; {host!r} does not name it")
    if request.method in _READING:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in (None, "same-origin", "none"):
        is_foreign = True
    elif site is not None and not is_open:
        # No page can set that. Behind CloudFront the host is not the one that the browser knows.
        is_foreign = False
    else:
        is_foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    if is_foreign:
        raise RequestError(403, "a page of another origin may not change anything here")


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):
            return True
        return ip_address(name).is_loopback
    except ValueError:
        return False
