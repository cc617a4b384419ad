"""The engine: drives a function's runs, whatever is delivered twice, early, late or after a crash.

Nothing here relies on a message arriving once. What a message makes happen depends on the run's
record alone, so that any message of a run may be lost as long as one arrives, and any may repeat.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tidegate.backoff import retry_delay_ms
from tidegate.clock import Clock
from tidegate.effect import RunComplete, RunError, RunSuspended
from tidegate.ending import LEASE_MARGIN_MS, Ending, log
from tidegate.errors import DeadLetterError, RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.function import Function
from tidegate.gone_event import GoneEvent
from tidegate.host import Host
from tidegate.idempotency import Idempotency
from tidegate.incoming import Incoming
from tidegate.journal import Journal, Steps
from tidegate.lifetime import Lifetime, Watch
from tidegate.listening import Listening
from tidegate.manifest import Manifest
from tidegate.message import CronMessage, EventMessage, Message
from tidegate.observer import NOBODY, Observer
from tidegate.run import Failure, Run, Status
from tidegate.step import StepRecord, any_met
from tidegate.stores import Dedup, Queue, Runs
from tidegate.tracing import came_from
from tidegate.waiting import RunWaits, Waiting

# What is due sooner than this is waited for: SQS delays by whole seconds.
_SHORT_WAIT_MS = 1_000
# What comes so long before it is due was not sent by a schedule: those are two minutes early.
_EARLY_MS = 300_000
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
        observer: is told what happens.
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
    observer: Observer = NOBODY

    @cached_property
    def incoming(self) -> Incoming:
        """What its messages stand for."""
        return Incoming(self.function, self.runs, self.store, self.announce, self.manifest)

    @cached_property
    def _lifetime(self) -> Lifetime:
        return Lifetime(self.function, self.clock)

    @cached_property
    def _ending(self) -> Ending:
        told = (self.announce, self.manifest, self.clock, self.observer)
        return Ending(self.function, self.runs, self.waiting, *told)

    @cached_property
    def _listening(self) -> Listening:
        return Listening(self.function, self.runs, self.waiting, self._ending, self.clock)

    @cached_property
    def _gone_event(self) -> GoneEvent:
        return GoneEvent(self.runs, self.steps, self.delivery, self._ending, self._lifetime)

    @cached_property
    def _idempotency(self) -> Idempotency:
        stores = (self.dedup, self.runs, self.waiting)
        return Idempotency(self.function, *stores, self.manifest, self.observer)

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
        with came_from(message.origin):
            self._handle(message, deadline_ms)

    def _handle(self, message: Message, deadline_ms: int) -> None:
        if isinstance(message, CronMessage):
            event = self.incoming.event_of_tick(message)
        else:
            try:
                event = self._event_of(message)
            except DeadLetterError as error:
                self._go_on_without(message, error, deadline_ms)
                return
        if event is not None:
            self._drive(event, message, deadline_ms)

    def _event_of(self, message: EventMessage) -> AcceptedEvent | None:
        """The event in a message; one that wakes or resumes a run starts none.

        A rerun is what somebody asked for: neither triggers nor idempotency hold it back.
        """
        starts = not message.wakes and not message.resumes
        if starts and message.rerun is None:
            event = self.incoming.event_of(message)
            return event if event is not None and self._idempotency.admits(event) else None
        if not starts and self.incoming.run_of(message.event, message.rerun) is None:
            return None
        return message.with_body(self.runs.payloads)

    def _drive(self, event: AcceptedEvent, message: Message, deadline_ms: int) -> None:
        """Start the event's run, or go on with it."""
        late = self._lifetime.why_late(event, message.rerun)
        run = self._new_run(event, message, deadline_ms, is_late=late is not None)
        old = self.runs.create(run)
        if old is not None:
            self._resume(old, event, message, deadline_ms)
        elif late is not None:
            self._ending.cancel(run, event, late, [])
        elif run.status == Status.SCHEDULED:
            log("run scheduled", run, due_ms=run.due_ms)
            self._listening.begin_unleased(run, event, deadline_ms)
            self._deliver(run, message)
        else:
            self.observer.run_started(run, event)
            self._listening.begin(run, event)
            # A rerun may begin with what the steps of the original gave.
            records = self._records(run) if message.rerun else {}
            self._attempt(run, event, message, records, deadline_ms)

    def _go_on_without(
        self, message: EventMessage, error: DeadLetterError, deadline_ms: int
    ) -> None:
        """Go on with a run whose event is not where its message says.

        What wakes a run may find the event no longer stored; the message that is arranged for when
        it is due has it. Without that one the run ends, and one that would start has failed.

        Raises:
            DeadLetterError: it can never have its event, and was not to be cancelled anyway.
            RunLeasedError: whoever has the event goes on with the run.
        """
        run, event = self.incoming.run_of(message.event, message.rerun), message.without_data()
        if run is None:
            if not self.incoming.starts_without_data(message):
                raise error
            run = self._new_run(event, message, deadline_ms)
            if self.runs.create(run) is not None:
                raise self._leased_by_other(run, run.lease_until_ms)
        elif run.has_ended:
            self._gone_event.tell_again(run, message, error)
            return
        else:
            self._check_lease(run)
        own = self._gone_event.own_message(run, message)
        if own is not None:
            self.handle(own, deadline_ms)
        else:
            self._gone_event.end(run, self._leased(run, deadline_ms), event, error)

    def _new_run(
        self, event: AcceptedEvent, message: Message, deadline_ms: int, *, is_late: bool = False
    ) -> Run:
        now_ms = self.clock.now_ms()
        run = self.incoming.new_run(event, message, now_ms)
        if is_late:
            return replace(self._leased(run, deadline_ms), started_ms=None)
        if event.ts - now_ms >= _SHORT_WAIT_MS:
            return replace(run, due_ms=event.ts)
        if event.ts > now_ms:
            # The sender's clock may be a moment ahead.
            self.clock.sleep((event.ts - now_ms) / 1000)
        return self._leased(run, deadline_ms)

    def _leased(self, run: Run, deadline_ms: int) -> Run:
        return run.leased(self.clock.now_ms(), deadline_ms + LEASE_MARGIN_MS)

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
        # The worker that recorded it may have died before it listened.
        listens = not run.lease and run.status != Status.SCHEDULED
        left_ms, woken = (run.due_ms or 0) - now_ms, message.wakes
        if left_ms >= _EARLY_MS and message.resumes and not woken:
            # What was to wake it may have been lost with its queue, of which nobody knows.
            woken = any_met(self.steps.load(run), run.counted_ms)
        if left_ms > 0 and (run.backs_off or not woken):
            if left_ms >= _SHORT_WAIT_MS:
                if not listens:
                    self._listening.begin_unleased(run, event, deadline_ms, is_repeated=True)
                self._deliver(run, message)
                return
            self.clock.sleep(left_ms / 1000)
        if run.lease:
            log("attempt failed", run, error=str(_DIED))
        mine = self._leased(self._after_crash(run) if run.lease else run, deadline_ms)
        if run.lease and mine.attempt >= self.function.max_attempts:
            self._give_up(run, mine, event)
            return
        if not self.runs.take(run, mine):
            raise self._leased_by_other(run, mine.lease_until_ms)
        if run.started_ms is None:
            self.observer.run_started(mine, event)
        elif run.lease:
            self.observer.retried()
        if woken and run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        if not listens:
            self._listening.begin(mine, event, is_repeated=True)
        self._attempt(mine, event, message, self._records(mine), deadline_ms)

    def _records(self, run: Run) -> dict[str, StepRecord]:
        """The steps of a run whose lease is held, by hashed id."""
        # An attempt is not to be lost because they cannot be read for a moment.
        return self._ending.patiently(run, lambda: self.steps.load(run))

    def _after_crash(self, run: Run) -> Run:
        """A run whose worker died, with its next attempt: steps completed since the last one was
        counted give it all of them back, as they do when the worker lives."""
        now_ms = self.clock.now_ms()
        ends_ms = [record.ended_by(now_ms) for record in self.steps.load(run).values()]
        has_progressed = any(ms is not None and ms > run.counted_ms for ms in ends_ms)
        before = 0 if has_progressed else run.attempt
        tried = run.with_attempt(run.lease_until_ms, _DIED)
        return replace(tried, attempt=before + 1, counted_ms=now_ms)

    def _cancel(self, run: Run, event: AcceptedEvent, why: Failure, deadline_ms: int) -> None:
        mine = replace(self._leased(run, deadline_ms), started_ms=run.started_ms)
        if not self.runs.take(run, mine):
            raise self._leased_by_other(run, mine.lease_until_ms)
        if run.due_ms is not None:
            self.delivery.forget(run.due_ms, run.id)
        self._ending.cancel(mine, event, why, self.steps.load(mine).values())

    def _give_up(self, run: Run, mine: Run, event: AcceptedEvent) -> None:
        """Fail a run whose worker died in its last attempt."""
        last = replace(mine, attempt=run.attempt, attempts=run.attempts, leased_ms=run.leased_ms)
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
        log("run resumed" if records else "run started", run, event_name=event.name)
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
            observer=self.observer,
        )
        effect = self.host.call(run, event.event, journal)
        while isinstance(effect, RunSuspended) and self._waited_for(journal):
            effect = self.host.call(run, event.event, journal)
        failure = effect.failure if isinstance(effect, RunError) else None
        self.observer.attempt_ended(run, self.clock.now_ms(), failure)
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
        counted = replace(run, counted_ms=self.clock.now_ms())
        release = partial(self.runs.release, counted, due_ms, attempt=run.attempt)
        if not self._ending.patiently(run, release):
            self._ending.cancel_or_lose(run, event, journal.awaiting())
            return
        log("run suspended", run, due_ms=due_ms)
        woken = self._woken_meanwhile(run, journal.awaiting())
        self._deliver(replace(run, due_ms=0 if woken else due_ms), message, wakes=woken)

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
        self._ending.patiently(run, lambda: self.steps.keep(run, journal.records(), due_ms))
        tried = replace(run.with_attempt(now_ms, error.failure), counted_ms=now_ms)
        release = partial(
            self.runs.release, tried, due_ms, attempt=run.attempt + 1, failure=error.failure
        )
        if not self._ending.patiently(run, release):
            self._ending.cancel_or_lose(run, event, journal.awaiting())
            return
        log("attempt failed", run, error=str(error.failure), retry_at_ms=due_ms)
        self.observer.retried()
        self._deliver(replace(run, due_ms=due_ms), message)

    def _deliver(self, run: Run, message: Message, *, wakes: bool = False) -> None:
        later = message.kept_until(run.due_ms or 0, self.runs.payloads)
        later = replace(later, wakes=wakes)
        self.delivery.at(run.due_ms or 0, later.encode(), run.id)
