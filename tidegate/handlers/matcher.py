"""The door of the matcher: batches of awaited events in, partial batch responses out."""

from __future__ import annotations

import os
from typing import Any

from tidegate import cold_start as cold_start
from tidegate.aws import make_clients
from tidegate.bus import Bus
from tidegate.cancelling import Canceller
from tidegate.clock import SystemClock
from tidegate.event_store import EventStore
from tidegate.job_store import JobQueue, JobStore
from tidegate.job_work import JobWork
from tidegate.lambda_context import LambdaContext
from tidegate.look import StoredEvents
from tidegate.manifest import Manifest
from tidegate.matcher import Matcher
from tidegate.matcher_worker import MatcherWorker
from tidegate.payload import PayloadStore
from tidegate.probe import Probes
from tidegate.queue_directory import QueueDirectory
from tidegate.recovery import Recovery
from tidegate.redrive import Redriver
from tidegate.rerun_notes import RerunNotes
from tidegate.rerunning import Rerunner
from tidegate.run_store import RunStore
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.wait_store import WaitStore
from tidegate.wake import Waker
from tidegate.watching import Watching

settings = Settings.read(
    os.environ,
    "waits_table",
    "steps_table",
    "runs_table",
    "jobs_table",
    "matcher_queue_url",
    "queues_path",
    "schedule_group",
    "topic_arns",
    "manifest",
)
watching = Watching.of(settings, "matcher")
clock = SystemClock()
payloads = PayloadStore(settings.bucket)
manifest = Manifest.read(settings.manifest)
bus = Bus(settings.topic_arns, clock, manifest)
runs = RunStore(settings.runs_table, payloads, clock, settings.retention_s)
steps = StepStore(settings.steps_table, payloads, settings.retention_s, clock)
events = EventStore(settings.events_table, payloads, settings.retention_s, clock)
waker = Waker(runs, steps, WaitStore(settings.waits_table), bus, clock)
jobs = JobWork(
    JobStore(settings.jobs_table, settings.retention_s),
    JobQueue(settings.matcher_queue_url),
    runs,
    Rerunner(RerunNotes(settings.runs_table), steps, events, bus, manifest, clock),
    Canceller(runs, events, bus),
    Redriver(
        QueueDirectory(settings.queues_path, settings.matcher_queue_url, clock),
        clock,
        settings.default_env,
    ),
    Recovery(runs, events, bus, manifest, settings.schedule_group, clock),
    clock,
)
matcher = Matcher(waker, StoredEvents(events), Probes(settings.jobs_table, clock).answer)
worker = MatcherWorker(matcher, jobs, clock)
make_clients("dynamodb", "sns")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One batch of messages."""
    with watching.invocation():
        return worker.handle(event, context.get_remaining_time_in_millis())
