"""What a Lambda does for those who watch it: logs, metrics and traces, invocation by invocation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tidegate.logs import log_to_cloudwatch
from tidegate.observer import NOBODY, Observer, Observers
from tidegate.settings import Settings


@dataclass(frozen=True)
class Watching:
    """The watching of one Lambda.

    Attributes:
        observer: is to be told what happens.
        draw_lots: decides whether an invocation is logged at `DEBUG`.
    """

    observer: Observer
    draw_lots: Callable[[], None]

    @classmethod
    def of(cls, settings: Settings, name: str) -> Watching:
        """Begin to log, and to measure as far as the settings say.

        Args:
            settings: of the Lambda.
            name: what its metrics are of: a function's id, or the Lambda's name.
        """
        return cls(_observer(settings, name), log_to_cloudwatch())

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Watch one invocation."""
        self.draw_lots()
        try:
            yield
        finally:
            self.observer.invocation_ended()


def _observer(settings: Settings, name: str) -> Observer:
    observers: list[Observer] = []
    if settings.metrics == "on":
        from tidegate.metrics import Metrics

        observers.append(Metrics(settings.stage, name))
    daemon = os.environ.get("AWS_XRAY_DAEMON_ADDRESS")
    if settings.tracing == "on" and daemon:
        from tidegate.xray import Traces

        observers.append(Traces(daemon))
    if not observers:
        return NOBODY
    return observers[0] if len(observers) == 1 else Observers(observers)
