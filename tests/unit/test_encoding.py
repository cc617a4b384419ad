"""JSON: what goes in comes out, and what queues refuse is spelled so that they take it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.encoding import decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("\ufffe\uffff\\\"\x00\x7f\u2028u"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
NOT_FOR_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@given(VALUES)
def test_round_trip(value: Any) -> None:
    text = encode(value)
    assert repr(decode(text)) == repr(value)
    assert decode(text.encode()) == json.loads(text)
    assert not NOT_FOR_SQS.search(text)


def test_encoding_is_compact_and_escapes_only_what_it_must() -> None:
    value = {"a": ["é🎉", "\ufffe\uffff\x00"], "b": 1.0}
    assert encode(value) == '{"a":["é🎉","\\ufffe\\uffff\\u0000"],"b":1.0}'


def _endless() -> list[Any]:
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, _endless()])
def test_what_json_cannot_say_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(value)


@pytest.mark.parametrize("value", [b"x", {1, 2}, object()])
def test_what_json_does_not_know_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize(
    "text",
    ["", " ", "NaN", "-Infinity", "[1,]", '{"a":1,}', "01", "1.", "'a'", '"\\ud800"', '"\n"', "1 2",
     "\ufeff1", "[" * 300 + "]" * 300, "1" * 4301],
)  # fmt: skip
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"at line \d column"):
        decode(text)


def test_of_equal_keys_the_last_wins() -> None:
    assert decode('{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


def test_integers_keep_every_digit() -> None:
    for number in (9007199254740993, -(2**64) - 1, int("7" * 4300)):
        assert decode(str(number)) == number
        assert encode(number) == str(number)
