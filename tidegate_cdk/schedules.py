"""Where schedules live: those for delays longer than a queue's 15 minutes, and those of crons."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate_cdk.encryption import send_with_key


class Schedules(Construct):
    """A group for schedules, and the role with which Scheduler sends their messages.

    Attributes:
        group_name: the schedule group; CloudFormation names it, and deletes the schedules with it.
        schedule_arns: matches every schedule of the group.
        key: what schedules are encrypted with, if with a customer's key.
        role: assumed by Scheduler for schedules of this group only; see
            https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html

    Args:
        key: what schedules and their queues are encrypted with, if with a customer's key.
        group_name: a group that is there already; without it there will be one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        key: kms.IKey | None,
        group_name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key = key
        stack = Stack.of(self)
        self.group_name = group_name or scheduler.CfnScheduleGroup(self, "Group").ref
        self.schedule_arns = _arn(stack, "schedule", f"{self.group_name}/*")
        self.role = iam.Role(
            self,
            "Role",
            description="Lets EventBridge Scheduler send to the queues of functions",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={
                    "StringEquals": {
                        "aws:SourceAccount": stack.account,
                        "aws:SourceArn": _arn(stack, "schedule-group", self.group_name),
                    }
                },
            ),
        )

        if key is not None:
            self.role.add_to_policy(send_with_key(key))

    def may_send_to(self, *queues: sqs.Queue) -> None:
        """Let schedules send to these queues."""
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:SendMessage"], resources=[queue.queue_arn for queue in queues]
            )
        )


def _arn(stack: Stack, resource: str, name: str) -> str:
    return stack.format_arn(service="scheduler", resource=resource, resource_name=name)
