"""A stage in memory whose handlers are driven one after the other, so that all they do is counted.

The handlers are production's, each loaded as its Lambda loads it; what is left out is the waiting:
a clock goes at once to whatever is due next. Queues are read in full batches, as they are when
there is traffic.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

from moto.backends import get_backend

from bench.prices import http_chunks
from bench.recorded_calls import Recorder
from tidegate import registry
from tidegate.aws import client
from tidegate.function import Function
from tidegate.ids import Seed
from tidegate.key import StoredKeys
from tidegate.local.cloud import Cloud
from tidegate.local.event_source import sqs_event
from tidegate.local.http_front import gateway_event
from tidegate.local.lambda_function import ACCOUNT_ID, REGION, LambdaFunction
from tidegate.local.schedules import ScheduleClock, at_ms
from tidegate.local.wiring import PREFIX, FunctionWiring, MatcherWiring
from tidegate.manifest import HANDLERS, Manifest
from tidegate.testing.timeline import VirtualClock

ENV = "production"
# What an invocation takes, with 512 MB: a request, and each message of a batch. A worker handles
# the messages of a batch beside each other, so this is more than it takes.
MEMORY_GB = 0.5
REQUEST_MS = 25
MESSAGE_MS = 50
# Of a worker and of the matcher; it is far below the time that any batch here takes.
_TIMEOUT_S = 120
_NOW_MS = 1_760_000_000_000
_MATCHER = "matcher"


class BilledStage:
    """A stage with some functions; made for one scenario.

    Args:
        functions: what is deployed.

    Attributes:
        recorder: has the calls so far.
        first_calls: the calls of the first request, which is not an event's and comes before.
        usage: by stage of an event's way, how much was used of what AWS charges for besides calls.
    """

    def __init__(self, functions: Sequence[Function]) -> None:
        self.usage: dict[str, dict[str, float]] = {}
        self._functions = functions
        self._cloud = Cloud()
        self._clock = VirtualClock(_NOW_MS)
        self._requests = 0
        self._schedules = ScheduleClock(PREFIX, self._clock)
        self._undo = ExitStack()

    def __enter__(self) -> BilledStage:
        try:
            self._start()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def send(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Send events in one request to the Event API.

        Raises:
            RuntimeError: it was refused.
        """
        body = json.dumps(events).encode()
        self._use("ingest", "HTTP API request", http_chunks(len(body)))
        self._invoked("ingest", REQUEST_MS)
        with self.recorder.during("ingest"):
            answer = self._ingest.invoke(self._request(body))
        if answer["statusCode"] != 200:
            raise RuntimeError(f"the events were refused: {answer['body']}")

    def settle(self, within_s: float = math.inf) -> None:
        """Let everything happen that comes of it and is due within a time, by default ever."""
        until_ms = self._clock.now_ms() + within_s * 1000
        while self._handle_messages() or self._schedules_fire() or self._pass_time(until_ms):
            pass

    def _start(self) -> None:
        self._be_quiet()
        before = registry.registered()
        self._undo.callback(_register_only, before)
        _register_only(self._functions)
        self._undo.enter_context(patch("tidegate.clock.SystemClock", lambda: self._clock))
        for module in ("moto.sqs.models", "tidegate.local.sqs_speed"):
            for name, divisor in (("unix_time_millis", 1), ("unix_time", 1_000)):
                now = partial(lambda divisor: self._clock.now_ms() / divisor, divisor)
                self._undo.enter_context(patch(f"{module}.{name}", now))
        self._undo.callback(self._cloud.stop)
        self._cloud.start()
        self._cloud.provision(Manifest.of(self._functions))
        variables = self._cloud.ingest_environment() | {"TIDEGATE_AUTH": "keys"}
        self._key = StoredKeys(f"{PREFIX}-keys", self._clock).create("event", ENV)
        self._ingest = LambdaFunction("ingest", HANDLERS["ingest"], variables)
        self._consumers: dict[str, tuple[LambdaFunction, FunctionWiring | MatcherWiring]] = {
            _MATCHER: (
                LambdaFunction(_MATCHER, HANDLERS["matcher"], self._cloud.matcher_environment()),
                self._cloud.matcher,
            )
        }
        for function in self._functions:
            name, wiring = function.id, self._cloud.wiring[function.id]
            variables = self._cloud.worker_environment(name)
            worker = LambdaFunction(name, HANDLERS["worker"], variables, _TIMEOUT_S)
            self._consumers[name] = (worker, wiring)
        self.recorder = self._undo.enter_context(Recorder())
        # Ingest remembers a key for a minute; what a first request costs more is not an event's.
        self.send([{"name": "bench/warm"}])
        self.first_calls = list(self.recorder.calls)
        self.recorder.calls.clear()
        self.usage.clear()

    def _be_quiet(self) -> None:
        """Leave out the handlers' log lines, which they print when nobody else takes them."""
        logger = logging.getLogger("tidegate")
        silent, propagate = logging.NullHandler(), logger.propagate
        self._undo.callback(logger.removeHandler, silent)
        self._undo.callback(setattr, logger, "propagate", propagate)
        logger.addHandler(silent)
        logger.propagate = False

    def _request(self, body: bytes) -> dict[str, Any]:
        # The same ids each time: they decide in which partitions the events lie.
        self._requests += 1
        seed = Seed.derived(self._clock.now_ms(), "bench", str(self._requests))
        scope = {
            "method": "POST",
            "path": f"/e/{self._key}",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [
                (b"content-type", b"application/json"),
                (b"x-inngest-event-id-seed", seed.header.encode()),
            ],
        }
        return gateway_event(scope, body, "$default", self._clock.now_ms())

    def _handle_messages(self) -> bool:
        """Handle what is in the queues now; whether there was anything."""
        handled = False
        for name, (consumer, wiring) in self._consumers.items():
            while _queue(wiring).approximate_number_of_messages:
                self._handle_batch("matcher" if name == _MATCHER else "worker", consumer, wiring)
                handled = True
        return handled

    def _handle_batch(
        self, stage: str, consumer: LambdaFunction, wiring: FunctionWiring | MatcherWiring
    ) -> None:
        queue = f"{stage}'s queue"
        with self.recorder.during(queue):
            messages = client("sqs").receive_message(
                QueueUrl=wiring.queue_url,
                MaxNumberOfMessages=wiring.batch_size,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )["Messages"]
        self._invoked(stage, MESSAGE_MS * len(messages))
        with self.recorder.during(stage):
            answer = consumer.invoke(sqs_event(messages, wiring.queue_arn))
        if answer["batchItemFailures"]:
            raise RuntimeError(f"the {stage} failed on {len(answer['batchItemFailures'])} messages")
        with self.recorder.during(queue):
            client("sqs").delete_message_batch(
                QueueUrl=wiring.queue_url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(messages)
                ],
            )

    def _schedules_fire(self) -> bool:
        """Fire what is due; of the calls made here only the sending is Scheduler's on AWS."""
        calls = self.recorder.calls
        first = len(calls)
        with self.recorder.during("scheduler"):
            fired = self._schedules.fire_due()
        sent = [call for call in calls[first:] if call.operation == "SendMessage"]
        # Each schedule fires by itself.
        calls[first:] = [replace(call, round_trips=1) for call in sent]
        if fired:
            self._use("scheduler", "Scheduler invocation", fired)
        return bool(fired)

    def _pass_time(self, until_ms: float) -> bool:
        """Go to the time when something is due next; whether there is such a time."""
        dues = [
            float(at_ms(schedule.schedule_expression, schedule.schedule_expression_timezone) or 0)
            for schedule in _schedules_waiting()
        ]
        for _, wiring in self._consumers.values():
            dues += _queue(wiring)._hidden.values()
        if not dues or min(dues) > until_ms:
            return False
        self._clock.go_to(int(min(dues)) + 1)
        return True

    def _invoked(self, stage: str, ms: float) -> None:
        self._use(stage, "Lambda request", 1)
        self._use(stage, "Lambda GB-second", MEMORY_GB * ms / 1000)

    def _use(self, stage: str, what: str, count: float) -> None:
        used = self.usage.setdefault(stage, {})
        used[what] = used.get(what, 0) + count


def _register_only(functions: Iterable[Function]) -> None:
    registry.clear()
    for function in functions:
        registry.register(function)


def _queue(wiring: FunctionWiring | MatcherWiring) -> Any:
    return get_backend("sqs")[ACCOUNT_ID][REGION].queues[wiring.queue_url.rpartition("/")[2]]


def _schedules_waiting() -> list[Any]:
    groups = get_backend("scheduler")[ACCOUNT_ID][REGION].schedule_groups
    return list(groups[PREFIX].schedules.values())
