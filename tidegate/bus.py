"""The topic: publishes events, from which SNS fans out to the functions that want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.aws import AWS_ERRORS, client, concurrently, unavailable
from tidegate.batch import until_empty
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.pushdown import attributes

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef as Entry

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html: ten messages, and 256 KiB for
# all of them together, attributes included.
_MAX_BATCH = 10
_MAX_BATCH_BYTES = 256 * 1024 - 4 * 1024


# By name: data type and value.
Attributes = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Bus:
    """The topic that events are published to.

    Attributes:
        topic_arn: the topic.
        clock: for pauses between tries.
        manifest: knows by which fields of an event subscriptions filter it.
    """

    topic_arn: str
    clock: Clock
    manifest: Manifest

    def publish(self, events: Sequence[AcceptedEvent]) -> None:
        """Publish events, at least once. Large bodies are in the bucket already.

        Raises:
            PlatformError: not all of them could be published.
        """
        concurrently(self._publish_batch, self._batches(events))

    def _publish_batch(self, entries: list[Entry]) -> None:
        until_empty(self._send, entries, self.clock, "events could not be published")

    def _send(self, entries: list[Entry]) -> list[Entry]:
        try:
            answer = client("sns").publish_batch(
                TopicArn=self.topic_arn, PublishBatchRequestEntries=entries
            )
        except AWS_ERRORS as error:
            raise unavailable("events could not be published", error) from error
        failed = {failure["Id"] for failure in answer.get("Failed", [])}
        return [entry for entry in entries if entry["Id"] in failed]

    def _batches(self, events: Sequence[AcceptedEvent]) -> Iterator[list[Entry]]:
        batch: list[Entry] = []
        size = 0
        for number, event in enumerate(events):
            entry, entry_bytes = _entry(str(number), event, self._fields(event))
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


def _entry(entry_id: str, event: AcceptedEvent, fields: Attributes) -> tuple[Entry, int]:
    text = EventMessage.of(event).encode()
    all_attributes = {"name": ("String", event.name), "env": ("String", event.env), **fields}
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
