"""What is printed: safe for a terminal, exact for a program."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.commands.events import _COLUMNS, _row, print_pages
from tidegate.commands.output import Output, json_text, plain, plain_lines
from tidegate.commands.run_output import RUN_COLUMNS, print_outcomes, print_run, run_row

EVIL = "\x1b[2J\x9b31m\r\n\x07[bold]x[/bold]\u202e\u2028\ud800"
TIME = "2025-10-09T08:53:20.000Z"
ERROR = {"name": EVIL, "message": EVIL, "stack": f"Traceback\n  {EVIL}"}
RUN: dict[str, Any] = {
    "run_id": "01M84S15FTK9QCY1KSSTMG17V5",
    "function_id": "shop-pay",
    "event_id": "01M84S15FT6F8BF2YY0Z971PJV",
    "event_name": EVIL,
    "environment": EVIL,
    "status": "Failed",
    "attempt": 1,
    "queued_at": TIME,
    "run_started_at": TIME,
    "ended_at": TIME,
    "output": ERROR,
    "note": EVIL,
}
STEP = {
    "step_id": "0" * 40,
    "name": EVIL,
    "op": "run",
    "status": "Failed",
    "event_name": EVIL,
    "output": {EVIL: EVIL},
    "error": ERROR,
    "attempts": [{"attempt": 0, "started_at": TIME, "ended_at": TIME, "error": ERROR}],
}
SPAN = {"kind": "step", "name": EVIL, "started_at": TIME, "ended_at": None, "status": "Failed"}
TIMELINE = {"from": TIME, "until": TIME, "spans": [{**SPAN, "error": ERROR}]}
EVENT = {
    "internal_id": RUN["event_id"],
    "received_at": TIME,
    "name": EVIL,
    "data": {EVIL: [EVIL]},
}


def printed(is_terminal: bool, as_json: bool = False) -> str:
    stream = io.StringIO()
    out = Output(as_json, stdout=stream, stderr=stream, is_terminal=is_terminal, width=200)
    print_run(out, RUN, [STEP], TIMELINE)
    print_run(out, {**RUN, "status": "Completed", "output": {EVIL: EVIL}}, [], TIMELINE)
    print_outcomes(out, [RUN])
    print_pages(out, iter([[EVENT]]), _COLUMNS, _row)
    out.rows(*RUN_COLUMNS).print([run_row(RUN)])
    out.value(EVIL, {EVIL: EVIL})
    out.note(EVIL)
    return stream.getvalue()


def test_nothing_that_others_wrote_is_obeyed_by_a_terminal() -> None:
    text = printed(is_terminal=True)
    # Rich's own colours are all that is left.
    rest = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert {c for c in rest if not c.isprintable()} == {"\n"}
    assert "\\x1b[2J\\x9b31m\\r\\n\\x07[bold]x[/bold]\\u{202e}\\u{2028}\\u{d800}" in rest
    assert "\\u001b[2J\\u009b31m\\r\\n\\u0007[bold]x" in rest


def test_a_file_gets_no_colours() -> None:
    assert {c for c in printed(is_terminal=False) if not c.isprintable()} == {"\n"}


def test_no_color_takes_the_colours_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m" in printed(is_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", printed(is_terminal=True))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(ANYTHING, st.sampled_from([None, 2]))
def test_json_is_exact_and_safe(value: Any, indent: int | None) -> None:
    text = json_text(value, indent)
    assert json.loads(text) == value
    assert all(c.isprintable() or c == "\n" for c in text)
    assert indent or "\n" not in text


def test_json_stays_readable() -> None:
    assert json_text({"name": "Zoë 配送 👋"}) == '{"name":"Zoë 配送 👋"}'


def test_characters_beyond_the_first_plane_are_escaped_in_pairs() -> None:
    assert json.loads(json_text("\U000e0001")) == "\U000e0001"
    assert "\U000e0001" not in json_text("\U000e0001")


@given(st.lists(ANYTHING, max_size=5))
def test_an_array_is_one_document(items: list[Any]) -> None:
    stream = io.StringIO()
    Output(True, stdout=stream).json_array(items)
    assert json.loads(stream.getvalue()) == items


@given(st.text())
def test_plain_text_is_one_line(text: str) -> None:
    assert plain(text).isprintable()
    assert all(line.isprintable() for line in plain_lines(text).split("\n"))


def test_ids_stay_whole_where_a_terminal_is_narrow() -> None:
    stream = io.StringIO()
    out = Output(False, stdout=stream, is_terminal=True, width=40)
    rows = out.rows("RUN", "FUNCTION", "ERROR")
    rows.print([[RUN["run_id"], "shop-pay", "e" * 100]])
    rows.print([[RUN["run_id"], "shop-pay", "short"]])
    head, first, second = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert head.split() == ["RUN", "FUNCTION", "ERROR"]
    assert first.split()[0] == second.split()[0] == RUN["run_id"]
    assert first.endswith("e…")
    assert first.index("shop-pay") == head.index("FUNCTION")


def test_json_is_exact_where_only_ascii_can_be_printed() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    out = Output(True, stdout=stream)
    assert not out.draws_unicode
    value = {"name": "Zoë 👋"}
    out.json(value)
    out.json_line(value)
    out.json_array([value])
    text = raw.getvalue().decode("ascii")
    assert [*documents(text)] == [value, value, [value]]


def documents(text: str) -> Iterator[Any]:
    """The JSON documents in a text, one behind the other."""
    decoder = json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:]
