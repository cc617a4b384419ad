"""What somebody should be told about a queue: events given up on, and a backlog."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

# The longest that a queue delays a message.
LONGEST_DELAY_S = 900


class QueueAlarms(Construct):
    """The alarms on a queue and its dead-letter queue.

    A message may be as old as the longest delay and one redelivery after a crash. One that is
    older waits because the workers do not keep up, or cannot run at all.

    Args:
        name: whose queues they are.
        visibility_timeout_s: after which a message comes again, in seconds.
        queue: what its worker reads.
        dead_letters: where messages go that it failed on too often.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        visibility_timeout_s: int,
        queue: sqs.Queue,
        dead_letters: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alarm(
            "DeadLetters",
            f"{name}: events were given up on; see its dead-letter queue",
            dead_letters.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            above=0,
            minutes=1,
        )
        oldest_s = LONGEST_DELAY_S + visibility_timeout_s
        self._alarm(
            "Age",
            f"{name}: an event has waited for more than {oldest_s} seconds",
            queue.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            above=oldest_s,
            minutes=5,
        )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.Metric,
        *,
        above: int,
        minutes: int,
    ) -> None:
        cloudwatch.Alarm(
            self,
            name,
            alarm_description=description,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=minutes,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
