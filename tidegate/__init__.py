"""Tidegate: send an event, durable functions run, in your own AWS account."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from tidegate.event_model import Event, EventModel, Sendable
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

# Where each name is defined. A module is loaded when one of its names is first asked for: what a
# Lambda does not use must not slow its start.
_DEFINED = {
    "tidegate.cancel": ("Cancel", "Timeouts"),
    "tidegate.client": ("Client",),
    "tidegate.context": ("Context", "ContextSync"),
    "tidegate.cron": ("TriggerCron",),
    "tidegate.errors": (
        "ConfigurationError",
        "EventEncodingError",
        "EventKeyUnspecifiedError",
        "FunctionNotFoundError",
        "InvokeCancelledError",
        "InvokeError",
        "InvokeTimeoutError",
        "NonRetriableError",
        "RetryAfterError",
        "SendEventsError",
        "StepError",
        "TidegateError",
    ),
    "tidegate.event_model": ("Event", "EventModel", "Sendable"),
    "tidegate.function": ("Function",),
    "tidegate.group": ("Group", "GroupSync", "ParallelMode"),
    "tidegate.steps": ("Step", "StepSync"),
    "tidegate.trigger": ("TriggerEvent",),
}
_MODULE_OF = {name: module for module, names in _DEFINED.items() for name in names}


class _Package(ModuleType):
    """The package: `tidegate.step` is the decorator, although a module has that name, too."""

    @property
    def step(self) -> Any:
        from tidegate.steps import step

        return step

    @step.setter
    def step(self, _module: ModuleType) -> None:
        """The import system sets it to the module; see `sys.modules` for that."""

    def __getattr__(self, name: str) -> Any:
        module = _MODULE_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(module), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
