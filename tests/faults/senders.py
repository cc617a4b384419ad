"""Those who send events through faults: the steady, the impatient, and those who send twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.shop import INSPECTED, PLACED, RETURNED, SHIPPED, Ledger
from tests.faults.simulation import Simulation
from tidegate import Client, Event
from tidegate.errors import SendEventsError

URL = "http://events.example"
_SENDERS = 40
_LARGE = "x" * 70_000
# Of a hundred requests, how many have one event, are sent by somebody who gives up, and, of those
# whose events all have ids, are sent by somebody else once more.
_SINGLE, _IMPATIENT, _TWICE = 60, 20, 40
_MOST_IN_A_BATCH = 20
_GIVES_UP_AFTER_S = 0.03


@dataclass
class Sent:
    """What became of what was sent.

    Attributes:
        names: by order, the name of its event; also of those that were not acknowledged.
        ids: by order, the internal ids that it was acknowledged with.
        requests: how many requests ended in which way.
        with_id: the orders whose events have an `id`.
        sent_twice: how many events were sent again by somebody else.
    """

    names: dict[str, str] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    with_id: set[str] = field(default_factory=set)
    sent_twice: int = 0

    def note(self, events: Sequence[Event], ids: Sequence[str]) -> None:
        """Write down that events were acknowledged."""
        for event, internal_id in zip(events, ids, strict=True):
            self.ids.setdefault(str(event.data["order"]), set()).add(internal_id)


class Senders:
    """Send a number of events, many at once.

    Args:
        simulation: the time.
        ledger: says what waits for its inspection.
        number: how many events.
        seed: of how they are sent.

    Attributes:
        sent: what became of them.
    """

    def __init__(self, simulation: Simulation, ledger: Ledger, number: int, seed: int) -> None:
        self.sent = Sent()
        self._simulation = simulation
        self._ledger = ledger
        self._random = random.Random(seed)
        self._requests = list(self._planned(number))
        self._at_work = 0

    def start(self) -> None:
        """Begin to send."""
        for _ in range(_SENDERS):
            self._at_work += 1
            self._simulation.spawn(self._send).add_done_callback(self._end)
        self._simulation.spawn(self._inspect).add_done_callback(self._simulation.note_end)

    def are_done(self) -> bool:
        """Whether all was sent, and all that waits for its inspection has had it."""
        return not self._at_work and not self._ledger.to_inspect

    def _planned(self, number: int) -> Iterator[list[Event]]:
        """The events, request by request."""
        orders = 0
        while orders < number:
            size = 1
            if self._random.randrange(100) >= _SINGLE:
                size = self._random.randint(2, _MOST_IN_A_BATCH)
            size = min(size, number - orders)
            ids = self._random.choice(["all", "none", "some"])
            request = []
            for order in range(orders, orders + size):
                has_id = ids == "all" or (ids == "some" and bool(self._random.getrandbits(1)))
                request.append(self._event(str(order), has_id))
            orders += size
            yield request

    def _event(self, order: str, has_id: bool) -> Event:
        [name] = self._random.choices([PLACED, SHIPPED, RETURNED], [94, 4, 2])
        data = {"order": order}
        if self._random.randrange(500) == 0:
            data["text"] = _LARGE
        self.sent.names[order] = name
        if has_id:
            self.sent.with_id.add(order)
        return Event(name=name, data=data, id=f"order-{order}" if has_id else "")

    def _send(self) -> None:
        """Send requests, one after the other, as long as there are any."""
        while self._requests:
            request = self._requests.pop()
            self._simulation.sleep(self._random.uniform(0, 10))
            if self._random.randrange(100) < _IMPATIENT:
                self._send_impatiently(request)
            else:
                self._send_steadily(request)
            if all(event.id for event in request) and self._random.randrange(100) < _TWICE:
                self.sent.sent_twice += len(request)
                self._send_steadily(request)

    def _end(self, sender: Future[Any]) -> None:
        self._at_work -= 1
        self._simulation.note_end(sender)

    def _send_steadily(self, events: list[Event]) -> None:
        """Send as an app does; who knows its events by ids sends again after giving up."""
        while True:
            try:
                ids = self._client().send_sync(events)
            except SendEventsError:
                self.sent.requests["given up by a client that retried"] += 1
                if not all(event.id for event in events):
                    return
            else:
                self.sent.requests["acknowledged"] += 1
                self.sent.note(events, ids)
                return

    def _send_impatiently(self, events: list[Event]) -> None:
        """Send once, wait for a moment, and never ask again."""
        body = [
            {"name": event.name, "data": event.data, **({"id": event.id} if event.id else {})}
            for event in events
        ]
        try:
            with httpx.Client(timeout=_GIVES_UP_AFTER_S, verify=False) as http:  # noqa: S501
                answer = http.post(f"{URL}/e/key", json=body)
        except httpx.RequestError:
            self.sent.requests["given up at once"] += 1
            return
        if answer.status_code == 200:
            self.sent.requests["acknowledged"] += 1
            self.sent.note(events, answer.json()["ids"])
        else:
            self.sent.requests["given up at once"] += 1

    def _inspect(self) -> None:
        """Inspect what waits for it, again and again: who begins to wait late misses an event."""
        number = 0
        while not self.are_done():
            self._simulation.sleep(self._random.uniform(0, 5))
            for returned in sorted(self._ledger.to_inspect):
                order = f"inspection {number} of {returned}"
                number += 1
                data = {"order": order, "returned": returned}
                self.sent.names[order] = INSPECTED
                self._send_steadily([Event(name=INSPECTED, data=data, id=order)])
            self._simulation.sleep(60)

    def _client(self) -> Client:
        return Client(app_id="shop", base_url=URL, event_key="key", clock=_Clock(self._simulation))


class _Clock:
    def __init__(self, simulation: Simulation) -> None:
        self.now_ms = simulation.now_ms
        self.sleep = simulation.sleep

    async def sleep_async(self, seconds: float) -> None:
        raise NotImplementedError
