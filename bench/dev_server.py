"""The dev server under load: `tidegate dev` in a process of its own, asked over HTTP.

When a run ended its record says, for which the REST API is asked seldom while runs go on. All is
bounded: how much is sent, and how long it is waited for.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import local
from typing import Any
from urllib.parse import urlsplit

import httpx
import inngest

from bench import load_app
from bench.dev_process import dev_process
from bench.figure import Figure
from tidegate import Client, Event

# What the Inngest server 1.43 takes in dev mode with its Python SDK 0.5.19, measured on a machine
# with 2 cores: 15.3 s for 100 steps, and 68 runs/s.
GOAL_HUNDRED_STEPS_MS = 15_300 / 25
GOAL_RUNS_PER_S = 5 * 68
TIMES = 5
RUNS = 500
A_REQUEST = 50
ROUNDS = 3
CONNECTIONS = 16
SINGLE_EVENTS = 2_000
BATCHED_EVENTS = 10_000
A_BATCH = 100

_PATIENCE_S = 60.0
_PAUSE_S = 0.25
_ENDED = ("Completed", "Failed", "Cancelled")
# About 100 bytes, so that a hundred of them are far from the largest request.
_DATA: dict[str, str | float] = {"orderId": "o-20261123-000001", "amount": 99.9, "country": "DE"}

# Sends events of a name, so many in one request; gives their internal ids.
Send = Callable[[str, int], Sequence[str]]


def measure() -> Iterator[Figure]:
    """Runs with steps, many runs at once, and ingest."""
    with dev_process("bench.load_app") as serving:
        url = serving.url
        asking = httpx.Client(base_url=url, timeout=10)
        senders = {"our client": our_client(url), "the official client": official_client(url)}
        yield from _with_steps(senders["our client"], asking)
        for name, send in senders.items():
            _runs_per_s(send, asking, runs=A_REQUEST)
            best = statistics.median(_runs_per_s(send, asking) for _ in range(ROUNDS))
            yield Figure(
                f"dev server: {RUNS} runs without steps, {name}",
                best,
                "runs/s",
                GOAL_RUNS_PER_S,
                is_at_most=False,
            )
        senders["HTTP"] = plain_http(url)
        for name, send in senders.items():
            yield from _ingest(name, send)


def our_client(url: str) -> Send:
    """Sends with Tidegate's own client."""
    client = Client(app_id="load", base_url=url, is_production=False)

    def send(name: str, count: int) -> Sequence[str]:
        return client.send_sync([Event(name=name, data=_DATA) for _ in range(count)])

    return send


def official_client(url: str) -> Send:
    """Sends with Inngest's Python client, unchanged."""
    client = inngest.Inngest(app_id="load", event_api_base_url=url, is_production=False)

    def send(name: str, count: int) -> Sequence[str]:
        return client.send_sync([inngest.Event(name=name, data=_DATA) for _ in range(count)])

    return send


def plain_http(url: str) -> Send:
    """Posts with as little as possible around it, a connection for each thread."""
    address, kept = urlsplit(url).netloc, local()

    def send(name: str, count: int) -> Sequence[str]:
        if not hasattr(kept, "connection"):
            kept.connection = http.client.HTTPConnection(address, timeout=10)
        body = json.dumps([{"name": name, "data": _DATA}] * count)
        kept.connection.request("POST", "/e/bench", body, {"content-type": "application/json"})
        answer = json.load(kept.connection.getresponse())
        if answer["status"] != 200:
            raise RuntimeError(f"the events were refused: {answer}")
        return list(answer["ids"])

    return send


def _with_steps(send: Send, asking: httpx.Client) -> Iterator[Figure]:
    for steps in load_app.STEPS:
        taken = [_run_ms(send, asking, load_app.with_steps(steps)) for _ in range(TIMES + 1)][1:]
        yield Figure(
            f"dev server: send → end of a run of {steps} steps",
            statistics.median(taken),
            "ms",
            GOAL_HUNDRED_STEPS_MS if steps == 100 else None,
        )


def _run_ms(send: Send, asking: httpx.Client, name: str) -> float:
    """How long it takes from sending an event to the end of its run, in ms."""
    began_ms = time.time() * 1000
    [event_id] = send(name, 1)
    return end_ms(asking, event_id) - began_ms


def _runs_per_s(send: Send, asking: httpx.Client, runs: int = RUNS) -> float:
    """Runs a second, from the first request to the end of the last run."""
    began_ms = time.time() * 1000
    sent = [send(load_app.NO_STEPS, A_REQUEST) for _ in range(runs // A_REQUEST)]
    ids = [event_id for some in sent for event_id in some]
    # Whoever looks at the last ones first does not look often.
    ends = [end_ms(asking, event_id) for event_id in reversed(ids)]
    return len(ids) * 1000 / (max(ends) - began_ms)


def end_ms(asking: httpx.Client, event_id: str) -> float:
    """When the one run of an event ended, UTC ms.

    Raises:
        RuntimeError: it did not end well.
        TimeoutError: it did not end.
    """
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        answer: dict[str, Any] = asking.get(f"/v1/events/{event_id}/runs").raise_for_status().json()
        over = [run for run in answer["data"] if run["status"] in _ENDED]
        if over:
            [run] = over
            if run["status"] != "Completed":
                raise RuntimeError(f"a run did not end well: {run}")
            return datetime.fromisoformat(run["ended_at"]).timestamp() * 1000
        time.sleep(_PAUSE_S)
    raise TimeoutError(f"the run of {event_id} did not end within {_PATIENCE_S:.0f} s")


def _ingest(name: str, send: Send) -> Iterator[Figure]:
    for events, a_request in ((SINGLE_EVENTS, 1), (BATCHED_EVENTS, A_BATCH)):
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            # An error in any of them is raised here.
            list(threads.map(lambda _: send(load_app.UNWANTED, 1), range(CONNECTIONS)))
            began = time.perf_counter()
            sizes = [a_request] * (events // a_request)
            ids = list(threads.map(lambda size: send(load_app.UNWANTED, size), sizes))
            taken_s = time.perf_counter() - began
        accepted = len({event_id for some in ids for event_id in some})
        if accepted != events:
            raise RuntimeError(f"{accepted} of {events} events were accepted")
        what = f"{a_request} events a request" if a_request > 1 else "one event a request"
        figure = f"dev server: ingest, {what}, {CONNECTIONS} connections, {name}"
        yield Figure(figure, events / taken_s, "events/s")
