"""The door of the REST API and of the dashboard: API Gateway's events in, its responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate import cold_start as cold_start
from tidegate.api import Api
from tidegate.aws import make_clients
from tidegate.bus import Bus
from tidegate.caller import callers_of
from tidegate.cancelling import Canceller
from tidegate.clock import SystemClock
from tidegate.dashboard.door import Dashboard
from tidegate.event_store import EventStore
from tidegate.key import keys_of
from tidegate.manifest import Manifest
from tidegate.payload import PayloadStore
from tidegate.rest_acting import acting_routes
from tidegate.run_store import RunStore
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.watching import Watching

settings = Settings.read(
    os.environ,
    "dedup_table",
    "events_table",
    "runs_table",
    "steps_table",
    "waits_table",
    "jobs_table",
    "keys_table",
    "matcher_queue_url",
    "queues_path",
    "topic_arns",
    "bucket",
    "manifest",
)
watching = Watching.of(settings, "api")
clock = SystemClock()
payloads = PayloadStore(settings.bucket)
manifest = Manifest.read(settings.manifest)
events = EventStore(settings.events_table, payloads, settings.retention_s, clock)
runs = RunStore(settings.runs_table, payloads, clock, settings.retention_s)
steps = StepStore(settings.steps_table, payloads, settings.retention_s, clock)
bus = Bus(settings.topic_arns, clock, manifest)
canceller = Canceller(runs, events, bus)
acting = acting_routes(settings, runs, events, bus, manifest, clock, watching.observer)
callers = callers_of(keys_of(settings, clock))
api = Api(
    callers, events, runs, steps, canceller, manifest, clock, acting, settings.max_request_bytes
)
dashboard = Dashboard(callers)
make_clients("dynamodb")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One HTTP request."""
    with watching.invocation():
        if str(event.get("rawPath")).startswith("/v1/"):
            return api.handle(event, context)
        return dashboard.handle(event)
