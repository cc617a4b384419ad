"""What a message of a function's queue stands for: the event that starts or resumes a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.ids import run_id_of
from tidegate.invocation import INVOKED, Invocation
from tidegate.manifest import Manifest
from tidegate.message import CronMessage, EventMessage, Message
from tidegate.run import Rerun, Run, Status
from tidegate.stores import Runs
from tidegate.tick import SCHEDULED_TIMER, cron_of, tick_event
from tidegate.trigger import TriggerEvent
from tidegate.trigger_check import holds

logger = logging.getLogger("tidegate.engine")


@dataclass(frozen=True)
class Incoming:
    """Tells what of the messages of a function's queue concerns it.

    Attributes:
        function: the function.
        runs: its runs' records.
        store: stores an event that nobody else gets.
        announce: stores and publishes system events.
        manifest: knows who listens to them.
    """

    function: Function
    runs: Runs
    store: Callable[[Sequence[AcceptedEvent]], None]
    announce: Callable[[Sequence[AcceptedEvent]], None]
    manifest: Manifest

    def run_id(self, head: AcceptedEvent, rerun: Rerun | None) -> str:
        """The id of an event's run, or of a rerun; the event's body is not looked at."""
        if rerun is not None:
            return rerun.run_id
        return run_id_of(head.env, self.function.id, head.internal_id)

    def run_of(self, head: AcceptedEvent, rerun: Rerun | None = None) -> Run | None:
        """The run of an event, or a rerun, if it is recorded; its body is not looked at."""
        return self.runs.get(head.env, self.run_id(head, rerun))

    def has_crashed(self, message: Message, now_ms: int) -> bool:
        """Whether a worker died while it drove the run of a message, and no other has it since.

        Args:
            message: the message.
            now_ms: the time, UTC ms.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        if isinstance(message, CronMessage):
            run = self.run_of(tick_event(message, self.function.id, jitter_ms=0))
        else:
            run = self.run_of(message.event, message.rerun)
        if run is None or run.has_ended:
            return False
        return bool(run.lease) and run.lease_until_ms <= now_ms

    def new_run(self, event: AcceptedEvent, message: Message, now_ms: int) -> Run:
        """The run that a message starts, as it is before its first attempt.

        Args:
            event: the event in the message.
            message: the message.
            now_ms: the time, UTC ms.
        """
        rerun = message.rerun
        return Run(
            id=self.run_id(event, rerun),
            env=event.env,
            function_id=self.function.id,
            event_id=event.internal_id,
            status=Status.SCHEDULED,
            attempt=0,
            queued_ms=now_ms,
            counted_ms=now_ms,
            cancels=tuple(cancel.event for cancel in self.function.cancel),
            original_run_id=rerun.original_run_id if rerun else None,
            replay_id=rerun.replay_id if rerun else None,
            event_name=event.name,
            cron=cron_of(event),
        )

    def event_of(self, message: EventMessage) -> AcceptedEvent | None:
        """The event in a message; None when the function does not want it.

        A changed subscription filter takes up to 15 minutes to be effective, and no filter checks
        everything, so what comes is checked again. A run that was started goes on, whatever has
        become of the triggers since.

        Raises:
            DeadLetterError: its body is gone.
            PlatformError: it could not be read.
        """
        head = message.event
        triggers = [one for one in self.function.triggers if one.matches(head.name)]
        if triggers or head.name == INVOKED:
            event = message.with_body(self.runs.payloads)
            if self._starts_with(event, triggers):
                return event
        if self.run_of(head) is not None:
            return message.with_body(self.runs.payloads)
        if self.function.is_removed:
            ids = {"function_id": self.function.id, "event_id": head.internal_id}
            extra = {**ids, "event_name": head.name}
            logger.info("event dropped: the function was removed", extra=extra)
        else:
            logger.debug("event not wanted", extra={"event_name": head.name})
        return None

    def starts_without_data(self, message: EventMessage) -> bool:
        """Whether a message starts a run whatever the data of its event, which are gone."""
        is_new = not message.wakes and not message.resumes
        if message.rerun is not None:
            return is_new
        event = message.without_data()
        triggers = [one for one in self.function.triggers if one.matches(event.name)]
        return is_new and self._starts_with(event, [t for t in triggers if t.expression is None])

    def event_of_tick(self, tick: CronMessage) -> AcceptedEvent | None:
        """The event that a tick stands for, stored; None when the function has no such cron.

        Raises:
            PlatformError: it could not be stored.
        """
        trigger = next((t for t in self.function.crons if t.cron == tick.cron), None)
        event = tick_event(tick, self.function.id, trigger.jitter_ms if trigger else 0)
        if self.run_of(event) is not None:
            # It resumes its run, whose event has been published before the run was recorded.
            return event
        if tick.resumes:
            return None
        if trigger is None:
            logger.info(
                "tick dropped: the function no longer has this cron",
                extra={"function_id": self.function.id, "cron": tick.cron},
            )
            return None
        if self.manifest.listens_to(SCHEDULED_TIMER):
            self.announce([event])
        else:
            self.store([event])
        return event

    def _starts_with(self, event: AcceptedEvent, triggers: Sequence[TriggerEvent[Any]]) -> bool:
        invocation = Invocation.of(event)
        if invocation is not None and invocation.function_id == self.function.id:
            return True
        return any(holds(one, event, self.function.id, self.manifest) for one in triggers)
