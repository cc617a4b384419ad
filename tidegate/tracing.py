"""Tracing: the ids that join the lines of a log, and the trace that an event's sender is in.

Both are ambient, as they are to loggers and tracers everywhere: what handles a request or a message
says so once, and whatever it logs, or makes an event of, on the way has them:

    request ──▶ event ──▶ message ──▶ run ──▶ step ──▶ event that the step sends ──▶ …
    request_id  event_id  (carries    run_id  step     (has the request_id and the
                           them)      attempt           traceparent of the first one)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from logging import Logger, LoggerAdapter, LogRecord
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.http import Request

# https://www.w3.org/TR/trace-context/#traceparent-header: later versions than 00 may have more.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"(?P<more>-.*)?\Z"
)
_MAX_TRACEPARENT = 256
# https://www.w3.org/TR/trace-context/#tracestate-limits: what everybody has to pass on.
_MAX_TRACESTATE = 512
_PRINTABLE = re.compile(r"[\x20-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event comes from.

    Attributes:
        request_id: the gateway's id of the request that brought it, or that brought the event
            whose run sent it; empty when a cron did.
        traceparent: the trace that its sender was in, as W3C's Trace Context has it, or empty.
        tracestate: what tracing systems added to that, or empty.
        xray: the X-Ray trace that it belongs to, as a trace header, where the stage is traced.
    """

    request_id: str = ""
    traceparent: str = ""
    tracestate: str = ""
    xray: str = ""

    @classmethod
    def of_request(cls, request: Request) -> Origin:
        """The origin of what a request brings. A trace context that is none is ignored."""
        traceparent = request.headers.get("traceparent", "").strip()
        tracestate = request.headers.get("tracestate", "").strip()
        if not _is_traceparent(traceparent):
            return cls(request.request_id)
        is_passed_on = len(tracestate) <= _MAX_TRACESTATE and _PRINTABLE.match(tracestate)
        return cls(request.request_id, traceparent, tracestate if is_passed_on else "")

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Origin:
        """The origin in what `fields` gave."""
        return cls(*(str(fields.get(name) or "") for name in cls.__slots__))

    def fields(self) -> dict[str, str]:
        """What is known of it, by name."""
        known = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in known if value}


def _is_traceparent(text: str) -> bool:
    found = _TRACEPARENT.match(text) if len(text) <= _MAX_TRACEPARENT else None
    return found is not None and not (found["version"] == "00" and found["more"])


NO_ORIGIN = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=NO_ORIGIN)
_NO_IDS: Mapping[str, object] = {}
_ids: ContextVar[Mapping[str, object]] = ContextVar("ids", default=_NO_IDS)


def current_origin() -> Origin:
    """The origin of what is being handled."""
    return _origin.get()


@contextmanager
def came_from(origin: Origin) -> Iterator[None]:
    """Give events that are made meanwhile this origin, and lines that are logged its request."""
    token = _origin.set(origin)
    try:
        with logged(request_id=origin.request_id):
            yield
    finally:
        _origin.reset(token)


@contextmanager
def logged(**ids: object) -> Iterator[None]:
    """Add ids to every line that is logged meanwhile; those that are empty take one away."""
    token = _ids.set({**_ids.get(), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


def current_ids() -> dict[str, object]:
    """The ids of what is being handled, by name: `request_id`, `event_id`, `run_id` and so on."""
    return {name: value for name, value in _ids.get().items() if value not in ("", None)}


def add_ids(record: LogRecord) -> bool:
    """Put the current ids into a record of a log, as a filter of its handler; it passes."""
    for name, value in current_ids().items():
        if name not in record.__dict__:
            record.__dict__[name] = value
    return True


class RunLogger(LoggerAdapter[Logger]):
    """A logger whose lines carry the current ids, whatever handler prints them."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The message, and what is logged with it."""
        return msg, {**kwargs, "extra": {**current_ids(), **(kwargs.get("extra") or {})}}
