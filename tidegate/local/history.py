"""How much the dev server remembers: what is long over is dropped, so that memory does not fill.

An event is dropped with all that it started, the oldest first, when there are more of them than are
kept, or they are too large together. Nothing that is unfinished ever is: an event with a run that
has not ended, or of which a queue, a dead-letter queue or a schedule has a message that may start
one, stays with all that belongs to it, and does not count.

In AWS the time to live of items and the lifecycle of the bucket do this, by age.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.responses import DynamoHandler
from moto.s3.models import s3_backends
from moto.scheduler.models import scheduler_backends
from moto.sqs.models import sqs_backends

from tidegate.aws import client
from tidegate.batch import chunks
from tidegate.clock import Clock
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.local.sqs_speed import StandardQueue
from tidegate.run import ENDED
from tidegate.wait import LOOK_AGAIN_S

logger = logging.getLogger("tidegate.local.history")

KEPT_EVENTS = 10_000
KEPT_BYTES = 256 * 1024 * 1024

# What an item takes in moto, beside its texts; measured.
_ITEM_BYTES = 2_500
_TEXTS = ("body", "output", "memo", "attempts")
# A request may take so long until what it stored is published; what has started runs was.
_UNDER_WAY_MS = 30_000
_PUBLISHED_MS = 10_000
# A run that waits looks so far back for an event that came before.
_LOOKED_FOR_MS = 2 * LOOK_AGAIN_S * 1000
# Whoever looks through everything takes the interpreter from those who work.
_INTERVAL_S = 1.0
_GROWN_ITEMS = 4_000
_OBJECTS_OF_AN_ITEM = 200
_AGAIN_S = 30.0
# So many are dropped while everybody else waits.
_AT_ONCE = 200
_S3_AT_ONCE = 1_000

# The fields of a message come in this order, and the first `resumes` is the message's own.
_MESSAGE = re.compile(r'\{"internal_id":"([0-9A-Z]{26})".*?"resumes":(true|false)', re.DOTALL)
_ULID = re.compile(r"/([0-9A-Z]{26})[^/]*\Z")


@dataclass
class _Story:
    """An event and what it started, as it is stored.

    Attributes:
        newest_ms: when the last thing of it happened that is recorded, UTC ms.
        bytes: what it takes.
        items: its items: their tables, and them.
        runs: those of its runs.
        ids: of the event and of its runs.
        awaited: whether somebody waits for events of its name.
        is_gone: whether it was dropped.
    """

    newest_ms: int = 0
    bytes: int = 0
    items: list[tuple[Any, Any]] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    awaited: bool = False
    is_gone: bool = False

    def add(self, table: Any, item: Any, *times: str) -> None:
        """Add an item, whose times are attributes of it."""
        attributes = item.attrs
        self.items.append((table, item))
        self.bytes += _ITEM_BYTES
        self.bytes += sum(len(attributes[name].value) for name in _TEXTS if name in attributes)
        for name in times:
            if name in attributes:
                self.newest_ms = max(self.newest_ms, int(attributes[name].value))

    @property
    def is_over(self) -> bool:
        """Whether all of its runs have ended, and all that repeat them are among them."""
        reruns = (item.attrs["reruns"].value for item in self.runs if "reruns" in item.attrs)
        return all(item.attrs["status"].value in ENDED for item in self.runs) and all(
            self.ids.issuperset(ids) for ids in reruns
        )

    @property
    def needed_ms(self) -> int:
        """How long somebody may still need it after the last thing happened, ms."""
        if self.awaited:
            return _LOOKED_FOR_MS
        return _PUBLISHED_MS if self.runs else _UNDER_WAY_MS

    def drop(self) -> None:
        """Take its items out of their tables, unless it goes on after all."""
        if self.is_over:
            for table, item in self.items:
                table.delete_item(item.hash_key, item.range_key)
            self.is_gone = True


class History:
    """Keeps what a stage in memory has stored within bounds.

    Args:
        tables: the names of the stage's tables, by what they hold.
        bucket: the stage's bucket.
        clock: what the time is.
        events: so many events that are over are kept, with what they started.
        max_bytes: and so much of them.
    """

    def __init__(
        self,
        tables: Mapping[str, str],
        bucket: str,
        clock: Clock,
        *,
        events: int = KEPT_EVENTS,
        max_bytes: int = KEPT_BYTES,
    ) -> None:
        self._names = dict(tables)
        self._bucket = bucket
        self._clock = clock
        self._events = events
        self._max_bytes = max_bytes
        self._is_full = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Drop what is over from time to time."""
        self._thread.start()

    def stop(self) -> None:
        """Drop nothing more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_INTERVAL_S)

    def trim(self) -> int:
        """Drop what is beyond the bounds now; gives the number of events that were dropped."""
        # In this order: what leaves a queue meanwhile is found as a run.
        in_flight = _in_flight()
        stories = self._stories()
        now_ms = self._clock.now_ms()
        dropped = [
            story
            for story in self._beyond_the_bounds(stories)
            if now_ms - story.newest_ms > story.needed_ms and in_flight.isdisjoint(story.ids)
        ]
        for some in chunks(dropped, _AT_ONCE):
            with _lock():
                for story in some:
                    story.drop()
        gone = {one for story in dropped if story.is_gone for one in story.ids}
        self._forget_claims(gone)
        self._delete_objects(gone)
        self._sweep()
        left = [story.bytes for story in stories if not story.is_gone]
        self._is_full = len(left) > self._events or sum(left) > self._max_bytes
        return len(stories) - len(left)

    def _run(self) -> None:
        size, again_s = 0, 0.0
        while not self._stop.wait(_INTERVAL_S):
            try:
                has_grown = abs(self._size() - size) >= _GROWN_ITEMS
                if has_grown or (self._is_full and time.monotonic() >= again_s):
                    self.trim()
                    size, again_s = self._size(), time.monotonic() + _AGAIN_S
            except Exception:
                logger.exception("dropping what is over failed")

    def _size(self) -> int:
        """About how much is stored, counted in items."""
        tables = (self._table(name) for name in ("events", "runs", "steps"))
        items = sum(len(partition) for table in tables for partition in _copied(table.items))
        return items + _OBJECTS_OF_AN_ITEM * len(self._objects())

    def _stories(self) -> list[_Story]:
        """Everything that is stored, by event."""
        events, runs, steps = (self._table(name) for name in ("events", "runs", "steps"))
        waits = self._table("waits").items
        stories: dict[tuple[str, str], _Story] = {}
        for env, item in _items(events):
            story = stories.setdefault((env, item.range_key.value), _Story())
            story.add(events, item, "received_ms")
            story.ids.add(item.range_key.value)
            awaited = f"event#{env}#{item.attrs['name'].value}"
            story.awaited = bool(waits.get(DynamoType({"S": awaited})))
        for env, item in _items(runs):
            run_id, event_id = item.range_key.value, item.attrs["event_id"].value
            story = stories.setdefault((env, event_id), _Story())
            story.add(runs, item, "queued_ms", "ended_ms")
            story.runs.append(item)
            story.ids |= {run_id, event_id}
            partition = steps.items.get(DynamoType({"S": f"{env}#{run_id}"}), {})
            for step in _copied(partition):
                story.add(steps, step)
        sizes: dict[str, int] = {}
        for name, found in list(self._objects().items()):
            if owner := _ULID.search(name):
                sizes[owner[1]] = sizes.get(owner[1], 0) + int(found.size)
        if sizes:
            for story in stories.values():
                story.bytes += sum(sizes.get(one, 0) for one in story.ids)
        return list(stories.values())

    def _beyond_the_bounds(self, stories: Iterable[_Story]) -> Iterator[_Story]:
        """Those that are over and of which newer ones take all the room."""
        over = sorted(
            (story for story in stories if story.is_over),
            key=lambda story: story.newest_ms,
            reverse=True,
        )
        taken = 0
        for number, story in enumerate(over):
            taken += story.bytes
            if number >= self._events or taken > self._max_bytes:
                yield story

    def _forget_claims(self, gone: set[str]) -> None:
        """Drop the claims of ids and idempotency keys that dropped events have."""
        claims = self._table("dedup")
        with _lock():
            for key, claim in list(claims.items.items()):
                if claim.attrs["internal_id"].value in gone:
                    del claims.items[key]

    def _delete_objects(self, gone: set[str]) -> None:
        """Delete the large payloads that belonged to what was dropped."""
        owners = ((name, _ULID.search(name)) for name in list(self._objects()))
        names = [name for name, owner in owners if owner and owner[1] in gone]
        for some in chunks(names, _S3_AT_ONCE):
            objects: Any = [{"Key": name} for name in some]
            client("s3").delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )

    def _sweep(self) -> None:
        """Let go of partitions with no items in them."""
        with _lock():
            for name in ("events", "runs", "steps", "waits"):
                partitions = self._table(name).items
                for key in [key for key, items in partitions.items() if not items]:
                    del partitions[key]

    def _table(self, name: str) -> Any:
        return dynamodb_backends[ACCOUNT_ID][REGION].tables[self._names[name]]

    def _objects(self) -> Any:
        return s3_backends[ACCOUNT_ID]["aws"].buckets[self._bucket].keys


def _lock() -> Any:
    """What every call of DynamoDB holds, see `moto_gaps`."""
    handler: Any = DynamoHandler
    return handler.tidegate_lock


def _copied(partition: Mapping[Any, Any]) -> list[Any]:
    """What is in a mapping that others change meanwhile."""
    return list(partition.values())


def _items(table: Any) -> Iterator[tuple[str, Any]]:
    """The items of a table that is listed by time, each with its environment as keys spell it."""
    for key, partition in list(table.items.items()):
        env = key.value.partition("#")[0]
        for item in _copied(partition):
            yield env, item


def _in_flight() -> set[str]:
    """The internal ids of the events that messages in queues and schedules may start a run of.

    A message that resumes a run does nothing when that has ended.
    """
    queues: list[Any] = list(sqs_backends[ACCOUNT_ID][REGION].queues.values())
    # A FIFO queue is one that a function has made for itself.
    ours = [queue for queue in queues if isinstance(queue, StandardQueue)]
    texts = [body for queue in ours for body in queue.bodies()]
    for group in list(scheduler_backends[ACCOUNT_ID][REGION].schedule_groups.values()):
        schedules = list(group.schedules.values())
        texts += [str(schedule.target.get("Input", "")) for schedule in schedules]
    found = (_MESSAGE.match(text) for text in texts)
    return {one[1] for one in found if one and one[2] == "false"}
