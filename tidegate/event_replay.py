"""Replaying events: what is stored of a time is given to one function, as it is now.

An event that has started no run of the function starts its own one, late; where there is one
already, that is run again. Either run has the replay's id, and whoever does a page twice finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.bulk_job import BulkJob
from tidegate.clock import Clock
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent
from tidegate.event_pattern import prefix_of
from tidegate.event_store import EventStore
from tidegate.ids import run_id_of
from tidegate.listing import Filter, Page, Span, newest_items
from tidegate.manifest import FunctionManifest, Manifest, TriggerManifest
from tidegate.message import EventMessage
from tidegate.run import Rerun, Run
from tidegate.run_store import RunStore
from tidegate.stores import Topic

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value


@dataclass(frozen=True)
class EventReplayer:
    """Gives stored events to functions.

    Attributes:
        events: the stored events.
        runs: what they have started.
        rerun: runs a run again, for a job.
        bus: where messages go.
        manifest: the functions.
        clock: the time.
    """

    events: EventStore
    runs: RunStore
    rerun: Callable[[BulkJob, Run], None]
    bus: Topic
    manifest: Manifest
    clock: Clock

    def page(self, job: BulkJob, span: Span, limit: int) -> Page:
        """The newest events of a time whose names the job's function is triggered by.

        Raises:
            DeadLetterError: the function is not registered any more.
            PlatformError: DynamoDB did not answer.
        """
        function = self._function(job)
        only = job.event_name
        triggers = [one for one in function.triggers if only is None or one.matches(only)]
        if not triggers:
            return Page([], None)
        names = names_of(triggers, self.clock.now_ms(), only)
        return newest_items(self.events.table, job.env, span, limit, names)

    def replay(self, job: BulkJob, item: dict[str, Value]) -> tuple[bool, str | None]:
        """Give an event to the function; gives whether the job concerns it, and what kept it.

        Raises:
            DeadLetterError: its body is gone.
            ExpressionError: the expression of a trigger, or of the job, fails on it.
            RequestError: its run cannot be run again.
            PlatformError: it could not be published; repeating the call is safe.
        """
        event = self.events.event_of(job.env, item)
        if not self._is_wanted(job, event):
            return False, None
        run_id = run_id_of(job.env, job.function_id, event.internal_id)
        run = self.runs.get(job.env, run_id)
        if run is None:
            rerun = Rerun(run_id, None, job.id, sent_ms=self.clock.now_ms())
            self.bus.send_to(job.function_id, EventMessage.of(event, rerun))
        elif run.replay_id != job.id:
            self.rerun(job, run)
        return True, None

    def _is_wanted(self, job: BulkJob, event: AcceptedEvent) -> bool:
        """Whether a trigger of the function, and the job, want the event."""
        function = self._function(job)
        texts = [one.expression for one in function.triggers if one.matches(event.name)]
        asked = [self.manifest.expression(function.id, text) for text in texts if text is not None]
        body = decode(event.body)
        is_started = len(asked) < len(texts) or any(
            one.matches(event=body, now_ms=event.received_ms) for one in asked
        )
        if not is_started or job.expression is None:
            return is_started
        return job.expression.matches(event=body, now_ms=event.received_ms)

    def _function(self, job: BulkJob) -> FunctionManifest:
        function = self.manifest.function(job.function_id)
        if function is None:
            raise DeadLetterError(f"function {job.function_id!r} is not registered any more")
        return function


def names_of(triggers: Sequence[TriggerManifest], now_ms: int, only: str | None = None) -> Filter:
    """The stored events of a name that one of the triggers wants.

    Args:
        triggers: the triggers, at least one.
        now_ms: the time, UTC ms; events whose retention has ended by then are none.
        only: the one name that is wanted; None wants all.
    """
    conditions: list[str] = []
    # TTL deletes late, so the expiry is compared here.
    values: dict[str, Value] = {":now": {"N": str(now_ms // 1000)}}
    for number, trigger in enumerate(triggers):
        name = f":name{number}"
        prefix = prefix_of(trigger.event)
        values[name] = {"S": trigger.event if prefix is None else prefix}
        conditions.append(f"#name = {name}" if prefix is None else f"begins_with(#name, {name})")
    expression = f"expires_at > :now AND ({' OR '.join(conditions)})"
    if only is not None:
        expression += " AND #name = :only"
        values[":only"] = {"S": only}
    return Filter(expression, {"#name": "name"}, values, selective=True)
