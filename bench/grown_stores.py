"""What is in tables that have grown: a million events, a hundred thousand waits."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from bench.computed_tables import Item
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import ulid_at, ulid_ms
from tidegate.message import EventMessage
from tidegate.partition import SHARDS
from tidegate.step import Op, StepId
from tidegate.wait import Condition, Wait
from tidegate.wait_store import wait_item

ENV = "production"
EVENTS = 1_000_000
# They came evenly in ten days.
EVERY_MS = 10 * 86_400_000 // EVENTS
NAMES = 100
WAITS = 100_000
AWAITED = "bench/approved"
_DAY_MS = 86_400_000
_TEXT = "x" * 500
_STEP = StepId("approval", 0)


@dataclass(frozen=True)
class EventsOfShard:
    """The events of a day that lie in a shard: each eighth one.

    Attributes:
        key: the partition's key.
        first: the number of its first event, of all events, the oldest one being 0.
        count: how many there are.
        oldest_ms: when the oldest of all events came, UTC ms.
    """

    key: str
    first: int
    count: int
    oldest_ms: int

    @classmethod
    def of(cls, key: str, oldest_ms: int) -> EventsOfShard | None:
        """The partition with a key, if there is one."""
        env, day, shard = key.rsplit("#", 2)
        begins_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
        first, behind = (
            min(max(-((oldest_ms - ms) // EVERY_MS), 0), EVENTS)
            for ms in (begins_ms, begins_ms + _DAY_MS)
        )
        first += (int(shard) - first) % SHARDS
        count = max(0, -((first - behind) // SHARDS))
        return cls(key, first, count, oldest_ms) if env == quote(ENV) and count else None

    def __len__(self) -> int:
        return self.count

    def first_at(self, sort_key: str) -> int:
        return bisect_left(range(self.count), sort_key, key=self._sort_key)

    def item(self, number: int) -> Item:
        of_all = self.first + number * SHARDS
        ulid, ms = self._sort_key(number), ulid_ms(self._sort_key(number))
        name = f"bench/name-{of_all % NAMES}"
        return {
            "pk": {"S": self.key},
            "sk": {"S": ulid},
            "name": {"S": name},
            "received_ms": {"N": str(ms)},
            "expires_at": {"N": str(ms // 1000 + 30 * 86_400)},
            "body": {"S": event_body(name=name, data={"text": _TEXT}, event_id=ulid, ts=ms)},
        }

    def _sort_key(self, number: int) -> str:
        return event_id(self.oldest_ms, self.first + number * SHARDS)


def event_id(oldest_ms: int, number: int) -> str:
    """The id of one of the million events, counted from the oldest one."""
    return ulid_at(oldest_ms + number * EVERY_MS, number.to_bytes(10, "big"))


@dataclass(frozen=True)
class WaitsOfName:
    """Runs that wait for the approval of their own order.

    Attributes:
        event_name: what they wait for.
        count: how many there are.
        since_ms: when they began to wait, UTC ms.
    """

    event_name: str
    count: int
    since_ms: int

    def __len__(self) -> int:
        return self.count

    def first_at(self, sort_key: str) -> int:
        return bisect_left(range(self.count), sort_key, key=self._sort_key)

    def item(self, number: int) -> Item:
        return dict(wait_item(self._wait(number)))

    def _sort_key(self, number: int) -> str:
        return f"{self._run_id(number)}#{_STEP.hashed}"

    def _run_id(self, number: int) -> str:
        return ulid_at(self.since_ms, number.to_bytes(10, "big"))

    def _wait(self, number: int) -> Wait:
        run_id = self._run_id(number)
        data = {"order": number, "text": _TEXT}
        body = event_body(name="bench/ordered", data=data, event_id=run_id, ts=self.since_ms)
        event = AcceptedEvent(run_id, ENV, "bench/ordered", self.since_ms, self.since_ms, body)
        return Wait(
            env=ENV,
            run_id=run_id,
            function_id="bench-order",
            step=_STEP,
            op=Op.WAIT_FOR_EVENT,
            since_ms=self.since_ms,
            due_ms=self.since_ms + _DAY_MS,
            message=EventMessage.of(event).encode(),
            event_id=run_id,
            event_name=self.event_name,
            condition=Condition.of(None, "data.order", {"data": data}),
            stored_ms=self.since_ms,
        )
