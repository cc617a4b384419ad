"""What a function is given: its event, its run, a logger, its steps and their groups."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Generic

from tidegate.event_model import DataT, Event
from tidegate.group import Group, GroupSync
from tidegate.session import Session
from tidegate.steps import Step, StepSync
from tidegate.tracing import Origin

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]


@dataclass(frozen=True)
class _Given(Generic[DataT]):
    """What both kinds of functions are given.

    Attributes:
        event: the event that started the run.
        events: all events of the run; at present always just that one.
        run_id: the run's ULID.
        attempt: 0 at the first try, 1 at the first retry, and so on; steps have their own.
        logger: a logger whose lines carry the ids of the request, event, function and run, the
            attempt and the step.
        origin: where the event comes from; use the properties below.
        session: keeps what follows the same at every call; not for functions to use.
    """

    event: Event[DataT]
    events: list[Event[DataT]]
    run_id: str
    attempt: int
    logger: Logger
    origin: Origin
    session: Session

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the event, or the one before it; None for a cron's.

        The answer to that request had it as `apigw-requestid`, and log lines have it.
        """
        return self.origin.request_id or None

    @property
    def traceparent(self) -> str | None:
        """The trace that the event's sender was in, as it came in the request's `traceparent`.

        Events that the run sends, and runs that it invokes, have it, too. None if there was none,
        or one that https://www.w3.org/TR/trace-context/ does not allow.
        """
        return self.origin.traceparent or None

    @property
    def tracestate(self) -> str | None:
        """What tracing systems added to the `traceparent`, if anything."""
        return self.origin.tracestate or None

    def random(self) -> float:
        """A random number from 0 to 1 that is the same whenever the function is called again."""
        return self.session.random.random()

    def uuid(self) -> uuid.UUID:
        """A random UUID that is the same whenever the function is called again."""
        return uuid.UUID(int=self.session.random.getrandbits(128), version=4)

    def now(self) -> datetime:
        """The time (UTC) at which the last step before this point ended, or the run started.

        It is the same whenever the function is called again.
        """
        return datetime.fromtimestamp(self.session.time_ms / 1000, UTC)


class ContextSync(_Given[DataT]):
    """What a function written with `def` is given: `step`, `group` and what is listed above.

    `ContextSync` alone has events whose data is a dict, `ContextSync[CartCheckedOut]` events whose
    data is an instance of the class that declares them.
    """

    @cached_property
    def step(self) -> StepSync:
        """The run's steps."""
        return StepSync(self.session)

    @cached_property
    def group(self) -> GroupSync:
        """Parallel groups of steps."""
        return GroupSync(self.session)


class Context(_Given[DataT]):
    """What a function written with `async def` is given; see `ContextSync`."""

    @cached_property
    def step(self) -> Step:
        """The run's steps."""
        return Step(self.session)

    @cached_property
    def group(self) -> Group:
        """Parallel groups of steps."""
        return Group(self.session)
