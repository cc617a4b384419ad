"""Probes in the REST API: whether an event came through to the matcher."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import TypedDict

from tidegate.probe import Probes
from tidegate.rest_call import Call, Result, Time, rfc3339
from tidegate.rest_events import EventEndpoints
from tidegate.rest_operation import Ulid, operation


class ProbeObject(TypedDict):
    """What became of a probe.

    Attributes:
        event_id: its internal id.
        answered_at: when the matcher answered it; null as long as it has not.
    """

    event_id: Ulid
    answered_at: Time | None


@dataclass(frozen=True)
class ProbeEndpoints:
    """What tells of probes.

    Attributes:
        events: the events that they are.
        probes: their answers.
    """

    events: EventEndpoints
    probes: Probes

    @operation("GET", "/v1/probes/<event_id>", ProbeObject, tag="Events")
    def get_probe(self, call: Call) -> Result:
        """Whether a probe, an event `tidegate/doctor.probe`, came through to the matcher."""
        internal_id = self.events.item(call)["sk"]["S"]
        ms = self.probes.answered_ms(call.env, internal_id)
        answered_at = None if ms is None else rfc3339(ms)
        return Result({"event_id": internal_id, "answered_at": answered_at})
