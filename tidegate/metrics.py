"""Metrics: what happened in an invocation, as a line of CloudWatch's embedded metric format.

The line goes to standard output, so it costs no call. CloudWatch Logs makes metrics of it, see
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

# It is here already: the log formatter's package loads it.
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from tidegate.observer import Observer

if TYPE_CHECKING:
    from tidegate.event import AcceptedEvent
    from tidegate.run import Failure, Run

NAMESPACE = "Tidegate"
# By these a metric is found; each combination of their values that occurs is paid for.
DIMENSIONS = ("stage", "function")

COUNTS = (
    "EventsReceived",
    "EventsDuplicate",
    "EventsSent",
    "RunsStarted",
    "RunsCompleted",
    "RunsFailed",
    "RunsCancelled",
    "Retries",
)
TIMES = ("QueueAge", "StepDuration")


class Metrics(Observer):
    """Collects the numbers of an invocation, and prints them when it ends.

    Args:
        stage: the stage's name.
        function: the function whose runs it counts, or the Lambda that takes events in.
    """

    def __init__(self, stage: str, function: str) -> None:
        self._dimensions = dict(zip(DIMENSIONS, (stage, function), strict=True))
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._times: dict[str, list[int]] = {}

    def events_received(self, number: int) -> None:
        self._count("EventsReceived", number)

    def events_sent(self, number: int) -> None:
        self._count("EventsSent", number)

    def events_duplicate(self, number: int) -> None:
        self._count("EventsDuplicate", number)

    def run_started(self, run: Run, event: AcceptedEvent) -> None:
        self._count("RunsStarted")
        # An event with a time in the future is not late before that.
        due_ms = max(event.received_ms, event.ts) if run.rerun is None else run.rerun.asked_ms
        self._time("QueueAge", (run.started_ms or run.queued_ms) - due_ms)

    def step_tried(
        self,
        run: Run,  # noqa: ARG002
        step: str,  # noqa: ARG002
        started_ms: int,
        ended_ms: int,
        failure: Failure | None,  # noqa: ARG002
    ) -> None:
        self._time("StepDuration", ended_ms - started_ms)

    def retried(self) -> None:
        self._count("Retries")

    def run_ended(self, run: Run) -> None:
        self._count(f"Runs{run.status}")

    def invocation_ended(self) -> None:
        """Print the line, unless nothing has happened; powertools prints one more for each
        hundred times of a kind, which is as many as a line may have."""
        with self._lock:
            counts, self._counts = self._counts, {}
            times, self._times = self._times, {}
        if not counts and not times:
            return
        line = AmazonCloudWatchEMFProvider(
            namespace=NAMESPACE,
            # A dimension of its own, were POWERTOOLS_SERVICE_NAME to set it.
            service="",
            default_dimensions=dict(self._dimensions),
        )
        for name, count in counts.items():
            line.add_metric(name, MetricUnit.Count, count)
        for name, all_ms in times.items():
            for ms in all_ms:
                line.add_metric(name, MetricUnit.Milliseconds, ms)
        if line.metric_set:
            line.flush_metrics()

    def _count(self, name: str, number: int = 1) -> None:
        if number:
            with self._lock:
                self._counts[name] = self._counts.get(name, 0) + number

    def _time(self, name: str, ms: int) -> None:
        with self._lock:
            # Clocks of different machines differ by a few milliseconds.
            self._times.setdefault(name, []).append(max(ms, 0))
