"""The schedules of a function's crons, which send their ticks to its queue."""

from __future__ import annotations

import hashlib

from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate.manifest import FunctionManifest
from tidegate.message import CronMessage
from tidegate_cdk.schedules import Schedules


class CronSchedules(Construct):
    """A schedule for each expression of a function's crons.

    They have no flexible time window: that is whole minutes, and another time for each try. The
    worker waits for the jitter, which is the same however often a tick comes.

    Args:
        function: whose crons they are.
        env: the environment of its runs.
        schedules: the stage's group and role.
        queue: where ticks go.
        dead_letters: where those go that Scheduler cannot deliver.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: FunctionManifest,
        env: str,
        schedules: Schedules,
        queue: sqs.Queue,
        dead_letters: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        for cron in function.crons:
            for number, expression in enumerate(cron.schedules):
                schedule = scheduler.CfnSchedule(
                    self,
                    # By the cron and not by its place, so that a reordered list changes nothing.
                    f"{hashlib.sha256(cron.cron.encode()).hexdigest()[:12]}-{number}",
                    description=f"{function.id}: {cron.cron}"[:512],
                    group_name=schedules.group_name,
                    kms_key_arn=schedules.key.key_arn if schedules.key else None,
                    schedule_expression=expression,
                    schedule_expression_timezone=cron.timezone,
                    flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                        mode="OFF"
                    ),
                    target=scheduler.CfnSchedule.TargetProperty(
                        arn=queue.queue_arn,
                        role_arn=schedules.role.role_arn,
                        input=CronMessage.template(cron.cron, env),
                        dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                            arn=dead_letters.queue_arn
                        ),
                    ),
                )
                # Its first tick may come at once, and the role must be able to send by then.
                schedule.node.add_dependency(schedules.role)
