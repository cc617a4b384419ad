"""`tidegate send`: events from arguments, a file or a pipe."""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from tidegate.client_settings import DEFAULT_MAX_REQUEST_BYTES
from tidegate.commands.arguments import Timeout, read_json, seconds_ms
from tidegate.commands.completion import event_names
from tidegate.commands.connection import Connection, connected
from tidegate.commands.event_file import FileEvent, checked_event, read_events
from tidegate.commands.following import Follower
from tidegate.commands.moment import parse_moment
from tidegate.commands.output import Output
from tidegate.commands.run_output import check_success, print_outcomes
from tidegate.errors import ConfigurationError, SendEventsError

MAX_FOLLOWED = 100


@connected
def send(
    connection: Connection,
    name: Annotated[
        str | None,
        typer.Argument(
            help="The event's name, such as app/user.created.", autocompletion=event_names
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="JSON", help="Its data: JSON, @file, or - for stdin.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="JSON", help="Whom it concerns: JSON, @file, or -.")
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Its own id: within 24 hours the first one wins."),
    ] = None,
    ts: Annotated[
        str | None,
        typer.Option(metavar="MOMENT", help="When it happened; +2h delays its functions."),
    ] = None,
    v: Annotated[
        str | None, typer.Option("--v", metavar="VERSION", help="The version of its payload.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Send what is in a file, or - for stdin: an object, an array, or NDJSON.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the runs to end; exit 1 if one fails.")
    ] = False,
    timeout: Timeout = None,
) -> None:
    """Send an event, or all events of a file, and print their internal ids.

    All events of a file are checked before the first is sent. Of a pipe, which cannot be read
    twice, those of each request are.
    """
    fields = {"data": data, "user": user, "id": event_id, "ts": ts, "v": v}
    if (name is None) == (file is None):
        raise ConfigurationError("send takes the NAME of an event, or --file FILE; not both")
    timeout_ms = seconds_ms(timeout)
    if file is not None:
        given = ", ".join(f"--{option}" for option, value in fields.items() if value is not None)
        if given:
            raise ConfigurationError(f"with --file there is no {given}; write it in the file")
        with _opened(file) as stream:
            source = "stdin" if file == "-" else file
            _deliver(connection, _File(connection, source, stream), wait, timeout_ms)
        return
    raw: dict[str, Any] = {"name": name, "id": event_id, "v": v}
    raw |= {"data": read_json(data, "--data"), "user": read_json(user, "--user")}
    if ts is not None:
        raw["ts"] = parse_moment(ts, connection.clock.now_ms(), "--ts")
    event = {field: value for field, value in raw.items() if value is not None}
    _deliver(connection, _Arguments(connection, event), wait, timeout_ms)


def _deliver(
    connection: Connection, source: _Arguments | _File, wait: bool, timeout_ms: int | None
) -> None:
    if wait:
        _send_and_wait(connection, source, timeout_ms)
    else:
        source.send()


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise ConfigurationError(f"--file {name}: {error.strerror}") from None
    with stream:
        yield stream


class _Arguments:
    """One event, of the command's arguments."""

    def __init__(self, connection: Connection, raw: dict[str, Any]) -> None:
        self._connection = connection
        self._event = checked_event(raw, "the event")

    def all(self) -> list[FileEvent]:
        return [self._event]

    def send(self) -> None:
        delivery = Delivery(self._connection, None)
        for _ in delivery.run([self._event]):
            pass
        _print_ids(self._connection.out, delivery.ids)


class _File:
    """The events of a file, or of stdin."""

    def __init__(self, connection: Connection, source: str, stream: BinaryIO) -> None:
        self._connection = connection
        self._source = source
        self._stream = stream

    def all(self) -> list[FileEvent]:
        events = []
        for event in read_events(self._stream, self._source):
            events.append(event)
            if len(events) > MAX_FOLLOWED:
                raise ConfigurationError(
                    f"--wait follows up to {MAX_FOLLOWED} events, {self._source} has more; nothing "
                    "was sent"
                )
        return events

    def send(self) -> None:
        total = None
        if self._stream.seekable():
            begin = self._stream.tell()
            total = sum(1 for _ in read_events(self._stream, self._source))
            self._stream.seek(begin)
        delivery = Delivery(self._connection, total)
        out = self._connection.out
        try:
            with out.progress(f"Sending {Path(self._source).name}", total) as bar:
                for sent in delivery.run(read_events(self._stream, self._source)):
                    of = f" of {total:,}" if total is not None else ""
                    bar.show(sent, total, f"{sent:,}{of} events")
        except (ConfigurationError, SendEventsError, KeyboardInterrupt):
            if delivery.ids:
                _print_ids(out, delivery.ids)
                out.note(f"tidegate: {delivery.progress}")
            raise
        _print_ids(out, delivery.ids)


class Delivery:
    """Sends events, one request after the other.

    Args:
        connection: where to.
        total: how many events there are; None if nobody knows.

    Attributes:
        ids: the internal ids of those that were accepted.
        last_place: where the last of these is.
    """

    def __init__(self, connection: Connection, total: int | None) -> None:
        self._url = connection.event_url
        self._sender = connection.sender()
        self._total = total
        self.ids: list[str] = []
        self.last_place = ""

    @property
    def progress(self) -> str:
        """How far it came, in words."""
        of = "" if self._total is None else f" of {self._total:,}"
        return (
            f"{len(self.ids):,}{of} events were accepted, up to {self.last_place}; "
            "what follows was not sent"
        )

    def run(self, events: Iterable[FileEvent]) -> Iterator[int]:
        """Send events, and tell after each request how many were sent.

        Raises:
            SendEventsError: a request failed; those behind it were not sent.
        """
        from tidegate.exchange import batches

        places: deque[str] = deque()

        def texts() -> Iterator[bytes]:
            for event in events:
                places.append(event.place)
                yield event.text

        for batch in batches(texts(), DEFAULT_MAX_REQUEST_BYTES):
            try:
                self.ids += self._sender.deliver(self._url, batch)
            except SendEventsError as error:
                message = _with_place(error.message, places, batch.first)
                raise SendEventsError(message, status=error.status, ids=self.ids) from None
            for _ in range(batch.count):
                self.last_place = places.popleft()
            yield len(self.ids)


def _with_place(message: str, places: deque[str], first: int) -> str:
    """A server's message with an event's place in the file, not its number."""

    def place(match: re.Match[str]) -> str:
        index = int(match[1]) - first
        return places[index] if 0 <= index < len(places) and places[index] else "the event"

    return re.sub(r"^events\[(\d+)\]", place, message)


def _print_ids(out: Output, ids: list[str]) -> None:
    if out.as_json:
        out.json({"ids": ids})
    else:
        out.text("\n".join(ids))


def _send_and_wait(
    connection: Connection, source: _Arguments | _File, timeout_ms: int | None
) -> None:
    """Send, wait for what that starts, and print it; a run that does not complete is a failure."""
    events = source.all()
    delivery = Delivery(connection, len(events))
    for _ in delivery.run(events):
        pass
    out = connection.out
    if not out.as_json:
        out.text("\n".join(delivery.ids))
    # Events with one id are one event.
    runs = Follower(connection, timeout_ms).runs_of(list(dict.fromkeys(delivery.ids)))
    if out.as_json:
        out.json({"ids": delivery.ids, "runs": runs})
    else:
        print_outcomes(out, runs)
    check_success(runs)
