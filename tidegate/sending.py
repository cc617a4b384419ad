"""The HTTP side of a client: posts what `tidegate.exchange` says, with or without an event loop."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from tidegate.clock import Clock, SystemClock
from tidegate.context import Logger
from tidegate.errors import ConfigurationError
from tidegate.event_model import Event
from tidegate.exchange import Answer, Attempt, Batch, Exchange, encode_events, exchange, split
from tidegate.tracing import current_origin

if TYPE_CHECKING:
    # Importing httpx takes long, and most Lambdas never send: the functions below import it.
    import ssl

    import httpx


class SendingClock(Clock, Protocol):
    """A clock that can also be slept by without blocking the event loop."""

    async def sleep_async(self, seconds: float) -> None:
        """Let that many seconds pass."""


class SystemSendingClock(SystemClock):
    """The machine's own clock."""

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Sender:
    """Sends events by httpx; usable from several threads, event loops and forked processes.

    `send_sync` keeps connections open for the next call. `send` opens one for each call: an
    `httpx.AsyncClient` belongs to one event loop, and a sender to none.

    Args:
        headers: what every request carries besides its seed.
        timeout_s: how long connecting, or waiting for the answer, may take, in seconds.
        max_request_bytes: the largest body of a request.
        clock: gives `ts`, the seeds' time and the pauses between tries.
        logger: is told of every try that failed and is repeated.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        max_request_bytes: int,
        clock: SendingClock,
        logger: Logger,
    ) -> None:
        self._headers = headers
        self._timeout_s = timeout_s
        self._max_request_bytes = max_request_bytes
        self._clock = clock
        self._logger = logger
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._pid = 0

    def send_sync(self, url: str, events: Sequence[Event]) -> list[str]:
        """Send events; `Client.send_sync` says more."""
        return self._drive(url, self._exchange(url, events))

    def deliver(self, url: str, batch: Batch) -> list[str]:
        """Send events that are written as JSON already, in one request.

        Args:
            url: where to, the event key included.
            batch: the events.

        Raises:
            SendEventsError: as `Client.send` says.
            ConfigurationError: the URL cannot be used.
        """
        _check_url(url)
        return self._drive(url, exchange([batch], self._clock, self._logger))

    def _drive(self, url: str, deliveries: Exchange) -> list[str]:
        try:
            attempt = next(deliveries)
            while True:
                if attempt.wait_s:
                    self._clock.sleep(attempt.wait_s)
                attempt = deliveries.send(self._post(url, attempt))
        except StopIteration as done:
            return list(done.value)

    async def send(self, url: str, events: Sequence[Event]) -> list[str]:
        """Send events; `Client.send` says more."""
        import httpx

        deliveries = self._exchange(url, events)
        async with httpx.AsyncClient(verify=_tls(), timeout=self._timeout_s) as http:
            try:
                attempt = next(deliveries)
                while True:
                    if attempt.wait_s:
                        await self._clock.sleep_async(attempt.wait_s)
                    attempt = deliveries.send(await self._post_async(http, url, attempt))
            except StopIteration as done:
                return list(done.value)

    def _exchange(self, url: str, events: Sequence[Event]) -> Exchange:
        # All events are encoded before the first is sent: a bad one must not leave half a list.
        texts = encode_events(events, self._clock.now_ms())
        _check_url(url)
        return exchange(split(texts, self._max_request_bytes), self._clock, self._logger)

    def _post(self, url: str, attempt: Attempt) -> Answer:
        import httpx

        try:
            response = self._connections().post(
                url, content=attempt.body, headers=self._headers_of(attempt)
            )
        except httpx.RequestError as error:
            return _no_answer(url, error)
        return _answer(response)

    async def _post_async(self, http: httpx.AsyncClient, url: str, attempt: Attempt) -> Answer:
        import httpx

        try:
            response = await http.post(url, content=attempt.body, headers=self._headers_of(attempt))
        except httpx.RequestError as error:
            return _no_answer(url, error)
        return _answer(response)

    def _headers_of(self, attempt: Attempt) -> dict[str, str]:
        origin = current_origin().fields()
        return {
            **{name: origin[name] for name in ("traceparent", "tracestate") if name in origin},
            **self._headers,
            "user-agent": f"tidegate-py:v{_version()}",
            "content-type": "application/json",
            "x-inngest-event-id-seed": attempt.seed,
        }

    def _connections(self) -> httpx.Client:
        """The client that keeps connections; a forked process must not share its parent's."""
        import httpx

        with self._lock:
            if self._http is None or self._pid != os.getpid():
                self._http = httpx.Client(verify=_tls(), timeout=self._timeout_s)
                self._pid = os.getpid()
                # Not at exit: a process forked in the midst of a request could wait there forever.
                weakref.finalize(self, self._http.close).atexit = False
            return self._http


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificate authorities takes longer than a request."""
    import httpx

    return httpx.create_ssl_context()


def _check_url(url: str) -> None:
    import httpx

    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"the base URL cannot be used: {error}") from None


def _no_answer(url: str, error: httpx.RequestError) -> Answer:
    # The whole URL would carry the event key, and perhaps a password, into logs.
    host = urlsplit(url).netloc.rpartition("@")[2]
    return Answer(None, fault=f"no answer from {host}: {type(error).__name__}: {error}")


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.content, response.headers.get("retry-after", ""))


@cache
def _version() -> str:
    try:
        return metadata.version("tidegate")
    except metadata.PackageNotFoundError:  # copied into a Lambda's asset without its metadata
        return "unknown"
