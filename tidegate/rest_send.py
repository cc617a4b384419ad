"""Sending events by the REST API: for whoever may look at them, and has no event key."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.admission import Admission
from tidegate.event import parse_events
from tidegate.rest_call import Call, Result, Routes


@dataclass(frozen=True)
class SendingEndpoints:
    """What takes events in.

    Attributes:
        admission: where they go, as those of the Event API do.
    """

    admission: Admission

    def routes(self) -> Routes:
        """The paths."""
        return {"/v1/events": {"POST": self.send}}

    def send(self, call: Call) -> Result:
        """Accept an event, or an array of them; every rule of the Event API holds."""
        ids = self.admission.admit(call.env, parse_events(call.body), seed=None)
        return Result({"ids": ids}, status=201)
