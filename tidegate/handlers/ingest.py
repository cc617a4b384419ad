"""The door of the Event API: API Gateway's events in, its responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate import cold_start as cold_start
from tidegate.admission import Admission
from tidegate.aws import make_clients
from tidegate.bus import Bus
from tidegate.clock import SystemClock
from tidegate.dedup import DedupTable
from tidegate.event_store import EventStore
from tidegate.ingest import Ingest
from tidegate.key import keys_of
from tidegate.lambda_context import LambdaContext
from tidegate.manifest import Manifest
from tidegate.payload import PayloadStore
from tidegate.settings import Settings
from tidegate.wait_store import WaitStore
from tidegate.watching import Watching

settings = Settings.read(
    os.environ, "dedup_table", "events_table", "waits_table", "topic_arns", "bucket", "manifest"
)
watching = Watching.of(settings, "ingest")
clock = SystemClock()
store = EventStore(
    settings.events_table, PayloadStore(settings.bucket), settings.retention_s, clock
)
admission = Admission(
    DedupTable(settings.dedup_table),
    store,
    Bus(settings.topic_arns, clock, Manifest.read(settings.manifest)),
    WaitStore(settings.waits_table),
    clock,
    watching.observer,
)
ingest = Ingest(keys_of(settings, clock), admission, settings.max_request_bytes)
make_clients("dynamodb", "sns")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One HTTP request."""
    with watching.invocation():
        return ingest.handle(event, context.get_remaining_time_in_millis())
