"""The job store: a DynamoDB table of bulk jobs and their progress, and the queue for slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.bulk_job import BulkJob, JobKind, JobMessage, JobStatus, Progress

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value


@dataclass(frozen=True)
class JobStore:
    """The jobs table.

    Attributes:
        table: the table's name.
        retention_s: how long a job is kept after it was asked for, in seconds.
    """

    table: str
    retention_s: int

    def create(self, job: BulkJob) -> BulkJob:
        """Record a job unless it is recorded already, and give it as it now stands.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        item = {
            **_key(job.env, job.kind, job.id),
            "asked": {"S": job.encode()},
            "status": {"S": job.status},
            "cursor": {"S": job.cursor},
            "expires_at": {"N": str(job.created_ms // 1000 + self.retention_s)},
        }
        try:
            client("dynamodb").put_item(
                TableName=self.table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the job could not be recorded", error) from error
            old: Any = error.response["Item"]  # type: ignore[typeddict-item]
            return _job_of(old)
        except AWS_ERRORS as error:
            raise unavailable("the job could not be recorded", error) from error
        return job

    def get(self, env: str, kind: JobKind, job_id: str, now_ms: int) -> BulkJob | None:
        """The job with that id; None if there is none or its retention has ended.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key=_key(env, kind, job_id), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the jobs could not be read", error) from error
        item = found.get("Item")
        return _job_of(item) if item and not _is_over(item, now_ms) else None

    def newest(
        self, env: str, kind: JobKind, limit: int, cursor: str | None, now_ms: int
    ) -> tuple[list[BulkJob], bool]:
        """The newest jobs of a kind, and whether there are more.

        Args:
            env: their environment.
            kind: what they do.
            limit: how many, at most.
            cursor: the id behind which the list goes on.
            now_ms: the time, UTC ms.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        condition = "pk = :pk"
        values: dict[str, Value] = {":pk": {"S": _partition(env, kind)}}
        if cursor is not None:
            condition += " AND sk < :cursor"
            values[":cursor"] = {"S": cursor}
        kept: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            try:
                page = client("dynamodb").query(
                    TableName=self.table,
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=False,
                    ConsistentRead=True,
                    Limit=limit + 1,
                    **start,
                )
            except AWS_ERRORS as error:
                raise unavailable("the jobs could not be read", error) from error
            kept += [item for item in page["Items"] if not _is_over(item, now_ms)]
            # A page has no more than a megabyte, and jobs may have long expressions.
            if len(kept) > limit or not page.get("LastEvaluatedKey"):
                return [_job_of(item) for item in kept[:limit]], len(kept) > limit
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def advance(self, job: BulkJob, page: Progress) -> BulkJob | None:
        """Note that a job has come further, and add to its counts; one that is stopped, too.

        Args:
            job: the job as it was before.
            page: what was done since.

        Returns:
            The job as it now stands; None when it had come further already, and nothing was noted.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        values: dict[str, Value] = {
            ":seen": {"S": job.cursor},
            ":next": {"S": page.cursor},
            ":found": {"N": str(page.found)},
            ":done": {"N": str(page.done)},
            ":skipped": {"N": str(page.found - page.done)},
        }
        noted = ""
        if page.note is not None:
            noted, values[":note"] = ", note = :note", {"S": page.note}
        try:
            answer: Any = client("dynamodb").update_item(
                TableName=self.table,
                Key=_key(job.env, job.kind, job.id),
                UpdateExpression=f"SET #cursor = :next{noted} "
                "ADD #found :found, done :done, skipped :skipped",
                ConditionExpression="#cursor = :seen",
                ExpressionAttributeNames={"#cursor": "cursor", "#found": "found"},
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the job's progress could not be noted", error) from error
            old: Any = error.response.get("Item")
            # It may have been noted, the answer lost, and the call repeated.
            return _job_of(old) if old and old["cursor"]["S"] == page.cursor else None
        except AWS_ERRORS as error:
            raise unavailable("the job's progress could not be noted", error) from error
        return _job_of(answer["Attributes"])

    def note_slice(self, job: BulkJob) -> None:
        """Note that a slice of a job was asked for, the job's; then those before are done with.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            client("dynamodb").update_item(
                TableName=self.table,
                Key=_key(job.env, job.kind, job.id),
                UpdateExpression="SET #slice = :slice",
                ConditionExpression="attribute_exists(pk) AND "
                "(attribute_not_exists(#slice) OR #slice < :slice)",
                ExpressionAttributeNames={"#slice": "slice"},
                ExpressionAttributeValues={":slice": {"N": str(job.slice)}},
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the job's slice could not be noted", error) from error
        except AWS_ERRORS as error:
            raise unavailable("the job's slice could not be noted", error) from error

    def end(
        self, env: str, kind: JobKind, job_id: str, status: JobStatus, now_ms: int
    ) -> BulkJob | None:
        """End a job; one that has ended stays as it is.

        Returns:
            The job as it now stands; None if there is none.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            answer: Any = client("dynamodb").update_item(
                TableName=self.table,
                Key=_key(env, kind, job_id),
                UpdateExpression="SET #status = :status, ended_ms = :now",
                ConditionExpression="#status = :running",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":status": {"S": status},
                    ":now": {"N": str(now_ms)},
                    ":running": {"S": JobStatus.RUNNING},
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the job could not be ended", error) from error
            old: Any = error.response.get("Item")
            return _job_of(old) if old else None
        except AWS_ERRORS as error:
            raise unavailable("the job could not be ended", error) from error
        return _job_of(answer["Attributes"])


@dataclass(frozen=True)
class JobQueue:
    """The queue where slices of jobs are asked for: the matcher's.

    Attributes:
        url: where it is.
    """

    url: str

    def ask(self, job: BulkJob, delay_s: int = 0) -> None:
        """Have a slice of a job done, now or after some seconds, up to 900.

        Raises:
            PlatformError: SQS did not take it; asking again is harmless.
        """
        try:
            client("sqs").send_message(
                QueueUrl=self.url, MessageBody=JobMessage(job).encode(), DelaySeconds=delay_s
            )
        except AWS_ERRORS as error:
            raise unavailable("the job could not be started", error) from error


def _partition(env: str, kind: JobKind) -> str:
    return f"{quote(env, safe='/')}#{kind}"


def _key(env: str, kind: JobKind, job_id: str) -> dict[str, Value]:
    return {"pk": {"S": _partition(env, kind)}, "sk": {"S": job_id}}


def _is_over(item: Mapping[str, Any], now_ms: int) -> bool:
    """Whether an item's retention has ended; TTL deletes late."""
    return int(item["expires_at"]["N"]) <= now_ms // 1000


def _job_of(item: Mapping[str, Any]) -> BulkJob:
    def number(name: str) -> int:
        return int(item[name]["N"]) if name in item else 0

    return replace(
        BulkJob.decode(item["asked"]["S"]),
        status=JobStatus(item["status"]["S"]),
        ended_ms=number("ended_ms") or None,
        cursor=item["cursor"]["S"],
        found=number("found"),
        done=number("done"),
        skipped=number("skipped"),
        note=item["note"]["S"] if "note" in item else None,
        slice=number("slice"),
    )
