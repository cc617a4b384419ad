"""What the handlers themselves cost: CPU time of one core, with an AWS that answers at once.

python -m bench.handlers [BLOCKS]

The floor is the same AWS calls made with boto3 alone, one after the other in a loop: they are
recorded while a handler makes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import boto3
from botocore import xform_name

from bench.aws_stub import aws_stub
from bench.cold_start import stage_environment
from bench.figure import Figure
from tidegate import Client, ContextSync, TriggerEvent
from tidegate.aws import client as tidegate_client
from tidegate.aws import forget_clients
from tidegate.event import AcceptedEvent, event_body
from tidegate.function import Function
from tidegate.ids import random_ulid
from tidegate.local.environment import environment
from tidegate.local.lambda_function import LambdaFunction
from tidegate.manifest import HANDLERS
from tidegate.message import EventMessage
from tidegate.settings import MAX_REQUEST_BYTES

EVENTS_A_REQUEST = (1, 10, 100, 1_000)
STEPS_A_RUN = (0, 100, 1_000)
# Of a handler with 100 events a request, on one core.
GOAL_EVENTS_PER_S = 4_200
BLOCKS = 7
_BLOCK_S = 0.4

EVENT_NAME = "bench/ordered"
# About 1 KB with its envelope.
DATA = {
    "orderId": "o-20261123-000001",
    "customer": {"id": "c-48151", "country": "DE", "tags": ["returning", "newsletter"]},
    "items": [{"sku": f"sku-{n:05}", "quantity": n, "price": 19.9 + n} for n in range(10)],
    "note": "Leave it with the neighbours. " * 10,
}

_client = Client(app_id="bench", is_production=False)


def _function(steps: int) -> Function:
    def run_steps(ctx: ContextSync) -> int:
        return sum(ctx.step.run(f"step {n}", lambda: 1) for n in range(steps))

    trigger = TriggerEvent(event=EVENT_NAME)
    made = _client.create_function(fn_id=f"steps-{steps}", trigger=trigger)
    return made(run_steps)


FUNCTIONS = {steps: _function(steps) for steps in STEPS_A_RUN}

Handler = Callable[[dict[str, Any]], object]
Call = tuple[Any, str, dict[str, Any]]


class _Recording:
    """The calls that a handler makes of AWS, as boto3's own clients can repeat them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._clients = {name: boto3.client(name) for name in ("dynamodb", "sns")}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While this runs, calls are recorded."""
        emitters = [tidegate_client("dynamodb").meta.events, tidegate_client("sns").meta.events]
        for emitter in emitters:
            emitter.register("provide-client-params", self._note)
        try:
            yield
        finally:
            for emitter in emitters:
                emitter.unregister("provide-client-params", self._note)

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        client = self._clients[model.service_model.service_name]
        self.calls.append((client, xform_name(model.name), params))

    def repeat(self) -> None:
        """Make the same calls."""
        for client, operation, params in self.calls:
            getattr(client, operation)(**params)


def measure(blocks: int = BLOCKS) -> Iterable[Figure]:
    """CPU time and events/s of ingest, and CPU time of a worker's runs.

    Args:
        blocks: how often each is measured, for less than half a second; the median counts.
    """
    with _loaded() as load:
        ingest = load("ingest", FUNCTIONS[0])
        for count in EVENTS_A_REQUEST:
            request = request_of(count)
            ms, floor_ms = _cpu_ms(partial(ingest, request), blocks)
            what = f"ingest, {count:,} events a request" if count > 1 else "ingest, one event"
            yield Figure(f"{what}: CPU an event", ms / count, "ms", floor=floor_ms / count)
            yield Figure(
                f"{what}: on one core",
                count * 1000 / ms,
                "events/s",
                GOAL_EVENTS_PER_S if count == 100 else None,
                is_at_most=False,
                floor=count * 1000 / floor_ms,
            )
        for steps, function in FUNCTIONS.items():
            worker = load("worker", function)
            ms, floor_ms = _cpu_ms(partial(run_new, worker), blocks)
            what = f"worker, a run of {steps:,} steps" if steps else "worker, a run without steps"
            yield Figure(f"{what}: CPU", ms, "ms", floor=floor_ms)


@contextlib.contextmanager
def _loaded() -> Iterator[Callable[[str, Function], Handler]]:
    """What loads a handler, over the stub."""

    def load(name: str, function: Function) -> Handler:
        others = [one for one in FUNCTIONS.values() if one is not function]
        with stage_environment(
            [function, *others], auth="open", max_request_bytes=MAX_REQUEST_BYTES
        ) as variables:
            loaded = LambdaFunction(name, HANDLERS[name], variables)
            return lambda event: checked(loaded.invoke(event))

    # What handlers log costs them time, too, but is not for the console.
    with aws_stub() as variables, environment(variables), open(os.devnull, "w") as nowhere:
        forget_clients()
        with contextlib.redirect_stdout(nowhere), _on_one_core():
            yield load
    forget_clients()


@contextlib.contextmanager
def _on_one_core() -> Iterator[None]:
    """Have this process share one core among its threads, as a Lambda of up to 1,769 MB does.

    See https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html. Not every system
    can do that; there the threads cost somewhat more.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _cpu_ms(act: Callable[[], object], blocks: int) -> tuple[float, float]:
    """The CPU time in ms that it takes, in all its threads, and that of its AWS calls alone."""
    act()
    recording = _Recording()
    with recording.running():
        act()
    recording.repeat()
    pairs = [[_block_ms(act), _block_ms(recording.repeat)] for _ in range(blocks)]
    ours, floor = (statistics.median(each) for each in zip(*pairs, strict=True))
    return ours, floor


def _block_ms(act: Callable[[], object]) -> float:
    began, done = time.process_time(), 0
    while time.process_time() - began < _BLOCK_S:
        act()
        done += 1
    return (time.process_time() - began) * 1000 / done


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer; raises when a handler did not do what it is measured at."""
    if answer.get("statusCode", 200) != 200 or answer.get("batchItemFailures"):
        raise RuntimeError(f"a handler answered {answer}")
    return answer


def request_of(count: int) -> dict[str, Any]:
    """A request of the Event API, as API Gateway hands it on."""
    events = [{"name": EVENT_NAME, "data": DATA | {"number": n}} for n in range(count)]
    return {
        "rawPath": "/e/bench",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/e/bench"}, "requestId": "0"},
        "body": json.dumps(events),
        "isBase64Encoded": False,
    }


def run_new(worker: Handler) -> None:
    """Have a worker handle a batch of one message, of a new event."""
    now_ms = time.time_ns() // 1_000_000
    ulid = random_ulid(now_ms)
    body = event_body(name=EVENT_NAME, data=DATA, event_id=ulid, ts=now_ms)
    event = AcceptedEvent(ulid, "production", EVENT_NAME, now_ms, now_ms, body)
    record = {
        "messageId": ulid,
        "receiptHandle": ulid,
        "body": EventMessage.of(event).encode(),
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    worker({"Records": [record]})


def main() -> None:
    """Print the figures."""
    for figure in measure(int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS):
        print(
            f"{figure.name:44}{figure.value:10.3f} {figure.unit:9} floor {figure.floor:10.3f}",
            file=sys.__stdout__,
            flush=True,
        )


if __name__ == "__main__":
    # The module that registers the functions has to be the one that a worker would load.
    from bench import handlers

    handlers.main()
