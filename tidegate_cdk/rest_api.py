"""The Lambda of the REST API and of the dashboard."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate.settings import Settings
from tidegate_cdk.config import Config
from tidegate_cdk.handler_lambda import REQUEST_TIMEOUT_S, HandlerLambda
from tidegate_cdk.permissions import Permissions

# What its handler is told.
_SETTINGS = (
    "dedup_table",
    "events_table",
    "runs_table",
    "steps_table",
    "waits_table",
    "jobs_table",
    "keys_table",
    "topic_arns",
    "bucket",
    "manifest",
    "matcher_queue_url",
    "queues_path",
    "auth",
    "max_request_bytes",
    "retention_days",
)


def rest_api(
    scope: Construct,
    config: Config,
    code: lambda_.Code,
    settings: Settings,
    permissions: Permissions,
    matcher: sqs.Queue,
) -> lambda_.Function:
    """The Lambda that tells what became of events, and starts and cancels runs.

    Args:
        scope: where it belongs.
        config: the choices for the stage.
        code: the asset that all Lambdas share.
        settings: where the stage's resources are.
        permissions: what its role may do.
        matcher: the queue where it asks for slices of bulk jobs.
    """
    return HandlerLambda(
        scope,
        "RestApi",
        handler="api",
        description="Tells what became of events, and starts and cancels runs",
        code=code,
        config=config,
        timeout_s=REQUEST_TIMEOUT_S,
        environment=settings.environment(*_SETTINGS),
        permissions=permissions.api(matcher, settings.queues_path),
        key=permissions.key,
    ).function
