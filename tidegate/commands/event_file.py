"""Events in a file: an object, an array, or NDJSON, told apart by what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from tidegate.encoding import decode, encode
from tidegate.errors import ConfigurationError, RequestError
from tidegate.event import check_events

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class FileEvent:
    """An event that can be sent.

    Attributes:
        place: where it is, such as `line 7`.
        text: its JSON text.
    """

    place: str
    text: bytes


def read_events(stream: BinaryIO, source: str) -> Iterator[FileEvent]:
    """The events in a stream, each checked as the server will.

    NDJSON, an event a line, is read as it comes; an array, or an object of several lines, at once.
    Empty lines are skipped.

    Args:
        stream: bytes in UTF-8.
        source: what it is called in errors.

    Raises:
        ConfigurationError: something is no event; with its place.
    """
    first, number = _first_line(stream)
    if not first:
        raise ConfigurationError(f"{source}: there is no event in it")
    if first.startswith(b"["):
        listed = _whole(first, stream, source, number)
        for index, raw in enumerate(listed):
            yield _checked(raw, source, f"events[{index}]")
        return
    try:
        raw = decode(first)
    except ValueError as error:
        yield _over_several_lines(first, stream, source, number, error)
        return
    yield _checked(raw, source, f"line {number}")
    for at, line in enumerate(stream, number + 1):
        if line.strip():
            yield _checked(_decoded(line, source, at), source, f"line {at}")


def checked_event(raw: Any, source: str) -> FileEvent:
    """An event that was put together from arguments; errors as for `read_events`."""
    return _checked(raw, source, "")


def _first_line(stream: BinaryIO) -> tuple[bytes, int]:
    """The first line that is not empty, and its number; or nothing."""
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
        if text:
            return text + b"\n", number
    return b"", 0


def _whole(first: bytes, rest: Iterable[bytes], source: str, number: int) -> Any:
    try:
        # As many line breaks as there were, so that the error tells the line.
        return decode(b"\n" * (number - 1) + b"".join(chain([first], rest)))
    except ValueError as error:
        raise ConfigurationError(f"{source}: not valid JSON: {error}") from None


def _over_several_lines(
    first: bytes, rest: BinaryIO, source: str, number: int, fault: ValueError
) -> FileEvent:
    """The object that begins in a line which is no JSON by itself."""
    second = next((line for line in rest if line.strip()), b"")
    # An event begins in the next line: then this was meant to be one, too.
    if not second or second.lstrip().startswith(b"{"):
        raise ConfigurationError(f"{source}: line {number}: not valid JSON: {_in_a_line(fault)}")
    raw = _whole(first, chain([second], rest), source, number)
    return _checked(raw, source, f"line {number}")


def _in_a_line(error: ValueError) -> str:
    """A fault in a text of one line, whose number in the file is another."""
    return str(error).replace(" at line 1 column ", " at column ")


def _decoded(line: bytes, source: str, number: int) -> Any:
    try:
        return decode(line)
    except ValueError as error:
        raise ConfigurationError(
            f"{source}: line {number}: not valid JSON: {_in_a_line(error)}"
        ) from None


def _checked(raw: Any, source: str, place: str) -> FileEvent:
    try:
        check_events([raw])
        return FileEvent(place, encode(raw).encode())
    except (RequestError, ValueError) as error:
        fault = str(error).removeprefix("events[0]: ")
        where = ": ".join(part for part in (source, place) if part)
        raise ConfigurationError(f"{where}: {fault}") from None
