"""Tidegate: send an event, durable functions run, in your own AWS account."""

from tidegate.cancel import Cancel, Timeouts
from tidegate.client import Client
from tidegate.context import Context, ContextSync
from tidegate.cron import TriggerCron
from tidegate.errors import (
    ConfigurationError,
    EventEncodingError,
    EventKeyUnspecifiedError,
    FunctionNotFoundError,
    InvokeCancelledError,
    InvokeError,
    InvokeTimeoutError,
    NonRetriableError,
    RetryAfterError,
    SendEventsError,
    StepError,
    TidegateError,
)
from tidegate.event import Event
from tidegate.event_model import EventModel, Sendable
from tidegate.function import Function
from tidegate.group import Group, GroupSync, ParallelMode
from tidegate.steps import Step, StepSync, step
from tidegate.trigger import TriggerEvent

__all__ = [
    "Cancel",
    "Client",
    "ConfigurationError",
    "Context",
    "ContextSync",
    "Event",
    "EventEncodingError",
    "EventKeyUnspecifiedError",
    "EventModel",
    "Function",
    "FunctionNotFoundError",
    "Group",
    "GroupSync",
    "InvokeCancelledError",
    "InvokeError",
    "InvokeTimeoutError",
    "NonRetriableError",
    "ParallelMode",
    "RetryAfterError",
    "SendEventsError",
    "Sendable",
    "Step",
    "StepError",
    "StepSync",
    "TidegateError",
    "Timeouts",
    "TriggerCron",
    "TriggerEvent",
    "step",
]
