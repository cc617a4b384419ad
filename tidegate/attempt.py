"""Attempts: how often a function or a step was tried, kept with its record for people to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.encoding import decode, encode

if TYPE_CHECKING:
    from tidegate.run import Failure

MAX_KEPT = 10
# Every KB of a record costs, each time that it is written.
_MAX_MESSAGE = 200
_MAX_NAME = 100


@dataclass(frozen=True)
class Attempt:
    """One attempt that has ended.

    Attributes:
        number: which one it was; 0 for the first.
        started_ms: when it began, UTC ms.
        ended_ms: when it ended.
        error_name: the type of the exception that it ended with; empty if with none.
        error_message: its message, cut.
    """

    number: int
    started_ms: int
    ended_ms: int
    error_name: str = ""
    error_message: str = ""

    @classmethod
    def of(
        cls, number: int, started_ms: int, ended_ms: int, failure: Failure | None = None
    ) -> Attempt:
        """An attempt that failed, or did not."""
        if failure is None:
            return cls(number, started_ms, ended_ms)
        message = failure.message
        if len(message) > _MAX_MESSAGE:
            message = f"{message[: _MAX_MESSAGE - 1]}…"
        return cls(number, started_ms, ended_ms, failure.name[:_MAX_NAME], message)


Attempts = tuple[Attempt, ...]


def and_one(attempts: Attempts, one: Attempt) -> Attempts:
    """The attempts and one more, the last ten of them."""
    return (*attempts, one)[-MAX_KEPT:]


def encode_attempts(attempts: Sequence[Attempt]) -> str:
    """JSON text of them, without names, since it is stored with every record that has them."""
    return encode(
        [[a.number, a.started_ms, a.ended_ms, a.error_name, a.error_message] for a in attempts]
    )


def decode_attempts(text: str) -> Attempts:
    """The attempts in a JSON text."""
    return tuple(Attempt(*fields) for fields in decode(text))
