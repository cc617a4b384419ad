"""The topic: publishes events, from which SNS fans out to the functions that want them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.aws import AWS_ERRORS, client, concurrently, is_throttled, unavailable
from tidegate.batch import until_empty
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.event_pattern import alone_name
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

    def publish(self, events: Sequence[AcceptedEvent], awaited: Container[str] = ()) -> None:
        """Publish events, at least once. Large bodies are in the bucket already.

        Args:
            events: the events.
            awaited: the internal ids of those that a run may wait for; they go to the matcher, too.

        Raises:
            PlatformError: not all of them could be published.
        """
        concurrently(self._publish_batch, self._batches(events, awaited))

    def send_to(self, function_id: str, message: EventMessage) -> None:
        """Publish a message that reaches one function alone, at least once.

        Raises:
            PlatformError: it could not be published.
        """
        alone = {"name": ("String", alone_name(function_id)), "env": ("String", message.event.env)}
        self._publish_batch([_entry("0", message, alone)[0]])

    def _publish_batch(self, entries: list[Entry]) -> None:
        until_empty(self._send, entries, self.clock, "events could not be published")

    def _send(self, entries: list[Entry]) -> list[Entry]:
        try:
            answer = client("sns").publish_batch(
                TopicArn=self.topic_arn, PublishBatchRequestEntries=entries
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


def _entry(entry_id: str, message: EventMessage, all_attributes: Attributes) -> tuple[Entry, int]:
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
