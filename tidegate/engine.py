"""The engine: drives a function's runs, whatever is delivered twice, early, late or after a crash.

Nothing here relies on a message arriving once. What a message makes happen depends on the run's
record alone, so that any message of a run may be lost as long as one arrives, and any may repeat.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tidegate.backoff import retry_delay_ms
from tidegate.clock import Clock
from tidegate.effect import RunComplete, RunError, RunSuspended
from tidegate.encoding import encode
from tidegate.ending import LEASE_MARGIN_MS, Ending, log
from tidegate.errors import DeadLetterError, RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.host import Host
from tidegate.idempotency import Idempotency
from tidegate.incoming import Incoming
from tidegate.journal import Journal, Steps
from tidegate.lifetime import Lifetime, Watch, cancelled
from tidegate.manifest import Manifest
from tidegate.message import CronMessage, EventMessage, Message
from tidegate.run import Failure, Run, Status
from tidegate.step import StepRecord
from tidegate.stores import Dedup, Queue, Runs
from tidegate.waiting import RunWaits, Waiting

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
    def _incoming(self) -> Incoming:
        return Incoming(self.function, self.runs, self.store, self.announce, self.manifest)

    @cached_property
    def _lifetime(self) -> Lifetime:
        return Lifetime(self.function.timeouts, self.clock)

    @cached_property
    def _ending(self) -> Ending:
        return Ending(
            self.function, self.runs, self.waiting, self.announce, self.manifest, self.clock
        )

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
            event = self._incoming.event_of_tick(message)
        else:
            try:
                event = self._event_of(message)
            except DeadLetterError as error:
                self._end_without_event(message, error, deadline_ms)
                return
        if event is not None:
            self._drive(event, message, deadline_ms)

    def _event_of(self, message: EventMessage) -> AcceptedEvent | None:
        """The event in a message; one that wakes or resumes a run starts none.

        A rerun is what somebody asked for: neither triggers nor idempotency hold it back.
        """
        starts = not message.wakes and not message.resumes
        if starts and message.rerun is None:
            event = self._incoming.event_of(message)
            return event if event is not None and self._idempotency.admits(event) else None
        if not starts and self._incoming.run_of(message.event, message.rerun) is None:
            return None
        return message.with_body(self.runs.payloads)

    def _drive(self, event: AcceptedEvent, message: Message, deadline_ms: int) -> None:
        """Start the event's run, or go on with it."""
        late = self._lifetime.why_late(event, message.rerun)
        run = self._new_run(event, message, deadline_ms)
        if late is not None:
            run = replace(run, started_ms=None)
        old = self.runs.create(run)
        if old is not None:
            self._resume(old, event, message, deadline_ms)
        elif late is not None:
            self._ending.cancel(run, event, late, [])
        elif run.status == Status.SCHEDULED:
            log("run scheduled", run, due_ms=run.due_ms, event_id=event.internal_id)
            self._listen_for_cancels(run, event)
            self._deliver(run, message)
        else:
            self._listen_for_cancels(run, event)
            # A rerun may begin with what the steps of the original gave.
            records = self._records(run) if message.rerun else {}
            self._attempt(run, event, message, records, deadline_ms)

    def _listen_for_cancels(self, run: Run, event: AcceptedEvent) -> None:
        if not self.function.cancel:
            return

        cancels, listen = self.function.cancel, self.waiting.listen_for_cancels
        self._ending.patiently(run, lambda: listen(run, event, cancels, self.clock.now_ms()))

    def _end_without_event(
        self, message: EventMessage, error: DeadLetterError, deadline_ms: int
    ) -> None:
        """End a run that can never have its event.

        Raises:
            DeadLetterError: unless it was to be cancelled anyway.
        """
        run = self._incoming.run_of(message.event, message.rerun)
        if run is None or run.has_ended:
            raise error
        # A worker that drives it has the event, and ends it.
        self._check_lease(run)
        status, failure = Status.FAILED, Failure("EventGone", str(error))
        if run.cancel_reason is not None:
            status, failure = Status.CANCELLED, cancelled(run.cancel_reason)
        mine = self._leased(run, deadline_ms)
        output = encode(failure.as_dict())
        ended = replace(mine, status=status, output=output, ended_ms=self.clock.now_ms())
        self._ending.release(run, self.steps.load(run).values())
        if run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        if self.runs.take(run, mine) and self.runs.end(mine, ended):
            log(
                f"run {status.lower()}", run, attempt=run.attempt, duration_ms=0, error=str(failure)
            )
        if status == Status.FAILED:
            raise error

    def _new_run(self, event: AcceptedEvent, message: Message, deadline_ms: int) -> Run:
        now_ms = self.clock.now_ms()
        rerun = message.rerun
        run = Run(
            id=self._incoming.run_id(event, rerun),
            env=event.env,
            function_id=self.function.id,
            event_id=event.internal_id,
            status=Status.SCHEDULED,
            attempt=0,
            queued_ms=now_ms,
            original_run_id=rerun.original_run_id if rerun else None,
            replay_id=rerun.replay_id if rerun else None,
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
        self._check_lease(run)
        now_ms = self.clock.now_ms()
        why = self._lifetime.why_over(run, event)
        if why is not None:
            self._cancel(run, event, why, deadline_ms)
            return
        if run.lease or run.status == Status.SCHEDULED:
            # The worker that recorded it may have died before it listened.
            self._listen_for_cancels(replace(run, lease_until_ms=deadline_ms), event)
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
        if message.wakes and run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        self._attempt(mine, event, message, self._records(mine), deadline_ms)

    def _records(self, run: Run) -> dict[str, StepRecord]:
        """The steps of a run whose lease is held, by hashed id."""
        # An attempt is not to be lost because they cannot be read for a moment.
        return self._ending.patiently(run, lambda: self.steps.load(run))

    def _cancel(self, run: Run, event: AcceptedEvent, why: Failure, deadline_ms: int) -> None:
        mine = replace(self._leased(run, deadline_ms), started_ms=run.started_ms)
        if not self.runs.take(run, mine):
            raise self._leased_by_other(run, mine.lease_until_ms)
        if run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        self._ending.cancel(mine, event, why, self.steps.load(mine).values())

    def _give_up(self, run: Run, mine: Run, event: AcceptedEvent) -> None:
        """Fail a run whose worker died in its last attempt."""
        last = replace(mine, attempt=run.attempt)
        if not self.runs.take(run, last):
            raise self._leased_by_other(run, mine.lease_until_ms)
        self._ending.fail(last, event, _DIED, self.steps.load(last).values())

    def _check_lease(self, run: Run) -> None:
        if run.lease and run.lease_until_ms > self.clock.now_ms():
            raise self._leased_by_other(run, run.lease_until_ms)

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
            why_stop=Watch(
                self._lifetime, run, event, partial(self.runs.get, run.env, run.id)
            ).why_stop,
        )
        effect = self.host.call(run, event.event, journal)
        while isinstance(effect, RunSuspended) and self._waited_for(journal):
            effect = self.host.call(run, event.event, journal)
        if journal.has_progressed:
            # What fails from here on fails anew: it has all its attempts.
            run = replace(run, attempt=0)
        if isinstance(effect, RunSuspended) and journal.stopped:
            self._ending.cancel(run, event, journal.stopped, journal.awaiting())
        elif isinstance(effect, RunSuspended):
            self._suspend(run, event, journal, message)
        elif isinstance(effect, RunComplete):
            self._ending.end(run, event, Status.COMPLETED, effect.output, journal.awaiting())
        elif effect.retriable and run.attempt + 1 < self.function.max_attempts:
            self._retry(run, event, effect, message, journal)
        else:
            self._ending.fail(run, event, effect.failure, journal.awaiting())

    def _waited_for(self, journal: Journal) -> bool:
        """Whether what a run waits for came so soon that this invocation goes on."""
        wait_ms = journal.due_ms() - self.clock.now_ms()
        if wait_ms >= _SHORT_WAIT_MS or journal.must_hand_over():
            return False
        self.clock.sleep(max(wait_ms, 0) / 1000)
        journal.begin_call()
        return journal.stopped is None

    def _suspend(self, run: Run, event: AcceptedEvent, journal: Journal, message: Message) -> None:
        due_ms = int(min(journal.due_ms(), self._lifetime.finish_ms(run)))
        self._ending.patiently(run, lambda: self.steps.keep(run, journal.records(), due_ms))
        release = partial(self.runs.release, run, due_ms, attempt=run.attempt)
        if not self._ending.patiently(run, release):
            self._ending.cancel_or_lose(run, event, journal.awaiting())
            return
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

    def _retry(
        self, run: Run, event: AcceptedEvent, error: RunError, message: Message, journal: Journal
    ) -> None:
        now_ms = self.clock.now_ms()
        if error.retry_after is not None:
            due_ms = error.retry_after.due_ms(now_ms)
        else:
            due_ms = now_ms + retry_delay_ms(run.attempt, self.jitter())
        due_ms = int(min(due_ms, self._lifetime.finish_ms(run)))
        release = partial(
            self.runs.release, run, due_ms, attempt=run.attempt + 1, failure=error.failure
        )
        if not self._ending.patiently(run, release):
            self._ending.cancel_or_lose(run, event, journal.awaiting())
            return
        log(
            "attempt failed",
            run,
            attempt=run.attempt,
            error=str(error.failure),
            retry_at_ms=due_ms,
        )
        self._deliver(replace(run, due_ms=due_ms), message)

    def _deliver(self, run: Run, message: Message, *, wakes: bool = False) -> None:
        later = message.kept_until(run.due_ms or 0, self.runs.payloads)
        later = replace(later, wakes=wakes)
        self.delivery.at(run.due_ms or 0, later.encode(), run.id)
