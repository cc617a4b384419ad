"""The dev server while many send at once: no error, no event lost, no run twice, memory flat.

`tidegate dev` runs in a process of its own. Each sender has a connection, and sends single events
and batches, with and without `id`, one request after the other; now and then it repeats one with
ids, as after a lost answer. While too many runs are to be done they wait, so that the server is as
busy as it can be and no busier. Functions, one with steps and one without, note each run. When all
have ended what was noted is compared with what was acknowledged, and the REST API is asked for the
newest events' runs.

The dev server keeps the last events and what they started (`tidegate dev --keep`), so memory grows
at first: the time begins when some times that much has been sent.
"""

from __future__ import annotations

import http.client
import json
import math
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from bench import counted_app
from bench.dev_process import DevProcess, dev_process
from bench.figure import Figure

FUNCTIONS = (counted_app.PLAIN, counted_app.STEPS)
A_BATCH = 10
_TIMEOUT_S = 30.0
_PATIENCE_S = 120.0
_PAUSE_S = 0.25
_REPEATED = 5
_MB = 1_000_000
GOAL_GROWTH = 5.0


@dataclass(frozen=True)
class Load:
    """How much is sent.

    Attributes:
        senders: how many send at once.
        warm_up: how many events have been acknowledged when the time begins.
        warm_up_s: when it begins at the latest, in seconds.
        seconds: for how long they send from then on.
        most_requests: and no more than this, all senders together.
        most_waiting: they wait while more runs than this are to be done.
        keep: how many events the dev server keeps.
        looked_up: the REST API is asked for the runs of so many events.
    """

    senders: int = 50
    warm_up: int = 6_000
    warm_up_s: float = 240.0
    seconds: float = 60.0
    most_requests: int = 200_000
    most_waiting: int = 2_000
    keep: int = 1_000
    looked_up: int = 500


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        sent: events, those of repeated requests not counted again.
        requests: requests, repeated ones too.
        acknowledged: by the events' numbers, the internal ids that the answers gave.
        errors: what went wrong, in words.
        warmed_up: how many events were acknowledged when the time began.
        took_s: from then to the last answer.
        drained_s: from there to the end of the last run.
        memory: the process's memory in bytes, by seconds since the time began, while events came.
        noted: how often each function has noted each event.
        unfinished: of the events that were looked up, those with runs that did not complete.
    """

    sent: int = 0
    requests: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warmed_up: int = 0
    took_s: float = 0.0
    drained_s: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)
    noted: Counter[tuple[str, int]] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)


def measure() -> Iterator[Figure]:
    """What came of 50 senders in 60 s."""
    load = Load()
    outcome = run_load(load)
    yield from counts_of(load, outcome)
    yield from memory_of(load, outcome)


def counts_of(load: Load, outcome: Outcome) -> Iterator[Figure]:
    """What was sent, and what came of it."""
    counts = outcome.noted
    expected = {(function, number) for number in outcome.acknowledged for function in FUNCTIONS}
    runs = [counts[run] for run in expected]
    what = _name(load)
    yield Figure(f"{what}: requests", outcome.requests, "requests")
    yield Figure(f"{what}: events sent", outcome.sent, "events")
    yield Figure(f"{what}: events acknowledged", len(outcome.acknowledged), "events")
    in_time = len(outcome.acknowledged) - outcome.warmed_up
    yield Figure(f"{what}: events a second", in_time / outcome.took_s, "events/s")
    yield Figure(f"{what}: until the last run has ended", outcome.drained_s, "s")
    yield Figure(f"{what}: errors", len(outcome.errors), "errors", 0)
    yield Figure(f"{what}: runs lost", runs.count(0), "runs", 0)
    yield Figure(f"{what}: runs done twice", sum(n > 1 for n in counts.values()), "runs", 0)
    strange = counts.keys() - expected
    yield Figure(f"{what}: runs that nobody expects", len(strange), "runs", 0)
    unfinished = len(outcome.unfinished)
    yield Figure(f"{what}: newest events with runs not completed", unfinished, "events", 0)


def memory_of(load: Load, outcome: Outcome) -> Iterator[Figure]:
    """What memory the dev server had meanwhile."""
    what = _name(load)
    yield Figure(f"{what}: memory at the beginning", outcome.memory[0][1] / _MB, "MB")
    yield Figure(f"{what}: memory at the end", outcome.memory[-1][1] / _MB, "MB")
    growth = growth_percent(outcome.memory)
    yield Figure(f"{what}: memory's growth meanwhile", growth, "%", GOAL_GROWTH)


def _name(load: Load) -> str:
    return f"dev server: {load.senders} senders for {load.seconds:.0f} s"


def growth_percent(samples: Sequence[tuple[float, int]]) -> float:
    """How much memory grew over some time, by the straight line through the samples.

    Args:
        samples: bytes by seconds, in order.
    """
    times, sizes = [at for at, _ in samples], [size for _, size in samples]
    slope: float = linear_regression(times, sizes).slope
    return slope * (times[-1] - times[0]) / sizes[0] * 100


def run_load(load: Load) -> Outcome:
    """Send that much to a dev server of its own.

    Raises:
        RuntimeError: it does not start.
    """
    with tempfile.NamedTemporaryFile() as record:
        variables = {counted_app.RECORD: record.name}
        options = ("--keep", str(load.keep))
        with dev_process("bench.counted_app", *options, variables=variables) as dev:
            outcome = Outcome()
            progress = _Progress(record.file, len(FUNCTIONS))
            _send_all(dev, load, progress, outcome)
            sent = time.monotonic()
            progress.wait(0, _PATIENCE_S)
            outcome.drained_s = time.monotonic() - sent
            newest = sorted(outcome.acknowledged.values())[-load.looked_up :]
            outcome.unfinished = _unfinished(dev.url, newest)
            # Now, so that a run which was done a second time has had the time to be.
            outcome.noted = _noted(Path(record.name))
    return outcome


class _Progress:
    """How many events were acknowledged, and how many runs are still to be done."""

    def __init__(self, record: IO[bytes], runs_of_an_event: int) -> None:
        self._record = record
        self._runs_of_an_event = runs_of_an_event
        self._lock = threading.Lock()
        self._to_do = 0
        self.acknowledged = 0

    def expect(self, events: int) -> None:
        """Some more events were acknowledged."""
        with self._lock:
            self.acknowledged += events
            self._to_do += events * self._runs_of_an_event

    def wait(self, most: int, patience_s: float) -> None:
        """Wait until no more than so many are to be done; for so long at the most."""
        give_up = time.monotonic() + patience_s
        while self._left() > most and time.monotonic() < give_up:
            time.sleep(_PAUSE_S)

    def _left(self) -> int:
        with self._lock:
            self._to_do -= self._record.read().count(b"\n")
            return self._to_do


class _Sender:
    """One of those who send: over a connection of its own, until the time is over."""

    def __init__(self, dev: DevProcess, load: Load, progress: _Progress, number: int) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(dev.url).netloc, timeout=_TIMEOUT_S)
        self._load = load
        self._progress = progress
        self._number = number
        self.outcome = Outcome()

    def send(self, end: float, most_events: float = math.inf) -> None:
        """Send until then, or until so many events have been acknowledged, whoever sent them."""
        most = self._load.most_requests // self._load.senders
        while (
            time.monotonic() < end
            and self._progress.acknowledged < most_events
            and self.outcome.requests < most
        ):
            kind = self.outcome.requests + self._number
            self._send(self._events(A_BATCH if kind % 2 else 1, with_ids=bool(kind // 2 % 2)))
            self._progress.wait(self._load.most_waiting, end - time.monotonic())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _events(self, count: int, *, with_ids: bool) -> list[dict[str, Any]]:
        # Each sender has numbers of its own.
        first = self.outcome.sent * self._load.senders + self._number
        numbers = range(first, first + count * self._load.senders, self._load.senders)
        self.outcome.sent += count
        return [
            {
                "name": counted_app.ORDER,
                "data": {"number": number, "country": "DE", "total": 99.9},
                **({"id": f"order-{number}"} if with_ids else {}),
            }
            for number in numbers
        ]

    def _send(self, events: list[dict[str, Any]]) -> None:
        ids = self._post(events)
        numbers = [event["data"]["number"] for event in events]
        self.outcome.acknowledged.update(zip(numbers, ids, strict=False))
        self._progress.expect(len(ids))
        if ids and "id" in events[0] and self.outcome.requests % _REPEATED == 0:
            again = self._post(events)
            if again != ids:
                self.outcome.errors.append(f"repeated, the request got {again} instead of {ids}")

    def _post(self, events: list[dict[str, Any]]) -> list[str]:
        """The internal ids that the answer gives; none, and an error is noted, when it fails."""
        self.outcome.requests += 1
        body = json.dumps(events if len(events) > 1 else events[0])
        try:
            self._connection.request("POST", "/e/load", body, {"content-type": "application/json"})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
            if response.status == 200 and len(answer["ids"]) == len(events):
                return list(answer["ids"])
            self.outcome.errors.append(f"{response.status}: {answer}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.outcome.errors.append(f"{type(error).__name__}: {error}")
            self._connection.close()
        return []


def _send_all(dev: DevProcess, load: Load, progress: _Progress, outcome: Outcome) -> None:
    senders = [_Sender(dev, load, progress, number) for number in range(load.senders)]
    is_over = threading.Event()
    with ThreadPoolExecutor(load.senders + 1) as threads:
        latest = time.monotonic() + load.warm_up_s
        list(threads.map(lambda sender: sender.send(latest, load.warm_up), senders))
        outcome.warmed_up = progress.acknowledged
        began = time.monotonic()
        watching = threads.submit(_watch, dev, is_over)
        list(threads.map(lambda sender: sender.send(began + load.seconds), senders))
        outcome.took_s = time.monotonic() - began
        is_over.set()
        outcome.memory = watching.result()
    for sender in senders:
        sender.close()
        part = sender.outcome
        outcome.sent += part.sent
        outcome.requests += part.requests
        outcome.errors += part.errors
        outcome.acknowledged |= part.acknowledged


def _watch(dev: DevProcess, is_over: threading.Event) -> list[tuple[float, int]]:
    """The process's memory from now on, once a second."""
    began = time.monotonic()
    samples = []
    while not is_over.is_set():
        samples.append((time.monotonic() - began, dev.resident_bytes()))
        is_over.wait(1)
    return samples


def _noted(record: Path) -> Counter[tuple[str, int]]:
    """How often each function noted each event."""
    lines = (line.split() for line in record.read_text().splitlines())
    return Counter((function, int(number)) for function, number in lines)


def _unfinished(url: str, event_ids: Sequence[str]) -> list[str]:
    """Those of some events that have not a completed run of each function."""
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as asking:
        return [event_id for event_id in event_ids if not _has_completed(asking, event_id)]


def _has_completed(asking: httpx.Client, event_id: str) -> bool:
    answer = asking.get(f"/v1/events/{event_id}/runs").raise_for_status()
    runs = {(run["function_id"], run["status"]) for run in answer.json()["data"]}
    return runs == {(function, "Completed") for function in FUNCTIONS}
