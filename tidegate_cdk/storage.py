"""Where a stage keeps things: the tables, and the bucket for what is too large for them."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from tidegate.manifest import TABLES, TTL_ATTRIBUTE, Table, bucket_lifecycle_days
from tidegate_cdk.config import Config


def removal_policy(config: Config) -> RemovalPolicy:
    """What happens to stored things when the stack is deleted.

    The stage `production` keeps its tables, bucket and logs: losing them must take more than one
    command, and tables that still exist are deletion-protected besides. Every other stage is there
    to be thrown away, and leaves nothing behind that costs money. (CloudFormation deletes only an
    empty bucket; one that holds large events has to be emptied first.)
    """
    return RemovalPolicy.RETAIN if config.is_production else RemovalPolicy.DESTROY


class Storage(Construct):
    """The tables of the manifest and the bucket.

    Attributes:
        tables: the tables, by their name in the manifest.
        bucket: private, reached over TLS only; objects expire with the events they belong to. It
            keeps no versions: an object is written once, under a name of its own, and what is
            deleted because its time has come must be gone.

    Args:
        config: the choices for the stage.
        key: what all of it is encrypted with, if with a customer's key.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._key = key
        self.tables = {table.name: self._table(table, config) for table in TABLES}
        self.bucket = s3.Bucket(
            self,
            "Payloads",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            # Otherwise each object would be a call of KMS, and a charge.
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(prefix=f"{folder}/", expiration=Duration.days(days))
                for folder, days in bucket_lifecycle_days(config.retention_days).items()
            ],
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal_policy(config),
        )

    def _table(self, table: Table, config: Config) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            table.name.capitalize(),
            partition_key=_string(table.partition_key),
            sort_key=_string(table.sort_key) if table.sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self._key else None,
            encryption_key=self._key,
            time_to_live_attribute=TTL_ATTRIBUTE,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=config.is_production,
            removal_policy=removal_policy(config),
        )


def _string(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
