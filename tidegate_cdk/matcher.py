"""The matcher: its queues, its subscription to awaited events, the Lambda that wakes runs.

Slices of bulk jobs come to its queue, too: one of their own would be polled, and paid for, even
where nobody ever starts a job.
"""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from tidegate.bus import FIRST_SHARD
from tidegate.manifest import (
    BATCH_SIZE,
    MATCHER_FILTER,
    MATCHER_MAX_RECEIVES,
    MATCHER_TIMEOUT_S,
    MATCHER_VISIBILITY_TIMEOUT_S,
    MAX_CONCURRENCY,
)
from tidegate.queue_directory import MATCHER
from tidegate.settings import Settings
from tidegate_cdk.alarms import Alarms
from tidegate_cdk.config import Config
from tidegate_cdk.dead_letters import QueuePair
from tidegate_cdk.handler_lambda import HandlerLambda
from tidegate_cdk.permissions import Permissions
from tidegate_cdk.queues import queues
from tidegate_cdk.subscription import subscribe

# What its handler is told.
_SETTINGS = (
    "events_table",
    "runs_table",
    "steps_table",
    "waits_table",
    "jobs_table",
    "topic_arns",
    "bucket",
    "manifest",
    "matcher_queue_url",
    "queues_path",
    "schedule_group",
    "retention_days",
)


class Matcher(Construct):
    """Brings events to the runs that wait for them.

    Attributes:
        queue: what it reads; functions ask it for looks at past events, the REST API for slices
            of jobs.
        pair: that one, and its dead-letter queue.

    Args:
        config: the choices for the stage.
        permissions: what its role may do.
        alarms: makes those on its queues.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        permissions: Permissions,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self._alarms = alarms
        self._config = config
        self._permissions = permissions
        self.queue, dead_letters = queues(
            self,
            config=config,
            visibility_timeout_s=MATCHER_VISIBILITY_TIMEOUT_S,
            max_receives=MATCHER_MAX_RECEIVES,
            key=permissions.key,
        )
        self.pair = QueuePair(MATCHER, self.queue, dead_letters)
        subscribe(self, permissions.topics[FIRST_SHARD], self.queue, dead_letters, MATCHER_FILTER)
        self._alarms.of_queue(
            self,
            name="matcher",
            visibility_timeout_s=MATCHER_VISIBILITY_TIMEOUT_S,
            queue=self.queue,
            dead_letters=dead_letters,
        )

    def run(self, code: lambda_.Code, settings: Settings) -> lambda_.Function:
        """Make its Lambda, and give it.

        Args:
            code: the asset that all Lambdas share.
            settings: where the stage's resources are.
        """
        matcher = HandlerLambda(
            self,
            "Matcher",
            handler="matcher",
            description="Brings events to the runs that wait for them, and works on bulk jobs",
            # Each slice of a bulk job asks for the next one; Lambda would stop it after 16 of them.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
            code=code,
            config=self._config,
            timeout_s=MATCHER_TIMEOUT_S,
            environment=settings.environment(*_SETTINGS),
            permissions=self._permissions.matcher(self.queue, settings.queues_path),
            key=self._permissions.key,
        )
        self._alarms.of_lambda(self, name="matcher", function=matcher.function)
        matcher.function.add_event_source_mapping(
            "Queue",
            event_source_arn=self.queue.queue_arn,
            batch_size=BATCH_SIZE,
            max_concurrency=MAX_CONCURRENCY,
            report_batch_item_failures=True,
        )
        return matcher.function
