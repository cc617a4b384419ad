"""Notes of reruns: the run that an event started knows the ids of all that repeat it."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.errors import RequestError
from tidegate.ids import run_id_of
from tidegate.partition import item_key
from tidegate.run import Run

# A record has 400 KB, and who asks for the runs of an event gets them all.
MAX_RERUNS = 1_000


@dataclass(frozen=True)
class RerunNotes:
    """Notes in the runs table.

    Attributes:
        table: the table's name.
    """

    table: str

    def add(self, original: Run, rerun_id: str) -> None:
        """Note a rerun, so that it is found by its event; doing it again is harmless.

        It is noted on the run whose id is derived from the event: when that one is itself a rerun
        of another, on that other one. One that is no longer kept needs no note.

        Args:
            original: the run that is repeated.
            rerun_id: the id of the new run.

        Raises:
            RequestError: 409, it was repeated too often.
            PlatformError: DynamoDB did not answer.
        """
        first_id = run_id_of(original.env, original.function_id, original.event_id)
        try:
            client("dynamodb").update_item(
                TableName=self.table,
                Key=item_key(original.env, first_id),
                UpdateExpression="ADD reruns :ids",
                ConditionExpression="attribute_exists(pk) AND (attribute_not_exists(reruns) "
                "OR size(reruns) < :most OR contains(reruns, :id))",
                ExpressionAttributeValues={
                    ":ids": {"SS": [rerun_id]},
                    ":id": {"S": rerun_id},
                    ":most": {"N": str(MAX_RERUNS)},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error_code(error) != "ConditionalCheckFailedException":
                raise unavailable("the rerun could not be noted", error) from error
            if "Item" in error.response:
                raise RequestError(
                    409, f"the event of run {original.id} has been run again {MAX_RERUNS} times"
                ) from None
        except AWS_ERRORS as error:
            raise unavailable("the rerun could not be noted", error) from error
