"""Recovery: what waits goes on without the messages that it had, which were lost with a queue.

What is to be done about a run follows from its record, and which runs there are to be follows from
the events. So both are gone through, and whatever has not ended gets a message as it had one:

    runs that have not ended ──▶ one that resumes it   due: goes on; not due: arranged for anew
    events without a run     ──▶ the one it came with  starts the run, if the function wants it

Nothing starts twice, and a run that somebody drives is left to him: these messages are like those
that SQS delivers twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidegate.aws import concurrently
from tidegate.bulk_job import AT_END, BulkJob, Progress
from tidegate.clock import Clock
from tidegate.dedup import KEYS_KEPT_S, WINDOW_S
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent
from tidegate.event_replay import names_of
from tidegate.event_store import EventStore
from tidegate.ids import run_id_of, ulid_ms
from tidegate.invocation import INVOKED, Invocation
from tidegate.listing import Filter, Page, Span, newest_items
from tidegate.manifest import FunctionManifest, Manifest, TriggerManifest
from tidegate.message import EventMessage, Message, decode_message
from tidegate.run import Rerun, Run
from tidegate.run_message import stored_message
from tidegate.run_store import RunStore
from tidegate.schedule import scheduled_text
from tidegate.step import MAX_WAIT_MS
from tidegate.stores import Topic
from tidegate.trigger_check import holds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

# What the cursor begins with behind the runs, where the events are gone through.
_EVENTS = "events/"
# By its sender's clock an event, and its run, may be of a time to come.
_AHEAD_MS = 86_400_000
# For so long after it was received it can be told whether an event's idempotency key was free.
_KEY_TOLD_MS = (KEYS_KEPT_S - WINDOW_S) * 1000

_Outcome = tuple[bool, str | None]
_Item = dict[str, "Value"]


@dataclass(frozen=True)
class Recovery:
    """Sends the messages of runs and events again, for jobs.

    Attributes:
        runs: the runs.
        events: the events.
        bus: where messages go.
        manifest: the functions.
        schedule_group: where Scheduler has the messages of runs that wait for long.
        clock: the time.
    """

    runs: RunStore
    events: EventStore
    bus: Topic
    manifest: Manifest
    schedule_group: str
    clock: Clock

    def page(self, job: BulkJob, limit: int) -> Progress:
        """Do a page of a job, of so many at the most: first the runs, then the events.

        Raises:
            PlatformError: it was not all done; repeating the call is safe.
        """
        if job.cursor.startswith(_EVENTS):
            page = self._events_of(job, job.cursor.removeprefix(_EVENTS) or None, limit)
            outcomes = self._outcomes(self._start, job, page)
            following = AT_END if page.next_cursor is None else _EVENTS + page.next_cursor
        else:
            page = self._runs_of(job, job.cursor or None, limit)
            outcomes = self._outcomes(self._resume, job, page)
            following = page.next_cursor or _EVENTS
        faults = [fault for is_found, fault in outcomes if is_found and fault]
        found = sum(is_found for is_found, _ in outcomes)
        return Progress(following, found, found - len(faults), faults[-1] if faults else None)

    def _outcomes(
        self, act: Callable[[BulkJob, _Item], _Outcome], job: BulkJob, page: Page
    ) -> list[_Outcome]:
        """For each item whether the job concerns it, and what kept it from being done."""
        return concurrently(lambda item: act(job, item), page.items)

    def _runs_of(self, job: BulkJob, cursor: str | None, limit: int) -> Page:
        """The newest runs that have not ended, however long ago they began."""
        oldest_ms = max(job.created_ms - MAX_WAIT_MS - self.runs.retention_s * 1000, 0)
        span = Span.of(oldest_ms, job.created_ms + _AHEAD_MS, cursor)
        values: dict[str, Value] = {":function": {"S": job.function_id}}
        values |= {f":status{n}": {"S": status} for n, status in enumerate(job.run_statuses)}
        statuses = ", ".join(f":status{n}" for n in range(len(job.run_statuses)))
        only = Filter(
            f"function_id = :function AND #status IN ({statuses})",
            {"#status": "status"},
            values,
            selective=True,
        )
        return _listed(self.runs.table, job, span, only, limit)

    def _events_of(self, job: BulkJob, cursor: str | None, limit: int) -> Page:
        """The newest events of the job's time with a name that may start a run.

        A run is kept for as long as its event, or for longer. Where the retention was shortened
        meanwhile that is so for the events of the new one: older ones are left alone.
        """
        function = self.manifest.deployed_function(job.function_id)
        if function is None:
            return Page([], None)
        now_ms = self.clock.now_ms()
        oldest_ms = max(job.from_ms, now_ms - self.runs.retention_s * 1000)
        until_ms = job.until_ms + (_AHEAD_MS if job.until_ms >= job.created_ms else 0)
        invoked = TriggerManifest(INVOKED)
        names = names_of((*function.triggers, invoked), now_ms)
        span = Span.of(oldest_ms, until_ms - 1, cursor)
        return _listed(self.events.table, job, span, names, limit)

    def _resume(self, job: BulkJob, item: _Item) -> _Outcome:
        """Have a run go on, if it is due, or else have its delivery arranged anew."""
        run = self.runs.run_of(job.env, item)
        message = self._message_of(run)
        if message is None:
            return True, (
                f"run {run.id}: its event is no longer stored, and no schedule has its message; "
                "unless that comes, the run can only be cancelled"
            )
        self.bus.send_to(run.function_id, replace(message, wakes=False, resumes=True))
        return True, None

    def _message_of(self, run: Run) -> Message | None:
        """A message of a run: of its event, or, where that is gone, the one that is to come."""
        stored = stored_message(run, self.events)
        if stored is not None or run.due_ms is None:
            return stored
        text = scheduled_text(self.schedule_group, run.due_ms, run.id)
        return None if text is None else decode_message(text)

    def _start(self, job: BulkJob, item: _Item) -> _Outcome:
        """Send an event to the function, unless it has a run there or is not to have one."""
        event_id = item["sk"]["S"]
        first = self.runs.get(job.env, run_id_of(job.env, job.function_id, event_id))
        lost = [] if first is None else self._lost_reruns(first)
        if first is not None and not lost:
            return False, None
        try:
            event = self.events.event_of(job.env, item)
        except DeadLetterError as error:
            return True, f"event {event_id}: {error}"
        if first is not None:
            for rerun in lost:
                self.bus.send_to(job.function_id, EventMessage.of(event, rerun))
            return True, None
        function = self.manifest.deployed_function(job.function_id)
        if function is None or not self._is_wanted(function, event):
            return False, None
        age_ms = self.clock.now_ms() - event.received_ms
        if function.idempotency is not None and age_ms > _KEY_TOLD_MS:
            return True, (
                f"event {event_id}: it cannot be told any more whether its idempotency key was "
                "free when it came; a replay of events starts it in any case"
            )
        self.bus.send_to(job.function_id, EventMessage.of(event))
        return True, None

    def _lost_reruns(self, first: Run) -> list[Rerun]:
        """The reruns of an event that were asked for, and that no worker has begun.

        Which of the event's runs each was to repeat is not noted, so they go by the first one.
        """
        now_ms = self.clock.now_ms()
        # The record of an older one may have expired.
        oldest_ms = now_ms - self.runs.retention_s * 1000
        recent = [run_id for run_id in first.reruns if ulid_ms(run_id) > oldest_ms]
        lost = [run_id for run_id in recent if self.runs.get(first.env, run_id) is None]
        return [Rerun(run_id, first.id, sent_ms=now_ms) for run_id in lost]

    def _is_wanted(self, function: FunctionManifest, event: AcceptedEvent) -> bool:
        """Whether an event starts the function, as the worker tells, who has the last word."""
        invocation = Invocation.of(event)
        if invocation is not None and invocation.function_id == function.id:
            return True
        triggers = [one for one in function.triggers if one.matches(event.name)]
        return any(holds(one, event, function.id, self.manifest) for one in triggers)


def _listed(table: str, job: BulkJob, span: Span | None, only: Filter, limit: int) -> Page:
    return Page([], None) if span is None else newest_items(table, job.env, span, limit, only)
