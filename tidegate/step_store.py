"""The step store: a DynamoDB table in which a step's first output wins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate.attempt import decode_attempts, encode_attempts
from tidegate.aws import AWS_ERRORS, client, concurrently, error_code, unavailable
from tidegate.batch_put import put_items
from tidegate.clock import Clock
from tidegate.large import folder_for, is_large, payload_key
from tidegate.manifest import OUTPUTS
from tidegate.payload import PayloadStore
from tidegate.run import Run
from tidegate.step import Op, StepId, StepRecord, StepState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

_SAFETY_MS = 2 * 86_400_000


@dataclass(frozen=True)
class StepStore:
    """The steps table, and the bucket for large outputs.

    Attributes:
        table: the table's name.
        payloads: where large outputs are.
        retention_s: how long a step is kept after it was recorded, in seconds.
        clock: for pauses between tries.
    """

    table: str
    payloads: PayloadStore
    retention_s: int
    clock: Clock

    def load(self, run: Run) -> dict[str, StepRecord]:
        """Every step of a run, by its hashed id.

        Raises:
            PlatformError: DynamoDB or S3 did not answer.
        """
        return {key: self.with_memo(record) for key, record in self.heads(run).items()}

    def heads(self, run: Run) -> dict[str, StepRecord]:
        """Every step of a run, by its hashed id; large memos stay in the bucket.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        found: dict[str, StepRecord] = {}
        start: Mapping[str, Value] | None = None
        while True:
            query: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
            try:
                page = client("dynamodb").query(
                    TableName=self.table,
                    KeyConditionExpression="pk = :run",
                    ExpressionAttributeValues={":run": {"S": _partition(run)}},
                    ConsistentRead=True,
                    **query,
                )
            except AWS_ERRORS as error:
                raise unavailable("the steps could not be read", error) from error
            for item in page["Items"]:
                found[item["sk"]["S"]] = _record_of(item)
            start = page.get("LastEvaluatedKey")
            if not start:
                return found

    def put(self, run: Run, record: StepRecord) -> StepRecord:
        """Record a step unless it is done already: the first output wins.

        Returns:
            The step as it now stands: this record, or the one that was first.

        Raises:
            PlatformError: DynamoDB or S3 did not answer.
        """
        kept_from_ms = max(record.started_ms, record.due_ms or 0, record.ended_ms or 0)
        record = replace(record, kept_ms=(kept_from_ms // 1000 + self.retention_s) * 1000)
        if record.memo is not None and is_large(record.memo):
            record = self._with_object(run, record, kept_from_ms)
        try:
            client("dynamodb").put_item(
                TableName=self.table,
                Item=self._item(run, record),
                ConditionExpression="attribute_not_exists(pk) OR #state = :waiting",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":waiting": {"S": StepState.WAITING}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the step could not be recorded", error) from error
            first: Any = error.response["Item"]  # type: ignore[typeddict-item]
            return self.with_memo(_record_of(first))
        except AWS_ERRORS as error:
            raise unavailable("the step could not be recorded", error) from error
        return record

    def keep(self, run: Run, records: list[StepRecord], until_ms: int) -> None:
        """See to it that a run's steps are kept until it goes on.

        A run may sleep for longer than its steps are kept otherwise; without them it would do them
        again. Costs a write for each step that would expire before, a second one for each large
        output of those, and nothing else.

        Args:
            run: the run.
            records: its steps.
            until_ms: when it goes on, UTC ms.

        Raises:
            PlatformError: DynamoDB or S3 did not take it.
        """
        kept_ms = until_ms + self.retention_s * 1000
        # Of sleeps that are over nothing is recorded but when they were due, and nobody else writes
        # them; what else still waits may be completed from outside at this moment.
        settled = [r for r in records if r.is_done or r.op == Op.SLEEP]
        soon = [r for r in settled if r.kept_ms < until_ms + _SAFETY_MS]
        large = [record for record in soon if record.memo_key]
        longer = concurrently(lambda record: self._with_object(run, record, until_ms), large)
        kept = [*(record for record in soon if not record.memo_key), *longer]
        items = [self._item(run, replace(record, kept_ms=kept_ms)) for record in kept]
        put_items(self.table, items, self.clock, "the steps could not be kept")

    def copy(self, records: Sequence[StepRecord], run: Run, begins_ms: int) -> None:
        """Give a run that has not begun steps of another one; doing it again is harmless.

        Args:
            records: as they are recorded; their large memos are copied, since those of the other
                run are deleted with it.
            run: the run that gets them.
            begins_ms: when it begins, UTC ms.

        Raises:
            DeadLetterError: a large memo is gone.
            PlatformError: they could not all be stored.
        """
        kept_ms = (begins_ms // 1000 + self.retention_s) * 1000

        def copied(record: StepRecord) -> StepRecord:
            return self._with_object(run, self.with_memo(record), begins_ms)

        copies = concurrently(copied, [record for record in records if record.memo_key])
        own = [*(record for record in records if not record.memo_key), *copies]
        items = [self._item(run, replace(record, kept_ms=kept_ms)) for record in own]
        put_items(self.table, items, self.clock, "the steps could not be copied")

    def with_memo(self, record: StepRecord) -> StepRecord:
        """A step with its memo, fetched from the bucket if it lies there.

        Raises:
            DeadLetterError: it is gone.
            PlatformError: S3 did not answer.
        """
        if record.memo_key is None:
            return record
        return replace(record, memo=self.payloads.get(record.memo_key))

    def _with_object(self, run: Run, record: StepRecord, until_ms: int) -> StepRecord:
        """A step whose large memo has been written into the bucket.

        Args:
            run: the run.
            record: the step, with its memo.
            until_ms: when the memo may be needed, UTC ms; from then on it is kept as all else.

        Raises:
            PlatformError: S3 did not take it.
        """
        memo = record.memo or ""
        # Its name says what is in it: whoever comes second with another one overwrites nothing.
        digest = hashlib.sha256(memo.encode()).hexdigest()[:16]
        folder = folder_for(OUTPUTS, until_ms - self.clock.now_ms())
        key = payload_key(folder, run.env, f"{run.id}-{record.step.hashed}-{digest}")
        self.payloads.put(key, memo)
        return replace(record, memo_key=key)

    def _item(self, run: Run, record: StepRecord) -> dict[str, Value]:
        item: dict[str, Value] = {
            "pk": {"S": _partition(run)},
            "sk": {"S": record.step.hashed},
            "name": {"S": record.step.name},
            "index": {"N": str(record.step.index)},
            "op": {"S": record.op},
            "state": {"S": record.state},
            "attempt": {"N": str(record.attempt)},
            "started_ms": {"N": str(record.started_ms)},
            "expires_at": {"N": str(record.kept_ms // 1000)},
        }
        for name, number in (("ended_ms", record.ended_ms), ("due_ms", record.due_ms)):
            if number is not None:
                item[name] = {"N": str(number)}
        if record.event_name:
            item["event_name"] = {"S": record.event_name}
        if record.attempts:
            item["attempts"] = {"S": encode_attempts(record.attempts)}
        if record.memo_key is not None:
            item["memo_key"] = {"S": record.memo_key}
        elif record.memo is not None:
            item["memo"] = {"S": record.memo}
        return item


def _partition(run: Run) -> str:
    return f"{quote(run.env, safe='/')}#{run.id}"


def _record_of(item: Mapping[str, Any]) -> StepRecord:
    def number(name: str) -> int | None:
        return int(item[name]["N"]) if name in item else None

    return StepRecord(
        step=StepId(item["name"]["S"], int(item["index"]["N"])),
        op=Op(item["op"]["S"]),
        state=StepState(item["state"]["S"]),
        started_ms=int(item["started_ms"]["N"]),
        ended_ms=number("ended_ms"),
        attempt=int(item["attempt"]["N"]),
        due_ms=number("due_ms"),
        memo=item["memo"]["S"] if "memo" in item else None,
        memo_key=item["memo_key"]["S"] if "memo_key" in item else None,
        event_name=item["event_name"]["S"] if "event_name" in item else "",
        kept_ms=int(item["expires_at"]["N"]) * 1000,
        attempts=decode_attempts(item["attempts"]["S"]) if "attempts" in item else (),
    )
