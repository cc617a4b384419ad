"""`tidegate keys`: the keys of a deployed stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tidegate.key import StoredKeys

keys = typer.Typer(name="keys", help="The keys of a deployed stage.", no_args_is_help=True)
envs = typer.Typer(
    name="envs", help="The environments that branch keys have opened.", no_args_is_help=True
)

_KEY_COLUMNS = [
    "id",
    "kind",
    "environment",
    "branch",
    "name",
    "only",
    "created_at",
    "last_used",
    "revoked_at",
]

Stage = Annotated[
    str, typer.Option(help="The stage, or the name of its stack if that is not Tidegate-<stage>.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `tidegate keys list` shows it.")]
EnvName = Annotated[str, typer.Argument(metavar="NAME", help="The environment.")]


class KeyKind(StrEnum):
    """What a key is for."""

    EVENT = "event"
    SIGNING = "signing"


@keys.command()
def create(
    stage: Stage,
    kind: Annotated[
        KeyKind, typer.Option(help="event: to send events; signing: to look them up.")
    ] = KeyKind.EVENT,
    env: Annotated[
        str | None,
        typer.Option(help="The environment that it belongs to: production, or as you name it."),
    ] = None,
    name: Annotated[str, typer.Option(help="What you call it.")] = "",
    branch: Annotated[
        bool,
        typer.Option("--branch", help="It also opens branch environments, by x-inngest-env."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="An event name, or a wildcard, that it may send; repeat it for more."),
    ] = None,
) -> None:
    """Create a key and print it; it is stored as a hash and cannot be shown again."""
    from tidegate.clock import SystemClock
    from tidegate.environments import Environments
    from tidegate.errors import ConfigurationError
    from tidegate.key import StoredKeys

    with _one_line_errors():
        if branch and env is None:
            raise ConfigurationError(
                "--branch: name an environment with --env, for what is sent without x-inngest-env"
            )
        env = env or "production"
        table = _keys_table(stage)
        found = Environments(table, SystemClock()).find(env)
        secret = StoredKeys(table, SystemClock()).create(
            kind.value, env, name=name, branch=branch, event_names=only or ()
        )
    print(secret)
    if found is not None and not found.is_claimed:
        print(f"branch keys have opened {env} before, and still open it", file=sys.stderr)


@keys.command("list")
def list_keys(stage: Stage, as_json: AsJson = False) -> None:
    """List the keys, revoked ones included. No secret is stored, so none is shown."""
    from tidegate.key_records import KeyRecords
    from tidegate.rest_call import rfc3339

    with _one_line_errors():
        records = KeyRecords(_stored(stage)).all()
    shown = [
        {
            "id": one.id,
            "kind": one.kind,
            "environment": one.env,
            "branch": one.branch,
            "name": one.name,
            "only": list(one.event_names),
            "created_at": rfc3339(one.created_ms),
            "last_used": one.last_used_day,
            "revoked_at": None if one.revoked_ms is None else rfc3339(one.revoked_ms),
            "replaces": one.replaces or None,
        }
        for one in records
    ]
    _show(
        shown,
        as_json=as_json,
        empty="no keys yet: tidegate keys create --stage …",
        columns=_KEY_COLUMNS,
    )


@keys.command()
def revoke(stage: Stage, key_id: KeyId) -> None:
    """Revoke a key: within a minute it opens nothing."""
    from tidegate.key_records import KeyRecords

    with _one_line_errors():
        record = KeyRecords(_stored(stage)).revoke(key_id)
    print(f"revoked {record.id} ({record.kind} key of {record.env}); it works for up to 60 s")


@keys.command()
def rotate(stage: Stage, key_id: KeyId) -> None:
    """Create a key like another one and print it. The old one is valid until it is revoked."""
    from tidegate.key_records import KeyRecords

    with _one_line_errors():
        records = KeyRecords(_stored(stage))
        old = records.find(key_id)
        secret = records.rotate(key_id)
    print(secret)
    print(
        f"when everything uses the new key: tidegate keys revoke --stage {stage} {old.id}",
        file=sys.stderr,
    )


@envs.command("list")
def list_environments(stage: Stage, as_json: AsJson = False) -> None:
    """List the environments that branch keys have opened."""
    from tidegate.clock import SystemClock
    from tidegate.environments import Environments
    from tidegate.rest_call import rfc3339

    with _one_line_errors():
        found = Environments(_keys_table(stage), SystemClock()).all()
    shown = [
        {
            "name": one.name,
            "created_at": rfc3339(one.created_ms),
            "archived_at": None if one.archived_ms is None else rfc3339(one.archived_ms),
        }
        for one in found
    ]
    _show(
        shown,
        as_json=as_json,
        empty="no environment yet: the first event with x-inngest-env and a branch key makes one",
        columns=("name", "created_at", "archived_at"),
    )


@envs.command()
def archive(stage: Stage, name: EnvName) -> None:
    """Let an environment take no more events. Its runs go on, and it can still be looked at."""
    from tidegate.clock import SystemClock
    from tidegate.environments import Environments

    with _one_line_errors():
        Environments(_keys_table(stage), SystemClock()).archive(name)
    print(f"archived {name}; it takes events for up to 60 s")


@envs.command()
def unarchive(stage: Stage, name: EnvName) -> None:
    """Let an environment take events again."""
    from tidegate.clock import SystemClock
    from tidegate.environments import Environments

    with _one_line_errors():
        Environments(_keys_table(stage), SystemClock()).unarchive(name)
    print(f"{name} takes events again")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """End with one line on stderr instead of a traceback."""
    from tidegate.aws import AWS_ERRORS
    from tidegate.errors import TidegateError

    # The CDK goes by AWS_REGION, boto3 by AWS_DEFAULT_REGION; keys belong where the stage is.
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
    try:
        yield
    except (TidegateError, *AWS_ERRORS) as error:
        print(f"tidegate: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _stored(stage: str) -> StoredKeys:
    """The keys of a stage."""
    from tidegate.clock import SystemClock
    from tidegate.key import StoredKeys

    return StoredKeys(_keys_table(stage), SystemClock())


def _keys_table(stage: str) -> str:
    return _stack_output(stage, "KeysTable")


def _show(
    shown: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str, columns: Sequence[str]
) -> None:
    """Print rows as a table, or all of them as JSON."""
    from tidegate.commands.output import Output

    out = Output(as_json)
    if as_json:
        out.json(shown)
    elif shown:
        rows = out.rows(*(column.replace("_", " ").upper() for column in columns))
        rows.print([[_cell(one[column]) for column in columns] for one in shown])
    else:
        out.note(empty)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(value) if isinstance(value, list) else str(value or "")


def _stack_output(stage: str, key: str) -> str:
    """An output of a stage's stack.

    Raises:
        ConfigurationError: there is no such stack in this account and region.
        ClientError: CloudFormation may not be asked.
    """
    import boto3
    from botocore.exceptions import ClientError

    from tidegate.aws import error_code
    from tidegate.errors import ConfigurationError

    cloudformation = boto3.client("cloudformation")
    names = (f"Tidegate-{stage}", stage)
    for name in names:
        try:
            [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            # That of a stack that is not there, or of no possible name; credentials have others.
            if error_code(error) != "ValidationError":
                raise
            continue
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
        if key not in outputs:
            raise ConfigurationError(f"the stack {name} has no output {key!r}; deploy again")
        return str(outputs[key])
    raise ConfigurationError(
        f"the stage {stage!r} is not deployed in {cloudformation.meta.region_name} of this "
        f"account: there is no stack {' or '.join(names)}"
    )
