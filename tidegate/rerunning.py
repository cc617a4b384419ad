"""Running a run again: a new run of the same event and function, from its beginning or from a step.

    copies of steps ──▶ note on the first run ──▶ message, with the new run's id

Until the message is published nothing has started, and what was written is found by nobody. The
worker that gets it records the run, once, however often it comes; see `tidegate.engine`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.clock import Clock
from tidegate.errors import DeadLetterError, RequestError
from tidegate.event import AcceptedEvent
from tidegate.event_store import EventStore
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.rerun_notes import RerunNotes
from tidegate.run import Rerun, Run, Status
from tidegate.step import Op, StepRecord, StepState
from tidegate.step_store import StepStore
from tidegate.stores import Topic
from tidegate.tick import cron_of

logger = logging.getLogger("tidegate.rerunning")


@dataclass(frozen=True)
class Rerunner:
    """Runs runs again.

    Attributes:
        notes: where it is noted which runs repeat another.
        steps: the records of their steps.
        events: the events that started them.
        bus: where the messages go that start them.
        manifest: the functions that are registered.
        clock: the time.
    """

    notes: RerunNotes
    steps: StepStore
    events: EventStore
    bus: Topic
    manifest: Manifest
    clock: Clock

    def rerun(self, original: Run, rerun: Rerun, from_step: str | None = None) -> Run:
        """Start a run again; doing it again, for the same new id, is harmless.

        Args:
            original: the run to repeat; it has ended.
            rerun: the id of the new run, and what it belongs to.
            from_step: the hashed id of the step to go on from, with the recorded results of all
                that had ended before it began.

        Returns:
            The new run, as it will be recorded.

        Raises:
            RequestError: 404 no such step, 409 the run goes on or its function is gone, 410 its
                event, or what an earlier step gave, is no longer stored.
            PlatformError: it could not be started; repeating the call is safe.
        """
        if not original.has_ended:
            raise RequestError(
                409,
                f"run {original.id} is still {original.status.lower()}; it can be run again when "
                "it has ended, or cancel it first",
            )
        if self.manifest.function(original.function_id) is None:
            raise RequestError(
                409,
                f"run {original.id} cannot be run again: function {original.function_id!r} is not "
                "registered any more",
            )
        event = self._event_of(original)
        run = self._new_run(original, rerun, event)
        if from_step is not None:
            steps = steps_before(self.steps.heads(original), from_step)
            self._copy(original, steps, run)
        self.notes.add(original, run.id)
        self.bus.send_to(run.function_id, EventMessage.of(event, rerun))
        logger.info(
            "run started again",
            extra={
                "run_id": run.id,
                "function_id": run.function_id,
                "original_run_id": original.id,
            },
        )
        return run

    def _copy(self, original: Run, steps: list[StepRecord], run: Run) -> None:
        try:
            self.steps.copy(steps, run, run.due_ms or run.queued_ms)
        except DeadLetterError as error:
            raise RequestError(
                410, f"run {original.id} cannot be run again from there: {error}"
            ) from None

    def _event_of(self, original: Run) -> AcceptedEvent:
        try:
            event = self.events.get(original.env, original.event_id, self.clock.now_ms())
        except DeadLetterError:
            event = None
        if event is None:
            raise RequestError(
                410,
                f"run {original.id} cannot be run again: its event {original.event_id} is no "
                "longer stored",
            )
        return event

    def _new_run(self, original: Run, rerun: Rerun, event: AcceptedEvent) -> Run:
        now_ms = self.clock.now_ms()
        return Run(
            id=rerun.run_id,
            env=original.env,
            function_id=original.function_id,
            event_id=original.event_id,
            status=Status.SCHEDULED,
            attempt=0,
            queued_ms=now_ms,
            due_ms=event.ts if event.ts > now_ms else None,
            original_run_id=rerun.original_run_id,
            replay_id=rerun.replay_id,
            event_name=event.name,
            cron=cron_of(event),
        )


def steps_before(records: Mapping[str, StepRecord], step_hash: str) -> list[StepRecord]:
    """The steps that had ended before another one began, as they are recorded in a new run.

    Args:
        records: the steps of a run, by hashed id.
        step_hash: the one that is to run anew, and with it all that had not ended by then.

    Raises:
        RequestError: 404, there is no such step.
    """
    step = records.get(step_hash)
    if step is None:
        raise RequestError(404, f"Step not found: {step_hash}; see the step_id of the run's steps")
    others = _ended(record for key, record in records.items() if key != step_hash)
    return [record for record in others if _is_before(record, step)]


def _ended(records: Iterable[StepRecord]) -> Iterable[StepRecord]:
    for record in records:
        if record.is_done:
            yield record
        elif record.op == Op.SLEEP and record.due_ms is not None:
            # When a sleep is over is recorded from its beginning on, and nothing at its end.
            yield replace(
                record,
                state=StepState.COMPLETED,
                ended_ms=record.due_ms,
                due_ms=None,
                memo="null",
            )


def _is_before(record: StepRecord, step: StepRecord) -> bool:
    """Whether a step had ended before another began.

    Of two that both began and ended in one millisecond nobody can tell; the one that is not asked
    for runs anew, as does what ended later.
    """
    if record.ended_ms is None or record.ended_ms > step.started_ms:
        return False
    return record.started_ms < step.started_ms or step.ended_ms != step.started_ms
