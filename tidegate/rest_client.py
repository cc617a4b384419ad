"""A client of the REST API: asks, tries again, turns pages, and says clearly what went wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.errors import ConfigurationError, RestError

DEFAULT_TIMEOUT_S = 30.0
MAX_TRIES = 5
MAX_PAGE = 100
MAX_RETRY_AFTER_S = 30.0
_JITTER_S = 0.1
_QUOTED_CHARACTERS = 200
_PASSING = (429, 500, 502, 503, 504)
# What a failed connection cannot have carried to the server.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

Query = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Reply:
    """A successful answer.

    Attributes:
        data: what was asked for, any JSON value.
        metadata: `fetched_at`, and of lists `has_more` and `next_cursor`.
    """

    data: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)


class RestClient:
    """Asks the REST API of a deployment or of the dev server.

    A request that got no answer, or 429, 500, 502, 503 or 504, is tried up to five times; POST,
    which may have done its work already, only if it cannot have arrived, or for 429. Where the
    signing key is refused, the fallback key is tried, as Inngest's clients do, and kept.

    Args:
        base_url: where the server is, `https://host`.
        signing_key: who asks; plain or hashed. The dev server needs none.
        fallback_signing_key: the key that is tried when the first one is refused.
        env: the branch environment to look into.
        clock: passes the time between tries.
        timeout_s: how long connecting, or waiting for an answer, may take, in seconds.
        tries: how often a request is sent at the most.
        transport: what carries the requests; by default the network.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        signing_key: str | None = None,
        fallback_signing_key: str | None = None,
        env: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        tries: int = MAX_TRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url
        self._keys: list[str | None] = [
            key for key in (signing_key, fallback_signing_key) if key
        ] or [None]
        self._env = env
        self._clock = clock
        self._tries = tries
        self._http = httpx.Client(timeout=timeout_s, transport=transport)

    def get(self, path: str, query: Query | None = None) -> Any:
        """What a path has, such as `/v1/runs/01M8…`.

        Raises:
            RestError: the server refused, or did not answer.
            ConfigurationError: the URL or a key cannot be sent.
        """
        return self.ask("GET", path, query).data

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What a path made of a body; errors as for `get`."""
        return self.ask("POST", path, body=body).data

    def delete(self, path: str) -> Any:
        """What cancelling or stopping what a path has gave; errors as for `get`."""
        return self.ask("DELETE", path).data

    def pages(self, path: str, query: Query, limit: int | None) -> Iterator[list[Any]]:
        """A list, page by page, the newest first; no page is empty.

        Args:
            path: the list's path.
            query: its filters.
            limit: how many items at the most; None gives all.
        """
        cursor, left = None, limit
        while left is None or left > 0:
            size = MAX_PAGE if left is None else min(left, MAX_PAGE)
            reply = self.ask("GET", path, {**query, "limit": size, "cursor": cursor})
            if reply.data:
                yield reply.data
            left = None if left is None else left - len(reply.data)
            cursor = reply.metadata.get("next_cursor")
            if cursor is None:
                return

    def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The answer to a request; errors as for `get`."""
        key = self._keys[0]
        try:
            return self._ask(method, path, query, body, key)
        except RestError as error:
            if error.status not in (401, 403) or len(self._keys) == 1:
                raise
            refused = error
        try:
            reply = self._ask(method, path, query, body, self._keys[1])
        except RestError as error:
            # What is wrong with a key that is valid says more than that another one is none.
            is_none = (refused.status, error.status) == (403, 401)
            raise (refused if is_none else error) from None
        # It is known now which of them works.
        self._keys = self._keys[1:]
        return reply

    def _ask(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        key: str | None,
    ) -> Reply:
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        for number in range(1, self._tries + 1):
            wait_s = 0.1 * 2 ** (number - 1)
            is_last = number == self._tries
            try:
                response = self._http.request(
                    method,
                    self.base_url + path,
                    params=asked or None,
                    json=body,
                    headers=self._headers(key),
                )
            except httpx.RequestError as error:
                if is_last or (method == "POST" and not isinstance(error, _NOT_SENT)):
                    raise RestError(_no_answer(error), status=None) from None
            except (httpx.InvalidURL, UnicodeEncodeError, ValueError) as error:
                raise ConfigurationError(f"the request cannot be sent: {error}") from None
            else:
                if is_last or not _may_pass(method, response.status_code):
                    return _reply(response)
                wait_s = _retry_after_s(response) or wait_s
            self._clock.sleep(wait_s + random.uniform(0, _JITTER_S))
        raise AssertionError("the last try returns or raises")

    def _headers(self, key: str | None) -> dict[str, str]:
        headers = {"accept": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        if self._env:
            headers["x-inngest-env"] = self._env
        return headers


def host_of(url: str) -> str:
    """A URL's scheme and host, without a password or a key that it may have."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def path_of(*parts: str) -> str:
    """A path under `/v1` of which each part is what somebody typed.

    Raises:
        ConfigurationError: a part is empty, or a dot that would lead to another path.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise ConfigurationError(f"{part!r} is no id")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _may_pass(method: str, status: int) -> bool:
    return status == 429 if method == "POST" else status in _PASSING


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER_S) if text.isascii() and text.isdigit() else None


def _no_answer(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return f"no answer: {error or type(error).__name__}"


def _reply(response: httpx.Response) -> Reply:
    status = response.status_code
    try:
        content = decode(response.content)
    except ValueError:
        content = None
    content = content if isinstance(content, dict) else {}
    if 200 <= status < 300 and "data" in content:
        return Reply(content["data"], content.get("metadata") or {})
    # `message` is how API Gateway itself answers.
    for said in (content.get("error"), content.get("message")):
        if said and isinstance(said, str):
            raise RestError(said, status=status)
    raise RestError(_described(response), status=status)


def _described(response: httpx.Response) -> str:
    """What is wrong with an answer that does not say it itself."""
    if response.is_redirect:
        return "redirects are not followed; correct the URL (scheme and host)"
    quoted = response.text[:_QUOTED_CHARACTERS].strip() or "an empty body"
    return f"this is not Tidegate's REST API, is the URL right? It says {quoted!r}"
