"""Functions in the REST API: what is registered, and what starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from tidegate.manifest import (
    BATCH_SIZE,
    MAX_CONCURRENCY,
    FunctionManifest,
    Manifest,
    TriggerManifest,
)
from tidegate.rest_call import Call, Result, Routes


class EventTriggerObject(TypedDict):
    """What starts a function: an event's name, or a wildcard, and perhaps an expression."""

    event: str
    expression: NotRequired[str]


class CronTriggerObject(TypedDict):
    """What starts a function: the times of a cron expression, spread over some milliseconds."""

    cron: str
    jitter_ms: NotRequired[int]


class ConfigObject(TypedDict):
    """How a function runs.

    Attributes:
        timeout_s: how long one invocation may take, in seconds.
        visibility_timeout_s: how long its queue hides a message that is being worked on.
        max_receive_count: after how many receives a message goes to the dead-letter queue.
        batch_size: how many messages one invocation takes.
        max_concurrency: how many invocations run at once.
    """

    timeout_s: int
    visibility_timeout_s: int
    max_receive_count: int
    batch_size: int
    max_concurrency: int


class FunctionObject(TypedDict):
    """A registered function."""

    id: str
    app_id: str
    name: str
    triggers: list[EventTriggerObject | CronTriggerObject]
    retries: int
    config: ConfigObject


@dataclass(frozen=True)
class FunctionEndpoints:
    """What can be asked about functions.

    Attributes:
        manifest: what is registered.
    """

    manifest: Manifest

    def routes(self) -> Routes:
        """The paths."""
        return {"/v1/functions": {"GET": self.list_functions}}

    def list_functions(self, call: Call) -> Result:  # noqa: ARG002
        """All functions, by id; they are the same in every environment."""
        return Result([_object(function) for function in self.manifest.functions])


def _trigger(trigger: TriggerManifest) -> EventTriggerObject:
    if trigger.expression is None:
        return {"event": trigger.event}
    return {"event": trigger.event, "expression": trigger.expression}


def _object(function: FunctionManifest) -> FunctionObject:
    return {
        "id": function.id,
        "app_id": function.app_id,
        "name": function.name,
        "triggers": _triggers(function),
        "retries": function.retries,
        "config": {
            "timeout_s": function.timeout_s,
            "visibility_timeout_s": function.visibility_timeout_s,
            "max_receive_count": function.max_receive_count,
            "batch_size": BATCH_SIZE,
            "max_concurrency": MAX_CONCURRENCY,
        },
    }


def _triggers(function: FunctionManifest) -> list[EventTriggerObject | CronTriggerObject]:
    events = [_trigger(trigger) for trigger in function.triggers]
    crons = [
        CronTriggerObject(cron=cron.cron, jitter_ms=cron.jitter_ms)
        if cron.jitter_ms
        else CronTriggerObject(cron=cron.cron)
        for cron in function.crons
    ]
    return [*events, *crons]
