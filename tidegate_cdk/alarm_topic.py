"""Where alarms go."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

from tidegate_cdk.config import Config


def alarm_topic(scope: Construct, config: Config, key: kms.IKey | None) -> sns.ITopic | None:
    """The topic that alarms notify: one that is there, one for an e-mail address, or none.

    Args:
        scope: where it belongs.
        config: the choices for the stage.
        key: what it is encrypted with, if with a customer's key.
    """
    if config.alarms_to == "none":
        return None
    if "@" not in config.alarms_to:
        return sns.Topic.from_topic_arn(scope, "AlarmTopic", config.alarms_to)
    topic = sns.Topic(scope, "AlarmTopic", enforce_ssl=True, master_key=key)
    # The policy that demands TLS takes the place of the one that lets the account's alarms publish.
    topic.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[topic.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(scope).account}},
        )
    )
    # Whoever has the address confirms it by a link that SNS sends there.
    topic.add_subscription(EmailSubscription(config.alarms_to))
    return topic
