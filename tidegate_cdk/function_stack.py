"""A nested stack with functions, for a stage with more of them than one stack holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_cdk import NestedStack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from tidegate.manifest import FunctionManifest, Manifest
from tidegate.settings import Settings
from tidegate_cdk.alarms import Alarms
from tidegate_cdk.config import Config
from tidegate_cdk.dead_letters import DeadLetterAccess, QueuePair, write_queue_names
from tidegate_cdk.function_options import FunctionOptions
from tidegate_cdk.function_worker import FunctionWorker
from tidegate_cdk.lambda_code import lambda_code
from tidegate_cdk.permissions import Permissions
from tidegate_cdk.schedules import Schedules


def add_functions(
    scope: Construct,
    functions: Sequence[FunctionManifest],
    *,
    manifest: Manifest,
    config: Config,
    settings: Settings,
    permissions: Permissions,
    alarms: Alarms,
    matcher: sqs.Queue,
    access: DeadLetterAccess,
    options: FunctionOptions,
) -> list[QueuePair]:
    """Make workers for the functions of a stack, and give their queues.

    Args:
        scope: the stage, or a stack that is nested in its own.
        functions: those that belong there.
        manifest: all functions of the stage.
        config: the choices for the stage.
        settings: where the stage's resources are.
        permissions: what the workers' roles may do.
        alarms: makes those on them and their queues.
        matcher: the queue where workers ask for looks at past events.
        access: who reaches dead letters.
        options: what the app gives its functions.
    """
    code = lambda_code(manifest, config)
    alarms = alarms.beside(scope)
    return [
        FunctionWorker(
            scope,
            f"Function-{function.id}",
            function=function,
            config=config,
            code=code,
            settings=settings,
            permissions=permissions,
            alarms=alarms,
            matcher=matcher,
            access=access,
            options=options,
        ).pair
        for function in functions
    ]


class FunctionStack(NestedStack):
    """Functions with a role of their own for their schedules: a role names all queues it serves.

    Args: as of `add_functions`; `number` is its own, as the placement has it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        functions: Sequence[FunctionManifest],
        *,
        number: int,
        manifest: Manifest,
        config: Config,
        settings: Settings,
        permissions: Permissions,
        alarms: Alarms,
        matcher: sqs.Queue,
        access: DeadLetterAccess,
        options: FunctionOptions,
    ) -> None:
        super().__init__(scope, construct_id, description=f"{len(functions)} functions")
        schedules = Schedules(
            self,
            "Schedules",
            key=permissions.key,
            group_name=permissions.schedules.group_name,
        )
        pairs = add_functions(
            self,
            functions,
            manifest=manifest,
            config=config,
            settings=replace(settings, schedule_role_arn=schedules.role.role_arn),
            permissions=replace(permissions, schedules=schedules),
            alarms=alarms,
            matcher=matcher,
            access=access,
            options=options,
        )
        write_queue_names(self, settings.queues_path, number, pairs)


class TopicStack(NestedStack):
    """The topics besides the first one, so that each is no resource of the stage's own stack.

    Attributes:
        topics: of the shards from 1 on.

    Args:
        shards: how many there are, with the first one.
        key: what they are encrypted with, if with a customer's key.
        tracing: whether they tell X-Ray what they deliver.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shards: int,
        key: kms.IKey | None,
        tracing: sns.TracingConfig | None,
    ) -> None:
        super().__init__(scope, construct_id, description="Topics")
        self.topics = [
            sns.Topic(
                self, f"Events{shard}", enforce_ssl=True, master_key=key, tracing_config=tracing
            )
            for shard in range(1, shards)
        ]
