"""Probes: events with which `tidegate doctor` finds out whether a stage works, end to end.

    POST /e/<key> ──▶ ingest ──▶ SNS ──▶ SQS ──▶ matcher ──▶ jobs table ──▶ GET /v1/probes/<event>

The matcher answers them, since every stage has it, and no function has to be written or run for
it. Answers are kept beside the bulk jobs, where the matcher writes and the REST API reads anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.clock import Clock
from tidegate.event import AcceptedEvent

# Who sends it waits for a minute at the most.
KEPT_S = 3_600


@dataclass(frozen=True)
class Probes:
    """The answers to probes.

    Attributes:
        table: the jobs table's name.
        clock: the time.
    """

    table: str
    clock: Clock

    def answer(self, event: AcceptedEvent) -> None:
        """Note that a probe has arrived; doing it again is harmless.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        now_ms = self.clock.now_ms()
        item = {
            **_key(event.env, event.internal_id),
            "answered_ms": {"N": str(now_ms)},
            "expires_at": {"N": str(now_ms // 1000 + KEPT_S)},
        }
        try:
            client("dynamodb").put_item(TableName=self.table, Item=item)
        except AWS_ERRORS as error:
            raise unavailable("a probe could not be answered", error) from error

    def answered_ms(self, env: str, internal_id: str) -> int | None:
        """When the matcher answered a probe, UTC ms; None as long as it has not.

        Raises:
            PlatformError: DynamoDB did not answer.
        """
        try:
            found = client("dynamodb").get_item(
                TableName=self.table, Key=_key(env, internal_id), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise unavailable("the probes could not be read", error) from error
        item = found.get("Item")
        return int(item["answered_ms"]["N"]) if item else None


def _key(env: str, internal_id: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"{quote(env, safe='/')}#probe"}, "sk": {"S": internal_id}}
