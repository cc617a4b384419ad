"""A queue that a Lambda reads, and the one for what it failed on too often."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate_cdk.config import Config

# The longest that SQS keeps messages.
RETENTION = Duration.days(14)


def queues(
    scope: Construct,
    *,
    config: Config,
    visibility_timeout_s: int,
    max_receives: int,
    key: kms.IKey | None,
) -> tuple[sqs.Queue, sqs.Queue]:
    """A queue and its dead-letter queue, encrypted and reached over TLS only.

    In the stage `production` CloudFormation leaves a queue that is replaced or removed where it is,
    with its messages; but not one of a deployment that failed.

    Args:
        scope: where they belong.
        config: the choices for the stage.
        visibility_timeout_s: after which a message comes again, in seconds.
        max_receives: how often it comes before it is dead.
        key: what they are encrypted with, if not with SQS's key.
    """
    removal = RemovalPolicy.DESTROY
    if config.is_production:
        removal = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    encryption = sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED
    dead_letters = sqs.Queue(
        scope,
        "DeadLetters",
        removal_policy=removal,
        retention_period=RETENTION,
        encryption=encryption,
        encryption_master_key=key,
        enforce_ssl=True,
    )
    queue = sqs.Queue(
        scope,
        "Queue",
        removal_policy=removal,
        # A worker that is broken for days loses nothing, as long as somebody mends it.
        retention_period=RETENTION,
        visibility_timeout=Duration.seconds(visibility_timeout_s),
        dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=max_receives),
        encryption=encryption,
        encryption_master_key=key,
        enforce_ssl=True,
    )
    return queue, dead_letters
