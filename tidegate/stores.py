"""What the core keeps things in and sends things through, as interfaces.

On AWS these are DynamoDB, S3, SNS, SQS and Scheduler; `tidegate.testing` has them in memory. Where
a run's steps are recorded is `Steps`, in journal.py.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tidegate.event import AcceptedEvent
    from tidegate.message import Message
    from tidegate.run import Failure, Run
    from tidegate.wait import Wait, WaitKey

# How many events or other items are put in one call, see
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html: 25 puts
# and 16 MB; large texts are not in items but in the bucket, so a batch stays far below the latter.
MAX_PUT = 25


class Payloads(Protocol):
    """Where texts are that are too large for a message or a record."""

    def get(self, key: str) -> str:
        """The text under a key; DeadLetterError if there is none."""

    def put(self, key: str, text: str) -> None:
        """Store a text."""


class Runs(Protocol):
    """Where runs are recorded; run.py draws which changes are possible."""

    @property
    def payloads(self) -> Payloads:
        """Where large outputs are."""

    def create(self, run: Run) -> Run | None:
        """Record a run unless it is recorded already; gives the one that is."""

    def take(self, old: Run, new: Run) -> bool:
        """Lease a run that is as it was seen; False when it has changed since."""

    def release(
        self, run: Run, due_ms: int, *, attempt: int, failure: Failure | None = None
    ) -> bool:
        """Give up the lease until the run is due.

        False when the lease was lost, or the run is to be cancelled.
        """

    def end(self, run: Run, ended: Run) -> bool:
        """End a run.

        False when the lease was lost, or the run is to be cancelled and this is another end.
        """

    def cancel(self, env: str, run_id: str, reason: str) -> Run | None:
        """Note that a run is to be cancelled, unless it has ended; gives it as it now stands."""

    def get(self, env: str, run_id: str) -> Run | None:
        """The run with that id, if there is one."""

    def output_of(self, run: Run) -> str | None:
        """JSON text of a run's output, wherever it lies."""


class Queue(Protocol):
    """A function's own queue."""

    def at(self, due_ms: int, text: str, name: str) -> None:
        """Have a message delivered at a time (UTC ms), or a little earlier."""

    def forget(self, due_ms: int, name: str) -> None:
        """Have such a message not delivered, where that can be done; it is harmless if it is."""

    def arranged(self, due_ms: int, name: str) -> str | None:
        """The text of such a message that is to come, where that can be told."""


@dataclass(frozen=True)
class Claim:
    """Who owns a sender's id, or a key of a function.

    Attributes:
        internal_id: the event that came first.
        is_first: whether that is the one that asked.
        event_name: what the first event is called.
        first_ms: when it came, UTC ms.
    """

    internal_id: str
    is_first: bool
    event_name: str
    first_ms: int


class Dedup(Protocol):
    """Who came first with a sender's id, or with a key of a function."""

    def claim(
        self,
        env: str,
        key: str,
        internal_id: str,
        event_name: str,
        now_ms: int,
        *,
        function_id: str = "",
        is_limited: bool = False,
        by_name: bool = False,
    ) -> Claim:
        """Claim a sender's id, or a key of a function; the first claim wins for 24 hours."""


class Events(Protocol):
    """Where accepted events are kept."""

    def put_payloads(self, events: Sequence[AcceptedEvent]) -> None:
        """Store the bodies that are too large for a message."""

    def put(self, events: Sequence[AcceptedEvent]) -> None:
        """Store events; storing again is harmless."""

    def contains(self, env: str, internal_id: str) -> bool:
        """Whether an event is stored, which proves that it was published."""


class Topic(Protocol):
    """Where events are published to."""

    def publish(self, events: Sequence[AcceptedEvent], awaited: Container[str] = ()) -> None:
        """Publish events, at least once, to the functions that are triggered by them.

        Args:
            events: the events.
            awaited: the internal ids of those that a run may wait for; they go to the matcher, too.
        """

    def send_to(self, function_id: str, message: Message) -> None:
        """Publish a message that reaches one function alone, at least once."""


class Waits(Protocol):
    """What runs wait for."""

    def put(self, wait: Wait) -> None:
        """Store a wait; storing again is harmless."""

    def delete(self, key: WaitKey) -> None:
        """Forget a wait, if it is there."""

    def get(self, key: WaitKey) -> Wait | None:
        """The wait with that key, if it is there."""

    def is_awaited(self, env: str, event_name: str) -> bool:
        """Whether any run may wait for events of a name."""

    def waiting_for(self, env: str, event_name: str) -> Iterator[list[Wait]]:
        """The waits for events of a name, those that are past their time included, in pages."""


class Looks(Protocol):
    """The matcher's queue."""

    def ask(self, key: WaitKey) -> None:
        """Have the matcher look for events that came while a wait was being stored."""


class PastEvents(Protocol):
    """The events of the past."""

    @property
    def payloads(self) -> Payloads:
        """Where large bodies are."""

    def named(
        self, env: str, event_name: str, first_ms: int, last_ms: int
    ) -> Iterator[AcceptedEvent]:
        """The stored events of a name that were received in a time, both ends included, UTC ms."""
