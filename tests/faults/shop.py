"""The functions that run through faults, and what they write down of what they did."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tidegate import ContextSync, Event, TriggerEvent
from tidegate.function import Function, make_function

PLACED = "shop/order.placed"
SHIPPED = "shop/order.shipped"
RETURNED = "shop/order.returned"
INSPECTED = "shop/order.inspected"
ASKED = "shop/mail.asked"

# A schedule that could not be deleted fires then, and until then nothing is at rest.
_LONGEST_WAIT_MS = 3_600_000

# Which functions each event starts.
STARTED: Mapping[str, tuple[str, ...]] = {
    PLACED: ("shop-charge", "shop-notify"),
    SHIPPED: ("shop-track", "shop-ask"),
    RETURNED: ("shop-inspect", "shop-refund"),
    INSPECTED: ("shop-archive", "shop-file"),
    ASKED: ("shop-archive", "shop-file"),
}


class TroubleError(Exception):
    """What functions and steps fail with, for reasons of their own."""


@dataclass
class Ledger:
    """What was done.

    Attributes:
        runs: by function and order, the runs in which its function was called.
        steps: how often the handler of each step of each run ran to its end.
        seen: by run and step, the values that the function had of that step.
        to_inspect: the orders that wait for their inspection.
    """

    runs: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: defaultdict[tuple[str, str], set[Any]] = field(default_factory=lambda: defaultdict(set))
    to_inspect: set[str] = field(default_factory=set)

    def begin(self, function_id: str, ctx: ContextSync) -> str:
        """Write down that a function was called; the order that it is about."""
        order = str(ctx.event.data["order"])
        self.runs[function_id, order].add(ctx.run_id)
        return order

    def step(self, ctx: ContextSync, name: str) -> str:
        """A step whose value tells which execution of its handler it is from."""
        value = str(ctx.step.run(name, partial(self._execute, ctx.run_id, name)))
        self.seen[ctx.run_id, name].add(value)
        return value

    def _execute(self, run_id: str, name: str) -> str:
        self.steps[run_id, name] += 1
        return f"{run_id} {name} {self.steps[run_id, name]}"


def functions(ledger: Ledger) -> list[Function]:
    """The shop, which writes into a ledger."""

    def charge(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-charge", ctx)
        receipt = ledger.step(ctx, "charge")
        # What was done for the order is not done again.
        _fail_now_and_then(ctx, order, every=13)
        return {"order": order, "receipt": receipt}

    def notify(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-notify", ctx)
        _fail_now_and_then(ctx, order, every=17)
        return {"order": order}

    def track(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-track", ctx)
        left = ledger.step(ctx, "left")
        ctx.step.sleep("on its way", 20_000)
        return {"order": order, "left": left, "arrived": ledger.step(ctx, "arrived")}

    def ask(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-ask", ctx)
        asked = Event(name=ASKED, data={"order": f"mail for {order}"})
        return {"order": order, "sent": ctx.step.send_event("ask", asked)}

    def inspect(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-inspect", ctx)
        asked = ledger.step(ctx, "asked")
        ledger.to_inspect.add(order)
        found = ctx.step.wait_for_event(
            "inspected",
            event=INSPECTED,
            if_exp="async.data.returned == event.data.order",
            timeout=_LONGEST_WAIT_MS,
        )
        ledger.to_inspect.discard(order)
        inspected = None if found is None else found.data["returned"]
        return {"order": order, "asked": asked, "inspected": inspected}

    def refund(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-refund", ctx)
        beside = ctx.group.parallel(
            [partial(ledger.step, ctx, name) for name in ("money", "points")]
        )
        told = ctx.step.invoke(
            "tell",
            function=archiving,
            data={"order": f"refund of {order}"},
            timeout=_LONGEST_WAIT_MS,
        )
        return {"order": order, "beside": list(beside), "told": told}

    def archive(ctx: ContextSync) -> dict[str, Any]:
        return {"order": ledger.begin("shop-archive", ctx)}

    def file(ctx: ContextSync) -> dict[str, Any]:
        order = ledger.begin("shop-file", ctx)
        return {"order": order, "filed": ledger.step(ctx, "file")}

    archiving = _function(archive, INSPECTED, ASKED)
    return [
        _function(charge, PLACED),
        _function(notify, PLACED),
        _function(track, SHIPPED),
        _function(ask, SHIPPED),
        _function(inspect, RETURNED),
        _function(refund, RETURNED),
        archiving,
        _function(file, INSPECTED, ASKED),
    ]


def _function(handler: Callable[[ContextSync], Any], *names: str) -> Function:
    return make_function(
        handler,
        app_id="shop",
        fn_id=handler.__name__,
        trigger=[TriggerEvent(event=name) for name in names],
        name=None,
        # A process that dies costs each run in it an attempt.
        retries=20,
    )


def _fail_now_and_then(ctx: ContextSync, order: str, *, every: int) -> None:
    if ctx.attempt == 0 and order.isdigit() and int(order) % every == 0:
        raise TroubleError(f"order {order} does not work the first time")
