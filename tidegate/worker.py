"""The worker: handles a batch of one function's queue, and reports what must come again."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tidegate.aws import AWS_ERRORS, client, unavailable
from tidegate.clock import Clock
from tidegate.engine import Engine
from tidegate.errors import DeadLetterError, PlatformError, RunLeasedError
from tidegate.manifest import BATCH_SIZE
from tidegate.message import CronMessage, decode_message

logger = logging.getLogger("tidegate.worker")

# After a fault of the platform a message comes again after this, and twice that each time.
_FIRST_PAUSE_S = 5
_LONGEST_PAUSE_S = 3_600


@dataclass(frozen=True)
class Worker:
    """Handles the messages of one function's queue.

    The messages of a batch run beside each other, so that a slow one holds up none behind it. Those
    whose worker died run one by one, so that one that kills its process takes no other with it.

    Attributes:
        engine: drives the function's runs.
        queue_url: the function's queue.
        dead_letter_url: where messages go that can never be handled.
        clock: the time.
    """

    engine: Engine
    queue_url: str
    dead_letter_url: str
    clock: Clock
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(BATCH_SIZE, thread_name_prefix="run")
    )

    def handle(self, batch: Mapping[str, Any], remaining_ms: int) -> dict[str, Any]:
        """The partial batch response: which messages must come again.

        Args:
            batch: an SQS event of Lambda.
            remaining_ms: how long this invocation may still take.
        """
        began_ms = self.clock.now_ms()
        deadline_ms = began_ms + remaining_ms
        records = batch["Records"]
        if len(records) == 1:
            done = [self._handle(records[0], deadline_ms)]
        else:
            half_ms = began_ms + remaining_ms // 2
            done = self._handle_all(records, deadline_ms, half_ms)
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["messageId"]}
                for record, is_done in zip(records, done, strict=True)
                if not is_done
            ]
        }

    def _handle_all(
        self, records: Sequence[Mapping[str, Any]], deadline_ms: int, half_ms: int
    ) -> list[bool]:
        """Which messages are done with; what may kill the process comes last, one at a time.

        When a process dies, each run in it loses an attempt, and which of them killed it is not
        known. Were they driven together again, one that kills it each time would take all others
        with it to their last attempt. So each of them is driven alone, in another order each time.
        """

        def handle(record: Mapping[str, Any]) -> bool | None:
            return None if self._has_crashed(record) else self._handle(record, deadline_ms)

        done = list(self._threads.map(handle, records))
        crashed = [number for number, is_done in enumerate(done) if is_done is None]
        for number in random.sample(crashed, len(crashed)):
            if self.clock.now_ms() <= half_ms:
                done[number] = self._handle(records[number], deadline_ms)
            else:
                self._show_again(records[number], 1)
        return [bool(is_done) for is_done in done]

    def _has_crashed(self, record: Mapping[str, Any]) -> bool:
        """Whether a worker died while it drove a message's run."""
        if int(record["attributes"].get("ApproximateReceiveCount", 1)) == 1:
            return False
        try:
            message = decode_message(record["body"])
            return self.engine.incoming.has_crashed(message, self.clock.now_ms())
        except (DeadLetterError, PlatformError):
            # Whatever it is, it is found out again when the message is handled.
            return False

    def _handle(self, record: Mapping[str, Any], deadline_ms: int) -> bool:
        """Whether the message is done with; it never raises."""
        try:
            logger.debug(
                "message received",
                extra={
                    "message_id": record["messageId"],
                    "function_id": self.engine.function.id,
                    "receives": record["attributes"].get("ApproximateReceiveCount"),
                },
            )
            try:
                trace = self.engine.observer.trace_of(record["attributes"])
                message = decode_message(record["body"]).in_trace(trace)
                self.engine.handle(message, deadline_ms)
            except DeadLetterError as error:
                self._bury(record, str(error))
        except RunLeasedError as error:
            logger.info("message comes again", extra=self._about(record, error))
            self._show_again(record, error.retry_after_s)
            return False
        except Exception as error:
            logger.exception("message comes again", extra=self._about(record, error))
            receives = int(record["attributes"]["ApproximateReceiveCount"])
            self._show_again(record, _FIRST_PAUSE_S * 2 ** min(receives - 1, 20))
            return False
        return True

    def _bury(self, record: Mapping[str, Any], reason: str) -> None:
        """Move a message to the dead-letter queue at once, with the reason."""
        function_id = self.engine.function.id
        try:
            client("sqs").send_message(
                QueueUrl=self.dead_letter_url,
                MessageBody=record["body"],
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": reason[:1_000]},
                    "function_id": {"DataType": "String", "StringValue": function_id},
                },
            )
        except AWS_ERRORS as error:
            raise unavailable("a dead message could not be moved", error) from error
        logger.error(
            "message dead-lettered",
            extra={**_ids(record["body"]), "function_id": function_id, "reason": reason},
        )

    def _show_again(self, record: Mapping[str, Any], seconds: int) -> None:
        """Have the message come again after a while instead of after the visibility timeout."""
        try:
            client("sqs").change_message_visibility(
                QueueUrl=self.queue_url,
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=int(min(max(seconds, 1), _LONGEST_PAUSE_S)),
            )
        except AWS_ERRORS:
            logger.warning("the visibility timeout stays as it is", exc_info=True)

    def _about(self, record: Mapping[str, Any], error: Exception) -> dict[str, Any]:
        return {
            **_ids(record["body"]),
            "function_id": self.engine.function.id,
            "message_id": record["messageId"],
            "error": str(error),
        }


def _ids(text: str) -> dict[str, str]:
    """The ids in a message, as far as it has any."""
    try:
        message = decode_message(text)
    except DeadLetterError:
        return {}
    if isinstance(message, CronMessage):
        return {}
    ids = {"event_id": message.event.internal_id, "request_id": message.origin.request_id}
    return {name: value for name, value in ids.items() if value}
