"""`tidegate.testing`: what starts a function under test, at once and later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.aws.deployed import function_of
from tidegate import ContextSync, Event, EventModel, TriggerCron, TriggerEvent
from tidegate.cancel import Cancel
from tidegate.errors import ConfigurationError, RequestError
from tidegate.testing import After, EndlessRunError, RunFailedError, run

A = Event(name="app/a", data={"n": 1})
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NIGHTLY = TriggerCron(cron="0 3 * * *")


class Paid(EventModel, name="app/kit.paid"):
    """An event of this test."""

    amount: int


def seen(ctx: ContextSync) -> Any:
    return ctx.event.model_dump(exclude_none=True)


# --- events -------------------------------------------------------------------------------------


def test_events_that_are_sent_later_start_functions_then() -> None:
    function = function_of(seen)
    later = [After(2 * HOUR, A), After(1_000, Event(name="app/a", data={"n": 2}))]
    result = run(function, [A, *later])
    assert result.elapsed == timedelta(0)
    first, second = result.runs
    assert (first.output["data"], first.elapsed) == ({"n": 2}, timedelta(seconds=1))
    assert (second.output["data"], second.elapsed) == ({"n": 1}, 2 * HOUR)
    assert second.output["ts"] == (START + 2 * HOUR).timestamp() * 1000
    assert len({result.run_id, first.run_id, second.run_id}) == 3
    assert run(function, [A, *later]).runs == result.runs


def test_events_that_are_sent_at_the_same_time_are_different_ones() -> None:
    result = run(function_of(seen), [A, A, After(0, A), After(0, A), After(5, A), After(5, A)])
    assert len({one.run_id for one in (result, *result.runs)}) == 6


def test_an_id_counts_once_also_later() -> None:
    once = Event(name="app/a", id="x")
    assert run(function_of(seen), [once, After(HOUR, once)]).runs == ()


def test_events_of_declared_classes() -> None:
    def handler(ctx: ContextSync[Paid]) -> int:
        return ctx.event.data.amount

    function = function_of(handler, trigger=TriggerEvent(event=Paid))
    result = run(function, [Paid(amount=5), After(HOUR, Paid(amount=6)), Paid(amount=7).event()])
    assert result.value == 5
    assert [other.value for other in result.runs] == [7, 6]
    assert run(function, Paid(amount=8)).value == 8


def test_an_event_of_later_cancels_a_run() -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.wait_for_event("answer", event="app/b", timeout=3 * HOUR)

    function = function_of(handler, cancel=[Cancel(event="app/stop")])
    result = run(function, [A, After(HOUR, Event(name="app/stop"))])
    assert (result.status, result.elapsed, result.output) == ("Cancelled", HOUR, None)
    assert result.attempts == 1
    assert result.steps["answer"].status == "Waiting"
    with pytest.raises(RunFailedError, match="cancelled"):
        result.raise_for_status()
    assert run(function, [A, After(4 * HOUR, Event(name="app/stop"))]).status == "Completed"


@pytest.mark.parametrize(
    ("delay", "event"), [(-1, A), (True, A), ("1h", A), (timedelta(days=-1), A), (5, "app/a")]
)
def test_an_after_that_cannot_be(delay: Any, event: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"After\("):
        After(delay, event)


def test_an_event_of_later_that_is_not_valid() -> None:
    with pytest.raises(RequestError, match="'inngest/' are reserved"):
        run(function_of(seen), [A, After(5, Event(name="inngest/x"))])


def test_an_endless_run_that_waits() -> None:
    def handler(ctx: ContextSync) -> None:
        while True:
            ctx.step.wait_for_event("next", event="app/b", timeout=HOUR)

    for limit in range(1, 9):
        with pytest.raises(EndlessRunError, match=f"{limit} messages were handled"):
            run(function_of(handler), [A, After(1, Event(name="app/b"))], limit=limit)


# --- crons --------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [{}, {"events": ()}])
def test_a_cron_starts_its_function(events: dict[str, Any]) -> None:
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    result = run(function_of(seen, trigger=NIGHTLY), now=now, **events)
    assert result.value["name"] == "inngest/scheduled.timer"
    assert result.value["data"] == {
        "cron": "0 3 * * *",
        "scheduledAt": "2026-03-04T05:06:00Z",
        "fireAt": "2026-03-04T05:06:00Z",
    }
    assert result.event.data == result.value["data"]
    assert result.started_at == now


def test_the_first_of_several_crons_starts_the_function() -> None:
    crons = [TriggerEvent(event="app/a"), NIGHTLY, TriggerCron(cron="*/5 * * * *")]
    function = function_of(seen, trigger=crons)
    assert run(function).value["data"]["cron"] == "0 3 * * *"
    assert run(function, A).value["name"] == "app/a"


def test_a_cron_with_jitter_starts_its_function_when_it_does_in_production() -> None:
    cron = TriggerCron(cron="0 3 * * *", jitter="5m")
    result = run(function_of(seen, trigger=cron))
    delay = datetime.fromisoformat(result.value["data"]["fireAt"]) - START
    assert timedelta(0) < delay <= timedelta(minutes=5)
    assert (result.started_at, result.elapsed) == (START + delay, delay)


def test_functions_of_a_cron_sleep_wait_and_are_retried() -> None:
    def handler(ctx: ContextSync) -> Any:
        ctx.step.sleep("rest", HOUR)
        found = ctx.step.wait_for_event("b", event="app/b", timeout=HOUR)
        if ctx.attempt == 0:
            raise ValueError("once more")
        return found and found.data

    later = After(1.5 * HOUR, Event(name="app/b", data={"n": 2}))
    result = run(function_of(handler, trigger=NIGHTLY), later)
    assert (result.value, result.attempts) == ({"n": 2}, 2)


def test_a_cron_that_goes_on_for_ever() -> None:
    def handler(ctx: ContextSync) -> None:
        while True:
            ctx.step.sleep("rest", HOUR)

    with pytest.raises(EndlessRunError, match=r"'test-f' for event 'inngest/scheduled\.timer'"):
        run(function_of(handler, trigger=NIGHTLY), limit=20)


def test_those_who_listen_hear_of_a_cron_that_failed() -> None:
    def failing(ctx: ContextSync) -> None:
        raise ValueError("boom")

    failed = TriggerEvent(event="inngest/function.failed")
    heard = function_of(lambda ctx: ctx.event.data["event"]["name"], fn_id="h", trigger=failed)
    [other] = run(function_of(failing, trigger=NIGHTLY), attempts=1, functions=[heard]).runs
    assert other.value == "inngest/scheduled.timer"


# --- invocations --------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [[], TriggerEvent(event="app/a"), NIGHTLY])
def test_a_function_is_started_by_an_invocation(trigger: Any) -> None:
    result = run(function_of(seen, trigger=trigger), data={"n": 5})
    assert result.value["name"] == "inngest/function.invoked"
    assert result.value["data"].pop("_inngest")["fn_id"] == "test-f"
    assert result.value["data"] == {"n": 5}
    assert run(function_of(seen, trigger=trigger), data={"n": 5}).run_id == result.run_id
    assert run(function_of(seen, trigger=trigger), data={}).status == "Completed"


def test_an_invoked_function_waits_for_what_comes_later() -> None:
    def handler(ctx: ContextSync) -> Any:
        found = ctx.step.wait_for_event("b", event="app/b", match="data.n", timeout=HOUR)
        return found is not None

    later = [After(5, Event(name="app/b", data={"n": n})) for n in (1, 2)]
    assert run(function_of(handler, trigger=[]), later, data={"n": 2}).value is True


# --- what cannot work ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "arguments", "reason"),
    [
        (None, {}, r"no event starts 'test-f'; pass events=Event"),
        ([], {}, r"no event starts 'test-f'; pass data="),
        (None, {"events": After(5, A)}, r"events\[0\] is an After.* pass it as it is"),
        (None, {"events": [After(5, A), A]}, r"events\[0\] is an After"),
        (None, {"events": [A, "app/b"]}, r"events\[1\] is 'app/b'; pass an Event or After"),
        (None, {"events": A, "data": {}}, "its own event cannot start it"),
        (None, {"data": [1]}, r"data=\[1\] is no JSON object"),
        ([], {"events": A}, r"invoked by run\(function, data="),
        (None, {"events": Event(name="inngest/function.invoked")}, r"run\(function, data="),
        (NIGHTLY, {"events": A}, "triggered by '0 3.*leave out the event, and its cron starts it"),
        (
            TriggerEvent(event="app/a", expression="event.data.n > 1"),
            {"events": A},
            "the expression of its trigger does not hold",
        ),
    ],
)
def test_a_start_that_cannot_be(trigger: Any, arguments: dict[str, Any], reason: str) -> None:
    options = {} if trigger is None else {"trigger": trigger}
    with pytest.raises(ConfigurationError, match=reason):
        run(function_of(seen, **options), **arguments)
