"""What a function asks of the engine, as data: the engine decides what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.errors import RetryAfterError
from tidegate.run import Failure
from tidegate.step import StepId


@dataclass(frozen=True)
class StepRan:
    """A step ran and gave its output (opcode `StepRun`).

    Attributes:
        step: its id.
        output: JSON text.
        started_ms: when this attempt began, UTC ms.
    """

    step: StepId
    output: str
    started_ms: int


@dataclass(frozen=True)
class StepErred:
    """A step's attempt failed (opcode `StepError`; `StepFailed` if it was the last).

    Attributes:
        step: its id.
        failure: what it raised.
        started_ms: when this attempt began, UTC ms.
        retriable: whether trying again makes sense.
        retry_after: the error with which it chose the time of its next attempt.
    """

    step: StepId
    failure: Failure
    started_ms: int
    retriable: bool = True
    retry_after: RetryAfterError | None = None


@dataclass(frozen=True)
class Sleep:
    """The run wants to sleep (opcode `Sleep`).

    Attributes:
        step: the step's id.
        until_ms: when it wants to go on, UTC ms.
    """

    step: StepId
    until_ms: int


@dataclass(frozen=True)
class WaitForEvent:
    """The run wants to wait for an event (opcode `WaitForEvent`).

    Attributes:
        step: the step's id.
        event_name: the event's name.
        until_ms: when it gives up, UTC ms.
        if_exp: a CEL expression that must hold, over `event` (the run's own) and `async`.
        match: the path of a field that must be the same in both.
    """

    step: StepId
    event_name: str
    until_ms: int
    if_exp: str | None = None
    match: str | None = None


@dataclass(frozen=True)
class Invoke:
    """The run wants the result of another function (opcode `InvokeFunction`).

    Attributes:
        step: the step's id.
        function_id: the function's id within its app.
        app_id: the app; None for that of the function that invokes.
        data: JSON text of the data that it is given.
        until_ms: when it gives up, UTC ms.
        v: the version of the data's shape.
    """

    step: StepId
    function_id: str
    data: str
    until_ms: int
    app_id: str | None = None
    v: str | None = None


StepEffect = StepRan | StepErred | Sleep | WaitForEvent | Invoke


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


@dataclass(frozen=True)
class RunSuspended:
    """The function cannot go on now: a step waits, or the invocation's time is nearly up."""


RunEffect = RunComplete | RunError | RunSuspended
