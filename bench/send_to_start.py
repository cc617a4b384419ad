"""How long it takes in the dev server from sending an event to the function's first line.

.venv/bin/python -m bench.send_to_start [EVENTS]
"""

from __future__ import annotations

import statistics
import sys
import threading
import time

from tidegate import Client, ContextSync, Event, TriggerEvent
from tidegate.local.server import DevServer

client = Client(app_id="bench", is_production=False)
started: dict[int, float] = {}
arrived = threading.Event()


@client.create_function(fn_id="start", trigger=TriggerEvent(event="bench/start"))
def start(ctx: ContextSync) -> None:
    """Notes when it begins."""
    started[ctx.event.data["number"]] = time.perf_counter()
    arrived.set()


def measure(events: int) -> list[float]:
    """The time of each of some events, one after the other, in ms."""
    with DevServer(["bench.send_to_start"], port=0) as server:
        sender = Client(app_id="bench", base_url=server.url, is_production=False)
        waits = []
        for number in range(-10, events):
            arrived.clear()
            sent = time.perf_counter()
            sender.send_sync(Event(name="bench/start", data={"number": number}))
            if not arrived.wait(10):
                raise TimeoutError(f"event {number} did not arrive within 10 s")
            waits.append((started[number] - sent) * 1000)
    return waits[10:]


def main() -> None:
    """Print the median and the 90th and 99th percentiles."""
    waits = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    cuts = statistics.quantiles(waits, n=100)
    print(
        f"send → first line of the function, {len(waits)} events: "
        f"p50 {cuts[49]:.1f} ms, p90 {cuts[89]:.1f} ms, p99 {cuts[98]:.1f} ms"
    )


if __name__ == "__main__":
    # The module that the server loads is another one than the one that is run.
    from bench import send_to_start

    send_to_start.main()
