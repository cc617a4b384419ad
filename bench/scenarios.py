"""What is billed: functions, and the requests that start them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from bench.billed_stage import BilledStage
from bench.prices import dollars
from bench.recorded_calls import Call
from tidegate import ContextSync, TriggerEvent
from tidegate.function import Function, make_function

# Longer than a wait's second look takes, and shorter than ingest remembers a key.
_REST_S = 45
# As many as a batch of a queue has.
EVENTS = 10
# With it an event is stored as an item of just under 1 KB, its ids and its request's included.
_PADDING = "x" * 745


@dataclass(frozen=True)
class Bill:
    """What a scenario used.

    Attributes:
        events: how many events started it.
        calls: the AWS calls.
        first_calls: those of the first request of a new process, which come before.
        other_usage: by stage of an event's way, what it used besides these calls.
    """

    events: int
    calls: Sequence[Call]
    first_calls: Sequence[Call]
    other_usage: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, stage: BilledStage, events: int) -> Bill:
        """What a stage used so far."""
        return cls(events, list(stage.recorder.calls), stage.first_calls, stage.usage)

    @cached_property
    def usage(self) -> dict[str, dict[str, float]]:
        """By stage of an event's way, all that it used of what AWS charges for."""
        usage = {stage: dict(used) for stage, used in self.other_usage.items()}
        for call in self.calls:
            used = usage.setdefault(call.stage, {})
            for what, count in call.usage.items():
                used[what] = used.get(what, 0) + count
        return usage

    def besides(self) -> Iterator[tuple[str, str, float]]:
        """What was used besides the calls: the stage, what it is, and how much."""
        for stage, used in self.other_usage.items():
            for what, count in used.items():
                yield stage, what, count

    def dollars_per_million(self, *stages: str) -> float:
        """What a million such events cost, in all stages of their way or in some."""
        used = [self.usage[stage] for stage in stages or self.usage]
        return sum(dollars(one) for one in used) / self.events * 1_000_000

    def matching(self, *, stage: str = "", operation: str = "", table: str = "") -> list[Call]:
        """The calls of a stage, of an operation and to a table, as far as these are named."""
        return [
            call
            for call in self.calls
            if call.stage.startswith(stage)
            and call.operation.startswith(operation)
            and call.table.startswith(table)
        ]

    def write_units(self, *, stage: str = "", table: str = "") -> float:
        """DynamoDB's write units for an event."""
        return sum(c.units.write for c in self.matching(stage=stage, table=table)) / self.events

    def read_units(self, *, stage: str = "", table: str = "") -> float:
        """DynamoDB's read units for an event."""
        return sum(c.units.read for c in self.matching(stage=stage, table=table)) / self.events

    def round_trips(self, stage: str) -> int:
        """The most calls, one after the other, of one invocation."""
        return max(call.round_trips for call in self.matching(stage=stage))


def event(number: int = 0, *, name: str = "bench/paid", with_id: bool = False) -> dict[str, Any]:
    """An event whose item in the store has 1 KB."""
    sent = {"name": name, "data": {"number": number, "text": _PADDING}}
    return sent | {"id": f"payment-{number}"} if with_id else sent


def function(
    handler: Callable[[ContextSync], Any], name: str = "bench/paid", fn_id: str = "billed"
) -> Function:
    """A function that is started by events of a name."""
    return make_function(
        handler,
        app_id="bench",
        fn_id=fn_id,
        trigger=TriggerEvent(event=name),
        name=None,
        retries=None,
    )


def no_steps(ctx: ContextSync) -> None:
    """Does nothing."""


def steps(count: int) -> Callable[[ContextSync], None]:
    """A function's code: some steps, one after the other."""

    def handler(ctx: ContextSync) -> None:
        for number in range(count):
            ctx.step.run(f"step {number}", lambda: None)

    return handler


def sleep(duration: timedelta) -> Callable[[ContextSync], None]:
    """A function's code: a sleep."""

    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", duration)

    return handler


def wait(ctx: ContextSync) -> None:
    """Waits for the approval of its own payment."""
    ctx.step.wait_for_event(
        "approval",
        event="bench/approved",
        timeout=timedelta(days=1),
        if_exp="event.data.number == async.data.number",
    )


def billed(
    functions: Sequence[Function],
    *,
    events: int = EVENTS,
    a_request: int = 1,
    with_id: bool = False,
    then: str = "",
) -> Bill:
    """The bill of some events with all that comes of them.

    Args:
        functions: what is deployed.
        events: how many events are sent.
        a_request: how many of them in each request.
        with_id: whether each has an `id`.
        then: the name of further events, one for each, that are sent when all has come to rest.
    """
    with BilledStage(functions) as stage:
        for name in filter(None, ("bench/paid", then)):
            sent = [event(number, name=name, with_id=with_id) for number in range(events)]
            for first in range(0, events, a_request):
                stage.send(sent[first : first + a_request])
            stage.settle(_REST_S)
        stage.settle()
        return Bill.of(stage, events)


def thousand_events(*, with_id: bool = False) -> Bill:
    """The bill of one request with 1,000 events of one name, for ingest alone.

    They are small: a request may have 512 KB.

    Args:
        with_id: whether each has an `id`.
    """
    sent = [event(number, with_id=with_id) for number in range(1_000)]
    with BilledStage([]) as stage:
        stage.send([one | {"data": {"number": n}} for n, one in enumerate(sent)])
        return Bill.of(stage, 1_000)


def fan_out(functions: int) -> Bill:
    """The bill of events that one of many functions wants."""
    others = [function(no_steps, f"bench/other-{n}", f"other-{n}") for n in range(1, functions)]
    return billed([function(no_steps), *others])
