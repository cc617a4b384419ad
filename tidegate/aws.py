"""AWS clients, made once, and the ways to call them: concurrently, and with bounded patience."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tidegate.errors import PlatformError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

T = TypeVar("T")
R = TypeVar("R")

# The most calls one request has under way at once; the connection pool holds as many.
CONCURRENCY = 16

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=4,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=CONCURRENCY,
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
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
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
def client(service: Any) -> Any:
    """The process's client of a service; each costs about 0.1 s to make, so it is made once."""
    found = _clients.get(service)
    if found is None:
        with _clients_lock:
            found = _clients.get(service)
            if found is None:
                found = _clients[service] = boto3.client(service, config=_CONFIG)
    return found


def forget_clients() -> None:
    """Make clients anew when they are next asked for, as when the AWS behind them was replaced."""
    _clients.clear()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="aws")


def concurrently(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results of a call for each item, in order, up to 16 calls under way at once.

    Every call has ended when this returns or raises; the first error, in order, is raised.
    """
    todo = list(items)
    if len(todo) <= 1:
        return [call(item) for item in todo]
    futures = [_pool().submit(call, item) for item in todo]
    errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]


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
