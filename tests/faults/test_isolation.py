"""No fault of one function delays another one, and no message holds up the rest of its batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.faults.fault import Call, Crash, Fault, ServerError, Slow, Throttled, TimedOut
from tests.faults.layer import Plan
from tests.faults.plan import Always, NoFaults
from tests.faults.stage import MATCHER, Stage
from tests.faults.verdict import items
from tidegate import ContextSync, TriggerEvent
from tidegate.event import check_events
from tidegate.function import Function, make_function
from tidegate.ids import random_ulid
from tidegate.message import EventMessage

TIMEOUT_S = 30
EVENTS = 30
Handler = Callable[[ContextSync], Any]


def function(handler: Handler, fn_id: str, *, retries: int = 20) -> Function:
    trigger = TriggerEvent(event="app/a")
    return make_function(
        handler, app_id="app", fn_id=fn_id, trigger=trigger, name=None, retries=retries
    )


def steady(ctx: ContextSync) -> Any:
    ctx.step.run("work", lambda: 1)
    ctx.step.sleep("rest", 5_000)
    return ctx.event.data["n"]


def send(stage: Stage, *events: dict[str, Any]) -> None:
    with httpx.Client(timeout=60, verify=False) as http:  # noqa: S501
        answer = http.post("http://localhost/e/key", json=list(events))
    assert answer.status_code == 200, answer.text


def runs(function_id: str) -> list[dict[str, Any]]:
    return [item for item in items("runs") if item["function_id"]["S"] == function_id]


def statuses(function_id: str) -> Counter[str]:
    return Counter(run["status"]["S"] for run in runs(function_id))


# --- functions -----------------------------------------------------------------------------------


def ends_ms(
    plan: Plan, troubled: Callable[[Stage], Handler], then: Callable[[Stage], None]
) -> list[int]:
    """When each run of a steady function ended, beside one that is in trouble.

    Args:
        plan: what AWS does.
        troubled: what the other function does, given the stage.
        then: is called when all runs of the steady one have ended.
    """

    def trouble(ctx: ContextSync) -> Any:
        return troubled(stage)(ctx)

    functions = [function(steady, "steady"), function(trouble, "troubled")]
    with Stage(functions, plan, timeout_s=TIMEOUT_S) as stage:

        def go() -> None:
            for number in range(EVENTS):
                send(stage, {"name": "app/a", "data": {"n": number}})
                stage.simulation.sleep(1)
            stage.simulation.sleep(60)

        stage.do(go)
        assert statuses("app-steady") == {"Completed": EVENTS}
        found = sorted(int(run["ended_ms"]["N"]) for run in runs("app-steady"))
        then(stage)
        return found


@pytest.fixture(scope="module")
def undisturbed() -> list[int]:
    return ends_ms(NoFaults(), lambda stage: steady, lambda stage: None)


class Switch:
    """Faults of one function, until they are over."""

    def __init__(self, kind: Fault, where: Callable[[Call], bool] = lambda call: True) -> None:
        self.is_on = True
        self.plan = Always(
            kind, lambda call: self.is_on and call.caller == "app-troubled" and where(call)
        )

    def end(self, stage: Stage) -> None:
        """What was in trouble is done, too, when the faults are over."""
        assert len(self.plan.happened) >= EVENTS
        self.is_on = False
        stage.settle()
        assert statuses("app-troubled") == {"Completed": EVENTS}
        assert statuses("app-steady") == {"Completed": EVENTS}


def of_queues(call: Call) -> bool:
    return call.service == "sqs"


def of_tables(call: Call) -> bool:
    return call.service == "dynamodb"


AWS = {
    "all its calls time out": (TimedOut(), lambda call: True),
    "its tables throttle": (Throttled(), of_tables),
    "its tables fail": (ServerError(), of_tables),
    "its tables are slow": (Slow(3.9), of_tables),
    "its queues fail": (ServerError(), of_queues),
    "its queues time out": (TimedOut(), of_queues),
    "it crashes": (Crash(), of_tables),
}


@pytest.mark.parametrize("what", AWS)
def test_what_aws_does_to_a_function_delays_no_other(undisturbed: list[int], what: str) -> None:
    """Not by a millisecond: it does not notice."""
    switch = Switch(*AWS[what])
    assert ends_ms(switch.plan, lambda stage: steady, switch.end) == undisturbed


def raises(stage: Stage) -> Handler:
    def handler(ctx: ContextSync) -> None:
        raise ValueError("as always")

    return handler


def dies(stage: Stage) -> Handler:
    return lambda ctx: stage.simulation.die()


def never_ends(stage: Stage) -> Handler:
    return lambda ctx: stage.simulation.sleep(1_000_000)


@pytest.mark.parametrize("troubled", [raises, dies, never_ends])
def test_what_a_function_does_delays_no_other(
    undisturbed: list[int], troubled: Callable[[Stage], Handler]
) -> None:
    def check(stage: Stage) -> None:
        assert statuses("app-troubled") == {"Running": EVENTS}
        assert bool(stage.crashed["app-troubled"]) == (troubled is not raises)

    assert ends_ms(NoFaults(), troubled, check) == undisturbed


# --- messages ------------------------------------------------------------------------------------


class Mixed:
    """A function that does what its event says, and the stage that it is on.

    Attributes:
        stage: the stage.
        attempts: by event, how often its function was called.
    """

    def __init__(self, plan: Plan | None = None, retries: int = 2) -> None:
        self.attempts: Counter[int] = Counter()
        functions = [function(self._handle, "mixed", retries=retries)]
        self.stage = Stage(functions, plan, timeout_s=TIMEOUT_S)

    def send(self, *deeds: str) -> None:
        """Send events, which come as one batch."""
        events = [{"name": "app/a", "data": {"n": n, "do": do}} for n, do in enumerate(deeds)]
        self.stage.do(lambda: send(self.stage, *events))

    def _handle(self, ctx: ContextSync) -> str:
        number, deed = ctx.event.data["n"], ctx.event.data["do"]
        self.attempts[number] += 1
        if deed == "raise":
            raise ValueError(f"{number} as always")
        if deed == "die":
            # Late enough that all others of its batch have begun.
            self.stage.simulation.sleep(0.5)
            self.stage.simulation.die()
        if deed == "hang":
            self.stage.simulation.sleep(1_000_000)
        self.stage.simulation.sleep(1)
        return str(number)

    def ended(self) -> dict[int, str]:
        """By event, how its run has ended."""
        by_event = {item["sk"]["S"]: item["body"]["S"] for item in items("events")}
        return {
            json.loads(by_event[run["event_id"]["S"]])["data"]["n"]: run["status"]["S"]
            for run in runs("app-mixed")
        }


def test_what_can_never_be_handled_holds_up_nothing_of_its_batch() -> None:
    gone = json.dumps({**HEAD, "body_key": "events/none"})
    poison = ["", "hello", "[]", json.dumps({**HEAD, "env": 5, "event": EVENT}), gone]
    mixed = Mixed()
    with mixed.stage as stage:
        good = [message(stage, n) for n in range(4)]
        answer = invoked(stage, "app-mixed", [*poison[:3], *good[:2], *poison[3:], *good[2:]])
        assert answer == {"batchItemFailures": []}
        assert mixed.attempts == dict.fromkeys(range(4), 1)
        assert sorted(stage.dead_letters()) == sorted(poison)
        assert statuses("app-mixed") == {"Completed": 4, "Failed": 1}, "that of the payload"


def test_the_answer_names_what_must_come_again_and_nothing_else() -> None:
    troubled: list[str] = []
    mixed = Mixed(Always(TimedOut(), lambda call: any(one in str(call.params) for one in troubled)))
    with mixed.stage as stage:
        bodies = [message(stage, n, do) for n, do in enumerate(["", "raise", "", "", "raise", ""])]
        troubled += [json.loads(bodies[number])["internal_id"] for number in (2, 4)]
        answer = invoked(stage, "app-mixed", ["no message", *bodies])
        assert answer == {"batchItemFailures": [{"itemIdentifier": str(n)} for n in (3, 5)]}
        # What raised comes again by a message of its own, when its next attempt is due.
        assert mixed.attempts == {0: 1, 1: 1, 3: 1, 5: 1}
        assert statuses("app-mixed") == {"Completed": 3, "Running": 1}


@pytest.mark.parametrize("deed", ["raise", "hang", "die"])
def test_what_fails_each_time_lets_the_others_of_its_batch_go_on(deed: str) -> None:
    """Also where it kills the process in which they are."""
    mixed = Mixed()
    with mixed.stage as stage:
        mixed.send("", "", "", "", deed, "", "", "", "", "")
        stage.settle()
        assert mixed.ended() == {n: "Failed" if n == 4 else "Completed" for n in range(10)}
        assert mixed.attempts[4] == 3
        # Whose process died with it loses that attempt, and no further one.
        lost = 2 if deed == "die" else 1
        assert {count for n, count in mixed.attempts.items() if n != 4} == {lost}
        assert stage.crashed["app-mixed"] == (0 if deed == "raise" else 3)
        assert stage.dead_letters() == []


def test_of_two_that_kill_their_process_neither_takes_another_one_with_it() -> None:
    mixed = Mixed(retries=4)
    with mixed.stage as stage:
        mixed.send("die", "", "", "", "", "", "", "", "", "die")
        stage.settle()
        assert mixed.ended() == {n: "Failed" if n in (0, 9) else "Completed" for n in range(10)}


def test_what_can_never_be_matched_holds_up_nothing_of_its_batch() -> None:
    def waits(ctx: ContextSync) -> Any:
        if_exp = "async.data.n == event.data.n"
        found = ctx.step.wait_for_event("b", event="app/b", if_exp=if_exp, timeout=600_000)
        return found and found.data

    poison = ["", "hello", json.dumps({**HEAD, "name": "app/b", "body_key": "events/none"})]
    with Stage([function(waits, "waits")], timeout_s=TIMEOUT_S) as stage:
        stage.do(lambda: send(stage, *({"name": "app/a", "data": {"n": n}} for n in range(3))))
        stage.do(lambda: stage.simulation.sleep(60))
        good = [message(stage, n, name="app/b") for n in range(3)]
        answer = invoked(stage, MATCHER, [poison[0], *good[:2], *poison[1:], good[2]])
        assert answer == {"batchItemFailures": [{"itemIdentifier": n} for n in ("0", "3", "4")]}
        stage.settle()
        assert statuses("app-waits") == {"Completed": 3}


HEAD = {
    "internal_id": "01K742SGWB8CANVFX3YKPP1WN4",
    "env": "dev",
    "name": "app/a",
    "received_ms": 1,
    "ts": 1,
}
EVENT = {"name": "app/a", "data": {}, "id": "a", "ts": 1, "user": {}}


def message(stage: Stage, number: int, do: str = "", name: str = "app/a") -> str:
    """The message of an event that comes now."""
    [checked] = check_events([{"name": name, "data": {"n": number, "do": do}}])
    now_ms = stage.simulation.now_ms()
    return EventMessage.of(checked.accept(random_ulid(now_ms), "dev", now_ms)).encode()


def invoked(stage: Stage, name: str, bodies: list[str]) -> Any:
    """What a Lambda answers to a batch of messages, whose ids are 0, 1 and so on."""
    records = [
        {
            "messageId": str(number),
            "receiptHandle": "none",
            "body": body,
            "attributes": {"ApproximateReceiveCount": "1"},
        }
        for number, body in enumerate(bodies)
    ]
    return stage.do(lambda: stage.invoke(name, {"Records": records}))
