"""The resources of a stage: what the manifest lists, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from tidegate.manifest import Manifest
from tidegate.settings import Settings
from tidegate_cdk.alarm_topic import alarm_topic
from tidegate_cdk.alarms import Alarms
from tidegate_cdk.config import Config
from tidegate_cdk.dashboard import dashboard
from tidegate_cdk.dead_letters import DeadLetterAccess, queues_path, write_queue_names
from tidegate_cdk.encryption import key_of
from tidegate_cdk.function_options import NO_OPTIONS, FunctionOptions
from tidegate_cdk.function_stack import FunctionStack, TopicStack, add_functions
from tidegate_cdk.handler_lambda import REQUEST_TIMEOUT_S, HandlerLambda
from tidegate_cdk.http_api import HttpApi
from tidegate_cdk.lambda_code import MANIFEST_PATH, lambda_code
from tidegate_cdk.matcher import Matcher
from tidegate_cdk.permissions import Permissions
from tidegate_cdk.placement import Placement, by_stack, place, sharded
from tidegate_cdk.rest_api import rest_api
from tidegate_cdk.schedules import Schedules
from tidegate_cdk.storage import Storage
from tidegate_cdk.tracing import let_topics_trace


class Stage(Construct):
    """One stage, in a stack that has no other.

    No resource in it has a name of our choice, so stages share an account without colliding.

    Args:
        config: the choices for the stage.
        manifest: its functions.
        placed: the stack of each function; without it they are placed as those of a new stage.
        options: what the app gives its functions.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: Config,
        manifest: Manifest,
        placed: Placement | None = None,
        options: FunctionOptions = NO_OPTIONS,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        if config.is_production:
            stack.termination_protection = True
        name = stack.stack_name
        placed = place(manifest) if placed is None else placed
        manifest = sharded(manifest, placed)
        key = key_of(self, config)
        alarms = Alarms(config, alarm_topic(self, config, key))
        storage = Storage(self, "Storage", config=config, key=key)
        topics = self._topics(manifest.shards, config, key)
        schedules = Schedules(self, "Schedules", key=key)
        permissions = Permissions(storage, topics, schedules, key)
        code = lambda_code(manifest, config)
        matcher = Matcher(self, "Waits", config=config, permissions=permissions, alarms=alarms)
        settings = _settings(config, storage, topics, schedules, matcher, queues_path(name))
        redrives = matcher.run(code, settings)
        handlers = {
            "ingest": self._ingest(config, code, settings, permissions),
            "api": rest_api(self, config, code, settings, permissions, matcher.queue),
        }
        access = DeadLetterAccess(looks=handlers["api"], redrives=redrives)
        access.let(matcher.pair)
        api = HttpApi(
            self,
            "Http",
            name=name,
            config=config,
            key=key,
            handlers=handlers,
        )
        for handler, function in handlers.items():
            alarms.of_lambda(Construct(self, f"{handler}Alarms"), name=handler, function=function)
        alarms.of_stage(self, api_id=api.api_id)
        if config.has_dashboard:
            counted = config.stage if config.metrics == "on" else None
            dashboard(self, name=name, counted=counted, api_id=api.api_id)
        pairs = [matcher.pair]
        for number, functions in by_stack(manifest, placed).items():
            shared: Any = {
                "manifest": manifest,
                "config": config,
                "settings": settings,
                "permissions": permissions,
                "alarms": alarms,
                "matcher": matcher.queue,
                "access": access,
                "options": options,
            }
            if number == 0:
                pairs += add_functions(self, functions, **shared)
            else:
                FunctionStack(self, f"Functions{number}", functions, number=number, **shared)
        write_queue_names(self, settings.queues_path, 0, pairs)
        outputs = {
            "Url": (api.url, "Where events are sent"),
            "KeysTable": (settings.keys_table, "Event and signing keys"),
            "FirstKey": (
                f"tidegate keys create --stage {_known_as(stack, config)}",
                "Prints a first event key; nothing is let in without one",
            ),
            "Bucket": (settings.bucket, "Payloads of large events"),
        }
        for output, (value, description) in outputs.items():
            # Under the same name wherever the stage is in its stack: `tidegate keys` looks there.
            CfnOutput(self, output, value=value, description=description).override_logical_id(
                output
            )

    def _topics(self, shards: int, config: Config, key: kms.IKey | None) -> list[sns.Topic]:
        tracing = None
        if config.tracing == "on":
            tracing = sns.TracingConfig.ACTIVE
            let_topics_trace(self)
        first = sns.Topic(self, "Events", enforce_ssl=True, master_key=key, tracing_config=tracing)
        if shards == 1:
            return [first]
        more = TopicStack(self, "Topics", shards=shards, key=key, tracing=tracing)
        return [first, *more.topics]

    def _ingest(
        self, config: Config, code: lambda_.Code, settings: Settings, permissions: Permissions
    ) -> lambda_.Function:
        return HandlerLambda(
            self,
            "Ingest",
            handler="ingest",
            description="Takes events in",
            code=code,
            config=config,
            timeout_s=REQUEST_TIMEOUT_S,
            environment=settings.environment(
                "dedup_table",
                "events_table",
                "waits_table",
                "keys_table",
                "topic_arns",
                "bucket",
                "manifest",
                "auth",
                "max_request_bytes",
                "retention_days",
            ),
            permissions=permissions.ingest(),
            key=permissions.key,
        ).function


def _known_as(stack: Stack, config: Config) -> str:
    """By which name `tidegate keys` finds this stage, and no other one that is called the same."""
    return config.stage if stack.stack_name == f"Tidegate-{config.stage}" else stack.stack_name


def _settings(
    config: Config,
    storage: Storage,
    topics: Sequence[sns.Topic],
    schedules: Schedules,
    matcher: Matcher,
    queues: str,
) -> Settings:
    """Where the stage's resources are; each Lambda is told the part that it needs."""
    return Settings(
        dedup_table=storage.tables["dedup"].table_name,
        events_table=storage.tables["events"].table_name,
        runs_table=storage.tables["runs"].table_name,
        steps_table=storage.tables["steps"].table_name,
        waits_table=storage.tables["waits"].table_name,
        jobs_table=storage.tables["jobs"].table_name,
        keys_table=storage.tables["keys"].table_name,
        topic_arns=tuple(topic.topic_arn for topic in topics),
        bucket=storage.bucket.bucket_name,
        manifest=MANIFEST_PATH,
        auth="keys",
        max_request_bytes=config.max_request_bytes,
        retention_days=config.retention_days,
        matcher_queue_url=matcher.queue.queue_url,
        queues_path=queues,
        schedule_group=schedules.group_name,
        schedule_role_arn=schedules.role.role_arn,
        schedule_key_arn=schedules.key.key_arn if schedules.key else "",
        tracing=config.tracing,
    )
