"""`tidegate.testing`: what users' tests see of a run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.aws.deployed import function_of, raising
from tidegate import (
    Context,
    ContextSync,
    Event,
    NonRetriableError,
    ParallelMode,
    RetryAfterError,
    StepError,
    TriggerEvent,
    step,
)
from tidegate.errors import ConfigurationError, RequestError
from tidegate.testing import EndlessRunError, RunFailedError, run
from tidegate.testing.memory import MemoryRuns, MemorySteps

A = Event(name="app/a", data={"n": 1})
B = TriggerEvent(event="app/b")
START = datetime(2026, 1, 1, tzinfo=UTC)


def failing(times: int, calls: list[Any] | None = None) -> Callable[[], str]:
    """Fails that many times, then succeeds."""
    made = [] if calls is None else calls

    def call() -> str:
        made.append(None)
        if len(made) <= times:
            raise ValueError(f"failure {len(made)}")
        return f"call {len(made)}"

    return call


def test_a_run_and_its_steps() -> None:
    def handler(ctx: ContextSync) -> dict[str, Any]:
        total = ctx.step.run("add", lambda: ctx.event.data["n"] + 1)
        ctx.step.sleep("rest", timedelta(days=3))
        ids = ctx.step.send_event("notify", Event(name="app/b", data={"total": total}))
        return {"total": total, "sent": len(ids)}

    result = run(function_of(handler), A)
    assert (result.status, result.output, result.error) == (
        "Completed",
        {"total": 2, "sent": 1},
        None,
    )
    assert result.value == result.output
    assert (result.attempts, result.calls) == (1, 2)
    assert [(s.id, s.kind, s.status, s.attempts) for s in result.steps.values()] == [
        ("add", "run", "Completed", 1),
        ("rest", "sleep", "Completed", 1),
        ("notify", "send_event", "Completed", 1),
    ]
    assert result.steps["add"].output == 2
    assert result.steps["rest"].started_at == START
    assert result.steps["rest"].ended_at == result.steps["notify"].started_at
    assert result.elapsed == timedelta(days=3)
    assert (result.started_at, result.ended_at) == (START, START + timedelta(days=3))
    [sent] = result.sent
    assert (sent.name, sent.data) == ("app/b", {"total": 2})
    assert [sent.id] == result.steps["notify"].output
    assert result.event.data == {"n": 1}


def test_async_functions_also_from_within_an_event_loop() -> None:
    async def twice(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    async def handler(ctx: Context) -> int:
        first = await ctx.step.run("first", twice, 1)
        await ctx.step.sleep("rest", timedelta(hours=1))
        await ctx.step.send_event("notify", Event(name="app/b"))
        return await ctx.step.run("second", twice, first)

    async def test() -> Any:
        return run(function_of(handler), A)

    result = run(function_of(handler), A)
    assert result.value == 4
    assert asyncio.run(test()) == result


def test_the_same_call_gives_the_same_result() -> None:
    flaky: list[Any] = []

    def handler(ctx: ContextSync) -> list[Any]:
        def branch(n: int) -> list[str]:
            return ctx.step.send_event(f"send {n}", Event(name="app/b", data={"n": n}))

        ids = ctx.group.parallel([partial(branch, n) for n in range(8)])
        ctx.step.run("flaky", flaky.pop())
        return [ids, ctx.random(), str(ctx.uuid()), ctx.now().isoformat(), ctx.run_id]

    def other(ctx: ContextSync) -> Any:
        return ctx.event.data["n"]

    def once() -> Any:
        flaky[:] = [str, raising(ValueError())]
        heard = function_of(other, fn_id="other", trigger=B)
        return run(function_of(handler), A, functions=[heard])

    first = once()
    assert first.status == "Completed"
    assert [result.value for result in first.runs] == list(range(8)), "in the function's order"
    for _ in range(3):
        again = once()
        assert again == first
        assert again.runs == first.runs


def test_failed_runs_show_the_functions_own_stack() -> None:
    def handler(ctx: ContextSync) -> None:
        raise KeyError("missing")

    result = run(function_of(handler, retries=2), A)
    assert result.status == "Failed"
    assert result.error is not None
    assert (result.error.name, result.error.message) == ("KeyError", "'missing'")
    assert result.output is None
    assert result.attempts == 3
    assert result.elapsed == timedelta(seconds=15 + 30)
    for convenience in (result.raise_for_status, lambda: result.value):
        with pytest.raises(RunFailedError, match="the run of 'test-f' failed: KeyError") as raised:
            convenience()
        assert 'raise KeyError("missing")' in str(raised.value)
        assert raised.value.error == result.error


def test_steps_are_retried_on_schedule_and_failures_are_shown() -> None:
    hopeless_call, flaky_call = failing(99), failing(2)

    def handler(ctx: ContextSync) -> str:
        try:
            ctx.step.run("hopeless", hopeless_call)
        except StepError as error:
            return ctx.step.run("flaky", flaky_call) + error.message
        return ""

    result = run(function_of(handler, retries=3), A)
    assert result.value == "call 3failure 4"
    hopeless, flaky = result.steps["hopeless"], result.steps["flaky"]
    assert (hopeless.status, hopeless.attempts, hopeless.output) == ("Failed", 4, None)
    assert hopeless.error is not None
    assert (hopeless.error.name, hopeless.error.message) == ("ValueError", "failure 4")
    assert (flaky.status, flaky.attempts, flaky.error) == ("Completed", 3, None)
    assert result.elapsed == timedelta(seconds=15 + 30 + 60 + 15 + 30)
    assert result.attempts == 1


def test_attempts_can_be_set() -> None:
    calls: list[Any] = []
    assert run(function_of(lambda ctx: failing(9, calls)()), A, attempts=2).status == "Failed"
    assert len(calls) == 2


def test_retry_after_and_non_retriable_errors() -> None:
    errors = [RetryAfterError("later", timedelta(hours=2)), NonRetriableError("never")]

    def handler(ctx: ContextSync) -> None:
        raise errors[ctx.attempt]

    result = run(function_of(handler), A)
    assert (result.attempts, result.elapsed) == (2, timedelta(hours=2))
    assert result.error is not None
    assert result.error.name == "NonRetriableError"


def test_repeated_ids_races_and_decorated_steps() -> None:
    @step
    def double(n: int) -> int:
        return 2 * n

    def handler(ctx: ContextSync) -> Any:
        def sleeper(name: str, hours: int) -> str:
            ctx.step.sleep(name, timedelta(hours=hours))
            return name

        doubled = [double(n) for n in range(3)]
        slow, fast = partial(sleeper, "slow", 9), partial(sleeper, "fast", 1)
        return [doubled, ctx.group.parallel([slow, fast], ParallelMode.RACE)]

    result = run(function_of(handler), A)
    assert result.value == [[0, 2, 4], ["fast"]]
    assert [(key, s.kind, s.status) for key, s in result.steps.items()] == [
        ("double", "run", "Completed"),
        ("double:1", "run", "Completed"),
        ("double:2", "run", "Completed"),
        ("race", "race", "Completed"),
        ("slow", "sleep", "Waiting"),
        ("fast", "sleep", "Completed"),
    ]
    assert result.steps["slow"].ended_at is None
    assert result.steps["double:2"].id == "double"


def test_branches_run_beside_each_other() -> None:
    together = threading.Barrier(3)

    def handler(ctx: ContextSync) -> Any:
        def branch(n: int) -> Any:
            return ctx.step.run(f"step {n}", lambda: together.wait(timeout=10) * 0 + n)

        return ctx.group.parallel([partial(branch, n) for n in range(3)])

    result = run(function_of(handler), A)
    assert result.value == [0, 1, 2]
    assert list(result.steps) == ["step 0", "step 1", "step 2"]


def test_max_steps_holds() -> None:
    def handler(ctx: ContextSync) -> None:
        while True:
            ctx.step.sleep("forever", timedelta(days=1))

    result = run(function_of(handler, max_steps=30), A)
    assert result.error is not None
    assert result.error.name == "TooManySteps"
    assert len(result.steps) == 30
    assert result.elapsed == timedelta(days=30)


# --- mocks --------------------------------------------------------------------------------------


def test_mocks_replace_steps_by_value_callable_or_exception() -> None:
    @step
    def ship(order: str, *, express: bool) -> str:
        raise AssertionError("mocked")

    def handler(ctx: ContextSync) -> list[Any]:
        values = [
            ctx.step.run("charge", failing(9)),
            ctx.step.run("add", lambda a, b: a + b, 1, 2),
            ship("o1", express=True),
            ctx.step.send_event("notify", Event(name="app/b")),
        ]
        try:
            ctx.step.run("audit", str)
        except StepError as error:
            values.append([error.name, error.message])
        return values

    mocks = {
        "charge": 42,
        "add": lambda a, b: a * 100 + b,
        "ship": lambda order, express: f"{order} {express}",
        "notify": ["an id"],
        "audit": PermissionError("no"),
    }
    result = run(function_of(handler), A, steps=mocks, attempts=2)
    assert result.value == [42, 102, "o1 True", ["an id"], ["PermissionError", "no"]]
    assert result.sent == (), "a mocked step sends nothing"
    assert result.steps["audit"].attempts == 2


def test_mocks_of_one_use_of_an_id_and_of_async_steps() -> None:
    async def handler(ctx: Context) -> list[Any]:
        return [await ctx.step.run("each", lambda n=n: n) for n in range(3)]  # type: ignore[misc]

    async def eleven() -> int:
        await asyncio.sleep(0)
        return 11

    assert run(function_of(handler), A, steps={"each:1": eleven}).value == [0, 11, 2]
    assert run(function_of(handler), A, steps={"each": 5}).value == [5, 5, 5]


def test_a_mock_that_is_not_used_is_an_error_unless_allowed() -> None:
    function = function_of(lambda ctx: ctx.step.run("charge", lambda: 1))
    result = run(function, A, steps={"chrage": 2})
    assert result.status == "Failed"
    assert result.error is not None
    assert result.error.name == "UnusedMock"
    assert "'chrage'; its steps are: 'charge'" in result.error.message
    with pytest.raises(RunFailedError, match="UnusedMock"):
        result.raise_for_status()
    assert run(function, A, steps={"chrage": 2}, allow_unused=True).value == 1


# --- several functions --------------------------------------------------------------------------


def test_sent_events_start_other_functions_in_order_of_time() -> None:
    order: list[str] = []

    def handler(ctx: ContextSync) -> None:
        ctx.step.send_event("now", Event(name="app/b", data={"text": "x" * 100_000}))
        ctx.step.sleep("rest", timedelta(hours=2))
        order.append("after 2 h")

    def other(ctx: ContextSync) -> int:
        ctx.step.sleep("rest", timedelta(hours=1))
        order.append("after 1 h")
        return len(ctx.event.data["text"])

    heard = [function_of(other, fn_id=f"other {n}".replace(" ", "-"), trigger=B) for n in (1, 2)]
    result = run(function_of(handler), A, functions=heard)
    result.raise_for_status()
    assert order == ["after 1 h", "after 1 h", "after 2 h"]
    assert [other.value for other in result.runs] == [100_000, 100_000]
    [second] = result.runs_of(heard[1])
    assert second.event == result.sent[0]
    assert second.elapsed == timedelta(hours=1)
    assert result.runs_of("test-nothing") == []


def test_failure_handlers_run() -> None:
    def handler(ctx: ContextSync) -> None:
        raise NonRetriableError("boom")

    def on_failure(ctx: ContextSync) -> Any:
        return ctx.event.data["error"]["message"]

    trigger = TriggerEvent(event="inngest/function.failed")
    heard = function_of(on_failure, fn_id="on-failure", trigger=trigger)
    [other] = run(function_of(handler), A, functions=[heard]).runs
    assert other.value == "boom"


def test_on_failure_runs_without_being_named() -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.invoke("other", function=other)

    async def on_failure(ctx: Context) -> Any:
        return ctx.event.data["event"]["data"]

    broken = raising(NonRetriableError("boom"))
    other = function_of(broken, fn_id="other", trigger=[], on_failure=on_failure)
    function = function_of(handler, retries=0, on_failure=on_failure)
    result = run(function, A, functions=[other])
    assert result.error is not None
    [told] = result.runs_of("test-f-failure")
    assert told.value == {"n": 1}
    assert "_inngest" in result.runs_of("test-other-failure")[0].value
    assert run(function_of(lambda ctx: None, on_failure=on_failure), A).runs == ()


def test_one_run_for_events_of_one_idempotency_key() -> None:
    function = function_of(lambda ctx: ctx.event.data["n"], idempotency="event.data.n")
    events = [Event(name="app/a", data={"n": n}) for n in (1, 1, 2)]
    result = run(function, events)
    assert result.value == 1
    assert [other.value for other in result.runs] == [2]

    def handler(ctx: ContextSync) -> Any:
        return ctx.step.invoke("it", function=function, data={"n": 1})

    skipped = run(function_of(handler, fn_id="g", retries=0), A, functions=[function])
    assert skipped.error is not None
    assert "'test-f' did not start" in skipped.error.message
    assert skipped.elapsed == timedelta()


def test_duplicates_and_events_of_the_future() -> None:
    function = function_of(lambda ctx: ctx.event.data["n"])
    due_ms = int(START.timestamp() * 1000) + 86_400_000
    events = [
        Event(name="app/a", data={"n": 1}, id="x"),
        Event(name="app/a", data={"n": 2}, id="x"),
        Event(name="app/a", data={"n": 3}, ts=due_ms),
    ]
    result = run(function, events)
    assert result.value == 1
    [late] = result.runs
    assert (late.value, late.elapsed) == (3, timedelta(days=1))


def test_time_begins_when_it_is_told() -> None:
    function = function_of(lambda ctx: ctx.now().isoformat())
    assert run(function, A).value == "2026-01-01T00:00:00+00:00"
    assert run(function, A, now=datetime(2030, 5, 1)).value == "2030-05-01T00:00:00+00:00"
    assert run(function, A, now=1_760_000_000_000).value == "2025-10-09T08:53:20+00:00"


# --- what cannot work ---------------------------------------------------------------------------


def test_functions_that_trigger_each_other_for_ever_are_stopped() -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", timedelta(days=1))
        ctx.step.send_event("again", Event(name="app/a"))

    with pytest.raises(EndlessRunError, match="'test-f' for event 'app/a'") as raised:
        run(function_of(handler), A, limit=100)
    assert "100 messages were handled" in str(raised.value)
    assert "pass a higher limit" in str(raised.value)


def test_a_limit_that_is_just_enough() -> None:
    function = function_of(lambda ctx: ctx.step.sleep("rest", timedelta(days=1)))
    assert run(function, A, limit=2).status == "Completed"
    with pytest.raises(EndlessRunError):
        run(function, A, limit=1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"function": print}, "is no function; decorate it"),
        ({"functions": [print]}, "is no function; decorate it"),
        ({"events": []}, "no event"),
        ({"events": Event(name="app/x")}, "event 'app/x' does not start 'test-f', .* 'app/a'"),
        ({"attempts": 0}, "a number from 1 to 21"),
        ({"attempts": 22}, "a number from 1 to 21"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], reason: str) -> None:
    given = {"function": function_of(lambda ctx: None), "events": A} | arguments
    with pytest.raises(ConfigurationError, match=reason):
        run(**given)


def test_an_event_that_is_not_valid() -> None:
    function = function_of(lambda ctx: None)
    with pytest.raises(RequestError, match=r"events\[0\]: ts"):
        run(function, Event(name="app/a", ts=5))


# --- what it costs ------------------------------------------------------------------------------


def test_each_step_is_put_once_and_records_are_loaded_once_per_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    puts: list[str] = []
    loads: list[int] = []
    put, load, take = MemorySteps.put, MemorySteps.load, MemoryRuns.take

    def counted_put(self: MemorySteps, run: Any, record: Any) -> Any:
        puts.append(record.step.name)
        return put(self, run, record)

    def counted_take(self: MemoryRuns, old: Any, new: Any) -> Any:
        loads.append(0)
        return take(self, old, new)

    def counted_load(self: MemorySteps, run: Any) -> Any:
        if loads:
            loads[-1] += 1
        return load(self, run)

    def handler(ctx: ContextSync) -> None:
        for n in range(50):
            ctx.step.run(f"step {n}", lambda: None)
            if n % 10 == 9:
                ctx.step.sleep(f"rest {n}", timedelta(hours=1))

    monkeypatch.setattr(MemorySteps, "put", counted_put)
    monkeypatch.setattr(MemorySteps, "load", counted_load)
    monkeypatch.setattr(MemoryRuns, "take", counted_take)
    result = run(function_of(handler), A)
    assert result.status == "Completed"
    assert len(puts) == len(set(puts)) == 55
    # The last one is read once more, for the result.
    assert loads == [1, 1, 1, 1, 2]


def test_it_works_in_a_plain_script() -> None:
    script = """
from datetime import timedelta
from tidegate import Client, ContextSync, Event, TriggerEvent
from tidegate.testing import run

client = Client(app_id="shop")

@client.create_function(fn_id="greet", trigger=TriggerEvent(event="app/a"))
async def greet(ctx):
    await ctx.step.sleep("rest", timedelta(days=365))
    return "hello"

print(run(greet, Event(name="app/a")).value)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("hello\n", "")
