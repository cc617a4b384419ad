"""What an app deploys: one construct, with all that functions need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Annotations, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from tidegate.errors import ConfigurationError
from tidegate_cdk import placement as stacks
from tidegate_cdk.config import Config, stage_of
from tidegate_cdk.context import Context
from tidegate_cdk.function_options import FunctionOptions
from tidegate_cdk.stage import Stage


def chosen_stage(app: Construct) -> str:
    """The stage that `cdk deploy -c stage=…` names, `dev` without it.

    Raises:
        ConfigurationError: a stage cannot be called so.
    """
    return stage_of(Context(app.node.try_get_context))


class EventPlatform(Stage):
    """A stage of Tidegate: its HTTP API, tables and bucket, and for each function queue and Lambda.

    A stack has one of them at most. Call the stack `Tidegate-<stage>`, and `tidegate keys` finds it
    by the stage. A key of the CDK's context that has the name of a parameter wins over it, so that
    `cdk deploy -c stage=production -c retention_days=90` says what is to be different this once.
    docs/deploying.md has more about each.

    Args:
        scope: the stack.
        construct_id: what it is called there. CloudFormation's names for its resources begin with
            it, so do not change it once it is deployed; `Default` adds nothing to them.
        functions: the modules that register functions, one name, several with commas, or a list.
            Of a package every module below it is loaded; its top-level package becomes the
            Lambdas' code.
        stage: which copy of the system this is; copies share nothing. `production` keeps its data
            when the stack is deleted, and protects the stack. Letters, digits and `-`, at most 40.
        function_timeout: how long one invocation of a function may take, 1 to 900 seconds.
        retention_days: how long events and runs are kept, 2 to 3650 days.
        max_request_bytes: the largest body of a request, 1024 to 5242880 bytes.
        requests_per_second: how many requests the HTTP API lets through, 1 to 10000.
        encryption: `aws` (keys of AWS), `stack` (a KMS key in the stack), or a KMS key's ARN, of
            one in the same app, too (`key.key_arn`).
        log_level: what the Lambdas log: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        log_sample_rate: the share of invocations, 0 to 1, that are logged at DEBUG.
        metrics: whether the Lambdas count what happens for CloudWatch, `on` or `off`.
        alarms: `queues` (of the stage and of queues), `all` (of each Lambda, too), or `none`.
        alarms_to: an SNS topic's ARN, of one in the same app, too (`topic.topic_arn`), or an
            e-mail address that alarms notify, or `none`.
        dashboard: whether CloudWatch has a dashboard: `production` (there only), `yes` or `no`.
        tracing: whether X-Ray traces the Lambdas, `on` or `off`.
        placement: the file that says in which stack each function is; it is written where
            functions are new, and belongs into the repository. A function that is in it and gone
            from the code keeps its queue, and its runs that wait are ended.
        requirements: the file that lists what the functions import besides Tidegate; a
            requirements file, or a pyproject.toml. The default need not be there.
        environment: environment variables of the functions' Lambdas, by name. They are shown to
            whoever may look at a Lambda's configuration: of a secret give the ARN.
        policies: managed policies that the functions' roles have besides, at most 10.

    Raises:
        ConfigurationError: a value cannot work, or a function is not right; one line.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        functions: str | Sequence[str],
        stage: str = Config.stage,
        function_timeout: int = Config.function_timeout,
        retention_days: int = Config.retention_days,
        max_request_bytes: int = Config.max_request_bytes,
        requests_per_second: int = Config.requests_per_second,
        encryption: str = Config.encryption,
        log_level: str = Config.log_level,
        log_sample_rate: float = Config.log_sample_rate,
        metrics: str = Config.metrics,
        alarms: str = Config.alarms,
        alarms_to: str = Config.alarms_to,
        dashboard: str = Config.dashboard,
        tracing: str = Config.tracing,
        placement: str = Config.placement,
        requirements: str = Config.requirements,
        environment: Mapping[str, str] | None = None,
        policies: Sequence[iam.IManagedPolicy] = (),
    ) -> None:
        options = FunctionOptions(environment or {}, policies)
        parameters = {
            "functions": functions,
            "stage": stage,
            "function_timeout": function_timeout,
            "retention_days": retention_days,
            "max_request_bytes": max_request_bytes,
            "requests_per_second": requests_per_second,
            "encryption": encryption,
            "log_level": log_level,
            "log_sample_rate": log_sample_rate,
            "metrics": metrics,
            "alarms": alarms,
            "alarms_to": alarms_to,
            "dashboard": dashboard,
            "tracing": tracing,
            "placement": placement,
            "requirements": requirements,
        }
        stack = Stack.of(scope)
        if any(isinstance(one, EventPlatform) for one in stack.node.find_all()):
            raise ConfigurationError(f"the stack {stack.stack_name} has an EventPlatform already")
        config = Config.read(Context(scope.node.try_get_context, parameters))
        manifest = config.manifest()
        placed = stacks.update(Path(config.placement), manifest)
        manifest = manifest.keeping(placed, timeout_s=config.function_timeout)
        super().__init__(
            scope, construct_id, config=config, manifest=manifest, placed=placed, options=options
        )
        for function in manifest.removed:
            Annotations.of(self).add_info(
                f"function {function.id} was removed. Its queue stays, so that its runs that wait "
                f"are ended. `tidegate runs cancel --function {function.id}` ends them now; when "
                f"none is left, delete its line from {config.placement}"
            )
