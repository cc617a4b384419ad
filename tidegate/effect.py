"""What a function asks of the engine, as data: the engine decides what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.errors import RetryAfterError
from tidegate.run import Failure


@dataclass(frozen=True)
class RunComplete:
    """The function returned.

    Attributes:
        output: JSON text of what it returned.
    """

    output: str


@dataclass(frozen=True)
class RunError:
    """The function raised.

    Attributes:
        failure: what it raised.
        retriable: whether trying again makes sense.
        retry_after: the error with which it chose the time of its next attempt.
    """

    failure: Failure
    retriable: bool = True
    retry_after: RetryAfterError | None = None


Effect = RunComplete | RunError
