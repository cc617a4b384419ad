"""Following a list: what is new in it, and what has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidegate.clock import Clock
from tidegate.commands.moment import ms_of
from tidegate.rest_call import rfc3339
from tidegate.rest_client import MAX_PAGE, RestClient

PAUSE_S = 1.0
# An id can be older than the moment at which the list shows it: its event lay in a queue, or was
# sent by somebody whose clock is slow.
OVERLAP_MS = 5 * 60_000
# One look at a list reads so many items; of more, the newest.
MAX_ITEMS = 10 * MAX_PAGE


def polls(clock: Clock) -> Iterator[None]:
    """When to look: now, and after every second, until somebody presses Ctrl-C."""
    while True:
        yield
        clock.sleep(PAUSE_S)


class Window:
    """The newest part of a list, which moves on; what it has left behind does not come back.

    Args:
        api: where the list is.
        clock: the time here.
        path: the list's path.
        parameter: the query parameter of the first moment.
        query: its filters.
        from_ms: where to begin, UTC ms; None begins at the server's now.
    """

    def __init__(
        self,
        api: RestClient,
        clock: Clock,
        path: str,
        parameter: str,
        query: dict[str, str | None],
        from_ms: int | None,
    ) -> None:
        self._api = api
        self._path = path
        self._parameter = parameter
        self._query = query
        self._clock = clock
        reply = api.ask("GET", path, {**query, "limit": 1})
        # Ids go by the server's time.
        self._ahead_ms = ms_of(reply.metadata["fetched_at"]) - clock.now_ms()
        self._from_ms = self._server_ms() if from_ms is None else from_ms
        self._newest_ms = self._from_ms

    @property
    def _first_ms(self) -> int:
        return max(self._from_ms, self._newest_ms - OVERLAP_MS)

    def items(self) -> list[Any]:
        """What is in it now, the newest first."""
        query = {**self._query, self._parameter: rfc3339(self._first_ms)}
        now_ms = self._server_ms()
        found = [item for page in self._api.pages(self._path, query, MAX_ITEMS) for item in page]
        self._newest_ms = now_ms
        return found

    def _server_ms(self) -> int:
        return self._clock.now_ms() + self._ahead_ms
