"""What a run begins outside of itself: it listens for an event, or invokes a function.

A wait counts from the moment it is stored. What ingest asks about an event's name and what it
stores may lie on either side of that moment, so the events of that time are looked through twice:

    ingest   asks ─ ─ ─ ─ ─ stores ──▶ within 25 s, or it is killed
    wait           stored ──▶ look now ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ look after 30 s
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.admission import Admission
from tidegate.effect import Invoke, WaitForEvent
from tidegate.encoding import decode
from tidegate.event import AcceptedEvent
from tidegate.invocation import (
    Invocation,
    failure_memo,
    invoked_event,
    result_of,
    unknown_memo,
)
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.run import Failure, Run
from tidegate.step import Op, StepRecord, StepState
from tidegate.stores import Looks
from tidegate.wait import Condition, Wait, WaitKey
from tidegate.wake import Waker


@dataclass(frozen=True)
class Waiting:
    """Begins and ends what runs wait for.

    Attributes:
        waker: tells a caller of an invoked run's end; has the wait store.
        admission: publishes invocations.
        manifest: knows the functions that can be invoked.
        looks: where to ask for looks at past events.
    """

    waker: Waker
    admission: Admission
    manifest: Manifest
    looks: Looks

    def listen(self, run: Run, event: AcceptedEvent, effect: WaitForEvent, now_ms: int) -> None:
        """Let events wake a run from now on. Doing it again is harmless.

        Args:
            run: the run.
            event: the event that started it.
            effect: what it waits for.
            now_ms: when it began to wait, UTC ms.

        Raises:
            ConfigurationError: the expression cannot be read.
            PlatformError: the wait could not be stored.
        """
        wait = Wait(
            env=run.env,
            run_id=run.id,
            function_id=run.function_id,
            step=effect.step,
            op=Op.WAIT_FOR_EVENT,
            since_ms=now_ms,
            due_ms=effect.until_ms,
            message=self._message(event, effect.until_ms, now_ms),
            event_id=event.internal_id,
            event_name=effect.event_name,
            condition=Condition.of(effect.if_exp, effect.match, decode(event.body)),
        )
        self.waker.waits.put(wait)
        self.looks.ask(wait.key)

    def invoke(self, run: Run, event: AcceptedEvent, effect: Invoke, now_ms: int) -> str | None:
        """Start another function's run, whose end wakes this one. Doing it again is harmless.

        Returns:
            None, or the memo of the failed step when there is no such function.

        Raises:
            PlatformError: it could not be stored or published.
        """
        caller = self.manifest.function(run.function_id)
        caller_app_id = caller.app_id if caller is not None else ""
        function_id = f"{effect.app_id or caller_app_id}-{effect.function_id}"
        target = self.manifest.function(function_id)
        if target is None:
            return unknown_memo(function_id)
        wait = Wait(
            env=run.env,
            run_id=run.id,
            function_id=run.function_id,
            step=effect.step,
            op=Op.INVOKE,
            since_ms=now_ms,
            due_ms=effect.until_ms,
            message=self._message(event, effect.until_ms, now_ms),
            event_id=event.internal_id,
        )
        self.waker.waits.put(wait)
        invoked = invoked_event(run, effect, target.id, caller_app_id, now_ms)
        self.admission.deliver_to(target.id, invoked)
        return None

    def stop(self, run: Run, record: StepRecord) -> None:
        """Forget what a step of a run waits for.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        self.waker.waits.delete(WaitKey(run.env, record.event_name, run.id, record.step.hashed))

    def report(self, run: Run, event: AcceptedEvent, output: str | None) -> None:
        """Tell the caller of an invoked run that it has ended, unless it was told or gave up.

        Args:
            run: the ended run.
            event: the event that started it.
            output: JSON text of its output, or of its failure.

        Raises:
            PlatformError: it could not be told; repeating the call is safe.
        """
        wait = self._wait_of_caller(event)
        if wait is not None:
            self.waker.complete(wait, *result_of(run, output))

    def refuse(self, event: AcceptedEvent, failure: Failure) -> None:
        """Tell the caller of an invoked run that it does not start; as `report`.

        Args:
            event: the event that would have started it.
            failure: why it does not.

        Raises:
            PlatformError: it could not be told; repeating the call is safe.
        """
        wait = self._wait_of_caller(event)
        if wait is not None:
            self.waker.complete(wait, StepState.FAILED, failure_memo(failure))

    def _wait_of_caller(self, event: AcceptedEvent) -> Wait | None:
        invocation = Invocation.of(event)
        if invocation is None:
            return None
        key = WaitKey(event.env, "", invocation.run_id, invocation.step_hash)
        return self.waker.waits.get(key)

    def _message(self, event: AcceptedEvent, due_ms: int, now_ms: int) -> str:
        """The message that resumes the run of an event, its large body kept until then."""
        payloads = self.waker.runs.payloads
        return EventMessage.of(event).kept_until(due_ms, now_ms, payloads).encode()


@dataclass(frozen=True)
class RunWaits:
    """What one run waits for.

    Attributes:
        waiting: begins and ends it.
        run: the run.
        event: the event that started it.
    """

    waiting: Waiting
    run: Run
    event: AcceptedEvent

    def listen(self, effect: WaitForEvent, now_ms: int) -> None:
        """Let events wake the run; see `Waiting.listen`."""
        self.waiting.listen(self.run, self.event, effect, now_ms)

    def invoke(self, effect: Invoke, now_ms: int) -> str | None:
        """Start another function's run; see `Waiting.invoke`."""
        return self.waiting.invoke(self.run, self.event, effect, now_ms)

    def stop(self, record: StepRecord) -> None:
        """Forget what a step waits for; see `Waiting.stop`."""
        self.waiting.stop(self.run, record)
