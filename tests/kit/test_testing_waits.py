"""`tidegate.testing`: functions that wait for events or invoke others, and their mocks."""

from __future__ import annotations

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
    FunctionNotFoundError,
    InvokeCancelledError,
    InvokeError,
    InvokeTimeoutError,
    NonRetriableError,
    ParallelMode,
)
from tidegate.errors import ConfigurationError
from tidegate.function import Function
from tidegate.testing import After, run

A = Event(name="app/a", data={"n": 1})
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def waiter(**options: Any) -> Callable[[ContextSync], Any]:
    """Waits for `app/b`, and gives its data."""

    def handler(ctx: ContextSync) -> Any:
        found = ctx.step.wait_for_event("answer", **{"event": "app/b", "timeout": HOUR} | options)
        return None if found is None else found.data

    return handler


def callee(handler: Callable[[ContextSync], Any], **options: Any) -> Function:
    return function_of(handler, **{"fn_id": "callee", "trigger": [], "retries": 0} | options)


def invoking(function: Function, **options: Any) -> Callable[[ContextSync], Any]:
    """Invokes a function; gives its result, or what was raised."""

    def handler(ctx: ContextSync) -> Any:
        try:
            return ctx.step.invoke("call", function=function, data={"n": 7}, **options)
        except InvokeError as error:
            return [type(error).__name__, error.name, error.message]

    return handler


# --- what results say of waits ------------------------------------------------------------------


def test_an_event_that_is_sent_later_is_met() -> None:
    result = run(function_of(waiter()), [A, After(HOUR / 2, Event(name="app/b", data={"n": 2}))])
    assert result.value == {"n": 2}
    assert result.elapsed == HOUR / 2
    answer = result.steps["answer"]
    assert (answer.kind, answer.status, answer.attempts) == ("wait_for_event", "Completed", 1)
    assert answer.error is None
    assert answer.output["name"] == "app/b"
    assert answer.output["data"] == {"n": 2}
    assert answer.output["id"]
    assert answer.output["ts"] == (START + HOUR / 2).timestamp() * 1000
    assert (answer.started_at, answer.ended_at) == (START, START + HOUR / 2)


def test_a_wait_that_nobody_meets_gives_none_when_its_time_is_over() -> None:
    too_late = After(HOUR, Event(name="app/b"))
    result = run(function_of(waiter()), [A, After(5, Event(name="app/other")), too_late])
    assert result.value is None
    answer = result.steps["answer"]
    assert (answer.kind, answer.status, answer.attempts) == ("wait_for_event", "Completed", 1)
    assert (answer.output, answer.error) == (None, None)
    assert answer.ended_at == START + HOUR
    assert result.elapsed == HOUR


def test_conditions_hold_for_events_that_are_sent_later() -> None:
    function = function_of(waiter(match="data.n", if_exp="async.data.ok"))
    events = [
        After(n, Event(name="app/b", data=data))
        for n, data in enumerate([{"n": 2, "ok": True}, {"n": 1}, {"n": 1, "ok": True, "it": "is"}])
    ]
    assert run(function, [A, *events]).value == {"n": 1, "ok": True, "it": "is"}


def test_a_wait_that_lost_a_race_still_waits() -> None:
    def handler(ctx: ContextSync) -> Any:
        def wait(name: str) -> str:
            ctx.step.wait_for_event(name, event=f"app/{name}", timeout=HOUR)
            return name

        return ctx.group.parallel([partial(wait, "x"), partial(wait, "y")], ParallelMode.RACE)

    result = run(function_of(handler), [A, After(60_000, Event(name="app/y"))])
    assert result.value == ["y"]
    assert [(s.id, s.kind, s.status, s.attempts) for s in result.steps.values()] == [
        ("race", "race", "Completed", 1),
        ("x", "wait_for_event", "Waiting", 1),
        ("y", "wait_for_event", "Completed", 1),
    ]
    assert (result.steps["x"].output, result.steps["x"].ended_at) == (None, None)


def test_the_same_call_gives_the_same_result_with_waits() -> None:
    def once() -> Any:
        events = [A, After(60_000, Event(name="app/b")), After(60_000, Event(name="app/a"))]
        return run(function_of(waiter()), events)

    first = once()
    assert len(first.runs) == 1
    assert (once(), once().runs) == (first, first.runs)


# --- what results say of invocations ------------------------------------------------------------


def test_an_invoked_function_has_a_run_of_its_own() -> None:
    def slow(ctx: ContextSync) -> Any:
        ctx.step.sleep("rest", HOUR)
        return {"got": ctx.event.data["n"]}

    other = callee(slow)
    result = run(function_of(invoking(other)), A, functions=[other])
    assert result.value == {"got": 7}
    call = result.steps["call"]
    assert (call.kind, call.status, call.attempts) == ("invoke", "Completed", 1)
    assert (call.output, call.error) == ({"got": 7}, None)
    assert (call.started_at, call.ended_at) == (START, START + HOUR)
    [invoked] = result.runs_of(other)
    assert (invoked.value, invoked.event.name) == ({"got": 7}, "inngest/function.invoked")
    assert result.runs == (invoked,)


def test_an_invoked_function_that_fails() -> None:
    other = callee(raising(ValueError("declined")))
    result = run(function_of(invoking(other)), A, functions=[other])
    assert result.value == ["InvokeError", "ValueError", "declined"]
    call = result.steps["call"]
    assert (call.status, call.attempts, call.output) == ("Failed", 1, None)
    assert call.error is not None
    assert (call.error.name, call.error.message) == ("ValueError", "declined")
    assert "ValueError: declined" in call.error.stack
    assert result.runs_of(other)[0].status == "Failed"


def test_an_invoked_function_that_takes_too_long() -> None:
    other = callee(lambda ctx: ctx.step.sleep("rest", 3 * HOUR))
    result = run(function_of(invoking(other, timeout=HOUR)), A, functions=[other])
    assert result.value[0] == "InvokeTimeoutError"
    call = result.steps["call"]
    assert (call.status, call.ended_at) == ("Failed", START + HOUR)
    assert call.error is not None
    assert call.error.name == "InngestInvokeTimeoutError"
    assert result.runs_of(other)[0].status == "Completed", "it goes on all the same"


def test_a_function_that_is_not_there() -> None:
    result = run(function_of(invoking(callee(lambda ctx: None))), A)
    assert result.value[0] == "FunctionNotFoundError"
    assert result.steps["call"].status == "Failed"


# --- mocks of waits -----------------------------------------------------------------------------


@pytest.mark.parametrize("callable_", [False, True])
def test_a_mocked_wait_gets_its_event_at_once(callable_: bool) -> None:
    mock = Event(name="app/b", data={"n": 5}, user={"id": "u"})
    result = run(function_of(waiter()), A, steps={"answer": (lambda: mock) if callable_ else mock})
    assert result.value == {"n": 5}
    assert result.elapsed == timedelta(0)
    answer = result.steps["answer"]
    assert (answer.status, answer.attempts, answer.ended_at) == ("Completed", 1, START)
    assert answer.output["user"] == {"id": "u"}
    assert answer.output["id"]
    assert answer.output["ts"] == START.timestamp() * 1000
    assert run(function_of(waiter()), A, steps={"answer": mock}) == result


@pytest.mark.parametrize("mock", [None, lambda: None])
def test_a_wait_that_is_mocked_by_none_times_out(mock: Any) -> None:
    met = After(60_000, Event(name="app/b", data={"n": 2}))
    assert run(function_of(waiter()), [A, met]).value == {"n": 2}
    result = run(function_of(waiter()), [A, met], steps={"answer": mock})
    assert result.value is None
    assert result.elapsed == HOUR
    assert result.steps["answer"].status == "Completed"


def test_waits_are_mocked_in_async_functions_groups_and_by_use() -> None:
    async def handler(ctx: Context) -> Any:
        async def wait(n: int) -> Any:
            found = await ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR)
            return found and found.data

        first = await wait(0)
        return [first, await ctx.group.parallel([partial(wait, 1), partial(wait, 2)])]

    mocks = {f"answer{n}": Event(name="app/b", data={"use": n}) for n in ("", ":1")}
    result = run(function_of(handler), A, steps=mocks | {"answer:2": None})
    assert result.value == [{"use": ""}, [{"use": ":1"}, None]]
    assert run(function_of(waiter()), A, steps={"anwser": None}).error is not None


def test_an_expression_that_cannot_be_read_fails_the_run_also_with_a_mock() -> None:
    mock = {"answer": Event(name="app/b")}
    result = run(function_of(waiter(if_exp="async.data.n ==")), A, steps=mock)
    assert result.error is not None
    assert result.error.name == "ConfigurationError"


@pytest.mark.parametrize(
    ("mock", "reason"),
    [
        (5, "5 is no event; a wait gives Event"),
        ({"n": 1}, "is no event; a wait gives Event"),
        (lambda: "text", "'text' is no event"),
        (ValueError("no"), r"raised ValueError\('no'\); a wait raises nothing"),
        (Event(name="app/c"), "its event is called 'app/c'; the wait gives .*'app/b'"),
        (Event(name="app/b", ts=5), r"events\[0\]: ts"),
    ],
)
def test_a_mock_that_no_wait_can_have(mock: Any, reason: str) -> None:
    def handler(ctx: ContextSync) -> Any:
        try:
            return waiter()(ctx)
        except Exception:
            return "swallowed"

    with pytest.raises(ConfigurationError, match=f"the mock of step 'answer': .*{reason}"):
        run(function_of(handler), A, steps={"answer": mock})


# --- mocks of invocations -----------------------------------------------------------------------


def test_a_mocked_invocation_needs_no_function() -> None:
    def handler(ctx: ContextSync) -> Any:
        other = callee(raising(AssertionError("mocked")))
        first = ctx.step.invoke("first", function=other, data={"n": 7})
        return [first, ctx.step.invoke_by_id("second", app_id="x", function_id="y")]

    result = run(
        function_of(handler), A, steps={"first": lambda data: data["n"] * 2, "second": None}
    )
    assert result.value == [14, None]
    assert result.runs == ()
    assert result.elapsed == timedelta(0)
    first = result.steps["first"]
    assert (first.kind, first.status, first.attempts) == ("invoke", "Completed", 1)
    assert (first.output, first.started_at, first.ended_at) == (14, START, START)


@pytest.mark.parametrize(
    ("mock", "seen"),
    [
        (ValueError("declined"), ["InvokeError", "ValueError", "declined"]),
        (raising(ValueError("declined")), ["InvokeError", "ValueError", "declined"]),
        (NonRetriableError("never"), ["InvokeError", "NonRetriableError", "never"]),
        (InvokeError("it", name="KeyError"), ["InvokeError", "KeyError", "it"]),
        (InvokeTimeoutError("slow"), ["InvokeTimeoutError", "Error", "slow"]),
        (InvokeCancelledError("gone"), ["InvokeCancelledError", "Error", "gone"]),
        (FunctionNotFoundError("where"), ["FunctionNotFoundError", "Error", "where"]),
        (
            InvokeTimeoutError,
            [
                "InvokeTimeoutError",
                "Error",
                "The function that was invoked did not end in time; it goes on all the same.",
            ],
        ),
    ],
)
def test_a_mocked_invocation_that_fails(mock: Any, seen: list[str]) -> None:
    result = run(function_of(invoking(callee(lambda ctx: None))), A, steps={"call": mock})
    assert result.value == seen
    call = result.steps["call"]
    assert call.error is not None
    assert (call.status, call.attempts, call.error.message) == ("Failed", 1, seen[2])


def test_a_result_that_json_cannot_hold_is_no_mock() -> None:
    function = function_of(invoking(callee(lambda ctx: None)))
    with pytest.raises(ConfigurationError, match=r"the mock of step 'call': .*JSON cannot hold"):
        run(function, A, steps={"call": object()})
