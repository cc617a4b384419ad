"""The engine: drives a function's runs, whatever is delivered twice, early, late or after a crash.

Nothing here relies on a message arriving once. What a message makes happen depends on the run's
record alone, so that any message of a run may be lost as long as one arrives, and any may repeat.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from tidegate.backoff import retry_delay_ms
from tidegate.clock import Clock
from tidegate.effect import RunComplete, RunError, RunSuspended
from tidegate.encoding import encode
from tidegate.ending import LEASE_MARGIN_MS, Ending, log, lost
from tidegate.errors import DeadLetterError, RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.host import Host
from tidegate.idempotency import Idempotency
from tidegate.ids import run_id_of
from tidegate.invocation import INVOKED, Invocation
from tidegate.journal import Journal, Steps
from tidegate.manifest import Manifest
from tidegate.message import CronMessage, EventMessage, Message
from tidegate.run import Failure, Run, Status
from tidegate.step import StepRecord
from tidegate.stores import Dedup, Queue, Runs
from tidegate.tick import SCHEDULED_TIMER, tick_event
from tidegate.trigger import TriggerEvent
from tidegate.trigger_check import holds
from tidegate.waiting import RunWaits, Waiting

logger = logging.getLogger("tidegate.engine")

# What is due sooner than this is waited for: SQS delays by whole seconds.
_SHORT_WAIT_MS = 1_000
# No step begins when less than this is left of the invocation: another one goes on.
HAND_OVER_MS = 10_000
_DIED = Failure(
    "WorkerDied",
    "the worker ended before the function did: it ran out of time or memory, or crashed",
)


@dataclass(frozen=True)
class Engine:
    """Drives the runs of one function.

    Attributes:
        function: the function.
        host: calls it.
        runs: its runs' records.
        steps: the records of its runs' steps.
        waiting: what its runs wait for outside of themselves.
        dedup: where idempotency keys are claimed.
        delivery: its queue, for attempts that are due later.
        store: stores an event that nobody else gets.
        announce: stores and publishes system events.
        manifest: knows who listens to them.
        clock: the time.
        jitter: gives random numbers from 0 to 1, for the backoff.
    """

    function: Function
    host: Host
    runs: Runs
    steps: Steps
    waiting: Waiting
    dedup: Dedup
    delivery: Queue
    store: Callable[[Sequence[AcceptedEvent]], None]
    announce: Callable[[Sequence[AcceptedEvent]], None]
    manifest: Manifest
    clock: Clock
    jitter: Callable[[], float] = random.random

    @cached_property
    def _ending(self) -> Ending:
        return Ending(self.runs, self.waiting, self.announce, self.manifest, self.clock)

    @cached_property
    def _idempotency(self) -> Idempotency:
        stores = (self.dedup, self.runs, self.waiting)
        return Idempotency(self.function, *stores, self.manifest, self.clock)

    def handle(self, message: Message, deadline_ms: int) -> None:
        """Do what is to be done about a message; when this returns, the message is done with.

        Args:
            message: an event for this function, or a tick of one of its crons.
            deadline_ms: when this invocation is killed, UTC ms.

        Raises:
            RunLeasedError: another worker drives the run; the message must stay in the queue,
                since it is what is left if that worker dies.
            DeadLetterError: the message can never be handled.
            PlatformError: try again later.
        """
        if isinstance(message, CronMessage):
            event = self._event_of_tick(message)
        elif message.wakes:
            self._wake(message, deadline_ms)
            return
        else:
            event = self._event_of(message, deadline_ms)
            if event is not None and not self._idempotency.admits(event):
                return
        if event is not None:
            self._drive(event, message, deadline_ms)

    def _event_of(self, message: EventMessage, deadline_ms: int) -> AcceptedEvent | None:
        """The event in a message; None when the function does not want it.

        A changed subscription filter takes up to 15 minutes to be effective, and no filter checks
        everything, so what comes is checked again. A run that was started goes on, whatever has
        become of the triggers since.
        """
        head = message.event
        triggers = [one for one in self.function.triggers if one.matches(head.name)]
        if triggers or head.name == INVOKED:
            event = self._whole(message, deadline_ms)
            if self._starts_with(event, triggers):
                return event
        if self.runs.get(head.env, run_id_of(head.env, self.function.id, head.internal_id)):
            return self._whole(message, deadline_ms)
        logger.debug("event not wanted", extra={"event_name": head.name})
        return None

    def _starts_with(self, event: AcceptedEvent, triggers: Sequence[TriggerEvent[Any]]) -> bool:
        invocation = Invocation.of(event)
        if invocation is not None and invocation.function_id == self.function.id:
            return True
        return any(holds(one, event, self.function.id, self.manifest) for one in triggers)

    def _event_of_tick(self, tick: CronMessage) -> AcceptedEvent | None:
        """The event that a tick stands for, stored; None when the function has no such cron."""
        trigger = next((t for t in self.function.crons if t.cron == tick.cron), None)
        event = tick_event(tick, self.function.id, trigger.jitter_ms if trigger else 0)
        if self.runs.get(event.env, run_id_of(event.env, self.function.id, event.internal_id)):
            # It resumes its run, whose event has been published before the run was recorded.
            return event
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

    def _drive(self, event: AcceptedEvent, message: Message, deadline_ms: int) -> None:
        """Start the event's run, or go on with it."""
        run = self._new_run(event, deadline_ms)
        old = self.runs.create(run)
        if old is None and run.status == Status.SCHEDULED:
            log("run scheduled", run, due_ms=run.due_ms, event_id=event.internal_id)
            self._deliver(run, message)
        elif old is None:
            self._attempt(run, event, message, {}, deadline_ms)
        else:
            self._resume(old, event, message, deadline_ms)

    def _wake(self, message: EventMessage, deadline_ms: int) -> None:
        """Go on with a run because what it waits for has happened; such a message starts none."""
        env, event_id = message.event.env, message.event.internal_id
        run = self.runs.get(env, run_id_of(env, self.function.id, event_id))
        if run is not None:
            event = self._whole(message, deadline_ms)
            self._resume(run, event, message, deadline_ms)

    def _whole(self, message: EventMessage, deadline_ms: int) -> AcceptedEvent:
        """The event with its body; a run that can never have it is failed."""
        try:
            return message.with_body(self.runs.payloads)
        except DeadLetterError as error:
            event = message.event
            run = self.runs.get(
                event.env, run_id_of(event.env, self.function.id, event.internal_id)
            )
            if run is not None and not run.has_ended:
                self._fail_without_event(run, Failure("EventGone", str(error)), deadline_ms)
            raise

    def _fail_without_event(self, run: Run, failure: Failure, deadline_ms: int) -> None:
        mine = self._leased(run, deadline_ms)
        ended = replace(
            mine,
            status=Status.FAILED,
            output=encode(failure.as_dict()),
            ended_ms=self.clock.now_ms(),
        )
        if self.runs.take(run, mine) and self.runs.end(mine, ended):
            log("run failed", run, attempt=run.attempt, duration_ms=0, error=str(failure))

    def _new_run(self, event: AcceptedEvent, deadline_ms: int) -> Run:
        now_ms = self.clock.now_ms()
        run = Run(
            id=run_id_of(event.env, self.function.id, event.internal_id),
            env=event.env,
            function_id=self.function.id,
            event_id=event.internal_id,
            status=Status.SCHEDULED,
            attempt=0,
            queued_ms=now_ms,
        )
        if event.ts - now_ms >= _SHORT_WAIT_MS:
            return replace(run, due_ms=event.ts)
        if event.ts > now_ms:
            # The sender's clock may be a moment ahead.
            self.clock.sleep((event.ts - now_ms) / 1000)
        return self._leased(run, deadline_ms)

    def _leased(self, run: Run, deadline_ms: int) -> Run:
        return replace(
            run,
            status=Status.RUNNING,
            started_ms=run.started_ms or self.clock.now_ms(),
            due_ms=None,
            lease=uuid.uuid4().hex,
            lease_until_ms=deadline_ms + LEASE_MARGIN_MS,
        )

    def _resume(self, run: Run, event: AcceptedEvent, message: Message, deadline_ms: int) -> None:
        """Go on with a run that is recorded already."""
        if run.has_ended:
            # The worker that ended it may have died before anybody was told.
            self._ending.tell(run, event, self.steps.load(run).values())
            return
        now_ms = self.clock.now_ms()
        if run.lease and run.lease_until_ms > now_ms:
            raise self._leased_by_other(run, run.lease_until_ms)
        if run.due_ms is not None and run.due_ms > now_ms and not message.wakes:
            if run.due_ms - now_ms >= _SHORT_WAIT_MS:
                self._deliver(run, message)
                return
            self.clock.sleep((run.due_ms - now_ms) / 1000)
        crashed = bool(run.lease)
        if crashed:
            log("attempt failed", run, attempt=run.attempt, error=str(_DIED))
        mine = self._leased(replace(run, attempt=run.attempt + crashed), deadline_ms)
        if crashed and mine.attempt >= self.function.max_attempts:
            self._give_up(run, mine, event)
            return
        if not self.runs.take(run, mine):
            raise self._leased_by_other(run, mine.lease_until_ms)
        self._attempt(mine, event, message, self.steps.load(mine), deadline_ms)

    def _give_up(self, run: Run, mine: Run, event: AcceptedEvent) -> None:
        """Fail a run whose worker died in its last attempt."""
        last = replace(mine, attempt=run.attempt)
        if not self.runs.take(run, last):
            raise self._leased_by_other(run, mine.lease_until_ms)
        self._ending.fail(last, event, _DIED, self.steps.load(last).values())

    def _leased_by_other(self, run: Run, until_ms: int) -> RunLeasedError:
        left_s = max(until_ms - self.clock.now_ms(), 0) // 1000 + 1
        return RunLeasedError(f"another worker drives run {run.id}", retry_after_s=left_s)

    def _attempt(
        self,
        run: Run,
        event: AcceptedEvent,
        message: Message,
        records: dict[str, StepRecord],
        deadline_ms: int,
    ) -> None:
        log(
            "run resumed" if records else "run started",
            run,
            attempt=run.attempt,
            event_id=event.internal_id,
            event_name=event.name,
        )
        left_ms = deadline_ms - self.clock.now_ms()
        journal = Journal(
            run,
            records,
            self.steps,
            RunWaits(self.waiting, run, event),
            max_attempts=self.function.max_attempts,
            max_steps=self.function.max_steps,
            hand_over_ms=deadline_ms - min(HAND_OVER_MS, left_ms // 2),
            clock=self.clock,
            jitter=self.jitter,
        )
        effect = self.host.call(run, event.event, journal)
        while isinstance(effect, RunSuspended) and self._waited_for(journal):
            effect = self.host.call(run, event.event, journal)
        if journal.has_progressed:
            # What fails from here on fails anew: it has all its attempts.
            run = replace(run, attempt=0)
        if isinstance(effect, RunSuspended):
            self._suspend(run, journal, message, records)
        elif isinstance(effect, RunComplete):
            self._ending.end(run, event, Status.COMPLETED, effect.output, journal.awaiting())
        elif effect.retriable and run.attempt + 1 < self.function.max_attempts:
            self._retry(run, effect, message)
        else:
            self._ending.fail(run, event, effect.failure, journal.awaiting())

    def _waited_for(self, journal: Journal) -> bool:
        """Whether what a run waits for came so soon that this invocation goes on."""
        wait_ms = journal.due_ms() - self.clock.now_ms()
        if wait_ms >= _SHORT_WAIT_MS or journal.must_hand_over():
            return False
        self.clock.sleep(max(wait_ms, 0) / 1000)
        journal.begin_call()
        return True

    def _suspend(
        self, run: Run, journal: Journal, message: Message, records: dict[str, StepRecord]
    ) -> None:
        due_ms = journal.due_ms()
        self.steps.keep(run, list(records.values()), due_ms)
        release = partial(self.runs.release, run, due_ms, attempt=run.attempt)
        if not self._ending.patiently(run, release):
            raise lost(run)
        log("run suspended", run, due_ms=due_ms)
        if self._woken_meanwhile(run, journal.awaiting()):
            self._deliver(replace(run, due_ms=0), message, wakes=True)
        else:
            self._deliver(replace(run, due_ms=due_ms), message)

    def _woken_meanwhile(self, run: Run, awaiting: list[StepRecord]) -> bool:
        """Whether what a run waits for came while it was leased.

        The message that then should have woken it was sent back, and comes again much later.
        """
        if not awaiting:
            return False
        records = self.steps.load(run)
        return any(not records[record.step.hashed].is_awaiting for record in awaiting)

    def _retry(self, run: Run, error: RunError, message: Message) -> None:
        now_ms = self.clock.now_ms()
        if error.retry_after is not None:
            due_ms = error.retry_after.due_ms(now_ms)
        else:
            due_ms = now_ms + retry_delay_ms(run.attempt, self.jitter())
        release = partial(
            self.runs.release, run, due_ms, attempt=run.attempt + 1, failure=error.failure
        )
        if not self._ending.patiently(run, release):
            raise lost(run)
        log(
            "attempt failed",
            run,
            attempt=run.attempt,
            error=str(error.failure),
            retry_at_ms=due_ms,
        )
        self._deliver(replace(run, due_ms=due_ms), message)

    def _deliver(self, run: Run, message: Message, *, wakes: bool = False) -> None:
        later = message.kept_until(run.due_ms or 0, self.clock.now_ms(), self.runs.payloads)
        later = replace(later, wakes=wakes)
        self.delivery.at(run.due_ms or 0, later.encode(), run.id)
