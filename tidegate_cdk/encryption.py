"""With which key things are encrypted where they are kept.

Everything is encrypted by AWS's own keys unless a stage wants a key of its customer: one that the
stack makes, or one that is there. Of the latter the policy is its owner's; it has to say what
`_policy` says.
"""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from tidegate_cdk.config import Config
from tidegate_cdk.storage import removal_policy

# To send to an encrypted queue or topic, and to read from one.
_SEND = ("kms:Decrypt", "kms:GenerateDataKey")
# DynamoDB asks for its callers' permissions, too, see
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
_USE = (*_SEND, "kms:DescribeKey", "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo")


def key_of(scope: Construct, config: Config) -> kms.IKey | None:
    """The stage's key; None when AWS's are used."""
    if config.encryption == "aws":
        return None
    if config.encryption != "stack":
        return kms.Key.from_key_arn(scope, "Key", config.encryption)
    key = kms.Key(
        scope,
        "Key",
        description=f"Tidegate, {config.stage}",
        enable_key_rotation=True,
        removal_policy=removal_policy(config),
    )
    for statement in _policy(Stack.of(scope)):
        key.add_to_resource_policy(statement)
    return key


def use_key(key: kms.IKey) -> iam.PolicyStatement:
    """To read and write what is encrypted with a key."""
    return iam.PolicyStatement(actions=list(_USE), resources=[key.key_arn])


def send_with_key(key: kms.IKey) -> iam.PolicyStatement:
    """To send to queues that are encrypted with a key."""
    return iam.PolicyStatement(actions=list(_SEND), resources=[key.key_arn])


def _policy(stack: Stack) -> list[iam.PolicyStatement]:
    """What services may do that have no role: each for this account and region only."""

    def service(
        name: str, actions: tuple[str, ...], condition: str, arn: str
    ) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            principals=[iam.ServicePrincipal(name)],
            actions=list(actions),
            # Of a key's policy this is the key.
            resources=["*"],
            conditions={"ArnLike": {condition: arn}},
        )

    def arn(of: str, name: str) -> str:
        return f"arn:{stack.partition}:{of}:{stack.region}:{stack.account}:{name}"

    return [
        # The topics, to the queues of functions.
        service("sns.amazonaws.com", _SEND, "aws:SourceArn", arn("sns", "*")),
        # The alarms, to the topic that tells of them.
        service("cloudwatch.amazonaws.com", _SEND, "aws:SourceArn", arn("cloudwatch", "alarm:*")),
        service(
            f"logs.{stack.region}.amazonaws.com",
            _USE,
            "kms:EncryptionContext:aws:logs:arn",
            arn("logs", "log-group:*"),
        ),
    ]
