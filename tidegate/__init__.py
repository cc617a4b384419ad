"""Tidegate: send an event, durable functions run, in your own AWS account."""

from tidegate.client import Client
from tidegate.context import Context, ContextSync, Step, StepSync
from tidegate.cron import TriggerCron
from tidegate.errors import (
    ConfigurationError,
    EventEncodingError,
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
    "Client",
    "ConfigurationError",
    "Context",
    "ContextSync",
    "Event",
    "EventEncodingError",
    "EventKeyUnspecifiedError",
    "Function",
    "NonRetriableError",
    "RetryAfterError",
    "SendEventsError",
    "Step",
    "StepSync",
    "TidegateError",
    "TriggerCron",
    "TriggerEvent",
]
