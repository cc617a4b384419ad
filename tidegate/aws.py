"""AWS clients, made once, that are called with bounded patience."""

from __future__ import annotations

import functools
import gc
import threading
from typing import TYPE_CHECKING, Any, Literal, overload

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tidegate.concurrency import CONCURRENCY
from tidegate.concurrency import concurrently as concurrently
from tidegate.errors import PlatformError
from tidegate.form import write_form
from tidegate.service_data import ServiceData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=4,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=CONCURRENCY,
    # What is sent is of our own making, and looking at each field of 25 items takes a while.
    parameter_validation=False,
)

AWS_ERRORS = (ClientError, BotoCoreError)

# What waiting does not mend. Everything else may pass.
_LASTING = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "InvalidParameter",
        "InvalidParameterValue",
        "NoSuchBucket",
        "NotFound",
        "ResourceNotFoundException",
        "ValidationException",
    }
)
_THROTTLED = frozenset(
    {
        "KMSThrottling",
        "KmsThrottled",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

_clients: dict[str, Any] = {}
_clients_lock = threading.Lock()


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["s3"]) -> S3Client: ...
@overload
def client(service: Literal["scheduler"]) -> EventBridgeSchedulerClient: ...
@overload
def client(service: Literal["sns"]) -> SNSClient: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
@overload
def client(service: Literal["ssm"]) -> SSMClient: ...
def client(service: Any) -> Any:
    """The process's client of a service; each costs about 0.1 s to make, so it is made once."""
    found = _clients.get(service)
    if found is None:
        with _clients_lock:
            found = _clients.get(service)
            if found is None:
                found = _session().create_client(service, config=_CONFIG)
                found.meta.events.register("before-call", write_form)
                _clients[service] = found
    return found


def make_clients(*services: Literal["dynamodb", "sns"]) -> None:
    """Make clients while a Lambda starts, when it has a full processor, not during a request.

    They are half of all its objects, and stay: looking through them for garbage, now and whenever
    the garbage collector looks at everything, would take 20 ms each time. This ends what
    `tidegate.cold_start` began.
    """
    gc.disable()
    try:
        for service in services:
            client(service)
    finally:
        gc.enable()
    _keep_what_is_loaded()


@functools.cache
def _keep_what_is_loaded() -> None:
    # Once: where handlers are loaded again and again, what they replace is garbage.
    gc.freeze()


@functools.cache
def _session() -> botocore.session.Session:
    # boto3 would make the same clients of it, and load the transfer manager of S3 besides.
    session = botocore.session.get_session()
    session.register_component("data_loader", _service_data())
    return session


@functools.cache
def _service_data() -> ServiceData:
    # It is the same whatever AWS is behind the clients.
    return ServiceData()


def forget_clients(but: Mapping[str, Any] | None = None) -> None:
    """Make clients anew when they are next asked for, as when the AWS behind them was replaced.

    Args:
        but: clients to give from now on, by service.
    """
    _clients.clear()
    _clients.update(but or {})
    _session.cache_clear()


def error_code(error: ClientError) -> str:
    """The code AWS gave an error, such as `ConditionalCheckFailedException`."""
    return error.response.get("Error", {}).get("Code", "")


def unavailable(what: str, error: Exception) -> PlatformError:
    """The error to raise when an AWS call failed for good: the caller should retry later."""
    lasting = isinstance(error, ClientError) and error_code(error) in _LASTING
    return PlatformError(f"{what}: {error}", is_passing=not lasting)


def is_throttled(error: Exception) -> bool:
    """Whether AWS refused a call only because there are too many."""
    return isinstance(error, ClientError) and error_code(error) in _THROTTLED
