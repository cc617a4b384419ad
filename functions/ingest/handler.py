"""The door of the Event API: API Gateway's events in, its responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate.admission import Admission
from tidegate.aws import client
from tidegate.bus import Bus
from tidegate.clock import SystemClock
from tidegate.dedup import DedupTable
from tidegate.event_store import EventStore
from tidegate.ingest import Ingest
from tidegate.key import Keys, OpenKeys, StoredKeys
from tidegate.logs import log_to_cloudwatch
from tidegate.manifest import Manifest
from tidegate.payload import PayloadStore
from tidegate.settings import Settings

log_to_cloudwatch()
settings = Settings.read(
    os.environ, "dedup_table", "events_table", "topic_arn", "bucket", "manifest"
)
clock = SystemClock()
keys: Keys = (
    OpenKeys(settings.default_env)
    if settings.auth == "open"
    else StoredKeys(settings.keys_table, clock)
)
store = EventStore(
    settings.events_table, PayloadStore(settings.bucket), settings.retention_s, clock
)
bus = Bus(settings.topic_arn, clock, Manifest.read(settings.manifest))
ingest = Ingest(
    keys,
    Admission(DedupTable(settings.dedup_table), store, bus, clock),
    settings.max_request_bytes,
)
# Made while the Lambda starts, when it has a full processor, not during the first request.
client("dynamodb")
client("sns")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """One HTTP request."""
    return ingest.handle(event)
