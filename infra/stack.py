"""The stack of a stage: what the manifest lists, put together."""

from __future__ import annotations

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.config import Config
from infra.function_worker import FunctionWorker
from infra.handler_lambda import REQUEST_TIMEOUT_S, HandlerLambda
from infra.http_api import HttpApi
from infra.lambda_code import MANIFEST_PATH, lambda_code
from infra.matcher import Matcher
from infra.permissions import Permissions
from infra.rest_api import rest_api
from infra.schedules import Schedules
from infra.storage import Storage
from tidegate.manifest import Manifest
from tidegate.settings import Settings


class TidegateStack(Stack):
    """One stage: `Tidegate-<stage>`.

    No resource in it has a name of our choice, so stages share an account without colliding.

    Args:
        config: the choices for the stage.
        manifest: its functions.
    """

    def __init__(self, scope: Construct, *, config: Config, manifest: Manifest) -> None:
        name = f"Tidegate-{config.stage}"
        super().__init__(scope, name, stack_name=name, description=f"Tidegate, {config.stage}")
        storage = Storage(self, "Storage", config=config)
        topic = sns.Topic(self, "Events", enforce_ssl=True)
        schedules = Schedules(self, "Schedules")
        permissions = Permissions(storage, topic, schedules)
        code = lambda_code(manifest, config.functions)
        matcher = Matcher(self, "Waits", config=config, permissions=permissions)
        settings = _settings(config, storage, topic, schedules, matcher)
        matcher.run(code, settings)
        api = HttpApi(
            self,
            "Http",
            name=name,
            handlers={
                "ingest": self._ingest(config, code, settings, permissions),
                "api": rest_api(self, config, code, settings, permissions, matcher.queue),
            },
        )
        for function in manifest.functions:
            FunctionWorker(
                self,
                f"Function-{function.id}",
                function=function,
                config=config,
                code=code,
                settings=settings,
                permissions=permissions,
                matcher=matcher.queue,
            )
        CfnOutput(self, "Url", value=api.url, description="Where events are sent")
        CfnOutput(
            self, "KeysTable", value=settings.keys_table, description="Event and signing keys"
        )
        CfnOutput(self, "Bucket", value=settings.bucket, description="Payloads of large events")

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
        ).function


def _settings(
    config: Config, storage: Storage, topic: sns.Topic, schedules: Schedules, matcher: Matcher
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
        topic_arns=(topic.topic_arn,),
        bucket=storage.bucket.bucket_name,
        manifest=MANIFEST_PATH,
        auth="keys",
        max_request_bytes=config.max_request_bytes,
        retention_days=config.retention_days,
        matcher_queue_url=matcher.queue.queue_url,
        schedule_group=schedules.group_name,
        schedule_role_arn=schedules.role.role_arn,
    )
