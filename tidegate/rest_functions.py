"""Functions in the REST API: what is registered, and what starts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.manifest import (
    BATCH_SIZE,
    MAX_CONCURRENCY,
    CancelManifest,
    FunctionManifest,
    Manifest,
    TriggerManifest,
)
from tidegate.rest_call import Call, Result
from tidegate.rest_operation import operation


class EventTriggerObject(TypedDict):
    """What starts a function: an event's name, or a wildcard, and perhaps an expression."""

    event: str
    expression: NotRequired[str]


class CronTriggerObject(TypedDict):
    """What starts a function: the times of a cron expression, spread over some milliseconds."""

    cron: str
    jitter_ms: NotRequired[int]


CancelObject = TypedDict(
    "CancelObject",
    {"event": str, "if": NotRequired[str], "timeout_ms": NotRequired[int]},
)


class TimeoutsObject(TypedDict):
    """After how long runs are cancelled: that wait for their first attempt, and that go on."""

    start_ms: NotRequired[int]
    finish_ms: NotRequired[int]


class ConfigObject(TypedDict):
    """How a function runs.

    Attributes:
        timeout_s: how long one invocation may take, in seconds.
        visibility_timeout_s: how long its queue hides a message that is being worked on.
        max_receive_count: after how many receives a message goes to the dead-letter queue.
        batch_size: how many messages one invocation takes.
        max_concurrency: how many invocations run at once.
        cancel: the events that cancel its runs, if any.
        timeouts: after how long they are cancelled, if after any time.
        idempotency: the expression that gives an event's key, if it has one.
        on_failure: the id of the function that is started when a run has failed for good.
    """

    timeout_s: int
    visibility_timeout_s: int
    max_receive_count: int
    batch_size: int
    max_concurrency: int
    cancel: NotRequired[list[CancelObject]]
    timeouts: NotRequired[TimeoutsObject]
    idempotency: NotRequired[str]
    on_failure: NotRequired[str]


class FunctionObject(TypedDict):
    """A function.

    Attributes:
        removed: true of one that is gone from the code: its runs that still wait are ended, and
            nothing starts it. Absent otherwise.
    """

    id: str
    app_id: str
    name: str
    triggers: list[EventTriggerObject | CronTriggerObject]
    retries: int
    config: ConfigObject
    removed: NotRequired[bool]


@dataclass(frozen=True)
class FunctionEndpoints:
    """What can be asked about functions.

    Attributes:
        manifest: what is registered.
    """

    manifest: Manifest

    @operation("GET", "/v1/functions", list[FunctionObject], tag="Functions")
    def list_functions(self, call: Call) -> Result:  # noqa: ARG002
        """All functions, by id, and behind them those that were removed.

        They are the same in every environment.
        """
        return Result([_object(function) for function in self.manifest.deployed])

    @operation("GET", "/v1/functions/<function_id>", FunctionObject, tag="Functions")
    def get_function(self, call: Call) -> Result:
        """One function."""
        return Result(_object(asked_function(self.manifest, call)))


def asked_function(manifest: Manifest, call: Call) -> FunctionManifest:
    """The function that a call's path names, registered or removed.

    Raises:
        RequestError: 404, there is no such function.
    """
    return deployed_function(manifest, call.path["function_id"])


def deployed_function(manifest: Manifest, function_id: str) -> FunctionManifest:
    """A function that is registered, or was removed and may still have runs.

    Raises:
        RequestError: 404, there is no such function.
    """
    function = manifest.deployed_function(function_id)
    if function is None:
        raise RequestError(404, f"Function not found: {function_id}; see GET /v1/functions")
    return function


def registered_function(manifest: Manifest, function_id: str) -> FunctionManifest:
    """A function that can be started.

    Raises:
        RequestError: 404, there is no such function, or it was removed.
    """
    function = deployed_function(manifest, function_id)
    if function.is_removed:
        raise RequestError(
            404, f"Function not found: {function_id} was removed, so nothing can start it"
        )
    return function


def _trigger(trigger: TriggerManifest) -> EventTriggerObject:
    if trigger.expression is None:
        return {"event": trigger.event}
    return {"event": trigger.event, "expression": trigger.expression}


def _object(function: FunctionManifest) -> FunctionObject:
    shown: FunctionObject = {
        "id": function.id,
        "app_id": function.app_id,
        "name": function.name,
        "triggers": _triggers(function),
        "retries": function.retries,
        "config": _config(function),
    }
    if function.is_removed:
        shown["removed"] = True
    return shown


def _config(function: FunctionManifest) -> ConfigObject:
    config: ConfigObject = {
        "timeout_s": function.timeout_s,
        "visibility_timeout_s": function.visibility_timeout_s,
        "max_receive_count": function.max_receive_count,
        "batch_size": BATCH_SIZE,
        "max_concurrency": MAX_CONCURRENCY,
    }
    if function.cancel:
        config["cancel"] = [_cancel(cancel) for cancel in function.cancel]
    timeouts: TimeoutsObject = {}
    if function.timeouts.start_ms is not None:
        timeouts["start_ms"] = function.timeouts.start_ms
    if function.timeouts.finish_ms is not None:
        timeouts["finish_ms"] = function.timeouts.finish_ms
    if timeouts:
        config["timeouts"] = timeouts
    if function.idempotency is not None:
        config["idempotency"] = function.idempotency
    if function.on_failure is not None:
        config["on_failure"] = function.on_failure
    return config


def _cancel(cancel: CancelManifest) -> CancelObject:
    shown: CancelObject = {"event": cancel.event}
    if cancel.if_exp is not None:
        shown["if"] = cancel.if_exp
    if cancel.timeout_ms is not None:
        shown["timeout_ms"] = cancel.timeout_ms
    return shown


def _triggers(function: FunctionManifest) -> list[EventTriggerObject | CronTriggerObject]:
    events = [_trigger(trigger) for trigger in function.triggers]
    crons = [
        CronTriggerObject(cron=cron.cron, jitter_ms=cron.jitter_ms)
        if cron.jitter_ms
        else CronTriggerObject(cron=cron.cron)
        for cron in function.crons
    ]
    return [*events, *crons]
