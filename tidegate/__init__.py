"""Tidegate: send an event, durable functions run, in your own AWS account."""

from tidegate.context import Context, ContextSync, Step, StepSync
from tidegate.errors import (
    ConfigurationError,
    EventKeyUnspecifiedError,
    NonRetriableError,
    RetryAfterError,
    SendEventsError,
    TidegateError,
)
from tidegate.event import Event
from tidegate.function import Function
from tidegate.trigger import TriggerEvent

__all__ = [
    "ConfigurationError",
    "Context",
    "ContextSync",
    "Event",
    "EventKeyUnspecifiedError",
    "Function",
    "NonRetriableError",
    "RetryAfterError",
    "SendEventsError",
    "Step",
    "StepSync",
    "TidegateError",
    "TriggerEvent",
]
