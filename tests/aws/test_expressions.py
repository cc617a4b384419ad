"""Expressions on their way: what SNS keeps away, what it lets through, what the worker checks."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.test_engine import waiting
from tidegate.aws import client
from tidegate.expression import ExpressionError, compile_expression
from tidegate.function import Function, make_function
from tidegate.manifest import Manifest
from tidegate.trigger import TriggerEvent

FIELDS = ("data.a", "data.b", "data.c.d", "user.a")
# Values that meet, values that look like another, and values that SNS does not know exactly.
EXACT: list[Any] = [
    None, True, False, 0, 1, -1, 5, 5.0, 0.5, -12.34567, 10**9, "", "a", "ab", "DE", "null",
    "missing", "other", "true", "?", "=a", "5", '"a"', '["a"]', "é", "🎉", [], ["a"], [5], {"d": 5},
]  # fmt: skip
INEXACT: list[Any] = [0.1 + 0.2, 10**9 + 1, 2**53 + 1, 1e300, 5.000001, "a\nb", "a" * 300, "\x01"]


def literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def scalars(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([one for one in values if not isinstance(one, list | dict)])


def numbers(values: list[Any]) -> st.SearchStrategy[Any]:
    kept = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return st.sampled_from(kept)


def terms(field: str, values: list[Any]) -> st.SearchStrategy[str]:
    """What SNS can check of a field."""
    texts = st.sampled_from([one for one in values if isinstance(one, str)])
    some = st.lists(scalars(values), min_size=1, max_size=4)
    return st.one_of(
        scalars(values).map(lambda value: f"event.{field} == {literal(value)}"),
        scalars(values).map(lambda value: f"{literal(value)} == event.{field}"),
        some.map(lambda values: f"event.{field} in [{', '.join(map(literal, values))}]"),
        some.map(
            lambda values: f"({' || '.join(f'event.{field} == {literal(v)}' for v in values)})"
        ),
        texts.map(lambda text: f"event.{field}.startsWith({literal(text)})"),
        st.tuples(st.sampled_from(["<", "<=", ">", ">="]), numbers(values)).map(
            lambda pair: f"event.{field} {pair[0]} {literal(pair[1])}"
        ),
        st.just(f"has(event.{field})"),
        st.just(f"event.{field} != null"),
    )


def conjunctions(values: list[Any]) -> st.SearchStrategy[str]:
    """Expressions that SNS can check as a whole: each field once, and few enough combinations."""
    fields = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2, unique=True)
    return fields.flatmap(
        lambda names: st.tuples(*(terms(name, values) for name in names)).map(" && ".join)
    )


def expressions() -> st.SearchStrategy[str]:
    """Expressions of any kind."""
    values = EXACT + INEXACT
    field = st.sampled_from(FIELDS)
    simple = st.one_of(
        field.flatmap(lambda name: terms(name, values)),
        st.tuples(field, st.sampled_from(["==", "!=", "<", ">="]), field).map(
            lambda parts: f"event.{parts[0]} {parts[1]} event.{parts[2]}"
        ),
        st.tuples(field, scalars(values)).map(lambda p: f"event.{p[0]} != {literal(p[1])}"),
        field.map(lambda name: f"size(event.{name}) > 0"),
        field.map(lambda name: f"event.{name}"),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["&&", "&&", "||"]), inner).map(" ".join),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"!({text})"),
            st.tuples(inner, inner, inner).map(lambda parts: "({}) ? ({}) : ({})".format(*parts)),
        ),
        max_leaves=6,
    )


def events(values: list[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    value = st.sampled_from(values)
    data = st.fixed_dictionaries(
        {}, optional={"a": value, "b": value, "c": st.one_of(value, st.builds(dict, d=value))}
    )
    user = st.fixed_dictionaries({}, optional={"a": value})
    event = st.builds(lambda data, user: {"name": "app/x", "data": data, "user": user}, data, user)
    return st.lists(event, min_size=1, max_size=8)


def function_of(*triggers: TriggerEvent, ran: list[str] | None = None) -> Function:
    return make_function(
        lambda ctx: None if ran is None else ran.append(ctx.event.id),
        app_id="test",
        fn_id="listener",
        trigger=triggers or TriggerEvent(event="app/x"),
        name=None,
        retries=0,
    )


def wanting(text: str, ran: list[str] | None = None) -> Function:
    return function_of(TriggerEvent(event="app/x", expression=text), ran=ran)


def wanted(text: str, event: dict[str, Any]) -> bool:
    try:
        return compile_expression(text).matches(event=event, now_ms=0)
    except ExpressionError:
        return False


def deploy(stage: Stage, function: Function) -> None:
    """As a deployment changes the trigger of a function that is there."""
    stage.manifest = Manifest.of([function])
    client("sns").set_subscription_attributes(
        SubscriptionArn=stage.cloud.wiring[function.id].subscription_arn,
        AttributeName="FilterPolicy",
        AttributeValue=json.dumps(stage.manifest.functions[0].filter_policy),
    )


def sent(stage: Stage, found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(zip(stage.send(*found), found, strict=True))


@pytest.fixture
def listener(stage: Stage) -> Stage:
    """A stage with a function whose trigger each example sets anew."""
    stage.deploy(function_of())
    return stage


HYPOTHESIS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@HYPOTHESIS
@given(conjunctions(EXACT), events(EXACT))
def test_what_sns_can_check_needs_no_worker(
    listener: Stage, text: str, found: list[dict[str, Any]]
) -> None:
    function = wanting(text)
    deploy(listener, function)
    by_id = sent(listener, found)
    delivered = {message.event.internal_id for message in listener.messages(function)}
    assert delivered == {one for one, event in by_id.items() if wanted(text, event)}


@HYPOTHESIS
@given(st.one_of(expressions(), conjunctions(EXACT + INEXACT)), events(EXACT + INEXACT))
def test_sns_keeps_no_wanted_event_away_and_the_worker_starts_no_other(
    listener: Stage, text: str, found: list[dict[str, Any]]
) -> None:
    ran: list[str] = []
    function = wanting(text, ran)
    deploy(listener, function)
    by_id = sent(listener, found)
    expected = {one for one, event in by_id.items() if wanted(text, event)}
    messages = listener.messages(function)
    assert {message.event.internal_id for message in messages} >= expected
    engine = listener.worker(function).engine
    for message in messages:
        engine.handle(message, listener.clock.ms + 60_000)
    assert set(ran) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("has(event.data.a)", value) for value in INEXACT),
        *(("event.data.a != null", value) for value in INEXACT),
        ("event.data.a.startsWith('aaa')", "a" * 300),
        ("event.data.a > 5", 5.000001),
        ("event.data.a > 5", 10**9 + 1),
        ("event.data.a < 0.31", 0.1 + 0.2),
        ("event.data.a >= 1000000000", 1e300),
    ],
)
def test_what_sns_does_not_know_exactly_gets_through(stage: Stage, text: str, value: Any) -> None:
    function = wanting(text)
    stage.deploy(function)
    assert list(stage.manifest.functions[0].filter_policy) == ["name", "data-a"]
    event = {"name": "app/x", "data": {"a": value}}
    assert wanted(text, event)
    stage.send(event)
    assert len(stage.messages(function)) == 1


def test_an_unwanted_event_costs_no_message(stage: Stage) -> None:
    function = wanting("event.data.total > 100 && event.data.country == 'DE'")
    stage.deploy(function)
    stage.send(
        {"name": "app/x", "data": {"total": 101, "country": "FR"}},
        {"name": "app/x", "data": {"total": 100, "country": "DE"}},
        {"name": "app/x", "data": {"total": 100.5, "country": "DE"}, "id": "this"},
        {"name": "app/x"},
    )
    assert [message.event.event.id for message in stage.messages(function)] == ["this"]


def test_a_message_has_only_the_attributes_that_are_looked_at(stage: Stage) -> None:
    function = wanting("event.data.total > 100")
    plain = make_function(
        lambda ctx: None, app_id="test", fn_id="plain", trigger=TriggerEvent(event="app/*"),
        name=None, retries=0,
    )  # fmt: skip
    stage.deploy(function, plain)
    stage.send({"name": "app/x", "data": {"total": 101, "y": 1}}, {"name": "app/y"})
    (record,) = stage.queued(function)
    described = {
        k: (v["DataType"], v["StringValue"]) for k, v in record["messageAttributes"].items()
    }
    assert described == {
        "name": ("String", "app/x"),
        "env": ("String", ENV),
        "data-total": ("Number", "101"),
    }
    assert {"name", "env"} in [set(one["messageAttributes"]) for one in stage.queued(plain)]


def test_an_event_of_an_ingest_that_knows_no_fields_yet_is_checked_by_the_worker(
    stage: Stage,
) -> None:
    ran: list[str] = []
    function = wanting("event.data.x == 'a'", ran)
    stage.deploy(function)
    deployed, stage.manifest = stage.manifest, Manifest(functions=())
    stage.send(
        {"name": "app/x", "id": "1", "data": {"x": "a"}},
        {"name": "app/x", "id": "2", "data": {"x": "b"}},
    )
    stage.manifest = deployed
    records = stage.queued(function)
    assert len(records) == 2
    stage.worker(function).handle(batch(records), 60_000)
    assert ran == ["1"]


def test_a_large_event_is_checked_as_a_whole(stage: Stage) -> None:
    ran: list[str] = []
    function = wanting("event.data.text.endsWith('!') && event.data.x == 1", ran)
    stage.deploy(function)
    text = "x" * 100_000
    stage.send(
        {"name": "app/x", "id": "1", "data": {"text": f"{text}!", "x": 1}},
        {"name": "app/x", "id": "2", "data": {"text": f"{text}?", "x": 1}},
        {"name": "app/x", "id": "3", "data": {"text": f"{text}!", "x": 2}},
    )
    records = stage.queued(function)
    assert len(records) == 2
    stage.worker(function).handle(batch(records), 60_000)
    assert ran == ["1"]


def test_of_several_triggers_one_that_holds_is_enough(stage: Stage) -> None:
    ran: list[str] = []
    function = function_of(
        TriggerEvent(event="app/x", expression="event.data.n > 5"),
        TriggerEvent(event="app/*", expression="event.data.n < 3"),
        TriggerEvent(event="app/y"),
        ran=ran,
    )
    stage.deploy(function)
    stage.send(
        *({"name": "app/x", "id": f"x{n}", "data": {"n": n}} for n in (1, 4, 6)),
        *({"name": "app/y", "id": f"y{n}", "data": {"n": n}} for n in (1, 4)),
        *({"name": "app/z", "id": f"z{n}", "data": {"n": n}} for n in (1, 4)),
    )
    stage.worker(function).handle(batch(stage.queued(function)), 60_000)
    assert sorted(ran) == ["x1", "x6", "y1", "y4", "z1"]


def test_an_expression_that_fails_wants_nothing_and_says_so(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    function = wanting("event.data.n > '5'", ran)
    stage.deploy(function)
    (event_id,) = stage.send({"name": "app/x", "data": {"n": 7}})
    with caplog.at_level(logging.WARNING, "tidegate"):
        answer = stage.worker(function).handle(batch(stage.queued(function)), 60_000)
    assert ran == []
    assert answer == {"batchItemFailures": []}
    (record,) = [one for one in caplog.records if "expression failed" in one.getMessage()]
    assert record.__dict__["function_id"] == "test-listener"
    assert record.__dict__["event_id"] == event_id
    assert "number and string cannot be compared" in record.__dict__["error"]


def test_now_is_when_the_event_came_in(stage: Stage) -> None:
    ran: list[str] = []
    function = wanting("date(event.data.until) > now()", ran)
    stage.deploy(function)
    stage.send(
        {"name": "app/x", "id": "1", "data": {"until": stage.clock.ms + 1_000}},
        {"name": "app/x", "id": "2", "data": {"until": stage.clock.ms - 1_000}},
    )
    # However long the queue is.
    stage.clock.advance(hours=1)
    stage.worker(function).handle(batch(stage.queued(function)), 60_000)
    assert ran == ["1"]


def test_a_run_goes_on_although_its_trigger_has_changed(stage: Stage) -> None:
    tries: list[int] = []

    def fails_once(ctx: Any) -> None:
        tries.append(ctx.attempt)
        if not ctx.attempt:
            raise ValueError("once")

    def version(text: str) -> Function:
        return make_function(
            fails_once,
            app_id="test",
            fn_id="listener",
            trigger=TriggerEvent(event="app/x", expression=text),
            name=None,
            retries=1,
        )

    stage.deploy(version("event.data.n == 1"))
    stage.send({"name": "app/x", "data": {"n": 1}})
    stage.worker(version("event.data.n == 1")).handle(
        batch(stage.queued(version("event.data.n == 1"))), 60_000
    )
    changed = version("event.data.n == 2")
    stage.deploy(changed)
    stage.clock.advance(hours=1)
    (message,) = waiting(stage, changed)
    stage.worker(changed).engine.handle(message, stage.clock.ms + 60_000)
    assert tries == [0, 1]
