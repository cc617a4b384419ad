"""How functions and the matcher hang on topics: queues, dead-letter queues and subscriptions."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from tidegate.aws import client
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.manifest import (
    BATCH_SIZE,
    MATCHER_FILTER,
    MATCHER_MAX_RECEIVES,
    MATCHER_VISIBILITY_TIMEOUT_S,
    MAX_CONCURRENCY,
    FunctionManifest,
)

PREFIX = "tidegate"
RETENTION_S = 14 * 86_400


@dataclass(frozen=True)
class FunctionWiring:
    """How a function hangs on the topic.

    Attributes:
        function: the function as it is deployed.
        queue_url, queue_arn: its queue; visibility timeout and receives as the manifest says.
        dead_letter_url, dead_letter_arn: where messages go that were received too often.
        subscription_arn: the queue's raw, filtered subscription to the topic.
        batch_size: the most messages of one invocation.
        max_concurrency: the most invocations at once.
    """

    function: FunctionManifest
    queue_url: str
    queue_arn: str
    dead_letter_url: str
    dead_letter_arn: str
    subscription_arn: str
    batch_size: int = BATCH_SIZE
    max_concurrency: int = MAX_CONCURRENCY


@dataclass(frozen=True)
class MatcherWiring:
    """How the matcher hangs on the topic.

    Attributes:
        queue_url, queue_arn: its queue.
        dead_letter_url: where messages go that were received too often.
        batch_size: the most messages of one invocation.
        max_concurrency: the most invocations at once.
    """

    queue_url: str
    queue_arn: str
    dead_letter_url: str
    batch_size: int = BATCH_SIZE
    max_concurrency: int = MAX_CONCURRENCY


# No function's queue has this name: their ids have a `-` in them.
_MATCHER = f"{PREFIX}-matcher"


def queue_name(function_id: str) -> str:
    """A name that SQS takes: at most 80 of letters, digits, `-` and `_`, with room for `-dead`."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", function_id):
        return f"{PREFIX}-{function_id}"
    digest = hashlib.sha256(function_id.encode()).hexdigest()[:12]
    return f"{PREFIX}-{re.sub(r'[^A-Za-z0-9_-]', '-', function_id)[:47]}-{digest}"


def create_topic(shard: int) -> str:
    """The ARN of a shard's topic, which may be there already."""
    name = f"{PREFIX}-{shard}" if shard else PREFIX
    return client("sns").create_topic(Name=name)["TopicArn"]


def wire_function(topic_arn: str, function: FunctionManifest) -> FunctionWiring:
    """Have a function's queues, and its subscription to the topic of its shard."""
    name = queue_name(function.id)
    dead_letter_url, dead_letter_arn = _dead_letters(name)
    queue_url, queue_arn = _redriven_queue(
        name, function.visibility_timeout_s, function.max_receive_count, dead_letter_arn
    )
    return FunctionWiring(
        function=function,
        queue_url=queue_url,
        queue_arn=queue_arn,
        dead_letter_url=dead_letter_url,
        dead_letter_arn=dead_letter_arn,
        subscription_arn=_subscribe(topic_arn, queue_arn, function.filter_policy),
    )


def wire_matcher(topic_arn: str) -> MatcherWiring:
    """Have the matcher's queues, and its subscription to the first topic."""
    dead_letter_url, dead_letter_arn = _dead_letters(_MATCHER)
    queue_url, queue_arn = _redriven_queue(
        _MATCHER, MATCHER_VISIBILITY_TIMEOUT_S, MATCHER_MAX_RECEIVES, dead_letter_arn
    )
    _subscribe(topic_arn, queue_arn, MATCHER_FILTER)
    return MatcherWiring(queue_url, queue_arn, dead_letter_url)


def _dead_letters(name: str) -> tuple[str, str]:
    return _queue(f"{name}-dead", {"MessageRetentionPeriod": str(RETENTION_S)})


def _redriven_queue(
    name: str, visibility_timeout_s: int, max_receives: int, dead_letter_arn: str
) -> tuple[str, str]:
    redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": max_receives}
    return _queue(
        name,
        {
            "MessageRetentionPeriod": str(RETENTION_S),
            "VisibilityTimeout": str(visibility_timeout_s),
            "RedrivePolicy": json.dumps(redrive),
        },
    )


def _queue(name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """The queue's URL and ARN; made if it is not there, changed if its attributes differ."""
    sqs = client("sqs")
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)  # type: ignore[arg-type]
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
    return url, f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"


def _subscribe(topic_arn: str, queue_arn: str, filter_policy: dict[str, list[Any]]) -> str:
    """The ARN of the queue's subscription, with that filter."""
    policy = json.dumps(filter_policy)
    arn = client("sns").subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=queue_arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": policy},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    # Subscribing again gives the subscription that is there, with the filter it had.
    client("sns").set_subscription_attributes(
        SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy
    )
    return arn
