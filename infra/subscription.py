"""How a queue hangs on the topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

# The longest that SQS keeps messages.
DEAD_LETTER_RETENTION = Duration.days(14)


def subscribe(
    scope: Construct, topic: sns.Topic, queue: sqs.Queue, filter_policy: Mapping[str, Any]
) -> None:
    """Let a queue have what a filter lets through, as it was published."""
    queue.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("sns.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[queue.queue_arn],
            conditions={"ArnEquals": {"aws:SourceArn": topic.topic_arn}},
        )
    )
    sns.CfnSubscription(
        scope,
        "Subscription",
        topic_arn=topic.topic_arn,
        protocol="sqs",
        endpoint=queue.queue_arn,
        filter_policy=filter_policy,
        raw_message_delivery=True,
    )
