"""The engine: drives a function's runs, whatever is delivered twice, early, late or after a crash.

Nothing here relies on a message arriving once. What a message makes happen depends on the run's
record alone, so that any message of a run may be lost as long as one arrives, and any may repeat.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from tidegate.backoff import retry_delay_ms
from tidegate.clock import Clock
from tidegate.effect import RunComplete, RunError
from tidegate.encoding import decode, encode
from tidegate.errors import PlatformError, RunLeasedError
from tidegate.event import AcceptedEvent
from tidegate.expression import ExpressionError
from tidegate.function import Function
from tidegate.host import Host
from tidegate.ids import run_id_of
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.run_store import RunStore
from tidegate.schedule import Delivery
from tidegate.system_event import announcements
from tidegate.trigger import TriggerEvent

logger = logging.getLogger("tidegate.engine")

# How much longer than its invocation a worker's lease holds: a live one never loses it.
LEASE_MARGIN_MS = 5_000
# A message that comes earlier than due by less than this is waited for, not sent round again.
_SHORT_WAIT_MS = 1_000
_PAUSE_S = 0.5
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
        delivery: its queue, for attempts that are due later.
        announce: stores and publishes system events.
        manifest: knows who listens to them.
        clock: the time.
        jitter: gives random numbers from 0 to 1, for the backoff.
    """

    function: Function
    host: Host
    runs: RunStore
    delivery: Delivery
    announce: Callable[[list[AcceptedEvent]], None]
    manifest: Manifest
    clock: Clock
    jitter: Callable[[], float] = random.random

    def handle(self, message: EventMessage, deadline_ms: int) -> None:
        """Do what is to be done about a message; when this returns, the message is done with.

        Args:
            message: an event for this function.
            deadline_ms: when this invocation is killed, UTC ms.

        Raises:
            RunLeasedError: another worker drives the run; the message must stay in the queue,
                since it is what is left if that worker dies.
            DeadLetterError: the message can never be handled.
            PlatformError: try again later.
        """
        event = message.event
        triggers = [one for one in self.function.triggers if one.matches(event.name)]
        if triggers or message.is_resume:
            event = message.with_body(self.runs.payloads)
        # A changed subscription filter takes up to 15 minutes to be effective, and a filter lets
        # through what it cannot check. A run goes on even if its trigger has changed since.
        if not message.is_resume and not any(self._holds(one, event) for one in triggers):
            logger.debug("event not wanted", extra={"event_name": event.name})
            return
        run = self._new_run(event, deadline_ms)
        old = self.runs.create(run)
        if old is None and run.status == Status.SCHEDULED:
            self._log("run scheduled", run, due_ms=run.due_ms, event_id=event.internal_id)
            self._deliver(run, message)
        elif old is None:
            self._attempt(run, event, message)
        else:
            self._resume(old, event, message, deadline_ms)

    def _holds(self, trigger: TriggerEvent, event: AcceptedEvent) -> bool:
        """Whether the event is as a trigger's expression wants it, at the time it came in."""
        if trigger.expression is None:
            return True
        expression = self.manifest.expression(self.function.id, trigger.expression)
        try:
            return expression.matches(event=decode(event.body), now_ms=event.received_ms)
        except ExpressionError as error:
            logger.warning(
                "expression failed: the event counts as not wanted",
                extra={
                    "function_id": self.function.id,
                    "event_id": event.internal_id,
                    "event_name": event.name,
                    "error": str(error),
                },
            )
            return False

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
        if event.ts > now_ms:
            return replace(run, due_ms=event.ts)
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

    def _resume(
        self, run: Run, event: AcceptedEvent, message: EventMessage, deadline_ms: int
    ) -> None:
        """Go on with a run that is recorded already."""
        if run.has_ended:
            # The worker that ended it may have died before it announced that.
            self._announce(run, event)
            return
        now_ms = self.clock.now_ms()
        if run.lease and run.lease_until_ms > now_ms:
            raise self._leased_by_other(run, run.lease_until_ms)
        if run.due_ms is not None and run.due_ms > now_ms:
            if run.due_ms - now_ms >= _SHORT_WAIT_MS:
                self._deliver(run, message)
                return
            self.clock.sleep((run.due_ms - now_ms) / 1000)
        crashed = bool(run.lease)
        if crashed:
            self._log("attempt failed", run, attempt=run.attempt, error=str(_DIED))
        mine = self._leased(replace(run, attempt=run.attempt + crashed), deadline_ms)
        if crashed and mine.attempt >= self.function.max_attempts:
            self._give_up(run, mine, event)
            return
        if not self.runs.take(run, mine):
            raise self._leased_by_other(run, mine.lease_until_ms)
        self._attempt(mine, event, message)

    def _give_up(self, run: Run, mine: Run, event: AcceptedEvent) -> None:
        """Fail a run whose worker died in its last attempt."""
        last = replace(mine, attempt=run.attempt)
        if not self.runs.take(run, last):
            raise self._leased_by_other(run, mine.lease_until_ms)
        self._fail(last, event, _DIED)

    def _leased_by_other(self, run: Run, until_ms: int) -> RunLeasedError:
        left_s = max(until_ms - self.clock.now_ms(), 0) // 1000 + 1
        return RunLeasedError(f"another worker drives run {run.id}", retry_after_s=left_s)

    def _attempt(self, run: Run, event: AcceptedEvent, message: EventMessage) -> None:
        self._log(
            "run started",
            run,
            attempt=run.attempt,
            event_id=event.internal_id,
            event_name=event.name,
        )
        effect = self.host.call(run, event.event)
        if isinstance(effect, RunComplete):
            self._end(run, event, Status.COMPLETED, effect.output)
        elif effect.retriable and run.attempt + 1 < self.function.max_attempts:
            self._retry(run, effect, message)
        else:
            self._fail(run, event, effect.failure)

    def _retry(self, run: Run, error: RunError, message: EventMessage) -> None:
        now_ms = self.clock.now_ms()
        if error.retry_after is not None:
            due_ms = error.retry_after.due_ms(now_ms)
        else:
            due_ms = now_ms + retry_delay_ms(run.attempt, self.jitter())
        if not self._patiently(run, lambda: self.runs.await_retry(run, due_ms, error.failure)):
            self._log_lost(run)
            return
        self._log(
            "attempt failed",
            run,
            attempt=run.attempt,
            error=str(error.failure),
            retry_at_ms=due_ms,
        )
        self._deliver(replace(run, due_ms=due_ms), message)

    def _fail(self, run: Run, event: AcceptedEvent, failure: Failure) -> None:
        self._end(run, event, Status.FAILED, encode(failure.as_dict()))

    def _end(self, run: Run, event: AcceptedEvent, status: Status, output: str) -> None:
        ended = replace(run, status=status, output=output, ended_ms=self.clock.now_ms())
        if not self._patiently(run, lambda: self.runs.end(run, ended)):
            self._log_lost(run)
            return
        duration_ms = (ended.ended_ms or 0) - (run.started_ms or 0)
        if status == Status.COMPLETED:
            self._log(
                "run completed",
                run,
                attempt=run.attempt,
                duration_ms=duration_ms,
                output=output,
            )
        else:
            self._log(
                "run failed",
                run,
                attempt=run.attempt,
                duration_ms=duration_ms,
                error=str(failure_of(output)),
            )
        self._announce(ended, event)

    def _patiently(self, run: Run, write: Callable[[], bool]) -> bool:
        """Repeat a write while the lease holds: the function has run, and if that is not recorded
        it will run again."""
        while True:
            try:
                return write()
            except PlatformError:
                if self.clock.now_ms() + _PAUSE_S * 1000 >= run.lease_until_ms - LEASE_MARGIN_MS:
                    raise
                self.clock.sleep(_PAUSE_S)

    def _announce(self, run: Run, event: AcceptedEvent) -> None:
        events = announcements(run, event, self.runs.output_of(run), self.manifest)
        if events:
            self.announce(events)

    def _deliver(self, run: Run, message: EventMessage) -> None:
        self.delivery.at(run.due_ms or 0, replace(message, is_resume=True).encode(), run.id)

    def _log(self, text: str, run: Run, **extra: object) -> None:
        logger.info(text, extra={"run_id": run.id, "function_id": run.function_id, **extra})

    def _log_lost(self, run: Run) -> None:
        logger.warning(
            "lease lost: another worker took the run over, so this result is dropped",
            extra={"run_id": run.id, "function_id": run.function_id, "attempt": run.attempt},
        )
