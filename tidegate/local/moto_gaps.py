"""Where moto is less than AWS, closed: calls that are not atomic, and topics with many queues.

Made for moto 5.2.5. Its in-process backends have no locks: of two conditional writes both can win,
and a listing can fail because another thread writes. AWS does each call atomically, so here each
call of DynamoDB, SNS and Scheduler holds the service's lock. And a topic there publishes to its
first 100 subscriptions only. (SQS has locks of its own, in `sqs_speed`.)
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import moto.sns.models
from moto.dynamodb.responses import DynamoHandler
from moto.scheduler.responses import EventBridgeSchedulerResponse
from moto.sns.responses import SNSResponse

MOTO_VERSION = "5.2.5"

# What is about to be overridden, and so has no types.
_SERVICES: tuple[Any, ...] = (DynamoHandler, EventBridgeSchedulerResponse, SNSResponse)
_sns: Any = moto.sns.models

_SUBSCRIPTIONS_PER_TOPIC = 12_500_000


def install() -> None:
    """Close the gaps; doing it twice is no error."""
    for service in _SERVICES:
        if "tidegate_lock" not in vars(service):
            service.tidegate_lock = threading.RLock()
            service.call_action = _locked(service.call_action, service.tidegate_lock)
    _sns.DEFAULT_PAGE_SIZE = _SUBSCRIPTIONS_PER_TOPIC


_Call = Callable[[Any], Any]


def _locked(call: _Call, lock: AbstractContextManager[object]) -> _Call:
    @functools.wraps(call)
    def locked(response: Any) -> Any:
        with lock:
            return call(response)

    return locked
