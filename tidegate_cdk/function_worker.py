"""One function: its queues, what brings messages there, the Lambda that runs it, its alarms."""

from __future__ import annotations

from dataclasses import replace

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate.manifest import BATCH_SIZE, MAX_CONCURRENCY, FunctionManifest
from tidegate.settings import Settings
from tidegate_cdk.alarms import Alarms
from tidegate_cdk.config import Config
from tidegate_cdk.cron_schedules import CronSchedules
from tidegate_cdk.dead_letters import DeadLetterAccess, QueuePair
from tidegate_cdk.function_options import NO_OPTIONS, FunctionOptions
from tidegate_cdk.handler_lambda import HandlerLambda
from tidegate_cdk.permissions import Permissions
from tidegate_cdk.queues import queues
from tidegate_cdk.subscription import subscribe

# What the worker's handler is told.
_SETTINGS = (
    "function",
    "dedup_table",
    "events_table",
    "runs_table",
    "steps_table",
    "waits_table",
    "topic_arns",
    "bucket",
    "manifest",
    "queue_url",
    "queue_arn",
    "dead_letter_url",
    "dead_letter_arn",
    "matcher_queue_url",
    "schedule_group",
    "schedule_role_arn",
    "retention_days",
    "tracing",
)


class FunctionWorker(Construct):
    """A function as the manifest describes it.

    Attributes:
        pair: its queues.

    Args:
        function: the function.
        config: the choices for the stage.
        code: the asset that all Lambdas share.
        settings: where the stage's resources are.
        permissions: what its role may do.
        alarms: makes those on it and its queues.
        matcher: the queue where it asks for looks at past events.
        access: who reaches its dead letters.
        options: what the app gives its functions.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: FunctionManifest,
        config: Config,
        code: lambda_.Code,
        settings: Settings,
        permissions: Permissions,
        alarms: Alarms,
        matcher: sqs.Queue,
        access: DeadLetterAccess,
        options: FunctionOptions,
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue, self.dead_letters = queues(
            self,
            config=config,
            visibility_timeout_s=function.visibility_timeout_s,
            max_receives=function.max_receive_count,
            key=permissions.key,
        )
        self.pair = QueuePair(function.id, self.queue, self.dead_letters)
        access.let(self.pair)
        topic = permissions.topics[function.shard]
        subscribe(self, topic, self.queue, self.dead_letters, function.filter_policy)
        permissions.schedules.may_send_to(self.queue, self.dead_letters)
        CronSchedules(
            self,
            "Crons",
            function=function,
            env=settings.default_env,
            schedules=permissions.schedules,
            queue=self.queue,
            dead_letters=self.dead_letters,
        )
        # What stands for a removed function runs nothing of the app.
        options = NO_OPTIONS if function.is_removed else options
        worker = HandlerLambda(
            self,
            "Worker",
            handler="worker",
            description=f"{'Ends' if function.is_removed else 'Runs'} {function.id}"[:256],
            # A function's message may go through its queue as often as it sleeps, or is retried, or
            # sends its own event; Lambda would stop it after 16 times.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
            code=code,
            config=config,
            timeout_s=function.timeout_s,
            environment={
                **options.environment,
                **self._settings(settings, function).environment(
                    *_SETTINGS, *(["schedule_key_arn"] if permissions.key else ())
                ),
            },
            policies=options.policies,
            permissions=permissions.worker(self.queue, self.dead_letters, matcher),
            key=permissions.key,
        )
        # Concurrency is limited here and not reserved on the Lambda: of a reserved one the pollers
        # know nothing, and what they fetch too much of ends up dead though it never failed.
        worker.function.add_event_source_mapping(
            "Queue",
            event_source_arn=self.queue.queue_arn,
            batch_size=BATCH_SIZE,
            max_concurrency=MAX_CONCURRENCY,
            report_batch_item_failures=True,
        )
        alarms.of_function(function, worker.function)
        alarms.of_queue(
            self,
            name=function.id,
            visibility_timeout_s=function.visibility_timeout_s,
            queue=self.queue,
            dead_letters=self.dead_letters,
        )

    def _settings(self, settings: Settings, function: FunctionManifest) -> Settings:
        return replace(
            settings,
            function=function.id,
            queue_url=self.queue.queue_url,
            queue_arn=self.queue.queue_arn,
            dead_letter_url=self.dead_letters.queue_url,
            dead_letter_arn=self.dead_letters.queue_arn,
        )
