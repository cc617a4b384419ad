"""A Lambda that runs one of the handlers: its role, its log group, its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from tidegate.manifest import HANDLERS
from tidegate.settings import Settings
from tidegate_cdk.config import Config
from tidegate_cdk.lambda_code import RUNTIME
from tidegate_cdk.permissions import trace, write_logs
from tidegate_cdk.storage import removal_policy

MEMORY_MB = 512
LOG_RETENTION = logs.RetentionDays.ONE_MONTH
# Below the 30 s that an HTTP API waits, so that a slow request ends with an answer of ours.
REQUEST_TIMEOUT_S = 25
LOG_LEVEL = "TIDEGATE_LOG_LEVEL"
SAMPLE_RATE = "POWERTOOLS_LOGGER_SAMPLE_RATE"


class HandlerLambda(Construct):
    """A Lambda on arm64 whose role has the given statements, and its own logs to write.

    Attributes:
        function: the Lambda.

    Args:
        handler: which of the manifest's handlers it runs.
        description: what the console shows.
        code: the asset that all Lambdas of the stack share.
        config: the choices for the stage.
        timeout_s: how long one invocation may take, in seconds.
        environment: what the handler is told.
        permissions: what its role may do besides logging.
        policies: managed policies that its role has besides.
        key: what its logs and its environment are encrypted with, if with a customer's key.
        recursive_loop: whether Lambda stops it when its own messages come back to it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: str,
        description: str,
        code: lambda_.Code,
        config: Config,
        timeout_s: int,
        environment: Mapping[str, str],
        permissions: Sequence[iam.PolicyStatement],
        key: kms.IKey | None,
        policies: Sequence[iam.IManagedPolicy] = (),
        recursive_loop: lambda_.RecursiveLoop = lambda_.RecursiveLoop.TERMINATE,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self,
            "Logs",
            encryption_key=key,
            retention=LOG_RETENTION,
            removal_policy=removal_policy(config),
        )
        # Inline, so that the role can do all it must before anything that needs the role exists.
        traced = config.tracing == "on"
        may = [*permissions, write_logs(log_group), *([trace()] if traced else ())]
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"Handler": iam.PolicyDocument(statements=may)},
            managed_policies=[*policies] or None,
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            architecture=lambda_.Architecture.ARM_64,
            runtime=RUNTIME,
            handler=f"{HANDLERS[handler]}.handler",
            code=code,
            memory_size=MEMORY_MB,
            timeout=Duration.seconds(timeout_s),
            environment={**environment, **_watched(config)},
            # Nothing is ever added to it but the permissions above.
            role=role.without_policy_updates(),
            log_group=log_group,
            environment_encryption=key,
            tracing=lambda_.Tracing.ACTIVE if traced else None,
            recursive_loop=recursive_loop,
        )


def _watched(config: Config) -> dict[str, str]:
    """What every Lambda is told of logs, metrics and traces."""
    settings = Settings(stage=config.stage, metrics=config.metrics)
    sampled = {SAMPLE_RATE: str(config.log_sample_rate)} if config.log_sample_rate else {}
    return {LOG_LEVEL: config.log_level, **sampled, **settings.environment("stage", "metrics")}
