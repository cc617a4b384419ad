"""What of an expression becomes part of a filter, and what of an event goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.expression import Expression, compile_expression
from tidegate.manifest import FunctionManifest, Manifest, TriggerManifest
from tidegate.pushdown import MAX_ATTRIBUTES, attributes

ALWAYS = [{"exists": False}, "?"]


def manifest_of(*triggers: tuple[str, str | None], fn: str = "f") -> FunctionManifest:
    expressions: list[Expression] = [compile_expression(text) for _, text in triggers if text]
    return FunctionManifest(
        id=fn,
        app_id="a",
        name=fn,
        module="m",
        triggers=tuple(TriggerManifest(event=name, expression=text) for name, text in triggers),
        retries=0,
        timeout_s=1,
        expressions=tuple(expressions),
    )


def policy(text: str) -> dict[str, list[Any]]:
    policy = dict(manifest_of(("a", text)).filter_policy)
    assert policy.pop("name") == ["@f", "a"]
    return policy


@pytest.mark.parametrize(
    ("text", "attribute", "passing"),
    [
        ("event.data.country == 'DE'", "data-country", ["=DE"]),
        ("'DE' == event.data.country", "data-country", ["=DE"]),
        ("event.data['country'] == 'DE'", "data-country", ["=DE"]),
        ("event.user.id == 'u'", "user-id", ["=u"]),
        ("event.data.a.b_1 == ''", "data-a-b_1", ["="]),
        ("event.data.x == true", "data-x", ["true"]),
        ("event.data.x == null", "data-x", ["missing", "null"]),
        ("event.data.x == 5", "data-x", [{"numeric": ["=", 5]}]),
        ("event.data.x == -5.25", "data-x", [{"numeric": ["=", -5.25]}]),
        ("event.data.x == -(5)", "data-x", [{"numeric": ["=", -5]}]),
        ("event.data.x in ['a', 1, null]", "data-x", ["null", {"numeric": ["=", 1]}, "=a"]),
        ("event.data.x == 'a' || event.data.x == 'b'", "data-x", ["=a", "=b"]),
        ("event.data.x.startsWith('a')", "data-x", [{"prefix": "=a"}]),
        ("event.data.x > 100", "data-x", [{"numeric": [">", 100]}]),
        ("100 < event.data.x", "data-x", [{"numeric": [">", 100]}]),
        # A missing field is less than anything; null is 0.
        ("event.data.x < 100", "data-x", ["missing", "null", {"numeric": ["<", 100]}]),
        ("event.data.x <= -1", "data-x", ["missing", {"numeric": ["<=", -1]}]),
        ("event.data.x >= 0", "data-x", ["null", {"numeric": [">=", 0]}]),
        ("event.data.x < 9 && event.data.x > 5", "data-x", [{"numeric": [">", 5, "<", 9]}]),
        ("event.data.x != null && event.data.x == 'a'", "data-x", ["=a"]),
        ("event.data.x == 'a' && has(event.data.x)", "data-x", ["=a"]),
        (
            "has(event.data.x)",
            "data-x",
            ["false", "null", "other", "true", {"prefix": "="}, {"numeric": [">=", -(10**9)]}],
        ),
        (
            "event.data.x != null",
            "data-x",
            ["false", "other", "true", {"prefix": "="}, {"numeric": [">=", -(10**9)]}],
        ),
    ],
)
def test_what_sns_checks(text: str, attribute: str, passing: list[Any]) -> None:
    assert policy(text) == {attribute: ALWAYS + passing}


@pytest.mark.parametrize(
    "text",
    [
        "event.data.x != 'a'",
        "event.data.x == event.data.y",
        "event.data.x == 'a' || event.data.y == 'b'",
        "!(event.data.x == 'a')",
        "event.data.x",
        "event.data.x > 'a'",
        "event.data.x == [1]",
        "event.data.x in event.data.y",
        "'a' in event.data.x",
        "event.data.x in [[1]]",
        "event.data.x.endsWith('a')",
        "event.data.list[0] == 'a'",
        "event.data['a-b'] == 'a'",
        "event.data == null",
        "event.name == 'a'",
        "event.ts > 5",
        "async.data.x == 'a'",
        "event.data.list.exists(event, event.data.x == 1)",
        # SNS would not know these exactly.
        "event.data.x == 1000000001",
        "event.data.x > 0.000001",
        "event.data.x in [1, 0.1234567]",
        r"event.data.x == 'a\nb'",
        f"event.data.x == '{'ü' * 200}'",
        f"event.data.x.startsWith('{'x' * 300}')",
        f"event.data.{'x' * 250} == 'a'",
    ],
)
def test_what_sns_does_not_check(text: str) -> None:
    assert policy(text) == {}


def test_of_several_terms_sns_checks_what_it_can() -> None:
    text = "event.data.x == 'a' && event.data.y.endsWith('b') && (event.data.z > 1 && true)"
    assert set(policy(text)) == {"data-x"}
    assert set(policy("event.data.x == 'a' && event.data.y > 1")) == {"data-x", "data-y"}


def test_an_empty_range_never_reaches_sns_which_would_refuse_it() -> None:
    found = policy("event.data.x > 9 && event.data.x < 5")
    assert found == {"data-x": [*ALWAYS, {"numeric": [">", 9]}]}


def test_a_policy_has_at_most_five_keys_and_150_combinations_of_their_values() -> None:
    text = " && ".join(f"event.data.x{number} == 'a'" for number in range(6))
    assert list(policy(text)) == ["data-x1", "data-x2", "data-x3"]


def test_a_policy_has_at_most_150_combinations() -> None:
    def listed(count: int) -> str:
        return f"event.data.x in {list(map(str, range(count)))}"

    assert len(policy(listed(73))["data-x"]) == 75
    assert policy(listed(74)) == {}
    # The longest list is given up first.
    assert list(policy(f"{listed(80)} && event.data.y == 'a'")) == ["data-y"]
    assert manifest_of(*((str(n), listed(80)) for n in range(2))).filter_policy == {
        "name": ["0", "1", "@f"]
    }


def test_several_triggers_are_filtered_by_what_they_have_in_common() -> None:
    same = manifest_of(("a", "event.data.x == 'a'"), ("b/*", "'a' == event.data.x"))
    assert same.filter_policy == {"name": ["@f", "a", {"prefix": "b/"}], "data-x": [*ALWAYS, "=a"]}
    other = manifest_of(("a", "event.data.x == 'a'"), ("b", "event.data.x == 'b'"))
    assert other.filter_policy == {"name": ["@f", "a", "b"]}
    plain = manifest_of(("a", "event.data.x == 'a'"), ("b", None))
    assert plain.filter_policy == {"name": ["@f", "a", "b"]}


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("DE", "String", "=DE"),
        ("", "String", "="),
        ("missing", "String", "=missing"),
        ("ü" * 128, "String", "=" + "ü" * 128),
        ("ü" * 129, "String", "?"),
        ("a\nb", "String", "?"),
        ("\x00", "String", "?"),
        ("\uffff", "String", "?"),
        (None, "String", "null"),
        (True, "String", "true"),
        (False, "String", "false"),
        ([], "String", "other"),
        ({"a": 1}, "String", "other"),
        (0, "Number", "0"),
        (-0.0, "Number", "0"),
        (5, "Number", "5"),
        (5.0, "Number", "5"),
        (-12.5, "Number", "-12.5"),
        (0.00001, "Number", "0.00001"),
        (10**9, "Number", "1000000000"),
        (10**9 + 1, "String", "?"),
        (10**30, "String", "?"),
        (1e300, "String", "?"),
        (0.000001, "String", "?"),
        (0.1 + 0.2, "String", "?"),
    ],
)
def test_the_attribute_of_a_value(value: Any, kind: str, text: str) -> None:
    assert attributes({"data": {"x": {"y": value}}}, ["data-x-y"]) == {"data-x-y": (kind, text)}


@pytest.mark.parametrize("data", [{}, {"x": None}, {"x": "text"}, {"x": []}, {"x": {}}])
def test_the_attribute_of_a_field_that_is_not_there(data: dict[str, Any]) -> None:
    assert attributes({"data": data}, ["data-x-y"]) == {"data-x-y": ("String", "missing")}


def test_an_event_takes_the_attributes_that_its_subscriptions_look_at() -> None:
    manifest = Manifest(
        functions=(
            manifest_of(("app/a", "event.data.x == 'a' && event.data.y > 1"), fn="1"),
            manifest_of(("app/*", "event.data.x == 'b' && event.user.z == null"), fn="2"),
            manifest_of(("app/b", "event.data.other != 'b'"), fn="3"),
            manifest_of(("app/b", None), fn="4"),
        )
    )
    assert manifest.filter_attributes("app/a") == ["data-x", "data-y", "user-z"]
    assert manifest.filter_attributes("app/b") == ["data-x", "user-z"]
    assert manifest.filter_attributes("b") == []


def test_a_message_has_no_more_attributes_than_sqs_takes() -> None:
    functions = [manifest_of(("a", f"event.data.x{n} == 'a'"), fn=str(n)) for n in range(9)]
    names = Manifest(functions=tuple(functions)).filter_attributes("a")
    # Ten, with `name`, `env` and what the bus may add.
    assert len(names) == MAX_ATTRIBUTES <= 7
