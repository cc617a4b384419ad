"""The door of the matcher: batches of awaited events in, partial batch responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate.aws import make_clients
from tidegate.bus import Bus
from tidegate.clock import SystemClock
from tidegate.event_store import EventStore
from tidegate.logs import log_to_cloudwatch
from tidegate.look import StoredEvents
from tidegate.manifest import Manifest
from tidegate.matcher import Matcher
from tidegate.payload import PayloadStore
from tidegate.run_store import RunStore
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.wait_store import WaitStore
from tidegate.wake import Waker

log_to_cloudwatch()
settings = Settings.read(
    os.environ, "waits_table", "steps_table", "runs_table", "topic_arn", "manifest"
)
clock = SystemClock()
payloads = PayloadStore(settings.bucket)
waker = Waker(
    RunStore(settings.runs_table, payloads, clock, settings.retention_s),
    StepStore(settings.steps_table, payloads, settings.retention_s, clock),
    WaitStore(settings.waits_table),
    Bus(settings.topic_arn, clock, Manifest.read(settings.manifest)),
    clock,
)
events = EventStore(settings.events_table, payloads, settings.retention_s, clock)
matcher = Matcher(waker, StoredEvents(events))
make_clients("dynamodb", "sns")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001
    """One batch of messages."""
    return matcher.handle(event)
