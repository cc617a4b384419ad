"""How long it takes in the dev server from sending an event to the function's first line."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator

from bench.figure import Figure
from tidegate import Client, ContextSync, Event, TriggerEvent
from tidegate.local.server import DevServer

EVENTS = 200
# Before the figures count: what is imported and connected first.
WARMING = 10
# A tenth of what the Inngest server 1.43 takes in dev mode with its Python SDK 0.5.19, measured on
# a machine with 2 cores: 257 ms and 366 ms.
GOAL_P50_MS = 25.7
GOAL_P90_MS = 36.6

client = Client(app_id="bench", is_production=False)
started: dict[int, float] = {}
arrived = threading.Event()


@client.create_function(fn_id="start", trigger=TriggerEvent(event="bench/start"))
def start(ctx: ContextSync) -> None:
    """Notes when it begins."""
    started[ctx.event.data["number"]] = time.perf_counter()
    arrived.set()


def times(events: int) -> list[float]:
    """The time of each of some events, one after the other, in ms."""
    with DevServer(["bench.send_to_start"], port=0) as server:
        sender = Client(app_id="bench", base_url=server.url, is_production=False)
        waits = []
        for number in range(-WARMING, events):
            arrived.clear()
            sent = time.perf_counter()
            sender.send_sync(Event(name="bench/start", data={"number": number}))
            if not arrived.wait(10):
                raise TimeoutError(f"event {number} did not arrive within 10 s")
            waits.append((started[number] - sent) * 1000)
    return waits[WARMING:]


def measure() -> Iterator[Figure]:
    """The median and the 90th and 99th percentiles."""
    cuts = statistics.quantiles(times(EVENTS), n=100)
    what = "dev server: send → first line of the function"
    yield Figure(f"{what}, p50", cuts[49], "ms", GOAL_P50_MS)
    yield Figure(f"{what}, p90", cuts[89], "ms", GOAL_P90_MS)
    yield Figure(f"{what}, p99", cuts[98], "ms")
