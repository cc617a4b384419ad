"""Invoking functions by the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from tidegate.errors import RequestError
from tidegate.event import IncomingEvent, check_events
from tidegate.ids import run_id_of
from tidegate.invoking import Invoker
from tidegate.manifest import Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result, Routes


class InvokeBody(BaseModel):
    """What may be sent: the event's data and whom it concerns, checked as those of any event."""

    model_config = ConfigDict(extra="forbid")

    data: Any = None
    user: Any = None


@dataclass(frozen=True)
class InvokeEndpoints:
    """What starts functions by name.

    Attributes:
        invoker: starts them.
        manifest: what is registered.
    """

    invoker: Invoker
    manifest: Manifest

    def routes(self) -> Routes:
        """The paths."""
        return {"/v1/functions/<function_id>/invoke": {"POST": self.invoke}}

    def invoke(self, call: Call) -> Result:
        """Start a run of one function, with data of the caller's."""
        function_id = call.path["function_id"]
        if self.manifest.function(function_id) is None:
            raise RequestError(404, f"Function not found: {function_id}; see /v1/functions")
        body = parse_body(InvokeBody, call.body)
        incoming = _checked(body)
        event = self.invoker.invoke(call.env, function_id, incoming.data, incoming.user)
        run_id = run_id_of(call.env, function_id, event.internal_id)
        return Result({"run_id": run_id, "event_id": event.internal_id}, status=201)


def _checked(body: InvokeBody) -> IncomingEvent:
    """The data and the user as an event has them."""
    try:
        [event] = check_events([{"name": "invoked", "data": body.data, "user": body.user}])
    except RequestError as error:
        # There is but one event, and it is not the caller who writes it.
        raise RequestError(error.status, error.message.removeprefix("events[0]: ")) from None
    return event.incoming
