"""The topics: publishes events, from which SNS fans out to the functions that want them.

A topic has only so many subscriptions with a filter. A stage with more functions has several, and
each function's queue is subscribed to the one of its shard. Where there is one, every event goes
there.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.aws import AWS_ERRORS, client, concurrently, is_throttled, unavailable
from tidegate.batch import until_empty
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.errors import PlatformError
from tidegate.event import AcceptedEvent
from tidegate.event_pattern import alone_name
from tidegate.manifest import Manifest
from tidegate.message import EventMessage, Message
from tidegate.pushdown import attributes

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef as Entry

logger = logging.getLogger("tidegate.bus")

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html: ten messages, and 256 KiB for
# all of them together, attributes included.
_MAX_BATCH = 10
_MAX_BATCH_BYTES = 256 * 1024 - 4 * 1024


# Where the matcher is subscribed, and where events go that no function is triggered by.
FIRST_SHARD = 0

# By name: data type and value.
Attributes = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Bus:
    """The topics that events are published to.

    Attributes:
        topic_arns: the topic of each shard.
        clock: for pauses between tries.
        manifest: knows which shards want an event, and by which of its fields they filter it.
    """

    topic_arns: Sequence[str]
    clock: Clock
    manifest: Manifest

    def publish(self, events: Sequence[AcceptedEvent], awaited: Container[str] = ()) -> None:
        """Publish events, at least once. Large bodies are in the bucket already.

        Args:
            events: the events.
            awaited: the internal ids of those that a run may wait for; they go to the matcher, too.

        Raises:
            PlatformError: not all of them could be published.
        """
        batches = [
            (topic_arn, batch)
            for topic_arn, wanted in self._by_topic(events, awaited)
            for batch in self._batches(wanted, awaited)
        ]
        concurrently(self._publish_batch, batches)

    def send_to(self, function_id: str, message: Message) -> None:
        """Publish a message that reaches one function alone, at least once.

        Raises:
            PlatformError: it could not be published.
        """
        alone = {"name": ("String", alone_name(function_id)), "env": ("String", message.env)}
        function = self.manifest.deployed_function(function_id)
        topic_arn = self._topic(function.shard if function else FIRST_SHARD)
        self._publish_batch((topic_arn, [_entry("0", message, alone)[0]]))

    def _by_topic(
        self, events: Sequence[AcceptedEvent], awaited: Container[str]
    ) -> Iterator[tuple[str, Sequence[AcceptedEvent]]]:
        """The topics, and the events that somebody there wants."""
        if self.manifest.shards == 1:
            yield self.topic_arns[FIRST_SHARD], events
            return
        shards = {name: self.manifest.shards_of(name) for name in {e.name for e in events}}
        wanted: dict[int, list[AcceptedEvent]] = {}
        for event in events:
            of_event = shards[event.name] or {FIRST_SHARD}
            if event.internal_id in awaited:
                of_event = of_event | {FIRST_SHARD}
            for shard in of_event:
                wanted.setdefault(shard, []).append(event)
        for shard in sorted(wanted):
            yield self._topic(shard), wanted[shard]

    def _topic(self, shard: int) -> str:
        # A Lambda that is being updated has its new manifest before it is told of a new topic.
        if shard >= len(self.topic_arns):
            raise PlatformError(f"the topic of shard {shard} is not known yet")
        return self.topic_arns[shard]

    def _publish_batch(self, batch: tuple[str, list[Entry]]) -> None:
        topic_arn, entries = batch

        def send(entries: list[Entry]) -> list[Entry]:
            return self._send(topic_arn, entries)

        until_empty(send, entries, self.clock, "events could not be published")
        logger.debug("published", extra={"topic": topic_arn, "messages": len(entries)})

    def _send(self, topic_arn: str, entries: list[Entry]) -> list[Entry]:
        try:
            answer = client("sns").publish_batch(
                TopicArn=topic_arn, PublishBatchRequestEntries=entries
            )
        except AWS_ERRORS as error:
            if is_throttled(error):
                return entries
            raise unavailable("events could not be published", error) from error
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        return [entry for entry in entries if entry["Id"] in failed]

    def _batches(
        self, events: Sequence[AcceptedEvent], awaited: Container[str]
    ) -> Iterator[list[Entry]]:
        batch: list[Entry] = []
        size = 0
        for number, event in enumerate(events):
            found: dict[str, tuple[str, str]] = {
                "name": ("String", event.name),
                "env": ("String", event.env),
                **self._fields(event),
            }
            if event.internal_id in awaited:
                found["waited"] = ("String", "true")
            entry, entry_bytes = _entry(str(number), EventMessage.of(event), found)
            if batch and (len(batch) == _MAX_BATCH or size + entry_bytes > _MAX_BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(entry)
            size += entry_bytes
        if batch:
            yield batch

    def _fields(self, event: AcceptedEvent) -> Attributes:
        """The attributes for the fields of an event that subscriptions filter by."""
        names = self.manifest.filter_attributes(event.name)
        return attributes(decode(event.body), names) if names else {}


def _entry(entry_id: str, message: Message, all_attributes: Attributes) -> tuple[Entry, int]:
    text = message.encode()
    entry: Entry = {
        "Id": entry_id,
        "Message": text,
        "MessageAttributes": {
            name: {"DataType": kind, "StringValue": value}
            for name, (kind, value) in all_attributes.items()
        },
    }
    written = [text, *(f"{name}{kind}{value}" for name, (kind, value) in all_attributes.items())]
    return entry, sum(len(part.encode()) for part in written)
