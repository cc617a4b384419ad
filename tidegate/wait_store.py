"""The wait store: a DynamoDB table of what runs wait for, asked for each event's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.step import Op, StepId
from tidegate.wait import Condition, Wait, WaitKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

_DAY_S = 86_400


@dataclass(frozen=True)
class WaitStore:
    """The waits table.

    Attributes:
        table: the table's name.
    """

    table: str

    def put(self, wait: Wait) -> None:
        """Store a wait; from then on events are checked against it. Storing again is harmless.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            client("dynamodb").put_item(TableName=self.table, Item=wait_item(wait))
        except AWS_ERRORS as error:
            raise unavailable("a wait could not be stored", error) from error

    def delete(self, key: WaitKey) -> None:
        """Forget a wait, if it is there.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            client("dynamodb").delete_item(TableName=self.table, Key=_key(key))
        except AWS_ERRORS as error:
            raise unavailable("a wait could not be deleted", error) from error

    def get(self, key: WaitKey) -> Wait | None:
        """The wait with that key, if it is there.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key=_key(key), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the waits could not be read", error) from error
        return _wait_of(found["Item"]) if "Item" in found else None

    def is_awaited(self, env: str, event_name: str) -> bool:
        """Whether any run may wait for events of a name.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        return bool(self._query(env, event_name, Limit=1, ProjectionExpression="pk")["Items"])

    def waiting_for(self, env: str, event_name: str) -> Iterator[list[Wait]]:
        """The waits for events of a name, those that are past their time included, in pages.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        start: dict[str, Any] = {}
        while True:
            page = self._query(env, event_name, **start)
            yield [_wait_of(item) for item in page["Items"]]
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _query(self, env: str, event_name: str, **options: Any) -> Any:
        try:
            return client("dynamodb").query(
                TableName=self.table,
                KeyConditionExpression="pk = :name",
                ExpressionAttributeValues={":name": {"S": _of_event(env, event_name)}},
                ConsistentRead=True,
                **options,
            )
        except AWS_ERRORS as error:
            raise unavailable("the waits could not be read", error) from error


def _of_event(env: str, event_name: str) -> str:
    return f"event#{quote(env, safe='/')}#{event_name}"


def _key(key: WaitKey) -> dict[str, Value]:
    # Those who wait for a run's end stand apart, or an event's name could be made to meet them.
    partition = (
        _of_event(key.env, key.event_name)
        if key.event_name
        else f"run#{quote(key.env, safe='/')}#{key.run_id}"
    )
    return {"pk": {"S": partition}, "sk": {"S": f"{key.run_id}#{key.step_hash}"}}


def wait_item(wait: Wait) -> dict[str, Value]:
    """The item that a wait is stored as."""
    return {
        **_key(wait.key),
        "env": {"S": wait.env},
        "event_name": {"S": wait.event_name},
        "run_id": {"S": wait.run_id},
        "function_id": {"S": wait.function_id},
        "step_name": {"S": wait.step.name},
        "step_index": {"N": str(wait.step.index)},
        "op": {"S": wait.op},
        "since_ms": {"N": str(wait.since_ms)},
        "due_ms": {"N": str(wait.due_ms)},
        "message": {"S": wait.message},
        "event_id": {"S": wait.event_id},
        "condition": {"S": wait.condition.encode()},
        "stored_ms": {"N": str(wait.stored_ms)},
        "cancels": {"BOOL": wait.cancels},
        # For cleaning up alone: when a wait is over is told by `due_ms`.
        "expires_at": {"N": str(wait.due_ms // 1000 + _DAY_S)},
    }


def _wait_of(item: Mapping[str, Any]) -> Wait:
    return Wait(
        env=item["env"]["S"],
        run_id=item["run_id"]["S"],
        function_id=item["function_id"]["S"],
        step=StepId(item["step_name"]["S"], int(item["step_index"]["N"])),
        op=Op(item["op"]["S"]),
        since_ms=int(item["since_ms"]["N"]),
        due_ms=int(item["due_ms"]["N"]),
        message=item["message"]["S"],
        event_id=item["event_id"]["S"],
        event_name=item["event_name"]["S"],
        condition=Condition.decode(item["condition"]["S"]),
        stored_ms=int(item["stored_ms"]["N"]),
        cancels=item["cancels"]["BOOL"],
    )
