"""A stage in memory, and the core's parts on it with a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clock import FakeClock
from tidegate import registry
from tidegate.admission import Admission
from tidegate.aws import client
from tidegate.bus import Bus
from tidegate.cancelling import Canceller
from tidegate.dedup import DedupTable
from tidegate.engine import Engine
from tidegate.event import check_events
from tidegate.event_store import EventStore
from tidegate.function import Function
from tidegate.host import PythonHost
from tidegate.ids import Seed
from tidegate.job_store import JobQueue, JobStore
from tidegate.job_work import JobWork
from tidegate.local.cloud import Cloud
from tidegate.local.wiring import PREFIX
from tidegate.look import LookQueue, StoredEvents
from tidegate.manifest import Manifest
from tidegate.matcher import Matcher
from tidegate.matcher_worker import MatcherWorker
from tidegate.message import EventMessage, decode_message
from tidegate.observer import NOBODY, Observer
from tidegate.payload import PayloadStore
from tidegate.probe import Probes
from tidegate.queue_directory import QueueDirectory
from tidegate.recovery import Recovery
from tidegate.redrive import Redriver
from tidegate.rerun_notes import RerunNotes
from tidegate.rerunning import Rerunner
from tidegate.run_store import RunStore
from tidegate.schedule import Delivery
from tidegate.settings import Settings
from tidegate.step_store import StepStore
from tidegate.wait_store import WaitStore
from tidegate.waiting import Waiting
from tidegate.wake import Waker
from tidegate.worker import Worker

ENV = "dev"


@dataclass
class Stage:
    """A stage's resources and the parts of the core that work on them."""

    cloud: Cloud
    clock: FakeClock
    settings: Settings
    manifest: Manifest = Manifest(functions=())  # noqa: RUF009
    observer: Observer = NOBODY

    @property
    def store(self) -> EventStore:
        return EventStore(
            self.settings.events_table,
            PayloadStore(self.settings.bucket),
            self.settings.retention_s,
            self.clock,
        )

    @property
    def admission(self) -> Admission:
        return Admission(
            DedupTable(self.settings.dedup_table),
            self.store,
            self.bus,
            self.waits,
            self.clock,
            self.observer,
        )

    @property
    def bus(self) -> Bus:
        return Bus(self.settings.topic_arns, self.clock, self.manifest)

    @property
    def waits(self) -> WaitStore:
        return WaitStore(self.settings.waits_table)

    @property
    def waker(self) -> Waker:
        return Waker(self.runs, self.steps, self.waits, self.bus, self.clock)

    @property
    def canceller(self) -> Canceller:
        return Canceller(self.runs, self.store, self.bus)

    @property
    def rerunner(self) -> Rerunner:
        notes = RerunNotes(self.settings.runs_table)
        return Rerunner(notes, self.steps, self.store, self.bus, self.manifest, self.clock)

    @property
    def jobs(self) -> JobWork:
        return JobWork(
            JobStore(self.settings.jobs_table, self.settings.retention_s),
            JobQueue(self.settings.matcher_queue_url),
            self.runs,
            self.rerunner,
            self.canceller,
            Redriver(self.directory, self.clock, self.settings.default_env, wait_s=0),
            Recovery(self.runs, self.store, self.bus, self.manifest, PREFIX, self.clock),
            self.clock,
        )

    @property
    def directory(self) -> QueueDirectory:
        return QueueDirectory(
            self.settings.queues_path, self.settings.matcher_queue_url, self.clock
        )

    @property
    def matcher(self) -> MatcherWorker:
        answer = Probes(self.settings.jobs_table, self.clock).answer
        matcher = Matcher(self.waker, StoredEvents(self.store), answer)
        return MatcherWorker(matcher, self.jobs, self.clock)

    @property
    def runs(self) -> RunStore:
        return RunStore(
            self.settings.runs_table,
            PayloadStore(self.settings.bucket),
            self.clock,
            self.settings.retention_s,
        )

    @property
    def steps(self) -> StepStore:
        return StepStore(
            f"{PREFIX}-steps",
            PayloadStore(self.settings.bucket),
            self.settings.retention_s,
            self.clock,
        )

    def send(self, *events: dict[str, Any], seed: Seed | None = None, env: str = ENV) -> list[str]:
        """Admit events, and give their internal ids."""
        return self.admission.admit(env, check_events(events), seed)

    def deploy(self, *functions: Function) -> None:
        """Provision queues and subscriptions of functions; what was there before is removed."""
        self.manifest = Manifest.of(functions).keeping(self.cloud.wiring)
        self.cloud.provision(self.manifest)

    def worker(self, function: Function) -> Worker:
        """A new execution environment of a function's Lambda."""
        settings = Settings.read(self.cloud.worker_environment(function.id))
        engine = Engine(
            function=function,
            host=PythonHost(function, self.admission.send),
            runs=self.runs,
            steps=self.steps,
            waiting=Waiting(
                self.waker, self.admission, self.manifest, LookQueue(settings.matcher_queue_url)
            ),
            dedup=DedupTable(settings.dedup_table),
            delivery=Delivery.of(settings, self.clock),
            store=self.store.put,
            announce=self.admission.deliver,
            manifest=self.manifest,
            clock=self.clock,
            jitter=lambda: 0.0,
            observer=self.observer,
        )
        return Worker(engine, settings.queue_url, settings.dead_letter_url, self.clock)

    def receive(self, queue_url: str) -> list[dict[str, Any]]:
        """Take every visible message out of a queue, as records of a Lambda's batch."""
        records: list[dict[str, Any]] = []
        while True:
            found = client("sqs").receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
            messages = found.get("Messages", [])
            if not messages:
                return records
            for message in messages:
                client("sqs").delete_message(
                    QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
                records.append(
                    {
                        "messageId": message["MessageId"],
                        "receiptHandle": message["ReceiptHandle"],
                        "body": message["Body"],
                        "attributes": dict(message["Attributes"]),
                        "messageAttributes": message.get("MessageAttributes", {}),
                    }
                )

    def queued(self, function: Function) -> list[dict[str, Any]]:
        """Take a function's messages out of its queue."""
        return self.receive(self.cloud.wiring[function.id].queue_url)

    def dead(self, function: Function) -> list[dict[str, Any]]:
        """Take a function's messages out of its dead-letter queue."""
        return self.receive(self.cloud.wiring[function.id].dead_letter_url)

    def messages(self, function: Function) -> list[EventMessage]:
        """Take a function's messages out of its queue, decoded."""
        return [decode_message(record["body"]) for record in self.queued(function)]


@contextmanager
def staged(dynamodb_url: str | None = None) -> Iterator[Stage]:
    """An empty stage, whose tables are in moto or on a server."""
    registry.clear()
    cloud = Cloud(dynamodb_url)
    cloud.start()
    cloud.provision(Manifest(functions=()))
    settings = Settings.read(cloud.ingest_environment() | cloud.api_environment())
    logger = logging.getLogger("tidegate")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield Stage(cloud, FakeClock(), settings)
    # A handler module that a test loads sets up the logging of a Lambda.
    logger.handlers[:], logger.level, logger.propagate = before
    cloud.stop()
    registry.clear()


@pytest.fixture
def stage(dynamodb_url: str | None) -> Iterator[Stage]:
    """An empty stage."""
    with staged(dynamodb_url) as stage:
        yield stage


def record_of(message: EventMessage, receives: int = 1) -> dict[str, Any]:
    """The record of a Lambda's batch that carries a message."""
    return {
        "messageId": f"message-{message.event.internal_id}",
        "receiptHandle": "none",
        "body": message.encode(),
        "attributes": {"ApproximateReceiveCount": str(receives)},
    }


def batch(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An SQS event of Lambda."""
    return {"Records": list(records)}
