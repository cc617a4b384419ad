"""What Lambda does between a queue and a function: poll, invoke, delete what succeeded.

The semantics are those of an event source mapping with partial batch responses, see
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.aws import AWS_ERRORS, client
from tidegate.local.sqs_speed import wake_receivers

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger("tidegate.local.event_source")

Invoke = Callable[[dict[str, Any]], Any]

_LONGEST_POLL_S = 20

# Lambda begins with five invocations, and adds up to 300 a minute while there is more to do.
_FIRST_LIMIT = 5
_SCALING_S = 1.0
_PAUSE_AFTER_AN_ERROR_S = 1.0
_MOMENT_S = 0.02


class EventSourceMapping:
    """Feeds one queue to one function, in threads of its own: no function waits for another.

    Args:
        name: names the function in logs.
        queue_url, queue_arn: the queue.
        invoke: the function; replace the attribute `invoke` to let later batches go elsewhere.
        batch_size: the most messages of an invocation, 1 to 10.
        max_concurrency: the most invocations under way.
    """

    def __init__(
        self,
        name: str,
        queue_url: str,
        queue_arn: str,
        invoke: Invoke,
        *,
        batch_size: int,
        max_concurrency: int,
    ) -> None:
        self.name = name
        self.invoke = invoke
        self._queue_url = queue_url
        self._queue_arn = queue_arn
        self._batch_size = batch_size
        self._max_concurrency = max_concurrency
        self._under_way = 0
        self._limit = min(_FIRST_LIMIT, max_concurrency)
        self._changed = threading.Condition()
        self._stopping = False
        # Daemons: a function that never returns must not keep the process alive.
        self._poller = threading.Thread(target=self._poll, name=f"poll-{name}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._poller.start()

    def stop(self) -> None:
        """Take no further messages; `drain` waits for what is under way."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until all invocations have ended; False when some had not after that time.

        What is abandoned is received again by whoever reads the queue next, as after a crash.
        """
        end = time.monotonic() + timeout_s
        while self._poller.is_alive() and time.monotonic() < end:
            wake_receivers()
            self._poller.join(_MOMENT_S)
        with self._changed:
            while self._under_way and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return not self._under_way and not self._poller.is_alive()

    def _poll(self) -> None:
        while self._take_place():
            messages: Sequence[MessageTypeDef] = []
            try:
                messages = (
                    client("sqs")
                    .receive_message(
                        QueueUrl=self._queue_url,
                        MaxNumberOfMessages=self._batch_size,
                        WaitTimeSeconds=_LONGEST_POLL_S,
                        MessageSystemAttributeNames=["All"],
                        MessageAttributeNames=["All"],
                    )
                    .get("Messages", [])
                )
            except Exception:
                if not self._stopping:
                    logger.exception("polling failed", extra={"function_id": self.name})
                    time.sleep(_PAUSE_AFTER_AN_ERROR_S)
            if messages:
                threading.Thread(
                    target=self._process, args=[messages], name=f"run-{self.name}", daemon=True
                ).start()
            else:
                self._give_place()

    def _take_place(self) -> bool:
        """Wait for one of the places for invocations; False when there is no more to do."""
        with self._changed:
            while self._under_way >= self._limit and not self._stopping:
                if not self._changed.wait(_SCALING_S):
                    self._limit = min(self._limit + _FIRST_LIMIT, self._max_concurrency)
            if not self._stopping:
                self._under_way += 1
            return not self._stopping

    def _give_place(self) -> None:
        with self._changed:
            self._under_way -= 1
            if not self._under_way:
                self._limit = min(_FIRST_LIMIT, self._max_concurrency)
            self._changed.notify_all()

    def _process(self, messages: Sequence[MessageTypeDef]) -> None:
        try:
            done = self._succeeded(messages)
            if done:
                # If it fails the messages come again, which every consumer copes with.
                with contextlib.suppress(*AWS_ERRORS):
                    client("sqs").delete_message_batch(
                        QueueUrl=self._queue_url,
                        Entries=[
                            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                            for index, message in enumerate(done)
                        ],
                    )
        finally:
            self._give_place()

    def _succeeded(self, messages: Sequence[MessageTypeDef]) -> Sequence[MessageTypeDef]:
        try:
            response = self.invoke(sqs_event(messages, self._queue_arn))
        except BaseException:
            # SystemExit too: to Lambda a handler that exits has failed.
            logger.exception("handler crashed", extra={"function_id": self.name})
            return []
        failed = failed_ids(response, {message["MessageId"] for message in messages})
        if failed is None:
            logger.error(
                "malformed response",
                extra={"function_id": self.name, "error": f"the handler returned {response!r}"},
            )
            return []
        return [message for message in messages if message["MessageId"] not in failed]


def failed_ids(response: Any, batch: set[str]) -> set[str] | None:
    """The messages of a batch that a handler's response says have failed.

    Args:
        response: what the handler returned.
        batch: the ids of the messages it was given.

    Returns:
        Their ids; None when the response makes no sense, which fails the whole batch.
    """
    if not response:
        return set()
    if not isinstance(response, Mapping):
        return None
    failures = response.get("batchItemFailures") or []
    if not isinstance(failures, list):
        return None
    failed = set()
    for item in failures:
        id_ = item.get("itemIdentifier") if isinstance(item, Mapping) else None
        if id_ not in batch:
            return None
        failed.add(str(id_))
    return failed


def sqs_event(messages: Sequence[MessageTypeDef], queue_arn: str) -> dict[str, Any]:
    """The event that Lambda makes of received messages.

    See https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {"Records": [_record(message, queue_arn) for message in messages]}


def _record(message: MessageTypeDef, queue_arn: str) -> dict[str, Any]:
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute
