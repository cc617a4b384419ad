"""`tidegate send`: what is sent, in which requests, and what is said when it fails."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Commands
from tests.unit.recording_server import RecordingServer
from tidegate.client_settings import DEFAULT_MAX_REQUEST_BYTES
from tidegate.event import MAX_EVENTS_PER_REQUEST

Write = Callable[..., str]


@pytest.fixture
def sent() -> Iterator[RecordingServer]:
    server = RecordingServer()
    yield server
    server.stop()


@pytest.fixture
def run(offline: Commands, sent: RecordingServer) -> Commands:
    offline.before = ("--url", sent.url)
    return offline


@pytest.fixture
def ndjson(tmp_path: Path) -> Write:
    """Writes events, a line each."""

    def write(*events: Any) -> str:
        path = tmp_path / "events.ndjson"
        lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    return write


def give(monkeypatch: pytest.MonkeyPatch, content: bytes, *, seekable: bool = False) -> None:
    """Let that be on stdin, which can be read once unless it is a file."""

    class Stdin(io.BytesIO):
        def seekable(self) -> bool:
            return seekable

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Stdin(content)))


def test_an_event_of_arguments(run: Commands, sent: RecordingServer) -> None:
    ran = run(
        "send", "app/a", "--data", '{"n": 12345678901234567890123}', "--user", '{"id": "u"}',
        "--id", "order-1", "--v", "2", "--ts", "+2h", "--event-key", "k/1",
    )  # fmt: skip
    [asked] = sent.asked
    assert asked.path == "/e/k%2F1"
    [event] = asked.events
    assert event == {
        "name": "app/a",
        "data": {"n": 12345678901234567890123},
        "user": {"id": "u"},
        "id": "order-1",
        "v": "2",
        "ts": run.clock.now_ms() + 7_200_000,
    }
    assert (ran.code, ran.lines, ran.err) == (0, asked.ids, "")


def test_data_of_a_file_and_of_stdin(
    run: Commands, sent: RecordingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.json").write_text('{"from": "file"}')
    run("send", "app/a", "--data", f"@{tmp_path}/data.json")
    give(monkeypatch, b'{"from": "stdin"}')
    assert run("send", "app/a", "--data", "-", "--json").json == {"ids": sent.asked[1].ids}
    assert [asked.events[0]["data"]["from"] for asked in sent.asked] == ["file", "stdin"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["app/a", "--data", "{x"], "--data is not valid JSON: "),
        (["app/a", "--data", "[1]"], "the event: data: Input should be a valid dictionary"),
        (["app/a", "--data", "@/nowhere"], "--data @/nowhere: No such file or directory"),
        (["inngest/a"], "the event: name: names starting with 'inngest/' are reserved"),
        ([""], "the event: name: String should have at least 1 character"),
        (["app/a", "--ts", "soon"], "--ts 'soon' is no moment; write "),
        ([], "send takes the NAME of an event, or --file FILE; not both"),
        (["app/a", "--file", "x"], "send takes the NAME of an event, or --file FILE; not both"),
        (["--file", "x", "--id", "1"], "with --file there is no --id; write it in the file"),
        (["--file", "/nowhere"], "--file /nowhere: No such file or directory"),
        (["--file", "/"], "--file /: Is a directory"),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(
    run: Commands, sent: RecordingServer, arguments: list[str], fault: str
) -> None:
    ran = run("send", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error.startswith(fault)
    assert sent.asked == []


def test_a_file_is_sent_in_as_few_requests_as_the_limits_allow(
    run: Commands, sent: RecordingServer, ndjson: Write
) -> None:
    events = [{"name": "app/a", "data": {"n": n}} for n in range(MAX_EVENTS_PER_REQUEST + 1)]
    ran = run("send", "--file", ndjson(*events))
    assert [len(asked.events) for asked in sent.asked] == [MAX_EVENTS_PER_REQUEST, 1]
    assert [event for asked in sent.asked for event in asked.events] == events
    assert ran.lines == [i for asked in sent.asked for i in asked.ids]
    sent.asked.clear()
    large = [{"name": "app/a", "data": {"x": "x" * (DEFAULT_MAX_REQUEST_BYTES // 3)}}] * 3
    run("send", "--file", ndjson(*large))
    assert [len(asked.events) for asked in sent.asked] == [2, 1]
    assert all(len(asked.body) <= DEFAULT_MAX_REQUEST_BYTES for asked in sent.asked)


def test_a_bar_shows_how_far_it_is(run: Commands, sent: RecordingServer, ndjson: Write) -> None:
    run.is_terminal, run.width = True, 100
    ran = run("send", "--file", ndjson(*[{"name": "app/a"}] * (MAX_EVENTS_PER_REQUEST + 7)))
    assert "5,000 of 5,007 events" in ran.err
    assert "5,007 of 5,007 events" in ran.err


def test_a_bad_line_keeps_all_of_a_file_from_being_sent(
    run: Commands, sent: RecordingServer, ndjson: Write
) -> None:
    file = ndjson(*[{"name": "app/a"}] * (MAX_EVENTS_PER_REQUEST + 1), {"nam": "app/a"})
    ran = run("send", "--file", file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.error == f"{file}: line {MAX_EVENTS_PER_REQUEST + 2}: name: Field required"
    assert sent.asked == []


def test_a_bad_line_of_a_pipe_ends_it_and_says_what_was_sent(
    run: Commands, sent: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = b'{"name":"app/a"}\n'
    content = good * (MAX_EVENTS_PER_REQUEST + 3) + b"{}\n"
    give(monkeypatch, content)
    ran = run("send", "--file", "-")
    assert ran.code == 2
    [asked] = sent.asked
    assert ran.lines == asked.ids
    progress, fault = ran.err.splitlines()
    assert progress == (
        "tidegate: 5,000 events were accepted, up to line 5000; what follows was not sent"
    )
    assert fault == "tidegate: stdin: line 5004: name: Field required"
    # A file on stdin can be read twice, so nothing of it is sent.
    sent.asked.clear()
    give(monkeypatch, content, seekable=True)
    assert run("send", "--file", "-").out == ""
    assert sent.asked == []


def test_a_refusal_is_told_with_the_line_and_what_went_before(
    run: Commands, sent: RecordingServer, ndjson: Write
) -> None:
    file = ndjson(*[{"name": "app/a"}] * (MAX_EVENTS_PER_REQUEST + 9))
    sent.will(None, (403, {"ids": [], "status": 403, "error": "events[2]: may not send 'app/a'"}))
    ran = run("send", "--file", file, "--json")
    assert ran.code == 4
    progress, fault = ran.err.splitlines()
    assert "5,000 of 5,009 events were accepted, up to line 5000" in progress
    assert fault.startswith(f"tidegate: {sent.url}: line 5003: may not send 'app/a' (HTTP 403)")
    assert json.loads(ran.out)["ids"] == sent.asked[0].ids


def test_a_request_that_failed_is_repeated_with_its_seed(
    run: Commands, sent: RecordingServer
) -> None:
    sent.will((503, {"error": "storage"}), (500, ""))
    assert run("send", "app/a").code == 0
    assert len({asked.seed for asked in sent.asked}) == 1
    sent.will(*[(503, {"error": "storage did not answer"})] * 5)
    ran = run("send", "app/a")
    assert ran.code == 5
    assert ran.error == f"{sent.url}: storage did not answer (HTTP 503)"


def test_the_event_key_is_in_no_error(run: Commands, sent: RecordingServer) -> None:
    sent.will((401, {"ids": [], "status": 401, "error": "unknown event key"}))
    ran = run("send", "app/a", "--event-key", "very-secret")
    assert ran.code == 4
    assert ran.error == (
        f"{sent.url}: unknown event key (HTTP 401); check TIDEGATE_EVENT_KEY, and --env"
    )


def test_no_more_events_than_can_be_followed_are_waited_for(
    run: Commands, sent: RecordingServer, ndjson: Write
) -> None:
    ran = run("send", "--file", ndjson(*[{"name": "app/a"}] * 101), "--wait")
    assert ran.code == 2
    assert "--wait follows up to 100 events" in ran.error
    assert sent.asked == []


def test_bytes_that_are_no_text_are_told_as_such(run: Commands, tmp_path: Path) -> None:
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(b'{"name":"app/a"}'))
    ran = run("send", "--file", str(path))
    assert ran.code == 2
    assert f"{path}: line 1: not valid JSON" in ran.error
