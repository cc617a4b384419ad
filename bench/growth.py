"""What grows and what does not: with events, with functions, with steps, with what is stored.

Times are CPU time of the handlers, with an AWS that answers at once (`bench.aws_stub`), or with
tables that are computed (`bench.computed_tables`); calls and units are counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from bench.aws_stub import FAKE_ACCOUNT, aws_stub
from bench.cold_start import stage_environment
from bench.computed_tables import ComputedTables
from bench.figure import Figure
from bench.grown_stores import (
    AWAITED,
    ENV,
    EVENTS,
    EVERY_MS,
    WAITS,
    EventsOfShard,
    WaitsOfName,
    event_id,
)
from bench.handlers import checked, request_of, run_new
from bench.scenarios import fan_out, no_steps
from bench.scenarios import function as scenario
from tidegate import Client, ContextSync, TriggerEvent
from tidegate.aws import forget_clients
from tidegate.event import AcceptedEvent, event_body
from tidegate.function import Function
from tidegate.ids import random_ulid
from tidegate.local.environment import environment
from tidegate.local.lambda_function import LambdaFunction
from tidegate.manifest import HANDLERS, Manifest
from tidegate.message import EventMessage
from tidegate.settings import MAX_REQUEST_BYTES

LOADS = (1_000, 10_000, 100_000)
A_REQUEST = 100
BLOCK = 1_000
PLAIN_CALLS = 30
FUNCTIONS = (1, 50, 500)
STEPS = (10, 100, 1_000)
MIN_RATE = 0.9
MAX_MIB = 5
MAX_STEP_RATIO = 1.5
_TIMES = 3

_client = Client(app_id="growth", is_production=False)


def _function(fn_id: str, event: str, steps: int = 0) -> Function:
    def run_steps(ctx: ContextSync) -> int:
        return sum(ctx.step.run(f"step {n}", lambda: 1) for n in range(steps))

    made = _client.create_function(fn_id=fn_id, trigger=TriggerEvent(event=event))
    return made(run_steps)


RUNS = {steps: _function(f"steps-{steps}", "bench/ordered", steps) for steps in STEPS}


def measure() -> Iterator[Figure]:
    """All figures."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        figures = [*events(), *functions(), *steps(), *waits(), *pages()]
    yield from figures


def events() -> Iterator[Figure]:
    """Ingest of ever more events in one process, 100 a request.

    Between blocks of 1,000 a fixed number of plain AWS calls is made. A machine that gets slower
    meanwhile makes both slower, so it is their ratio that is compared.
    """
    with _stub(), _loaded("ingest", [RUNS[10]]) as ingest:
        act = partial(ingest, request_of(A_REQUEST))
        get = partial(boto3.client("dynamodb").get_item, TableName="t", Key={"pk": {"S": "a"}})
        _cpu_s(act, 10)
        before_mib = _memory_mib()
        blocks = [
            (_cpu_s(act, BLOCK // A_REQUEST), _cpu_s(get, PLAIN_CALLS))
            for _ in range(LOADS[-1] // BLOCK)
        ]
    for count in LOADS:
        taken_s = sum(ours for ours, _ in blocks[: count // BLOCK])
        yield Figure(f"ingest, the first {count:,} events", count / taken_s, "events/s")
    first, *_, last = LOADS
    ratios = [ours / plain for ours, plain in blocks]
    # A single block is no measure: the first ten stand for what the first one is.
    yield Figure(
        f"ingest, {last:,} events against {first:,}",
        statistics.median(ratios[:10]) / statistics.median(ratios[10:]),
        "x events/s",
        MIN_RATE,
        is_at_most=False,
    )
    grown = _memory_mib() - before_mib
    yield Figure(f"ingest, memory after {last:,} events more", grown, "MiB", MAX_MIB)


def functions() -> Iterator[Figure]:
    """What functions cost that do not want an event."""
    bills = {count: fan_out(count) for count in FUNCTIONS}
    one = bills[FUNCTIONS[0]]
    for count in FUNCTIONS:
        bill, what = bills[count], f"one of {count} functions wants it"
        yield Figure(f"{what}: an event", bill.dollars_per_million(), "$ per million events")
        calls = len(bill.calls) / bill.events
        yield Figure(f"{what}: an event", calls, "calls", len(one.calls) / one.events)
    with _stub():
        first_ms = 0.0
        for count in FUNCTIONS:
            others = [scenario(no_steps, f"bench/other-{n}", f"other-{n}") for n in range(1, count)]
            made = [RUNS[10], *others]
            yield Figure(f"manifest of {count} functions: reading", _reading_ms(made), "ms")
            with _loaded("ingest", made) as ingest:
                ms = _cpu_ms(partial(ingest, request_of(A_REQUEST)), 20) / A_REQUEST
            first_ms = first_ms or ms
            yield Figure(f"ingest beside {count} functions: CPU an event", ms, "ms")
        yield Figure(f"ingest beside {count} functions against 1", ms / first_ms, "x", 1.5)


def steps() -> Iterator[Figure]:
    """Runs with ever more steps."""
    taken: dict[int, float] = {}
    with _stub():
        for count, function in RUNS.items():
            with _loaded("worker", [function]) as worker:
                taken[count] = _cpu_ms(partial(run_new, worker), 1_000 // count)
            yield Figure(f"a run of {count:,} steps: CPU a step", taken[count] / count, "ms")
    ratio = taken[1_000] / 1_000 / (taken[100] / 100)
    yield Figure("a step of 1,000 against one of 100", ratio, "x", MAX_STEP_RATIO)


def waits() -> Iterator[Figure]:
    """An event that one wait is met by, and 100,000 waits there are."""
    for names, what in ((1, "of one name"), (WAITS, f"of {WAITS:,} names")):
        tables, ms = matched(WAITS // names)
        name = f"{WAITS:,} waits {what}, an event meets one"
        yield Figure(f"{name}: items read", tables.items, "items")
        yield Figure(f"{name}: reads", tables.queries, "calls")
        yield Figure(f"{name}: reads", tables.read_units, "read units")
        yield Figure(f"{name}: CPU", ms, "ms")


def matched(of_name: int) -> tuple[ComputedTables, float]:
    """What the matcher reads for an event that meets the last of the waits of its name.

    Args:
        of_name: how many waits there are of the event's name.

    Returns:
        The tables, and the CPU time in ms without that of computing them.
    """
    now_ms = time.time_ns() // 1_000_000
    of_table = WaitsOfName(AWAITED, of_name, now_ms - 60_000)
    wanted = f"event#{ENV}#{AWAITED}"
    tables = ComputedTables(lambda _, key: of_table if key == wanted else None)
    ulid = random_ulid(now_ms)
    body = event_body(name=AWAITED, data={"order": of_name - 1}, event_id=ulid, ts=now_ms)
    event = AcceptedEvent(ulid, ENV, AWAITED, now_ms, now_ms, body)
    record = {"messageId": ulid, "body": EventMessage.of(event).encode()}
    with environment(FAKE_ACCOUNT), tables.serving(), _loaded("matcher", [RUNS[10]]) as matcher:
        began = time.process_time()
        matcher({"Records": [record]})
        taken_s = time.process_time() - began - tables.answering_s
    # The run is gone: its wait is forgotten.
    if tables.others != ["GetItem", "DeleteItem"]:
        raise RuntimeError(f"the wait was not met: {tables.others}")
    return tables, taken_s * 1000


PAGES: dict[str, tuple[int | None, str | None]] = {
    "first page": (None, None),
    "page in the middle": (EVENTS // 2, None),
    "last page": (50, None),
    "first page of a name in 100": (None, "bench/name-7"),
    "page in the middle of a name in 100": (EVENTS // 2, "bench/name-7"),
    "first page of a name that never was": (None, "bench/never"),
}


def pages() -> Iterator[Figure]:
    """Pages of 100 events, a million being in the store."""
    for name, (behind, event_name) in PAGES.items():
        tables, found, ms = page(behind, event_name)
        what = f"/v1/events, {EVENTS:,} stored, {name}"
        yield Figure(f"{what}: events", found, "events")
        yield Figure(f"{what}: items read", tables.items, "items")
        yield Figure(f"{what}: reads", tables.queries, "calls")
        yield Figure(f"{what}: reads", tables.read_units, "read units")
        yield Figure(f"{what}: CPU", ms, "ms")


def page(behind: int | None, event_name: str | None) -> tuple[ComputedTables, int, float]:
    """What a page of the list of events reads.

    Args:
        behind: the number of the event that the page comes after, the oldest one being 0; None
            for the first page.
        event_name: only events of that name.

    Returns:
        The tables, how many events are on the page, and the CPU time in ms without that of
        computing the tables.
    """
    now_ms = time.time_ns() // 1_000_000
    oldest_ms = now_ms - EVENTS * EVERY_MS
    tables = ComputedTables(lambda _, key: EventsOfShard.of(key, oldest_ms))
    query = {"limit": "100", "received_after": str(now_ms - 29 * 86_400_000)}
    if behind is not None:
        query["cursor"] = event_id(oldest_ms, behind)
    if event_name is not None:
        query["name"] = event_name
    request = {
        "version": "2.0",
        "rawPath": "/v1/events",
        "rawQueryString": "&".join(f"{name}={value}" for name, value in query.items()),
        "queryStringParameters": query,
        "headers": {},
        "requestContext": {
            "http": {"method": "GET", "path": "/v1/events"},
            "requestId": "0",
            "stage": "$default",
        },
    }
    with environment(FAKE_ACCOUNT), tables.serving(), _loaded("api", [RUNS[10]]) as api:
        api(request)
        tables.forget()
        began = time.process_time()
        answer = api(request)
        taken_s = time.process_time() - began - tables.answering_s
    return tables, len(json.loads(answer["body"])["data"]), taken_s * 1000


@contextlib.contextmanager
def _stub() -> Iterator[None]:
    with aws_stub() as variables, environment(variables):
        forget_clients()
        yield
    forget_clients()


@contextlib.contextmanager
def _loaded(name: str, of_stage: list[Function]) -> Iterator[Callable[[Any], dict[str, Any]]]:
    """A handler of a stage."""
    settings: dict[str, Any] = {"auth": "open", "max_request_bytes": MAX_REQUEST_BYTES}
    with stage_environment(of_stage, **settings) as variables:
        loaded = LambdaFunction(name, HANDLERS[name], variables)
        yield lambda event: checked(loaded.invoke(event))


def _cpu_s(act: Callable[[], object], times: int) -> float:
    """The CPU time of an action done so often, in seconds."""
    began = time.process_time()
    for _ in range(times):
        act()
    return time.process_time() - began


def _cpu_ms(act: Callable[[], object], times: int) -> float:
    """The CPU time of an action, in ms: the median of a few rounds."""

    act()
    return statistics.median(_cpu_s(act, times) for _ in range(_TIMES)) * 1000 / times


def _reading_ms(of_stage: list[Function]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.json")
        Manifest.of(of_stage).write(path)
        return _cpu_ms(lambda: Manifest.read(path), 3)


def _memory_mib() -> float:
    """What this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
