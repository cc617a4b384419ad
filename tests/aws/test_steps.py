"""Each step is done once, whatever happens between two of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import TIMEOUT_MS, Deployed, raising, waiting
from tidegate import (
    Context,
    ContextSync,
    Event,
    NonRetriableError,
    ParallelMode,
    RetryAfterError,
    StepError,
    step,
)
from tidegate.aws import client
from tidegate.errors import PlatformError
from tidegate.local.wiring import PREFIX
from tidegate.partition import item_key
from tidegate.run import Status
from tidegate.step import StepId, StepState
from tidegate.step_store import StepStore

pytestmark = pytest.mark.storage


class Ran:
    """Counts what ran, by name."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def __call__(self, name: str, result: Any = None) -> Any:
        self.times[name] += 1
        if isinstance(result, BaseException):
            raise result
        return result


@pytest.fixture
def ran() -> Ran:
    return Ran()


def ended(deployed: Deployed, **event: Any) -> Any:
    """Send an event, drive its run to the end, and give the run."""
    message = deployed.send(**event)
    assert deployed.handle(message) == []
    deployed.drive()
    run = deployed.run_of(message)
    assert run.has_ended
    return run


def completed(deployed: Deployed, **event: Any) -> Any:
    """As `ended`; gives what the function returned."""
    run = ended(deployed, **event)
    assert run.status == Status.COMPLETED, run.output
    return json.loads(deployed.stage.runs.output_of(run) or "")


def failed(deployed: Deployed) -> dict[str, str]:
    """As `ended`; gives the failure."""
    run = ended(deployed)
    assert run.status == Status.FAILED
    return dict(json.loads(run.output or ""))


def test_steps_run_once_across_a_sleep(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> list[int]:
        ran("function")
        first = ctx.step.run("first", ran, "first", 1)
        ctx.step.sleep("rest", timedelta(days=3))
        second = ctx.step.run("second", ran, "second", 2)
        return [first, second]

    deployed = Deployed(stage, handler)
    began_ms = stage.clock.ms
    assert completed(deployed) == [1, 2]
    assert ran.times == {"function": 2, "first": 1, "second": 1}
    assert stage.clock.ms == began_ms + 3 * 86_400_000


def test_steps_of_async_functions(stage: Stage, ran: Ran) -> None:
    async def slow(value: int) -> int:
        await asyncio.sleep(0)
        return ran("slow", value)

    async def handler(ctx: Context) -> list[int]:
        first = await ctx.step.run("coroutine", slow, 1)
        await ctx.step.sleep("rest", 90_000)
        second = await ctx.step.run("plain", ran, "plain", 2)
        return [first, second]

    assert completed(Deployed(stage, handler)) == [1, 2]
    assert ran.times == {"slow": 1, "plain": 1}


def test_ids_are_those_of_the_protocol() -> None:
    assert StepId("a").hashed == "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"
    assert StepId("a", 1).hashed == "de89bfaf06245091a7873290a793604612302247"


def test_steps_of_one_id_are_told_apart_by_count(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> list[int]:
        values = []
        for n in range(3):
            values.append(ctx.step.run("each", ran, f"each {n}", n))
            ctx.step.sleep("pause", 60_000)
        return values

    assert completed(Deployed(stage, handler)) == [0, 1, 2]
    assert ran.times == {"each 0": 1, "each 1": 1, "each 2": 1}


def test_changed_order_replays_by_id(stage: Stage, ran: Ran) -> None:
    order = ["a", "b"]

    def handler(ctx: ContextSync) -> dict[str, str]:
        values = {name: ctx.step.run(name, ran, name, name.upper()) for name in order}
        ctx.step.sleep("rest", 60_000)
        return values

    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    order[:] = ["b", "new", "a"]
    deployed.drive()
    assert json.loads(deployed.run_of(message).output or "") == {"b": "B", "new": "NEW", "a": "A"}
    assert ran.times == {"a": 1, "b": 1, "new": 1}


# --- attempts -----------------------------------------------------------------------------------


def test_step_has_attempts_of_its_own(stage: Stage, ran: Ran) -> None:
    def flaky(name: str) -> str:
        ran(name)
        if ran.times[name] < 3:
            raise ValueError("not yet")
        return name

    def handler(ctx: ContextSync) -> list[str]:
        assert ctx.attempt == 0
        return [ctx.step.run(name, flaky, name) for name in ("a", "b")]

    assert completed(Deployed(stage, handler, retries=2)) == ["a", "b"]
    assert ran.times == {"a": 3, "b": 3}


def test_step_that_failed_for_good_raises_what_may_be_caught(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.run("charge", ran, "charge", ValueError("declined"))
        except StepError as error:
            caught.append(error)
        return ctx.step.run("refund", ran, "refund", "refunded")

    caught: list[StepError] = []
    assert completed(Deployed(stage, handler, retries=2)) == "refunded"
    assert (caught[0].name, caught[0].message) == ("ValueError", "declined")
    assert "raise result" in caught[0].stack
    assert ran.times == {"charge": 3, "refund": 1}


def test_step_error_that_is_not_caught_fails_the_run_at_once(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> None:
        ran("function")
        ctx.step.run("charge", ran, "charge", ValueError("declined"))

    failure = failed(Deployed(stage, handler, retries=1))
    assert failure["message"] == "declined"
    assert ran.times == {"function": 2, "charge": 2}


def test_retries_of_a_step_follow_the_schedule(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run("a", raising(ValueError())), retries=3)
    began_ms = stage.clock.ms
    failed(deployed)
    assert stage.clock.ms - began_ms == (15 + 30 + 60) * 1000


def test_errors_of_a_step_steer_its_retries(stage: Stage, ran: Ran) -> None:
    errors = [RetryAfterError("wait", 5_000), NonRetriableError("stop")]

    def handler(ctx: ContextSync) -> None:
        ctx.step.run("a", lambda: ran("a", errors[ran.times["a"]]))

    began_ms = stage.clock.ms
    assert failed(Deployed(stage, handler))["message"] == "stop"
    assert ran.times["a"] == 2
    assert stage.clock.ms - began_ms == 5_000


def test_progress_gives_the_function_all_its_attempts_again(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> str:
        for name in ("a", "b"):
            ctx.step.run(name, ran, name)
            if ran(f"after {name}") or ran.times[f"after {name}"] == 1:
                raise ValueError(name)
        return "done"

    assert completed(Deployed(stage, handler, retries=1)) == "done"


# --- values -------------------------------------------------------------------------------------


class Order(pydantic.BaseModel):
    number: int
    at: datetime


@dataclasses.dataclass
class Item:
    name: str


def test_outputs_come_back_as_the_declared_type(stage: Stage) -> None:
    order = Order(number=7, at=datetime(2026, 1, 2, tzinfo=UTC))
    seen: list[Any] = []

    def handler(ctx: ContextSync) -> None:
        seen.append(
            [
                ctx.step.run("model", lambda: order, output_type=Order),
                ctx.step.run("dataclass", lambda: [Item("x")], output_type=list[Item]),
                ctx.step.run("datetime", lambda: order.at, output_type=datetime),
                ctx.step.run("plain", lambda: order),
                ctx.step.run("tuple", lambda: (1, 2)),
            ]
        )
        ctx.step.sleep("rest", 60_000)

    completed(Deployed(stage, handler))
    assert seen[0] == seen[1], "the first call sees what a replay sees"
    assert seen[0] == [
        order,
        [Item("x")],
        order.at,
        {"number": 7, "at": "2026-01-02T00:00:00Z"},
        [1, 2],
    ]


def test_output_that_json_cannot_hold_names_the_step(stage: Stage) -> None:
    failure = failed(Deployed(stage, lambda ctx: ctx.step.run("charge", object)))
    assert failure["message"].startswith("step 'charge' returned what JSON cannot hold")


def test_large_outputs_go_through_the_bucket(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> int:
        text = ctx.step.run("large", lambda: "x" * 500_000)
        ctx.step.sleep("rest", 60_000)
        return len(text)

    assert completed(Deployed(stage, handler)) == 500_000


def test_output_above_4_mib_names_the_step(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run("big", lambda: "x" * 4 * 1024 * 1024))
    assert "step 'big' returned 4194306 bytes" in failed(deployed)["message"]


def test_random_uuid_and_now_are_the_same_at_every_call(stage: Stage) -> None:
    seen: list[Any] = []

    def handler(ctx: ContextSync) -> None:
        drawn = [ctx.random(), ctx.uuid(), ctx.now()]
        stage.clock.advance(seconds=5)
        ctx.step.run("a", stage.clock.advance, output_type=None)
        drawn.append(ctx.now())
        ctx.step.sleep("rest", timedelta(minutes=2))
        drawn += [ctx.now(), ctx.random()]
        seen.append(drawn)
        ctx.step.sleep("again", timedelta(hours=2))

    deployed = Deployed(stage, handler)
    began = datetime.fromtimestamp(stage.clock.ms / 1000, UTC)
    completed(deployed)
    assert seen[0] == seen[1]
    assert seen[0][2:5] == [
        began,
        began + timedelta(seconds=5),
        began + timedelta(minutes=2, seconds=5),
    ]
    assert seen[0][0] != seen[0][5]


# --- sleeping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("past", [0, -5, datetime(2000, 1, 1, tzinfo=UTC)])
def test_a_sleep_until_the_past_is_none(stage: Stage, past: Any) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep_until("rest", past))
    message = deployed.send()
    deployed.handle(message)
    assert deployed.run_of(message).status == Status.COMPLETED


def test_a_short_sleep_stays_in_the_invocation_to_the_millisecond(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("rest", 250))
    message = deployed.send()
    deployed.handle(message)
    assert deployed.run_of(message).status == Status.COMPLETED
    assert stage.clock.slept_s == [0.25]


def test_a_sleep_of_more_than_366_days_is_an_error(stage: Stage) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("rest", timedelta(days=367)))
    assert "step 'rest' sleeps for more than 366 days" in failed(deployed)["message"]


def test_a_sleep_of_366_days_is_possible(stage: Stage) -> None:
    began_ms = stage.clock.ms
    completed(Deployed(stage, lambda ctx: ctx.step.sleep("rest", timedelta(days=366))))
    assert stage.clock.ms - began_ms == 366 * 86_400_000


# --- parallel groups ----------------------------------------------------------------------------


def test_branches_run_their_steps_beside_each_other(stage: Stage, ran: Ran) -> None:
    together = threading.Barrier(3)

    def meet(n: int) -> int:
        together.wait(timeout=10)
        return ran(f"step {n}", n)

    def handler(ctx: ContextSync) -> Any:
        return ctx.group.parallel([lambda n=n: ctx.step.run("same id", meet, n) for n in range(3)])

    assert completed(Deployed(stage, handler)) == [0, 1, 2]
    assert set(ran.times.values()) == {1}


def test_async_branches(stage: Stage, ran: Ran) -> None:
    async def handler(ctx: Context) -> Any:
        arrived = asyncio.Event()

        async def first() -> str:
            await asyncio.wait_for(arrived.wait(), 10)
            return ran("first", "first")

        async def second() -> str:
            arrived.set()
            return ran("second", "second")

        async def branch() -> str:
            value = await ctx.step.run("second", second)
            await ctx.step.sleep("rest", 60_000)
            return await ctx.step.run("third", ran, "third", f"{value}, third")

        return await ctx.group.parallel([lambda: ctx.step.run("first", first), branch])

    assert completed(Deployed(stage, handler)) == ["first", "second, third"]
    assert ran.times == {"first": 1, "second": 1, "third": 1}


def test_branches_sleep_beside_each_other_and_nest(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> Any:
        def sleeper(name: str, hours: int) -> str:
            ctx.step.sleep(name, timedelta(hours=hours))
            return ctx.step.run(f"after {name}", ran, name, name)

        return ctx.group.parallel(
            (
                lambda: sleeper("long", 3),
                lambda: ctx.group.parallel((lambda: sleeper("a", 1), lambda: sleeper("b", 2))),
            )
        )

    deployed = Deployed(stage, handler)
    began_ms = stage.clock.ms
    assert completed(deployed) == ["long", ["a", "b"]]
    assert ran.times == {"long": 1, "a": 1, "b": 1}
    assert stage.clock.ms - began_ms == 3 * 3_600_000


def test_a_failing_branch_is_retried_while_the_others_are_done(stage: Stage, ran: Ran) -> None:
    def flaky() -> str:
        ran("flaky")
        if ran.times["flaky"] < 3:
            raise ValueError
        return "flaky"

    def handler(ctx: ContextSync) -> Any:
        return ctx.group.parallel(
            (lambda: ctx.step.run("a", flaky), lambda: ctx.step.run("b", ran, "b", "b"))
        )

    assert completed(Deployed(stage, handler)) == ["flaky", "b"]
    assert ran.times == {"flaky": 3, "b": 1}


def test_race_gives_the_first_and_stays_so(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> Any:
        def sleeper(name: str, hours: int) -> str:
            ctx.step.sleep(name, timedelta(hours=hours))
            return name

        [first] = ctx.group.parallel(
            (lambda: sleeper("slow", 3), lambda: sleeper("fast", 1)), ParallelMode.RACE
        )
        ctx.step.sleep("until both are over", timedelta(hours=5))
        return ctx.step.run("winner", ran, "winner", first)

    assert completed(Deployed(stage, handler)) == "fast"


# --- mistakes -----------------------------------------------------------------------------------


def test_a_step_inside_a_step_is_an_error(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.run("outer", lambda: ctx.step.run("inner", lambda: None))

    assert "step 'inner' is used inside step 'outer'" in failed(Deployed(stage, handler))["message"]


def test_a_bare_except_around_a_suspending_step_is_an_error(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.sleep("rest", 60_000)
        except:  # noqa: E722
            return "swallowed"
        return "slept"

    failure = failed(Deployed(stage, handler))
    assert failure["name"] == "SuspendSwallowed"
    assert "write `except Exception:`" in failure["message"]


def test_an_error_after_a_swallowed_suspend_is_told_too(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        try:
            ctx.step.sleep("rest", 60_000)
        except BaseException as error:
            raise KeyError("lost") from error

    failure = failed(Deployed(stage, handler))
    assert failure["name"] == "SuspendSwallowed"
    assert "Then it raised KeyError: 'lost'" in failure["message"]
    assert "raise KeyError" in failure["stack"]


def test_a_bare_except_in_a_branch_is_an_error(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        def branch() -> str:
            try:
                return ctx.step.run("a", lambda: "a")
            except:  # noqa: E722
                return "swallowed"

        return ctx.group.parallel((branch, lambda: ctx.step.run("b", lambda: "b")))

    assert "bare `except:`" in failed(Deployed(stage, handler))["message"]


def test_except_exception_does_not_catch_a_suspend(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.sleep("rest", 60_000)
        except Exception:
            return "swallowed"
        return "slept"

    assert completed(Deployed(stage, handler)) == "slept"


def test_an_id_that_becomes_another_kind_of_step_is_an_error(stage: Stage) -> None:
    kinds = ["run", "sleep"]

    def handler(ctx: ContextSync) -> None:
        if kinds.pop(0) == "run":
            ctx.step.run("a", lambda: None)
        else:
            ctx.step.sleep("a", 60_000)
        ctx.step.sleep("rest", 60_000)

    failure = failed(Deployed(stage, handler))
    assert "step 'a' is a Sleep now and was a StepRun" in failure["message"]


@pytest.mark.parametrize("step_id", ["", None, 5])
def test_an_id_that_is_no_text_is_an_error(stage: Stage, step_id: Any) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run(step_id, lambda: None))
    assert "a step's id is a text" in failed(deployed)["message"]


def test_too_many_steps_fail_the_run_whatever_it_catches(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        for n in range(6):
            with contextlib.suppress(Exception):
                ctx.step.run(f"step {n}", lambda: None)

    failure = failed(Deployed(stage, handler, max_steps=5))
    assert failure["name"] == "TooManySteps"
    assert "step number 6, and 5 are allowed" in failure["message"]


def test_too_much_state_fails_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.journal.MAX_STATE_BYTES", 1_000)

    def handler(ctx: ContextSync) -> None:
        for n in range(5):
            ctx.step.run(f"step {n}", lambda: "x" * 600)

    failure = failed(Deployed(stage, handler))
    assert failure["name"] == "TooMuchState"
    assert "before step 'step 2', and 1000 are allowed" in failure["message"]


# --- @step --------------------------------------------------------------------------------------


def test_decorated_functions_are_steps_inside_a_run_and_plain_outside(
    stage: Stage, ran: Ran
) -> None:
    @step
    def double(number: int) -> int:
        return ran("double", 2 * number) or 0

    @step("order", output_type=Order)
    def order(*, number: int) -> Order:
        return Order(number=ran("order", number), at=datetime(2026, 1, 2, tzinfo=UTC))

    @step
    def both() -> int:
        return double(5) + 1

    def handler(ctx: ContextSync) -> list[Any]:
        first = [double(1), double(2), order(number=3).number, both()]
        ctx.step.sleep("rest", 60_000)
        return first

    assert double(4) == 8
    assert completed(Deployed(stage, handler)) == [2, 4, 3, 11]
    assert ran.times == {"double": 4, "order": 1}


def test_decorated_coroutine_functions(stage: Stage, ran: Ran) -> None:
    @step
    async def double(number: int) -> int:
        return ran("double", 2 * number) or 0

    async def handler(ctx: Context) -> int:
        first = await double(1)
        await ctx.step.sleep("rest", 60_000)
        return first

    assert asyncio.run(double(2)) == 4
    assert completed(Deployed(stage, handler)) == 2
    assert ran.times == {"double": 2}


# --- invocations --------------------------------------------------------------------------------


def test_a_run_is_handed_over_before_the_invocations_time_is_up(stage: Stage, ran: Ran) -> None:
    def minute(n: int) -> int:
        stage.clock.advance(seconds=60)
        return ran(f"step {n}", n)

    def handler(ctx: ContextSync) -> int:
        ran("function")
        return sum(ctx.step.run(f"step {n}", minute, n) for n in range(20))

    deployed = Deployed(stage, handler)
    began_ms = stage.clock.ms
    assert completed(deployed) == 190
    assert stage.clock.ms - began_ms == 20 * 60_000 > TIMEOUT_MS
    assert all(ran.times[f"step {n}"] == 1 for n in range(20))
    assert ran.times["function"] == 10


def test_sent_events_are_remembered(stage: Stage, ran: Ran) -> None:
    sent: list[list[str]] = []

    def handler(ctx: ContextSync) -> None:
        sent.append(ctx.step.send_event("notify", Event(name="app/b")))
        ctx.step.sleep("rest", 60_000)

    deployed = Deployed(stage, handler)
    message = deployed.send()
    deployed.handle(message)
    deployed.drive()
    assert len(sent) == 2
    assert sent[0] == sent[1]
    steps = stage.steps.load(deployed.run_of(message))
    assert steps[StepId("notify").hashed].state == StepState.COMPLETED


def test_a_fault_while_recording_does_not_run_the_step_again(
    stage: Stage, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = StepStore.put
    faults = [1, 2, 3]

    def flaky(self: StepStore, *args: Any) -> Any:
        if faults:
            faults.pop()
            raise PlatformError("busy")
        return put(self, *args)

    monkeypatch.setattr(StepStore, "put", flaky)
    deployed = Deployed(stage, lambda ctx: ctx.step.run("a", ran, "a", 1))
    assert completed(deployed) == 1
    assert ran.times == {"a": 1}


def test_first_output_wins(stage: Stage, ran: Ran) -> None:
    """A worker that lost its lease finishes its step after another one has."""
    overtake: list[Any] = []
    elsewhere = ThreadPoolExecutor(1)

    def slow() -> str:
        number = ran("slow") or ran.times["slow"]
        if overtake:
            overtake.pop()()
        return f"output {number}"

    deployed = Deployed(stage, lambda ctx: ctx.step.run("a", slow))
    message = deployed.send()

    def other() -> None:
        stage.clock.advance(seconds=TIMEOUT_MS / 1000 + 6)
        elsewhere.submit(deployed.handle, message).result()

    overtake.append(other)
    deployed.handle(message)
    assert json.loads(deployed.run_of(message).output or "") == "output 2"
    record = stage.steps.load(deployed.run_of(message))[StepId("a").hashed]
    assert record.memo == '{"data":"output 2"}'


def test_ids_that_look_alike_are_told_apart(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> list[int]:
        names = ["s", "s", "s:1", "s:1"]
        values = [ctx.step.run(name, ran, f"{n}", n) for n, name in enumerate(names)]
        ctx.step.sleep("rest", 60_000)
        return values

    assert completed(Deployed(stage, handler)) == [0, 1, 2, 3]
    assert set(ran.times.values()) == {1}


def test_steps_outlive_a_sleep_that_is_longer_than_the_retention(stage: Stage, ran: Ran) -> None:
    def handler(ctx: ContextSync) -> int:
        first = ctx.step.run("first", ran, "first", 1)
        ctx.step.sleep("rest", timedelta(days=90))
        return first + ctx.step.run("second", ran, "second", 2)

    deployed = Deployed(stage, handler)
    message = deployed.send(data={"text": "x" * 100_000})
    deployed.handle(message)
    run = deployed.run_of(message)
    wakes_ms = stage.clock.ms + 90 * 86_400_000
    for table, key in (("runs", item_key("dev", run.id)), ("steps", first_step_key(run.id))):
        found = client("dynamodb").get_item(TableName=f"{PREFIX}-{table}", Key=key)["Item"]
        assert int(found["expires_at"]["N"]) * 1000 > wakes_ms, table
    [later] = waiting(stage, deployed.function)
    assert (later.body_key or "").startswith("quarter/")
    stage.clock.ms = wakes_ms
    deployed.handle(later)
    assert json.loads(deployed.run_of(message).output or "") == 3
    assert ran.times == {"first": 1, "second": 1}


def first_step_key(run_id: str) -> Any:
    return {"pk": {"S": f"dev#{run_id}"}, "sk": {"S": StepId("first").hashed}}
