"""The run store: a DynamoDB table whose conditions keep a run single, leased and ended once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.attempt import encode_attempts
from tidegate.aws import AWS_ERRORS, client, concurrently, error_code, unavailable
from tidegate.batch import chunks, until_empty
from tidegate.clock import Clock
from tidegate.encoding import encode
from tidegate.large import is_large, payload_key
from tidegate.manifest import RUNS
from tidegate.partition import item_key
from tidegate.payload import PayloadStore
from tidegate.run import Failure, Run, Status
from tidegate.run_item import item_of, run_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_MAX_BATCH_GET = 100
_NAMES = {"#status": "status", "#output": "output"}
_MINE = "lease = :mine AND #status = :running"
_NOT_CANCELLED = " AND attribute_not_exists(cancel_reason)"


@dataclass(frozen=True)
class RunStore:
    """The runs table, and the bucket for large outputs.

    Attributes:
        table: the table's name.
        payloads: where large outputs are.
        clock: for pauses between tries.
        retention_s: how long a run is kept after it was recorded, in seconds.
    """

    table: str
    payloads: PayloadStore
    clock: Clock
    retention_s: int = 30 * 86_400

    def create(self, run: Run) -> Run | None:
        """Record a run unless it is recorded already.

        Returns:
            None if it was recorded now, else the run as it stands.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            client("dynamodb").put_item(
                TableName=self.table,
                Item=item_of(run, self.retention_s),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the run could not be recorded", error) from error
            old = self._old(run, error)
            # With our lease it is our own write, whose answer was lost before it was repeated.
            return None if old.lease and old.lease == run.lease else old
        except AWS_ERRORS as error:
            raise unavailable("the run could not be recorded", error) from error
        return None

    def take(self, old: Run, new: Run) -> bool:
        """Lease a run that nobody drives any more.

        Args:
            old: the run as it was seen.
            new: the same with the attempt and the lease that it gets.

        Returns:
            False when it has changed since: somebody else has it.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        # A run that is cancelled before its first attempt has not started.
        more = ""
        values: dict[str, Value] = {}
        if new.started_ms is not None:
            more, values = ", started_ms = :started", {":started": {"N": str(new.started_ms)}}
        if new.leased_ms is not None:
            more += ", leased_ms = :leased"
            values[":leased"] = {"N": str(new.leased_ms)}
        if new.attempts != old.attempts:
            more += ", attempts = :attempts"
            values[":attempts"] = {"S": encode_attempts(new.attempts)}
        return self._update(
            new,
            "SET #status = :status, attempt = :attempt, counted_ms = :counted, lease = :lease, "
            f"lease_until_ms = :until{more} REMOVE due_ms",
            "#status = :seen_status AND attempt = :seen_attempt AND lease = :seen_lease",
            {
                ":status": {"S": new.status},
                ":attempt": {"N": str(new.attempt)},
                ":counted": {"N": str(new.counted_ms)},
                ":lease": {"S": new.lease},
                ":until": {"N": str(new.lease_until_ms)},
                ":seen_status": {"S": old.status},
                ":seen_attempt": {"N": str(old.attempt)},
                ":seen_lease": {"S": old.lease},
                **values,
            },
            is_mine=lambda found: found.lease == new.lease,
        )

    def release(
        self, run: Run, due_ms: int, *, attempt: int, failure: Failure | None = None
    ) -> bool:
        """Give up the lease; the run goes on when it is due.

        Args:
            run: the run, with the lease held, and since when its attempts are counted.
            due_ms: when, UTC ms.
            attempt: the attempt that is made then.
            failure: why the last one failed, if it did; the run's list of attempts has it, too.

        Returns:
            False when the lease was lost, or the run is to be cancelled; nothing is changed then.
        """
        kept_s = due_ms // 1000 + self.retention_s
        values: dict[str, Value] = {
            ":kept": {"N": str(kept_s)},
            ":attempt": {"N": str(attempt)},
            ":counted": {"N": str(run.counted_ms)},
            ":none": {"S": ""},
            ":zero": {"N": "0"},
            ":due": {"N": str(due_ms)},
            ":backs_off": {"BOOL": failure is not None},
            ":mine": {"S": run.lease},
            ":running": {"S": Status.RUNNING},
        }
        update = (
            "SET attempt = :attempt, counted_ms = :counted, lease = :none, "
            "lease_until_ms = :zero, due_ms = :due, backs_off = :backs_off, expires_at = :kept"
        )
        names: tuple[str, ...] = ("#status",)
        if failure is not None:
            update += ", #output = :output, attempts = :attempts REMOVE output_key"
            values[":output"] = {"S": encode(failure.as_dict())}
            values[":attempts"] = {"S": encode_attempts(run.attempts)}
            names = ("#status", "#output")
        return self._update(
            run,
            update,
            _MINE + _NOT_CANCELLED,
            values,
            names=names,
            is_mine=lambda found: (
                not found.lease and (found.due_ms, found.attempt) == (due_ms, attempt)
            ),
        )

    def end(self, run: Run, ended: Run) -> bool:
        """End a run.

        Args:
            run: the run, with the lease held.
            ended: the same with its final status, output and `ended_ms`.

        Returns:
            False when the lease was lost, or the run is to be cancelled and this is another end;
            nothing is changed then.
        """
        output = ended.output or "null"
        place = "#output = :output"
        value: Value = {"S": output}
        if is_large(output):
            key = payload_key(RUNS, run.env, run.id)
            self.payloads.put(key, output)
            place, value = "output_key = :output", {"S": key}
        removed = "due_ms, #output" if is_large(output) else "due_ms, output_key"
        values: dict[str, Value] = {}
        if ended.attempts:
            place += ", attempts = :attempts"
            values[":attempts"] = {"S": encode_attempts(ended.attempts)}
        return self._update(
            run,
            # It was to be kept for as long as it might have waited.
            "SET #status = :status, ended_ms = :ended, lease_until_ms = :zero, "
            f"expires_at = :kept, {place} REMOVE {removed}",
            _MINE if ended.status == Status.CANCELLED else _MINE + _NOT_CANCELLED,
            {
                ":status": {"S": ended.status},
                ":ended": {"N": str(ended.ended_ms)},
                ":zero": {"N": "0"},
                ":kept": {"N": str((ended.ended_ms or 0) // 1000 + self.retention_s)},
                ":output": value,
                **values,
                ":mine": {"S": run.lease},
                ":running": {"S": Status.RUNNING},
            },
            names=("#status", "#output"),
            is_mine=lambda found: found.lease == run.lease and found.status == ended.status,
        )

    def cancel(self, env: str, run_id: str, reason: str) -> Run | None:
        """Note that a run is to be cancelled, unless it has ended or that is noted already.

        Returns:
            The run as it now stands; None if there is none.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            answer: Any = client("dynamodb").update_item(
                TableName=self.table,
                Key=item_key(env, run_id),
                UpdateExpression="SET cancel_reason = :reason",
                ConditionExpression="#status IN (:scheduled, :running)" + _NOT_CANCELLED,
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":reason": {"S": reason},
                    ":scheduled": {"S": Status.SCHEDULED},
                    ":running": {"S": Status.RUNNING},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the run could not be cancelled", error) from error
            old: Any = error.response.get("Item")
            return self.run_of(env, old) if old else None
        except AWS_ERRORS as error:
            raise unavailable("the run could not be cancelled", error) from error
        return self.run_of(env, answer["Attributes"])

    def get(self, env: str, run_id: str, now_ms: int | None = None) -> Run | None:
        """The run with that id, if there is one.

        Args:
            env: its environment.
            run_id: its id.
            now_ms: UTC ms; when given, a run whose retention has ended is none.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key=item_key(env, run_id), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the runs could not be read", error) from error
        item = found.get("Item")
        return self.run_of(env, item) if item and not _is_over(item, now_ms) else None

    def get_all(self, env: str, run_ids: Sequence[str], now_ms: int | None = None) -> list[Run]:
        """Those of the runs that exist, by id; `now_ms` as for `get`.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        found: list[Run] = []

        def read(keys: list[Any]) -> list[Any]:
            try:
                answer = client("dynamodb").batch_get_item(
                    RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
                )
            except AWS_ERRORS as error:
                raise unavailable("the runs could not be read", error) from error
            items = answer["Responses"][self.table]
            found.extend(self.run_of(env, item) for item in items if not _is_over(item, now_ms))
            left: Any = answer.get("UnprocessedKeys", {})
            return list(left[self.table]["Keys"]) if left else []

        keys = [item_key(env, run_id) for run_id in dict.fromkeys(run_ids)]
        concurrently(
            lambda chunk: until_empty(read, chunk, self.clock, "the runs could not be read"),
            chunks(keys, _MAX_BATCH_GET),
        )
        return sorted(found, key=lambda run: run.id)

    def output_of(self, run: Run) -> str | None:
        """JSON text of a run's output, fetched from the bucket if it lies there."""
        return self.payloads.get(run.output_key) if run.output_key else run.output

    def _update(
        self,
        run: Run,
        update: str,
        condition: str,
        values: Mapping[str, Value],
        *,
        is_mine: Callable[[Run], bool],
        names: Sequence[str] = ("#status",),
    ) -> bool:
        """Whether the run is now as the update makes it.

        A write may have been applied and its answer lost, and then its repetition fails; `is_mine`
        tells from the run as it stands whether that is so.
        """
        try:
            client("dynamodb").update_item(
                TableName=self.table,
                Key=item_key(run.env, run.id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={name: _NAMES[name] for name in names},
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the run could not be recorded", error) from error
            return "Item" in error.response and is_mine(self._old(run, error))
        except AWS_ERRORS as error:
            raise unavailable("the run could not be recorded", error) from error
        return True

    def _old(self, run: Run, error: ClientError) -> Run:
        """The run as it stood when a condition failed."""
        item: Any = error.response["Item"]  # type: ignore[typeddict-item]
        return self.run_of(run.env, item)

    def run_of(self, env: str, item: Mapping[str, Any]) -> Run:
        """The run in an item of the table; a large output stays in the bucket."""
        return run_of(env, item)


def _is_over(item: Mapping[str, Any], now_ms: int | None) -> bool:
    """Whether an item's retention has ended; TTL deletes late."""
    return now_ms is not None and int(item["expires_at"]["N"]) <= now_ms // 1000
