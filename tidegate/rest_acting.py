"""All of the REST API that starts, repeats or stops something, put together."""

from __future__ import annotations

from tidegate.admission import Admission
from tidegate.bus import Bus
from tidegate.clock import Clock
from tidegate.dedup import DedupTable
from tidegate.environments import Environments
from tidegate.event_store import EventStore
from tidegate.invoking import Invoker
from tidegate.job_store import JobQueue, JobStore
from tidegate.key import StoredKeys, keys_of
from tidegate.key_records import KeyRecords
from tidegate.manifest import Manifest
from tidegate.observer import Observer
from tidegate.probe import Probes
from tidegate.queue_directory import QueueDirectory
from tidegate.rerun_notes import RerunNotes
from tidegate.rerunning import Rerunner
from tidegate.rest_call import Routes
from tidegate.rest_cancellations import CancellationEndpoints
from tidegate.rest_dead_letters import DeadLetterEndpoints
from tidegate.rest_environments import EnvironmentEndpoints
from tidegate.rest_event_replays import EventReplayEndpoints
from tidegate.rest_events import EventEndpoints
from tidegate.rest_invoke import InvokeEndpoints
from tidegate.rest_jobs import Jobs
from tidegate.rest_keys import KeyEndpoints
from tidegate.rest_operation import routes_of
from tidegate.rest_probes import ProbeEndpoints
from tidegate.rest_recoveries import RecoveryEndpoints
from tidegate.rest_redrives import RedriveEndpoints
from tidegate.rest_replays import ReplayEndpoints
from tidegate.rest_rerun import RerunEndpoints
from tidegate.rest_send import SendingEndpoints
from tidegate.run_store import RunStore
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.wait_store import WaitStore


def acting_routes(
    settings: Settings,
    runs: RunStore,
    events: EventStore,
    bus: Bus,
    manifest: Manifest,
    clock: Clock,
    observer: Observer,
) -> list[Routes]:
    """The paths of the resources that act.

    Args:
        settings: where the stage's resources are.
        runs: the runs.
        events: the events.
        bus: where messages go.
        manifest: the functions.
        clock: the time.
        observer: is told how many events came.
    """
    steps = StepStore(settings.steps_table, runs.payloads, settings.retention_s, clock)
    rerunner = Rerunner(RerunNotes(settings.runs_table), steps, events, bus, manifest, clock)
    store = JobStore(settings.jobs_table, settings.retention_s)
    jobs = Jobs(store, JobQueue(settings.matcher_queue_url))
    directory = QueueDirectory(settings.queues_path, settings.matcher_queue_url, clock)
    waits = WaitStore(settings.waits_table)
    admission = Admission(DedupTable(settings.dedup_table), events, bus, waits, clock, observer)
    keys = keys_of(settings, clock)
    return routes_of(
        SendingEndpoints(admission, keys),
        ProbeEndpoints(EventEndpoints(events), Probes(settings.jobs_table, clock)),
        KeyEndpoints(KeyRecords(StoredKeys(settings.keys_table, clock))),
        EnvironmentEndpoints(Environments(settings.keys_table, clock)),
        InvokeEndpoints(Invoker(events, bus, manifest, clock), manifest, keys),
        RerunEndpoints(runs, rerunner),
        ReplayEndpoints(jobs, manifest),
        EventReplayEndpoints(jobs, manifest),
        CancellationEndpoints(jobs, manifest),
        DeadLetterEndpoints(directory, runs, manifest, settings.default_env),
        RedriveEndpoints(jobs, directory),
        RecoveryEndpoints(jobs, manifest),
    )
