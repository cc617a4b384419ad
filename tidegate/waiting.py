"""What a run begins outside of itself: it listens for an event, or invokes a function.

A wait counts from the moment it is stored. What ingest asks about an event's name and what it
stores may lie on either side of that moment, so the events of that time are looked through twice:

    ingest   asks ─ ─ ─ ─ ─ stores ──▶ within 25 s, or it is killed
    wait           stored ──▶ look now ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ look after 30 s
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from tidegate.admission import Admission
from tidegate.cancel import Cancel
from tidegate.effect import Invoke, WaitForEvent
from tidegate.encoding import decode
from tidegate.event import RESERVED_PREFIX, AcceptedEvent
from tidegate.invocation import (
    INVOKED,
    Invocation,
    failure_memo,
    invoked_event,
    result_of,
    unknown_memo,
)
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.run import Failure, Run
from tidegate.step import Op, StepId, StepRecord, StepState
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
        condition = self._condition(run, event, effect.if_exp, effect.match)
        wait = replace(
            self._wait(run, event, effect.step, Op.WAIT_FOR_EVENT, effect.until_ms, now_ms),
            event_name=effect.event_name,
            condition=condition,
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
        wait = self._wait(run, event, effect.step, Op.INVOKE, effect.until_ms, now_ms)
        self.waker.waits.put(wait)
        invoked = invoked_event(run, effect, target.id, caller_app_id, now_ms)
        self.admission.deliver_to(target.id, invoked)
        # Whoever is triggered by invocations and invokes would start itself for ever.
        if not event.name.startswith(RESERVED_PREFIX) and self.manifest.listens_to(INVOKED):
            self.admission.deliver([invoked])
        return None

    def listen_for_cancels(
        self,
        run: Run,
        event: AcceptedEvent,
        cancels: Sequence[Cancel],
        now_ms: int,
        *,
        is_repeated: bool = False,
    ) -> None:
        """Let events cancel a run that is recorded. Doing it again is harmless.

        Args:
            run: the run.
            event: the event that started it; what was received after it cancels the run, but a
                rerun only after that was asked for.
            cancels: what cancels it.
            now_ms: the time, UTC ms.
            is_repeated: whether it may have been done before.

        Raises:
            PlatformError: not all could be stored.
        """
        since_ms = event.received_ms if run.rerun is None else run.rerun.asked_ms
        for number, cancel in enumerate(cancels):
            due_ms = max(since_ms, event.ts) + cancel.listening_ms
            wait = replace(
                self._wait(run, event, _cancel_step(number), Op.WAIT_FOR_EVENT, due_ms, now_ms),
                since_ms=since_ms,
                event_name=cancel.event,
                condition=self._condition(run, event, cancel.if_exp, None),
                cancels=True,
            )
            old = self.waker.waits.get(wait.key) if is_repeated else None
            if old is not None:
                # Events are checked against it since then, and only those of before are looked for.
                wait = replace(wait, stored_ms=old.stored_ms)
            if wait != old:
                self.waker.waits.put(wait)
            self.looks.ask(wait.key)

    def stop_cancels(self, run: Run, cancels: Sequence[Cancel]) -> None:
        """Let no event cancel a run any more.

        Args:
            run: the run, which knows what cancelled it at its beginning.
            cancels: what cancels it now; a deployment may have changed that.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        names = [*enumerate(run.cancels), *enumerate(cancel.event for cancel in cancels)]
        for number, name in dict.fromkeys(names):
            step = _cancel_step(number)
            self.waker.waits.delete(WaitKey(run.env, name, run.id, step.hashed))

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

    def _wait(
        self, run: Run, event: AcceptedEvent, step: StepId, op: Op, due_ms: int, now_ms: int
    ) -> Wait:
        return Wait(
            env=run.env,
            run_id=run.id,
            function_id=run.function_id,
            step=step,
            op=op,
            since_ms=now_ms,
            due_ms=due_ms,
            message=self._message(run, event, due_ms),
            event_id=event.internal_id,
            stored_ms=now_ms,
        )

    def _condition(
        self, run: Run, event: AcceptedEvent, if_exp: str | None, match: str | None
    ) -> Condition:
        read = partial(self.manifest.expression, run.function_id)
        return Condition.of(if_exp, match, decode(event.body), read)

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
        if invocation is None or not invocation.run_id:
            return None
        key = WaitKey(event.env, "", invocation.run_id, invocation.step_hash)
        return self.waker.waits.get(key)

    def _message(self, run: Run, event: AcceptedEvent, due_ms: int) -> str:
        """The message that resumes a run, its event's large body kept until then."""
        payloads = self.waker.runs.payloads
        # Where the event lay its body may be gone by now.
        message = EventMessage.of(event, run.rerun)
        return message.kept_until(due_ms, payloads, body=event.body).encode()


def _cancel_step(number: int) -> StepId:
    """Stands in for a step where a cancellation is listened for; no step has an empty name."""
    return StepId("", number)


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
