"""The bill of calls: what a million events cost, from every AWS call that they make.

`python -m bench.bill` lists the calls of each scenario, `python -m bench bill` gives the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from bench.figure import Figure
from bench.prices import AS_OF, dollars
from bench.scenarios import (
    Bill,
    billed,
    fan_out,
    function,
    no_steps,
    sleep,
    steps,
    thousand_events,
    wait,
)

PER_MILLION = "$ per million events"
PLAIN = "no steps, one event a request"
WITH_ID = "no steps, one event a request, with id"
BATCHED = "no steps, ten events a request"
THREE_STEPS = "3 steps, one event a request"
THOUSAND = "1,000 small events in a request, ingest alone"

# The scenarios whose figures have goals.
COUNTED: dict[str, Callable[[], Bill]] = {
    PLAIN: lambda: billed([function(no_steps)]),
    WITH_ID: lambda: billed([function(no_steps)], with_id=True),
    BATCHED: lambda: billed([function(no_steps)], a_request=10),
    THREE_STEPS: lambda: billed([function(steps(3))]),
    THOUSAND: thousand_events,
}
OTHERS: dict[str, Callable[[], Bill]] = {
    "no steps, ten events a request, with id": lambda: billed(
        [function(no_steps)], a_request=10, with_id=True
    ),
    f"{THOUSAND}, with id": lambda: thousand_events(with_id=True),
    "100 steps": lambda: billed([function(steps(100))]),
    "a sleep of an hour": lambda: billed([function(sleep(timedelta(hours=1)))]),
    "a sleep of a week": lambda: billed([function(sleep(timedelta(days=7)))]),
    "a wait, and the event it waits for": lambda: billed([function(wait)], then="bench/approved"),
    "fan-out: one of 1 functions wants it": lambda: fan_out(1),
    "fan-out: one of 10 functions wants it": lambda: fan_out(10),
    "fan-out: one of 100 functions wants it": lambda: fan_out(100),
}

# Lambda polls each queue with five connections that wait for 20 s; 30 days.
RECEIVES_A_MONTH = 5 * 30 * 86_400 // 20
ALARMS_A_QUEUE = 2
# Each metric that an alarm looks at counts; two of the four of a stage look at two.
ALARMS_A_STAGE = 4
ALARM_METRICS_A_STAGE = 6


def measure() -> Iterator[Figure]:
    """All figures."""
    bills = {name: make() for name, make in COUNTED.items()}
    yield from counted(bills)
    for name, bill in bills.items():
        yield from _stages(name, bill)
    for name, make in OTHERS.items():
        bill = make()
        yield Figure(name, bill.dollars_per_million(), PER_MILLION)
        yield from _stages(name, bill)
    yield from idle()


def counted(bills: dict[str, Bill]) -> Iterator[Figure]:
    """The figures that have goals.

    Args:
        bills: of the scenarios in `COUNTED`.
    """
    plain, with_id, thousand = bills[PLAIN], bills[WITH_ID], bills[THOUSAND]
    steps_write = bills[THREE_STEPS].write_units(table="steps") / 3
    trips = "round trips"
    yield Figure("ingest of one event", plain.round_trips("ingest"), trips, 2)
    yield Figure("ingest of one event with id", with_id.round_trips("ingest"), trips, 3)
    for what, operation, goal in (
        ("writes", "BatchWriteItem", 40),
        ("publishes", "PublishBatch", 100),
        ("reads", "Query", 1),
    ):
        found = len(thousand.matching(operation=operation))
        yield Figure(f"1,000 events in a request: {what}", found, "calls", goal)
    yield Figure("1,000 events in a request: all calls", len(thousand.calls), "calls", 141)
    yield Figure(
        "1,000 events in a request: one after the other", thousand.round_trips("ingest"), trips, 2
    )
    units = "write units"
    yield Figure("to store an event", plain.write_units(stage="ingest"), units, 1)
    yield Figure("to store an event with id", with_id.write_units(stage="ingest"), units, 2)
    yield Figure("to record a run without steps", plain.write_units(stage="worker"), units, 2)
    yield Figure("to record a step", steps_write, units, 1)
    for name, dollars_goal in ((PLAIN, 4.35), (BATCHED, 2.60), (THREE_STEPS, 6.25)):
        yield Figure(name, bills[name].dollars_per_million(), PER_MILLION, dollars_goal)
    yield Figure(WITH_ID, with_id.dollars_per_million(), PER_MILLION)


def idle() -> Iterator[Figure]:
    """What a month without traffic costs, by what Lambda does with queues that are empty."""
    polling = dollars({"SQS request": RECEIVES_A_MONTH})
    alarms = dollars({"CloudWatch alarm": ALARMS_A_QUEUE})
    of_stage = dollars({"CloudWatch alarm": ALARM_METRICS_A_STAGE})
    month = "$ a month"
    yield Figure("no traffic: polling a queue", polling, month)
    yield Figure("no traffic: the alarms of a queue", alarms, month)
    yield Figure("no traffic: the alarms of a stage", of_stage, month)
    for functions in (1, 10, 100):
        # And the matcher's.
        queues = functions + 1
        name = f"no traffic: a stage with {functions} function{'s'[: functions - 1]}"
        yield Figure(name, of_stage + queues * (polling + alarms), month)


def _stages(name: str, bill: Bill) -> Iterator[Figure]:
    for stage in bill.usage:
        yield Figure(f"{name}: {stage}", bill.dollars_per_million(stage), PER_MILLION)


def listing(name: str, bill: Bill) -> Table:
    """The calls of a scenario, and what else it used, for each event."""
    table = Table(title=f"{name}: ${bill.dollars_per_million():.2f} per million events")
    for heading in ("stage", "call"):
        table.add_column(heading)
    for heading in ("calls", "bytes", "write units", "read units", "behind", "$ per million"):
        table.add_column(heading, justify="right")
    kinds = dict.fromkeys((c.stage, c.service, c.operation, c.table) for c in bill.calls)
    for kind in kinds:
        calls = [c for c in bill.calls if (c.stage, c.service, c.operation, c.table) == kind]
        stage, service, operation, of_table = kind
        cost = sum(dollars(call.usage) for call in calls) / bill.events * 1_000_000
        table.add_row(
            stage,
            f"{service} {operation} {of_table}".strip(),
            f"{len(calls) / bill.events:g}",
            f"{max(call.payload_bytes for call in calls):,}",
            f"{sum(call.units.write for call in calls) / bill.events:g}",
            f"{sum(call.units.read for call in calls) / bill.events:g}",
            f"{max(call.round_trips for call in calls) - 1}",
            f"{cost:.3f}",
        )
    for stage, what, count in bill.besides():
        cost = dollars({what: count}) / bill.events * 1_000_000
        table.add_row(stage, what, f"{count / bill.events:g}", "", "", "", "", f"{cost:.3f}")
    return table


def main() -> None:
    """List all calls of all scenarios."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(
        f"list prices of us-east-1 as of {AS_OF}; calls, units and dollars for each event"
    )
    for name, make in (COUNTED | OTHERS).items():
        console.print(listing(name, make()))


if __name__ == "__main__":
    main()
