"""Invoking functions by the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.event import IncomingEvent, check_events
from tidegate.ids import run_id_of
from tidegate.invoking import Invoker
from tidegate.key import Keys
from tidegate.manifest import Manifest
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_field import json_object
from tidegate.rest_functions import registered_function
from tidegate.rest_operation import Ulid, operation


class InvokeBody(TypedDict):
    """The event that the function gets; checked as any event is."""

    data: NotRequired[Annotated[Any, json_object("Its `data`")]]
    user: NotRequired[Annotated[Any, json_object("Its `user`")]]


class InvokedObject(TypedDict):
    """What an invocation started."""

    run_id: Ulid
    event_id: Ulid


@dataclass(frozen=True)
class InvokeEndpoints:
    """What starts functions by name.

    Attributes:
        invoker: starts them.
        manifest: what is registered.
        keys: the environments that keys open.
    """

    invoker: Invoker
    manifest: Manifest
    keys: Keys

    @operation(
        "POST",
        "/v1/functions/<function_id>/invoke",
        InvokedObject,
        tag="Functions",
        body=InvokeBody,
        status=201,
        refusals={403: "the environment is archived"},
    )
    def invoke(self, call: Call) -> Result:
        """Start a run of one function, with data of the caller's."""
        function_id = call.path["function_id"]
        registered_function(self.manifest, function_id)
        body = parse_body(InvokeBody, call.body)
        incoming = _checked(body)
        self.keys.open_environment(call.key, call.env)
        event = self.invoker.invoke(call.env, function_id, incoming.data, incoming.user)
        run_id = run_id_of(call.env, function_id, event.internal_id)
        return Result({"run_id": run_id, "event_id": event.internal_id}, status=201)


def _checked(body: InvokeBody) -> IncomingEvent:
    """The data and the user as an event has them."""
    try:
        [event] = check_events([{"name": "invoked", **body}])
    except RequestError as error:
        # There is but one event, and it is not the caller who writes it.
        raise RequestError(error.status, error.message.removeprefix("events[0]: ")) from None
    return event.incoming
