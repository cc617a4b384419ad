"""Events in files: what is read, and where a fault is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.commands.event_file import read_events
from tidegate.errors import ConfigurationError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.from_regex(r"[a-z]{1,8}/[a-z]{1,8}", fullmatch=True)},
        optional={"data": st.dictionaries(st.text(max_size=5), VALUES, max_size=3)},
    ),
    min_size=1,
    max_size=6,
)


def read(content: str | bytes) -> list[Any]:
    data = content if isinstance(content, bytes) else content.encode()
    return list(read_events(io.BytesIO(data), "f"))


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\n\n \n"]), st.booleans())
def test_an_array_ndjson_and_objects_read_alike(
    events: list[Any], between: str, ascii_only: bool
) -> None:
    def text(value: Any, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, **options)

    lines = between.join(text(event) for event in events)
    contents = [lines, lines + between, text(events), text(events, indent=1), "\ufeff" + lines]
    if len(events) == 1:
        contents += [text(events[0]), text(events[0], indent=2)]
    for content in contents:
        assert [json.loads(event.text) for event in read(content)] == events


def test_places_are_lines_or_indexes() -> None:
    assert [e.place for e in read('\n{"name":"a"}\n\n{"name":"b"}')] == ["line 2", "line 4"]
    assert [e.place for e in read('[{"name":"a"},{"name":"b"}]')] == ["events[0]", "events[1]"]


def test_ndjson_is_read_as_it_comes() -> None:
    class Lines(io.BytesIO):
        taken = 0

        def __next__(self) -> bytes:
            self.taken += 1
            return super().__next__()

    stream = Lines(b'{"name":"a"}\n' * 10)
    next(read_events(stream, "f"))
    assert stream.taken == 1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "f: there is no event in it"),
        (" \n \n", "f: there is no event in it"),
        ('{"name":"a"}\n{"name":7}', "f: line 2: name: Input should be a valid string"),
        ('{"name":"a"}\n{"name":', "f: line 2: not valid JSON: EOF .* at column 8$"),
        ('{"name"\n{"name":"a"}', "f: line 1: not valid JSON"),
        ('{\n"name":\n!}', r"f: not valid JSON: .* at line 3 column 1"),
        ('\n\n[{"name":"a"},\n!]', r"f: not valid JSON: .* at line 4 column 1"),
        ('[{"name":"a"},{}]', r"f: events\[1\]: name: Field required"),
        ('{"name":"inngest/x"}', "f: line 1: name: names starting with 'inngest/' are reserved"),
        ("7", "f: line 1: must be an event object with a name"),
        (b'{"name":"\xff"}', "f: line 1: not valid JSON"),
        ('{"name":"\\ud800"}', "f: line 1: "),
    ],
)
def test_a_fault_is_told_with_its_place(content: Any, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        read(content)


NEARLY = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    EVENTS.map(lambda events: json.dumps(events).encode()),
    EVENTS.map(lambda events: "\n".join(map(json.dumps, events)).encode()),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"data":' * 100_000,
            b'{"name":"a/b","data":{"n":NaN}}',
            b'{"name":"a/b","data":{"n":1e999}}',
            b'{"name":"a/b","data":{"n":' + b"9" * 5_000 + b"}}",
            b'{"name":"\\ud800"}',
            b'{"name":"\xed\xa0\x80"}',
            b'{"name":"' + b"n" * 5_242_880 + b'"}',
            b"\xff\xfe{\x00}\x00",
            b"\x1f\x8b\x08\x00",
        ]
    ),
)


@given(NEARLY, st.integers(0, 60), st.binary(max_size=3))
def test_whatever_a_file_holds_is_an_event_or_an_error_of_one_line(
    content: bytes, at: int, new: bytes
) -> None:
    fault, events = attempt(content[:at] + new + content[at:])
    if fault is None:
        assert all(json.loads(event.text)["name"] for event in events)
    else:
        assert fault.startswith("f: ")
        assert len(fault) < 2_000
        assert fault.isprintable()


def attempt(content: bytes) -> tuple[str | None, list[Any]]:
    """What is wrong with a file, or the events in it."""
    try:
        return None, read(content)
    except ConfigurationError as error:
        return str(error), []
