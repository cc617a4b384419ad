"""Virtual time: what is due when, and a clock that goes there at once."""

from __future__ import annotations

import contextlib
import heapq
import threading
from collections.abc import Container, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from tidegate.clock import Clock
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.message import EventMessage, Message
from tidegate.wait import LOOK_AGAIN_S, LookMessage, WaitKey

# The name of the matcher's queue; no function is called so: their ids have a `-` in them.
MATCHER = "matcher"
# The name under which the events are due that come from outside later; a message is a number.
OUTSIDE = "outside"

# Steps of a parallel group send from threads of their own; what they send comes in the order in
# which the function has the steps, not in that of the threads.
_position: ContextVar[int] = ContextVar("position", default=0)


@contextlib.contextmanager
def sent_from(position: int) -> Iterator[None]:
    """What is delivered meanwhile comes in the place of the step with that position."""
    token = _position.set(position)
    try:
        yield
    finally:
        _position.reset(token)


class VirtualClock:
    """A clock that shows what it is set to; sleeping sets it at once.

    Args:
        ms: the time at which it begins, UTC ms.
    """

    def __init__(self, ms: int) -> None:
        self._ms = ms
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """The time, UTC ms."""
        return self._ms

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at once."""
        with self._lock:
            self._ms += round(seconds * 1000)

    def go_to(self, ms: int) -> None:
        """Set it to a time (UTC ms), unless it is past that."""
        with self._lock:
            self._ms = max(self._ms, ms)


@dataclass(frozen=True, order=True)
class Due:
    """A message that is due.

    Attributes:
        ms: when, UTC ms.
        turn: how many messages were handled before it was sent; tells those due at once apart.
        position: the place of the step that sent it.
        number: counts them.
        function_id: whose queue it is in.
        text: the message.
        name: names the delivery, if it has a name.
    """

    ms: int
    turn: int
    position: int
    number: int
    function_id: str = field(compare=False)
    text: str = field(compare=False)
    name: str = field(compare=False, default="")


class Timeline:
    """The messages in all functions' queues, by when they are due."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._lock = threading.Lock()
        self._turn = 0
        self._number = 0

    def push(self, ms: int, function_id: str, text: str, name: str = "") -> None:
        """Have a message delivered at a time (UTC ms)."""
        with self._lock:
            self._number += 1
            due = Due(ms, self._turn, _position.get(), self._number, function_id, text, name)
            heapq.heappush(self._heap, due)

    def pop(self) -> Due | None:
        """Take the message that is due next, if there is one."""
        with self._lock:
            self._turn += 1
            return heapq.heappop(self._heap) if self._heap else None

    def find(self, ms: int, function_id: str, name: str) -> str | None:
        """The text of the message of that name that is due at a time (UTC ms), if there is one."""
        with self._lock:
            texts = {(due.ms, due.function_id, due.name): due.text for due in self._heap}
        return texts.get((ms, function_id, name))


@dataclass(frozen=True)
class MemoryQueue:
    """A function's own queue."""

    timeline: Timeline
    function_id: str

    def at(self, due_ms: int, text: str, name: str) -> None:
        """Have a message delivered at a time (UTC ms)."""
        self.timeline.push(due_ms, self.function_id, text, name)

    def forget(self, due_ms: int, name: str) -> None:
        """Nothing is recalled: what comes for a run that has ended changes nothing."""

    def arranged(self, due_ms: int, name: str) -> str | None:
        """The text of a message that is to come."""
        return self.timeline.find(due_ms, self.function_id, name)


@dataclass(frozen=True)
class MemoryTopic:
    """Where events are published to.

    Attributes:
        timeline: the queues of the functions and of the matcher.
        functions: those that may be triggered.
        clock: the time.
    """

    timeline: Timeline
    functions: Sequence[Function]
    clock: Clock

    def publish(self, events: Sequence[AcceptedEvent], awaited: Container[str] = ()) -> None:
        """Publish events to the functions that are triggered by them, and to the matcher."""
        for event in events:
            text = EventMessage.of(event).encode()
            for function in self.functions:
                if any(trigger.matches(event.name) for trigger in function.triggers):
                    self.timeline.push(self.clock.now_ms(), function.id, text)
            if event.internal_id in awaited:
                self.timeline.push(self.clock.now_ms(), MATCHER, text)

    def send_to(self, function_id: str, message: Message) -> None:
        """Publish a message that reaches one function alone."""
        self.timeline.push(self.clock.now_ms(), function_id, message.encode())


@dataclass(frozen=True)
class MemoryLooks:
    """The matcher's queue."""

    timeline: Timeline
    clock: Clock

    def ask(self, key: WaitKey) -> None:
        """Have the matcher look at once, and when all that was under way has been stored."""
        text = LookMessage(key).encode()
        for delay_s in (0, LOOK_AGAIN_S):
            self.timeline.push(self.clock.now_ms() + delay_s * 1000, MATCHER, text)
