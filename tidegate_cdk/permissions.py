"""What each Lambda may do, and nothing else: the one place that grants anything.

Every statement names its resources. Wildcards stand only behind a resource of the stack: the
objects of its bucket, the schedules of its group, the streams of a log group. Tracing, where a
stage turns it on, is the one exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate.dashboard.session import PREFIX as SESSION_PREFIX
from tidegate.environments import PREFIX as ENVIRONMENT_PREFIX
from tidegate_cdk.encryption import use_key
from tidegate_cdk.schedules import Schedules
from tidegate_cdk.storage import Storage

# What an event source mapping does with a queue.
_CONSUME = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")


@dataclass(frozen=True)
class Permissions:
    """The statements for each role.

    Args:
        storage: the tables and the bucket.
        topics: the topics that events are published to, by shard.
        schedules: what wakes functions after long delays.
        key: what all of it is encrypted with, if with a customer's key.
    """

    storage: Storage
    topics: Sequence[sns.ITopic]
    schedules: Schedules
    key: kms.IKey | None

    def ingest(self) -> list[iam.PolicyStatement]:
        """To accept events: key, deduplication, store, publish."""
        return [
            self._table("keys", "GetItem"),
            self._note_use_of_keys(),
            self._write_keys(f"{ENVIRONMENT_PREFIX}*", "PutItem"),
            self._table("dedup", "PutItem"),
            self._table("events", "BatchWriteItem", "GetItem"),
            self._table("waits", "Query"),
            self._objects("PutObject"),
            self._publish(),
            *self._decrypt(),
        ]

    def api(self, matcher: sqs.Queue, queues_path: str) -> list[iam.PolicyStatement]:
        """To answer what happened, take events in, start and cancel runs, and look after keys."""
        return [
            self._table("keys", "GetItem", "PutItem", "Scan", "UpdateItem"),
            self._write_keys(f"{SESSION_PREFIX}*", "DeleteItem"),
            self._table("dedup", "PutItem"),
            self._table("waits", "Query"),
            self._table("events", "BatchWriteItem", "GetItem", "Query"),
            self._table("runs", "BatchGetItem", "GetItem", "Query", "UpdateItem"),
            self._table("steps", "BatchWriteItem", "Query"),
            self._table("jobs", "GetItem", "PutItem", "Query", "UpdateItem"),
            _allow(matcher.queue_arn, "sqs:SendMessage"),
            _read_parameters(matcher, queues_path),
            self._publish(),
            self._objects("GetObject", "PutObject"),
            self._tell_missing_objects(),
            *self._decrypt(),
        ]

    def matcher(self, queue: sqs.Queue, queues_path: str) -> list[iam.PolicyStatement]:
        """To complete the steps that wait for events, to wake their runs, and to work on jobs."""
        return [
            _allow(queue.queue_arn, *_CONSUME, "sqs:SendMessage"),
            _read_parameters(queue, queues_path),
            self._table("waits", "DeleteItem", "GetItem", "Query"),
            self._table("jobs", "PutItem", "UpdateItem"),
            self._table("events", "GetItem", "Query"),
            self._table("runs", "GetItem", "Query", "UpdateItem"),
            self._table("steps", "PutItem"),
            self._objects("GetObject", "PutObject"),
            self._tell_missing_objects(),
            self._publish(),
            _allow(self.schedules.schedule_arns, "scheduler:GetSchedule"),
            *self._decrypt(),
        ]

    def worker(
        self, queue: sqs.Queue, dead_letters: sqs.Queue, matcher: sqs.Queue
    ) -> list[iam.PolicyStatement]:
        """To run one function from its queue, and to send events on its behalf."""
        return [
            _allow(queue.queue_arn, *_CONSUME, "sqs:ChangeMessageVisibility", "sqs:SendMessage"),
            _allow(dead_letters.queue_arn, "sqs:SendMessage"),
            _allow(matcher.queue_arn, "sqs:SendMessage"),
            self._table("runs", "GetItem", "PutItem", "UpdateItem"),
            self._table("steps", "BatchWriteItem", "PutItem", "Query"),
            self._table("waits", "DeleteItem", "GetItem", "PutItem", "Query"),
            self._table("dedup", "PutItem"),
            self._table("events", "BatchWriteItem", "GetItem"),
            self._objects("GetObject", "PutObject"),
            self._tell_missing_objects(),
            self._publish(),
            _allow(
                self.schedules.schedule_arns,
                "scheduler:CreateSchedule",
                "scheduler:DeleteSchedule",
                "scheduler:GetSchedule",
            ),
            self._pass_schedule_role(),
            *self._decrypt(),
        ]

    def _table(self, name: str, *actions: str) -> iam.PolicyStatement:
        return _allow(self.storage.tables[name].table_arn, *(f"dynamodb:{a}" for a in actions))

    def _objects(self, *actions: str) -> iam.PolicyStatement:
        return _allow(self.storage.bucket.arn_for_objects("*"), *(f"s3:{a}" for a in actions))

    def _tell_missing_objects(self) -> iam.PolicyStatement:
        # Who may not list a bucket is told "access denied" of an object that is gone, see
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        return _allow(self.storage.bucket.bucket_arn, "s3:ListBucket")

    def _write_keys(self, pattern: str, *actions: str) -> iam.PolicyStatement:
        # Sessions and environments are kept beside the keys, which this lets nobody touch.
        statement = self._table("keys", *actions)
        statement.add_condition("ForAllValues:StringLike", {"dynamodb:LeadingKeys": [pattern]})
        return statement

    def _note_use_of_keys(self) -> iam.PolicyStatement:
        # This attribute alone: no role can lift a revocation, or widen what a key may do. See
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
        statement = self._table("keys", "UpdateItem")
        statement.add_condition(
            "ForAllValues:StringEquals", {"dynamodb:Attributes": ["pk", "last_used_day"]}
        )
        statement.add_condition("StringEqualsIfExists", {"dynamodb:ReturnValues": ["NONE"]})
        return statement

    def _publish(self) -> iam.PolicyStatement:
        # This is the permission for PublishBatch too.
        return iam.PolicyStatement(
            actions=["sns:Publish"], resources=[topic.topic_arn for topic in self.topics]
        )

    def _decrypt(self) -> list[iam.PolicyStatement]:
        return [use_key(self.key)] if self.key else []

    def _pass_schedule_role(self) -> iam.PolicyStatement:
        statement = _allow(self.schedules.role.role_arn, "iam:PassRole")
        statement.add_condition("StringEquals", {"iam:PassedToService": "scheduler.amazonaws.com"})
        return statement


def _read_parameters(within: Construct, path: str) -> iam.PolicyStatement:
    """To read all parameters below a path: who may read a path may read what is below it, see
    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    """
    arn = Stack.of(within).format_arn(
        service="ssm", resource="parameter", resource_name=path.removeprefix("/")
    )
    return _allow(arn, "ssm:GetParametersByPath")


def write_logs(log_group: logs.LogGroup) -> iam.PolicyStatement:
    """To write to a log group, which is there before its Lambda is; its ARN ends in `:*`."""
    return _allow(log_group.log_group_arn, "logs:CreateLogStream", "logs:PutLogEvents")


def trace() -> iam.PolicyStatement:
    """To tell X-Ray what it did. X-Ray has no resources that could be named, see
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    """
    return iam.PolicyStatement(
        actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"], resources=["*"]
    )


def _allow(resource: str, *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=[resource])
