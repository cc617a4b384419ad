"""Idempotency: of the events with one key, one starts a run, whatever crashes or races."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import (
    TIMEOUT_MS,
    Deployed,
    ProcessDied,
    counting,
    dies,
    function_of,
    settle,
)
from tidegate import ContextSync, InvokeError, TriggerCron, TriggerEvent
from tidegate.aws import client
from tidegate.errors import ConfigurationError
from tidegate.expression import compile_expression
from tidegate.idempotency import key_text
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.message import CronMessage, EventMessage
from tidegate.run import Run, Status
from tidegate.run_store import RunStore

pytestmark = pytest.mark.storage

CART = "event.data.cart"


class Carts(Deployed):
    """A function of which one run a cart is to start."""

    def __init__(self, stage: Stage, expression: str = CART, result: Any = None) -> None:
        self.calls: list[ContextSync] = []
        super().__init__(stage, counting(self.calls, result), idempotency=expression)

    def ran(self) -> list[str]:
        """The events that a run was called with, by their internal ids."""
        return [ctx.event.id for ctx in self.calls]

    def has_run(self, message: EventMessage) -> bool:
        run_id = run_id_of(ENV, self.function.id, message.event.internal_id)
        return self.stage.runs.get(ENV, run_id) is not None


def test_the_first_event_of_a_key_starts_a_run_and_the_others_none(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    carts = Carts(stage)
    first, second, other = (carts.send(data={"cart": cart}) for cart in ("a", "a", "b"))
    with caplog.at_level(logging.INFO, "tidegate"):
        # The messages of one batch are handled side by side.
        for message in (first, second, other):
            assert carts.handle(message) == []
    assert carts.ran() == [first.event.internal_id, other.event.internal_id]
    assert not carts.has_run(second)
    [line] = [record for record in caplog.records if record.message == "run skipped"]
    assert line.levelno == logging.INFO
    assert vars(line)["event_id"] == second.event.internal_id
    assert vars(line)["first_event_id"] == first.event.internal_id
    assert vars(line)["function_id"] == "test-f"


def test_a_repeated_message_of_the_first_event_goes_on(stage: Stage) -> None:
    carts = Carts(stage, result=ValueError("again"))
    first = carts.send(data={"cart": "a"})
    carts.handle(first)
    stage.clock.advance(hours=1)
    carts.drive()
    assert len(carts.calls) == 5
    assert carts.run_of(first).status == Status.FAILED


@pytest.mark.parametrize(
    ("hours", "runs"), [(timedelta(hours=23, minutes=59), 1), (timedelta(hours=24, seconds=1), 2)]
)
def test_a_key_is_free_again_after_24_hours(stage: Stage, hours: timedelta, runs: int) -> None:
    carts = Carts(stage)
    carts.handle(carts.send(data={"cart": "a"}))
    stage.clock.advance(seconds=hours.total_seconds())
    carts.handle(carts.send(data={"cart": "a"}))
    assert len(carts.calls) == runs


def test_a_run_that_lasts_longer_than_its_key_goes_on_and_claims_it_no_more(stage: Stage) -> None:
    woken: list[str] = []

    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("rest", timedelta(hours=30))
        woken.append(ctx.event.id)

    deployed = Deployed(stage, handler, idempotency=CART)
    first = deployed.send(data={"cart": "a"})
    deployed.handle(first)
    stage.clock.advance(hours=25)
    # Sent by hand, so that the delayed message of the first run stays where it is.
    [second_id] = stage.send({"name": "app/a", "data": {"cart": "a"}})
    stage.clock.advance(hours=6)
    settle(stage, deployed)
    assert woken == [first.event.internal_id]
    stage.clock.advance(hours=17)
    third = deployed.send(data={"cart": "a"})
    deployed.handle(third)
    stage.clock.advance(hours=31)
    settle(stage, deployed)
    assert woken == [first.event.internal_id, second_id]


def test_of_two_events_at_once_one_starts_a_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    carts = Carts(stage)
    first, second = (carts.send(data={"cart": "a"}) for _ in range(2))
    get, create = RunStore.get, RunStore.create

    def other_worker(message: EventMessage) -> None:
        monkeypatch.undo()
        other = Deployed.__new__(Deployed)
        other._run(stage, carts.function)
        assert other.handle(message) == []

    def get_after_the_other(self: RunStore, env: str, run_id: str) -> Run | None:
        found = get(self, env, run_id)
        other_worker(second)
        return found

    # The second one is handled as a whole after the first has found that it has no run yet …
    monkeypatch.setattr(RunStore, "get", get_after_the_other)
    assert carts.handle(first) == []
    assert carts.ran() == [second.event.internal_id]

    # … and after the third has claimed the key, but has no run yet.
    third, fourth = (carts.send(data={"cart": "b"}) for _ in range(2))

    def create_after_the_other(self: RunStore, run: Run) -> Run | None:
        other_worker(fourth)
        return create(self, run)

    monkeypatch.setattr(RunStore, "create", create_after_the_other)
    assert carts.handle(third) == []
    assert carts.ran() == [second.event.internal_id, third.event.internal_id]


def test_a_crash_between_the_claim_and_the_run_loses_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    carts = Carts(stage)
    first, second = (carts.send(data={"cart": "a"}) for _ in range(2))

    def die(*_: Any) -> None:
        raise ProcessDied

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "create", die)
        with pytest.raises(ProcessDied):
            carts.handle(first)
    assert carts.handle(second) == []
    assert carts.ran() == []
    assert carts.handle(first) == []
    assert carts.ran() == [first.event.internal_id]


def test_a_message_comes_again_when_the_key_cannot_be_claimed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    carts = Carts(stage)
    message = carts.send(data={"cart": "a"})
    with monkeypatch.context() as patch:
        dies(patch, "dynamodb.put_item")
        with pytest.raises(ProcessDied):
            carts.handle(message)
    assert carts.handle(message) == []
    assert len(carts.calls) == 1


@pytest.mark.parametrize("data", [{}, {"cart": None}, {"cart": False}])
def test_events_without_a_key_all_start_runs(stage: Stage, data: dict[str, Any]) -> None:
    carts = Carts(stage)
    carts.handle(carts.send(data=data), carts.send(data=data))
    assert len(carts.calls) == 2


def test_an_expression_that_fails_starts_the_run_with_a_warning(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    carts = Carts(stage, "event.data.cart - 1")
    first, second = (carts.send(data={"cart": "a"}) for _ in range(2))
    for message in (first, second):
        carts.handle(message)
    assert len(carts.calls) == 2
    warnings = [vars(record) for record in caplog.records if record.levelno == logging.WARNING]
    assert [warning["event_id"] for warning in warnings] == [
        first.event.internal_id,
        second.event.internal_id,
    ]
    assert "cannot be computed with" in warnings[0]["error"]


def test_keys_are_the_functions_own_and_the_environments_own(stage: Stage) -> None:
    calls: list[ContextSync] = []
    one, other = Deployed.all(
        stage,
        function_of(counting(calls), idempotency=CART),
        function_of(
            counting(calls), fn_id="g", idempotency=CART, trigger=TriggerEvent(event="app/b")
        ),
    )
    for name in ("app/a", "app/b"):
        for env in (ENV, "other"):
            stage.send({"name": name, "data": {"cart": "a"}}, env=env)
    settle(stage, one, other)
    assert len(calls) == 4


def test_a_key_is_no_senders_id(stage: Stage) -> None:
    carts = Carts(stage)
    ids = ["a", '"a"', 'function#test-f#id#"a"', '#function#test-f#id#"a"']
    for sender_id in ids:
        carts.handle(carts.send(id=sender_id, data={"cart": sender_id}))
    assert len(carts.calls) == len(ids)
    key = "x" * 3_000
    carts.handle(carts.send(data={"cart": key}), carts.send(data={"cart": key}))
    carts.handle(carts.send(id=json.dumps(key), data={"cart": key + "x"}))
    assert len(carts.calls) == len(ids) + 2


def test_a_skipped_invocation_tells_its_caller_at_once(stage: Stage) -> None:
    calls: list[ContextSync] = []
    function = function_of(
        counting(calls, "done"), fn_id="callee", trigger=[], idempotency=CART, retries=0
    )

    def handler(ctx: ContextSync) -> Any:
        results = [ctx.step.invoke("one", function=function, data={"cart": "a"})]
        try:
            ctx.step.invoke("two", function=function, data={"cart": "a"})
        except InvokeError as error:
            results += [error.name, str(error)]
        return [*results, ctx.step.invoke("three", function=function, data={"cart": "b"})]

    caller, callee = Deployed.all(stage, function_of(handler, fn_id="caller"), function)
    message = caller.send()
    caller.handle(message)
    began_ms = stage.clock.ms
    settle(stage, caller, callee)
    run = caller.run_of(message)
    assert run.status == Status.COMPLETED, run
    first, name, text, third = json.loads(run.output or "")
    assert (first, name, third) == ("done", "RunSkipped", "done")
    assert "'test-callee' did not start" in text
    assert "same idempotency key" in text
    assert calls[0].event.id in text
    assert len(calls) == 2
    assert stage.clock.ms == began_ms
    assert client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"] == []


def test_a_worker_that_dies_before_telling_the_caller_tells_it_when_the_message_comes_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = function_of(counting([]), fn_id="callee", idempotency=CART)

    def handler(ctx: ContextSync) -> Any:
        return ctx.step.invoke("it", function=function, data={"cart": "a"})

    trigger = TriggerEvent(event="app/b")
    caller, callee = Deployed.all(
        stage, function_of(handler, fn_id="caller", trigger=trigger, retries=0), function
    )
    callee.handle(callee.send(data={"cart": "a"}))
    message = caller.send(name="app/b")
    caller.handle(message)
    [invoked] = stage.messages(function)
    with monkeypatch.context() as patch:
        dies(patch, "sns.publish")
        dies(patch, "sns.publish_batch")
        with pytest.raises(ProcessDied):
            callee.handle(invoked)
    callee.handle(invoked)
    settle(stage, caller, callee)
    run = caller.run_of(message)
    assert run.status == Status.FAILED
    assert "'test-callee' did not start" in (run.output or "")


def test_ticks_have_no_key(stage: Stage) -> None:
    calls: list[ContextSync] = []
    nightly = Deployed(
        stage,
        counting(calls),
        trigger=[TriggerCron(cron="0 9 * * *"), TriggerEvent(event="app/a")],
        idempotency="'always the same'",
    )
    for days in (2, 1):
        tick = CronMessage("0 9 * * *", ENV, stage.clock.ms - days * 86_400_000).encode()
        record = {"messageId": "m", "body": tick, "attributes": {"ApproximateReceiveCount": "1"}}
        assert nightly.worker.handle(batch([record]), TIMEOUT_MS) == {"batchItemFailures": []}
    assert len(calls) == 2
    nightly.handle(nightly.send(), nightly.send())
    assert len(calls) == 3


def test_the_manifest_carries_the_expression_as_it_was_read() -> None:
    function = function_of(counting([]), idempotency=CART)
    [described] = Manifest.of([function]).functions
    assert described.expressions == (compile_expression(CART),)


def test_an_expression_that_cannot_be_read_is_told_with_file_and_line() -> None:
    function = function_of(counting([]), idempotency="event.data.cart ==")
    with pytest.raises(
        ConfigurationError, match=r"deployed\.py:\d+: function 'test-f': expr.*early"
    ):
        Manifest.of([function])


# --- keys -----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "", "1", "true"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)


def equal(one: Any, other: Any) -> bool:
    event = {"data": {"one": one, "other": other}}
    expression = compile_expression("event.data.one == event.data.other")
    return expression.matches(event=event, now_ms=0)


@given(JSON, JSON)
def test_keys_are_the_same_exactly_when_the_values_are(one: Any, other: Any) -> None:
    assert (key_text(one) == key_text(other)) == equal(one, other)


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda: {"b": 1.0, "a": [2, "ü"]}, '{"a":[2,"\\u00fc"],"b":1}'),
        (lambda: 2**60 + 1, "1152921504606846977"),
    ],
)
def test_the_text_of_a_key(write: Callable[[], Any], text: str) -> None:
    assert key_text(write()) == text


@pytest.mark.parametrize(
    ("expression", "key"),
    [
        ("event.data.cart + '-' + event.data.user.id", '"a-u"'),
        ("[event.data.cart, event.data.n]", '["a",1]'),
        ("date('2026-01-02T03:04:05Z')", '"2026-01-02 03:04:05+00:00"'),
    ],
)
def test_what_an_expression_may_give(expression: str, key: str) -> None:
    event = {"data": {"cart": "a", "n": 1, "user": {"id": "u"}}}
    assert key_text(compile_expression(expression).value(event=event, now_ms=0)) == key
