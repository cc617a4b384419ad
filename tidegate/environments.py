"""Environments: those of branch keys are recorded at their first event, and can be archived.

They are in the table of keys. An environment that a key was created for is recorded with it, so
that branch keys do not open it; it is closed by revoking the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.clock import Clock
from tidegate.errors import NotFoundError

KIND = "environment"
MAX_ENV_LENGTH = 128
_CLAIMED = "claimed_environment"
# The role of the ingest Lambda may write under this prefix only, and so makes no keys.
PREFIX = "environment#"


@dataclass(frozen=True)
class Environment:
    """An environment that branch keys open, or that a key was created for.

    Attributes:
        name: its name.
        created_ms: when its first event came, or its first key was created, UTC ms.
        archived_ms: since when it takes no events, if it is archived.
        is_claimed: whether a key was created for it, so that branch keys do not open it.
    """

    name: str
    created_ms: int
    archived_ms: int | None = None
    is_claimed: bool = False


@dataclass(frozen=True)
class Environments:
    """The environments of a stage.

    Attributes:
        table: the table of keys.
        clock: the time.
    """

    table: str
    clock: Clock

    def open(self, name: str) -> Environment:
        """An environment, recorded now if it is new, as one of branch keys.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        return self._recorded(name, KIND)

    def claim(self, name: str) -> Environment:
        """An environment that a key is created for, recorded now if it is new, as that key's.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        return self._recorded(name, _CLAIMED)

    def find(self, name: str) -> Environment | None:
        """An environment, if it is recorded.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key={"pk": {"S": PREFIX + name}}, ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the environment could not be read", error) from error
        return _environment_of(found["Item"]) if "Item" in found else None

    def all(self) -> list[Environment]:
        """All environments that branch keys have opened, by name.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        found = [_environment_of(item) for item in items_of_kind(self.table, KIND)]
        return sorted(found, key=lambda one: one.name)

    def archive(self, name: str) -> Environment:
        """Let an environment take no more events; within 60 s it takes none anywhere.

        Raises:
            NotFoundError: there is no such environment.
            PlatformError: DynamoDB did not answer.
        """
        now = {":now": {"N": str(self.clock.now_ms())}}
        return self._update(name, "SET archived_ms = if_not_exists(archived_ms, :now)", now)

    def unarchive(self, name: str) -> Environment:
        """Let an environment take events again.

        Raises:
            NotFoundError: there is no such environment.
            PlatformError: DynamoDB did not answer.
        """
        return self._update(name, "REMOVE archived_ms", {})

    def _recorded(self, name: str, kind: str) -> Environment:
        found = self.find(name)
        if found is not None:
            return found
        item = {
            "pk": {"S": PREFIX + name},
            "kind": {"S": kind},
            "name": {"S": name},
            "created_ms": {"N": str(self.clock.now_ms())},
        }
        try:
            client("dynamodb").put_item(
                TableName=self.table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and _is_there(error):
                return self.find(name) or _environment_of(item)
            raise unavailable("the environment could not be recorded", error) from error
        return _environment_of(item)

    def _update(self, name: str, expression: str, values: Mapping[str, Any]) -> Environment:
        # DynamoDB takes no key of any length.
        if len(name) > MAX_ENV_LENGTH:
            raise _none_of(name)
        try:
            answer: Any = client("dynamodb").update_item(
                TableName=self.table,
                Key={"pk": {"S": PREFIX + name}},
                UpdateExpression=expression,
                ConditionExpression="kind = :kind",
                ExpressionAttributeValues={":kind": {"S": KIND}, **values},
                ReturnValues="ALL_NEW",
            )
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and _is_there(error):
                raise _none_of(name) from None
            raise unavailable("the environment could not be changed", error) from error
        return _environment_of(answer["Attributes"])


def items_of_kind(table: str, *kinds: str) -> Iterator[dict[str, Any]]:
    """The items of some kinds in the table of keys, which is small.

    Raises:
        PlatformError: DynamoDB did not answer.
    """
    names = {f":kind{number}": {"S": kind} for number, kind in enumerate(kinds)}
    scan = (
        client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            FilterExpression=f"kind IN ({', '.join(names)})",
            ExpressionAttributeValues=names,
            ConsistentRead=True,
        )
    )
    try:
        for page in scan:
            yield from page["Items"]
    except AWS_ERRORS as error:
        raise unavailable("the keys could not be read", error) from error


def _none_of(name: str) -> NotFoundError:
    return NotFoundError(
        f"no branch key has opened an environment {name!r}; one that a key was created for is "
        "closed by revoking the key"
    )


def _is_there(error: ClientError) -> bool:
    return error_code(error) == "ConditionalCheckFailedException"


def _environment_of(item: Mapping[str, Any]) -> Environment:
    archived = item.get("archived_ms")
    return Environment(
        item["name"]["S"],
        int(item["created_ms"]["N"]),
        int(archived["N"]) if archived else None,
        item["kind"]["S"] == _CLAIMED,
    )
