"""The door of a function: batches of its queue in, partial batch responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate import cold_start as cold_start
from tidegate import registry
from tidegate.admission import Admission
from tidegate.aws import make_clients
from tidegate.bus import Bus
from tidegate.clock import SystemClock
from tidegate.dedup import DedupTable
from tidegate.engine import Engine
from tidegate.event_store import EventStore
from tidegate.host import PythonHost
from tidegate.lambda_context import LambdaContext
from tidegate.look import LookQueue
from tidegate.manifest import Manifest
from tidegate.payload import PayloadStore
from tidegate.run_store import RunStore
from tidegate.schedule import Delivery
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.wait_store import WaitStore
from tidegate.waiting import Waiting
from tidegate.wake import Waker
from tidegate.watching import Watching
from tidegate.worker import Worker

settings = Settings.read(os.environ, "function", "manifest", "runs_table", "queue_url")
watching = Watching.of(settings, settings.function)
clock = SystemClock()
manifest = Manifest.read(settings.manifest)
function = registry.load_function(manifest, settings.function)
payloads = PayloadStore(settings.bucket)
store = EventStore(settings.events_table, payloads, settings.retention_s, clock)
bus = Bus(settings.topic_arns, clock, manifest)
waits = WaitStore(settings.waits_table)
admission = Admission(DedupTable(settings.dedup_table), store, bus, waits, clock, watching.observer)
delivery = Delivery.of(settings, clock)
runs = RunStore(settings.runs_table, payloads, clock, settings.retention_s)
steps = StepStore(settings.steps_table, payloads, settings.retention_s, clock)
waker = Waker(runs, steps, waits, bus, clock)
engine = Engine(
    function=function,
    host=PythonHost(function, admission.send),
    runs=runs,
    steps=steps,
    waiting=Waiting(waker, admission, manifest, LookQueue(settings.matcher_queue_url)),
    dedup=admission.dedup,
    delivery=delivery,
    store=store.put,
    announce=admission.deliver,
    manifest=manifest,
    clock=clock,
    observer=watching.observer,
)
worker = Worker(engine, settings.queue_url, settings.dead_letter_url, clock)
make_clients("dynamodb")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One batch of messages."""
    with watching.invocation():
        return worker.handle(event, context.get_remaining_time_in_millis())
