"""How a queue hangs on the topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct


def subscribe(
    scope: Construct,
    topic: sns.ITopic,
    queue: sqs.Queue,
    dead_letters: sqs.Queue,
    filter_policy: Mapping[str, Any],
) -> None:
    """Let a queue have what a filter lets through, as it was published."""
    for receiver in (queue, dead_letters):
        receiver.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("sns.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[receiver.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": topic.topic_arn}},
            )
        )
    subscription = sns.CfnSubscription(
        scope,
        "Subscription",
        topic_arn=topic.topic_arn,
        protocol="sqs",
        endpoint=queue.queue_arn,
        filter_policy=filter_policy,
        raw_message_delivery=True,
        # What SNS may not deliver it drops at once, unless it is told where to leave it.
        redrive_policy={"deadLetterTargetArn": dead_letters.queue_arn},
    )
    # Without the policy a first event would find a queue that refuses it.
    subscription.node.add_dependency(queue)
