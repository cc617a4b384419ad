"""What is seen of runs while they go on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.effect import RunEffect, RunError
from tidegate.event_model import Event
from tidegate.function import Function
from tidegate.host import PythonHost
from tidegate.journal import Journal
from tidegate.run import Failure, Run
from tidegate.session import EventSender, Session, StepCall
from tidegate.step import Op, StepId, StepRecord
from tidegate.testing.mocks import Mocks
from tidegate.testing.timeline import sent_from

# How a step is called that was begun and is no `step.run`: a race records its winner as one.
_KINDS = {
    Op.RUN: "race",
    Op.SLEEP: "sleep",
    Op.WAIT_FOR_EVENT: "wait_for_event",
    Op.INVOKE: "invoke",
}


@dataclass
class Seen:
    """What was seen of a run.

    Attributes:
        kinds: what each step is, in the order in which the function has them.
        sent: the events of each step that sent some.
        calls: how often the function's code was called.
        failures: what each failed attempt raised.
    """

    kinds: dict[StepId, str] = field(default_factory=dict)
    sent: dict[StepId, list[Event]] = field(default_factory=dict)
    calls: int = 0
    failures: list[Failure] = field(default_factory=list)
    _senders: dict[StepId, int] = field(default_factory=dict)

    def meet_sender(self, step: StepId) -> int:
        """Note a step that sends events; gives its position among those that do."""
        self.kinds.setdefault(step, "send_event")
        return self._senders.setdefault(step, len(self._senders))


class WatchedSession(Session):
    """One call of a function, its steps watched and replaced.

    Args:
        run, journal, send: as of any session.
        seen: what is seen of the run.
        mocks: the steps that are replaced.
    """

    def __init__(
        self, run: Run, journal: Journal, send: EventSender, *, seen: Seen, mocks: Mocks
    ) -> None:
        super().__init__(run, journal, send)
        self._seen = seen
        self._mocks = mocks

    def begin(self, name: str, op: Op) -> tuple[StepId, StepRecord | None]:
        """As of any session."""
        step, record = super().begin(name, op)
        self._seen.kinds.setdefault(step, _KINDS[op])
        return step, record

    def start(
        self, name: str, handler: Callable[..., Any], args: tuple[Any, ...]
    ) -> StepRecord | StepCall:
        """As of any session; what runs may be a mock."""
        if isinstance(name, str) and name:
            step = self.ids.peek(name)
            self._seen.kinds.setdefault(step, "run")
            handler = self._mocks.in_place_of(step, handler)
        return super().start(name, handler, args)

    def sender(self, events: Sequence[Event], name: str) -> Callable[[], list[str]]:
        """As of any session; what was sent is noted."""
        step = self.ids.peek(name)
        position = self._seen.meet_sender(step)
        send = super().sender(events, name)

        def watched() -> list[str]:
            with sent_from(position):
                ids = send()
            now_ms = self.journal.now_ms()
            self._seen.sent[step] = [
                event.model_copy(update={"id": event.id or its_id, "ts": event.ts or now_ms})
                for event, its_id in zip(events, ids, strict=True)
            ]
            return ids

        return watched


@dataclass(frozen=True)
class WatchedHost:
    """Functions in this process, watched.

    Attributes:
        function: the function.
        send: sends the events of its steps.
        seen: what is seen of each run, by its id.
        mocks: the steps that are replaced.
    """

    function: Function
    send: EventSender
    seen: dict[str, Seen]
    mocks: Mocks

    def call(self, run: Run, event: Event, journal: Journal) -> RunEffect:
        """Call the function."""
        seen = self.seen.setdefault(run.id, Seen())
        seen.calls += 1
        session = functools.partial(WatchedSession, seen=seen, mocks=self.mocks)
        effect = PythonHost(self.function, self.send, session).call(run, event, journal)
        if isinstance(effect, RunError):
            seen.failures.append(effect.failure)
        return effect
