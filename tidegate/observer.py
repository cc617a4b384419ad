"""What measures and traces is told, by those who do the work; they work the same without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.event import AcceptedEvent
    from tidegate.run import Failure, Run


class Observer:
    """Is told what happens, from any thread, and does nothing about it; others override that.

    None of its methods may raise, call AWS, or take long: they are called between the steps of a
    run.
    """

    def events_received(self, number: int) -> None:
        """Events of a request were stored and published."""

    def events_sent(self, number: int) -> None:
        """Events that a run sends were stored and published."""

    def events_duplicate(self, number: int) -> None:
        """Events came to nothing, since others with their `id`, or idempotency key, were first."""

    def run_started(self, run: Run, event: AcceptedEvent) -> None:
        """A run begins its first attempt."""

    def attempt_ended(self, run: Run, ended_ms: int, failure: Failure | None) -> None:
        """The function was called, and has returned, raised or come to where it waits.

        Args:
            run: the run, with the lease that it was called under.
            ended_ms: when that was, UTC ms.
            failure: what it raised, if it did.
        """

    def step_tried(
        self, run: Run, step: str, started_ms: int, ended_ms: int, failure: Failure | None
    ) -> None:
        """The handler of a step was called.

        Args:
            run: the run, as of `attempt_ended`.
            step: the step's id.
            started_ms, ended_ms: from when to when, UTC ms.
            failure: what it raised, if it did.
        """

    def retried(self) -> None:
        """A function or a step failed, or its worker died, and it is tried again."""

    def run_ended(self, run: Run) -> None:
        """A run has ended, with its final status."""

    def trace_of(self, attributes: Mapping[str, str]) -> str:  # noqa: ARG002
        """The trace that a message belongs to, which all that follows from it is to keep.

        Args:
            attributes: of the message, as SQS gives them.

        Returns:
            An X-Ray trace header; empty if nobody traces.
        """
        return ""

    def invocation_ended(self) -> None:
        """The Lambda is about to answer; what is not told now may be told much later."""


NOBODY = Observer()


class Observers(Observer):
    """Tells several observers.

    Args:
        observers: those.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def events_received(self, number: int) -> None:
        for one in self._observers:
            one.events_received(number)

    def events_sent(self, number: int) -> None:
        for one in self._observers:
            one.events_sent(number)

    def events_duplicate(self, number: int) -> None:
        for one in self._observers:
            one.events_duplicate(number)

    def run_started(self, run: Run, event: AcceptedEvent) -> None:
        for one in self._observers:
            one.run_started(run, event)

    def attempt_ended(self, run: Run, ended_ms: int, failure: Failure | None) -> None:
        for one in self._observers:
            one.attempt_ended(run, ended_ms, failure)

    def step_tried(
        self, run: Run, step: str, started_ms: int, ended_ms: int, failure: Failure | None
    ) -> None:
        for one in self._observers:
            one.step_tried(run, step, started_ms, ended_ms, failure)

    def retried(self) -> None:
        for one in self._observers:
            one.retried()

    def run_ended(self, run: Run) -> None:
        for one in self._observers:
            one.run_ended(run)

    def trace_of(self, attributes: Mapping[str, str]) -> str:
        return next(filter(None, (one.trace_of(attributes) for one in self._observers)), "")

    def invocation_ended(self) -> None:
        for one in self._observers:
            one.invocation_ended()
