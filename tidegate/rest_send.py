"""Sending events by the REST API: for whoever may look at them, and has no event key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict

from tidegate.admission import Admission
from tidegate.event import (
    MAX_EVENTS_PER_REQUEST,
    MAX_NAME_LENGTH,
    MAX_TS_MS,
    MIN_TS_MS,
    parse_events,
)
from tidegate.key import Keys
from tidegate.rest_call import Call, Result
from tidegate.rest_operation import Ulid, operation

_OBJECT = {"type": ["object", "null"]}
_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    # Other fields are ignored, as by Inngest.
    "additionalProperties": True,
    "properties": {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_NAME_LENGTH,
            "description": "Not one that begins with `inngest/`; no control characters.",
        },
        "data": {**_OBJECT, "description": "What functions get."},
        "user": {**_OBJECT, "description": "Whom it is about."},
        "id": {"type": ["string", "null"], "description": "One of an id is taken for 24 hours."},
        "ts": {
            "description": "Its own time, UTC ms; in the future it delays the runs.",
            "anyOf": [
                {"type": "null"},
                {"const": 0},
                {"type": "integer", "minimum": MIN_TS_MS, "maximum": MAX_TS_MS},
            ],
        },
        "v": {"type": ["string", "null"], "description": "The version of its form."},
    },
}
_EVENTS = {
    "anyOf": [_EVENT, {"type": "array", "items": _EVENT}],
    # Not `maxItems`: more are refused with 413, as a body that is too large.
    "description": f"An event, or an array of up to {MAX_EVENTS_PER_REQUEST} of them.",
    "examples": [{"name": "app/user.signup", "data": {"userId": "u-1"}}],
}


class SentObject(TypedDict):
    """What became of the events, in their order.

    Attributes:
        ids: their internal ids.
    """

    ids: list[Ulid]


@dataclass(frozen=True)
class SendingEndpoints:
    """What takes events in.

    Attributes:
        admission: where they go, as those of the Event API do.
        keys: the environments that keys open.
    """

    admission: Admission
    keys: Keys

    @operation(
        "POST",
        "/v1/events",
        SentObject,
        tag="Events",
        body=_EVENTS,
        status=201,
        refusals={403: "the environment is archived"},
    )
    def send_events(self, call: Call) -> Result:
        """Accept an event, or an array of them; every rule of the Event API holds."""
        events = parse_events(call.body)
        self.keys.open_environment(call.key, call.env)
        ids = self.admission.admit(call.env, events, seed=None)
        return Result({"ids": ids}, status=201)
