"""The AWS calls that each handler makes, recorded over a whole test run.

A call belongs to the handler that is at work: a class behind the door of a Lambda, on whatever
thread it goes on. Tests call those classes as Lambda's doors do, or by way of the doors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from tidegate.api import Api
from tidegate.dashboard.door import Dashboard
from tidegate.ingest import Ingest
from tidegate.matcher_worker import MatcherWorker
from tidegate.worker import Worker

HANDLERS = {
    "ingest": (Ingest,),
    "api": (Api, Dashboard),
    "matcher": (MatcherWorker,),
    "worker": (Worker,),
}
SCHEDULES = "arn:AWS::Partition:scheduler:AWS::Region:AWS::AccountId:schedule/SchedulesGroup/*"
QUEUE_NAMES = (
    "arn:AWS::Partition:ssm:AWS::Region:AWS::AccountId:parameter/tidegate/Tidegate-dev/queues"
)

# By handler and resource, the actions of IAM that its calls need.
Calls = dict[str, dict[str, set[str]]]

_at_work: ContextVar[str | None] = ContextVar("handler", default=None)


def no_calls() -> Calls:
    """Of no handler any call."""
    return {name: {} for name in HANDLERS}


@contextmanager
def recording(calls: Calls) -> Iterator[None]:
    """Note in `calls` what handlers call while this is entered."""
    with ExitStack() as undo:
        for name, kinds in HANDLERS.items():
            for kind in kinds:
                undo.enter_context(patch.object(kind, "handle", _noted(name, kind.handle)))
        submit = ThreadPoolExecutor.submit
        undo.enter_context(patch.object(ThreadPoolExecutor, "submit", _carried(submit)))
        undo.enter_context(patch.object(Thread, "start", _started(Thread.start)))
        call = BaseClient._make_api_call
        undo.enter_context(patch.object(BaseClient, "_make_api_call", _recorded(calls, call)))
        yield


def _noted(name: str | None, handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_noted(*args: Any, **options: Any) -> Any:
        token = _at_work.set(name)
        try:
            return handle(*args, **options)
        finally:
            _at_work.reset(token)

    return handle_noted


def _carried(submit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(submit)
    def submit_carried(pool: Any, call: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        return submit(pool, _noted(_at_work.get(), call), *args, **options)

    return submit_carried


def _started(start: Callable[[Thread], None]) -> Callable[[Thread], None]:
    @functools.wraps(start)
    def start_carried(thread: Thread) -> None:
        thread.run = _noted(_at_work.get(), thread.run)  # type: ignore[method-assign]
        start(thread)

    return start_carried


def _recorded(calls: Calls, make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def call_recorded(client: Any, operation: str, params: Mapping[str, Any]) -> Any:
        handler = _at_work.get()
        if handler is not None:
            service = client.meta.service_model.service_name
            for resource in resources_of(service, params):
                action = action_of(service, operation)
                calls[handler].setdefault(resource, set()).add(action)
        return make(client, operation, params)

    return call_recorded


def action_of(service: str, operation: str) -> str:
    """What a call must be allowed: a batch is no action of its own with SNS and SQS."""
    if service in ("sns", "sqs"):
        operation = operation.removesuffix("Batch")
    return f"{service}:{operation}"


def resources_of(service: str, params: Mapping[str, Any]) -> list[str]:
    """What a call goes to, as the stack names it."""
    if service == "dynamodb":
        tables = [params["TableName"]] if "TableName" in params else list(params["RequestItems"])
        return [f"Storage{name.rpartition('-')[2].capitalize()}" for name in tables]
    if service == "s3":
        return ["StoragePayloads/*" if "Key" in params else "StoragePayloads"]
    if service == "sns":
        return ["Events"]
    if service == "sqs":
        name = params["QueueUrl"].rpartition("/")[2]
        if name.endswith("-dead"):
            return ["FunctionDeadLetters"]
        return ["WaitsQueue" if name.endswith("-matcher") else "FunctionQueue"]
    return [QUEUE_NAMES if service == "ssm" else SCHEDULES]
