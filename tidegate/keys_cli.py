"""`tidegate keys`: the keys of a deployed stage."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

keys = typer.Typer(name="keys", help="The keys of a deployed stage.", no_args_is_help=True)


class KeyKind(StrEnum):
    """What a key is for."""

    EVENT = "event"
    SIGNING = "signing"


@keys.command()
def create(
    stage: Annotated[str, typer.Option(help="The stage, as it was deployed with -c stage=…")],
    kind: Annotated[
        KeyKind, typer.Option(help="event: to send events; signing: to look them up.")
    ] = KeyKind.EVENT,
    env: Annotated[str, typer.Option(help="The environment that it belongs to.")] = "production",
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    branch: Annotated[
        bool, typer.Option("--branch", help="It also opens what x-inngest-env names.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="An event name, or a wildcard, that it may send; repeat it for more."),
    ] = None,
) -> None:
    """Create a key and print it; it is stored as a hash and cannot be shown again."""
    from tidegate.aws import AWS_ERRORS
    from tidegate.clock import SystemClock
    from tidegate.errors import TidegateError
    from tidegate.key import StoredKeys

    # The CDK goes by AWS_REGION, boto3 by AWS_DEFAULT_REGION; keys belong where the stage is.
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
    try:
        stored = StoredKeys(_stack_output(stage, "KeysTable"), SystemClock())
        secret = stored.create(kind.value, env, name=name, branch=branch, event_names=only or ())
    except (TidegateError, *AWS_ERRORS) as error:
        print(f"tidegate: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(secret)


def _stack_output(stage: str, key: str) -> str:
    """An output of a stage's stack.

    Raises:
        ConfigurationError: there is no such stack in this account and region.
    """
    import boto3
    from botocore.exceptions import ClientError

    from tidegate.errors import ConfigurationError

    cloudformation = boto3.client("cloudformation")
    try:
        [stack] = cloudformation.describe_stacks(StackName=f"Tidegate-{stage}")["Stacks"]
    except ClientError as error:
        raise ConfigurationError(
            f"the stage {stage!r} is not deployed in {cloudformation.meta.region_name} "
            f"of this account: {error}"
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if key not in outputs:
        raise ConfigurationError(f"the stack Tidegate-{stage} has no output {key!r}; deploy again")
    return str(outputs[key])
