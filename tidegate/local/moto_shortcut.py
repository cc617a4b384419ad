"""Calls of AWS clients that reach moto's services without an HTTP request being made up between.

Made for moto 5.2.5. A call that moto takes is turned into a request, matched with the addresses of
all services, parsed, answered with a text, and that is parsed again; which takes longer than what
the service does. Here the call's parameters go to the service and its result comes back, as the
same values. A call that fails is made once more on the long way: a failed call changes nothing, and
the long way knows how errors look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.dynamodb.responses import DynamoHandler
from moto.sns.responses import SNSResponse
from moto.sqs.responses import SQSResponse

from tidegate.local.lambda_function import ACCOUNT_ID

MOTO_VERSION = "5.2.5"

# What an event's way consists of, and the tables of a stage, which tests make by the thousand;
# everything else is seldom called.
_OPERATIONS = {
    "dynamodb": (
        DynamoHandler,
        (
            "BatchGetItem",
            "BatchWriteItem",
            "CreateTable",
            "DeleteItem",
            "GetItem",
            "PutItem",
            "Query",
            "UpdateTimeToLive",
            "UpdateItem",
        ),
    ),
    "sns": (SNSResponse, ("PublishBatch",)),
    "sqs": (
        SQSResponse,
        ("ChangeMessageVisibility", "DeleteMessageBatch", "ReceiveMessage", "SendMessage"),
    ),
}
_PARAMS = "tidegate_params"


def install(client: Any) -> None:
    """Let a boto3 client, whose calls moto takes, take the short way."""
    service = client.meta.service_model.service_name
    if service not in _OPERATIONS:
        return
    response, operations = _OPERATIONS[service]
    shortcut = _Shortcut(response, client.meta.region_name)
    hyphenized = client.meta.service_model.service_id.hyphenize()
    for operation in operations:
        # Behind all others, so that who wants to see or to change a call does.
        client.meta.events.register_last(
            f"before-parameter-build.{hyphenized}.{operation}", shortcut.keep
        )
        client.meta.events.register_last(f"before-call.{hyphenized}.{operation}", shortcut.call)


def take_the_long_way(context: dict[str, Any]) -> None:
    """Let a call be made as a request, for who wants to see or to change that.

    Args:
        context: what botocore hands to who listens to `before-parameter-build`.
    """
    context.pop(_PARAMS, None)


class _Shortcut:
    """The short way to one service.

    Args:
        response: moto's class of the service.
        region: where the client calls.
    """

    def __init__(self, response: Any, region: str) -> None:
        self._response = response
        self._region = region
        # Where moto's services are not atomic, see `moto_gaps`.
        self._lock = getattr(response, "tidegate_lock", contextlib.nullcontext())

    def keep(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Keep a call's parameters until they are known to be good."""
        context[_PARAMS] = params

    def call(self, model: Any, context: Mapping[str, Any], **_: Any) -> tuple[Any, Any] | None:
        """The answer to a call; None when it is to take the long way."""
        if _PARAMS not in context:
            return None
        service = self._response()
        service.params = service.body = _copied(context[_PARAMS])
        service.uri_match = {}
        service.current_account = ACCOUNT_ID
        service.region = self._region
        try:
            with self._lock:
                result = getattr(service, xform_name(model.name))().result
        except Exception:
            return None
        return _HTTP, _answer(model, result or {})


_HTTP: Any = AWSResponse("", 200, HTTPHeaders(), None)


def _answer(model: Any, result: Mapping[str, Any]) -> dict[str, Any]:
    """What botocore would have read from the response."""
    known = model.output_shape.members if model.output_shape is not None else ()
    answer = {name: result[name] for name in known if result.get(name) is not None}
    answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    return answer


def _copied(value: Any) -> Any:
    """The value as JSON would carry it: what its owner does with it later has no effect."""
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(one) for one in value]
    # An enumeration's member is a text there.
    return str.__str__(value) if isinstance(value, str) else value
