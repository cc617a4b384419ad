"""Dead letters: messages of a function's queue that were given up on, and why.

A message is in the dead-letter queue because SQS delivered it too often without success, because
the worker found that it can never be handled, or because SNS or Scheduler could not deliver it.
Who looks at them has them in hand: nobody else sees them meanwhile, as SQS has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.aws import AWS_ERRORS, client, concurrently, unavailable
from tidegate.bulk_job import JobMessage
from tidegate.encoding import decode
from tidegate.errors import DeadLetterError
from tidegate.ids import run_id_of
from tidegate.message import EventMessage, decode_message
from tidegate.queue_directory import MATCHER, FunctionQueues
from tidegate.tick import tick_event
from tidegate.wait import LookMessage

# What Scheduler says of what it could not deliver, see
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html;
# SNS, as of a redrive policy, says the same in other words.
_CODES = ("ERROR_CODE", "ErrorCode")
_MESSAGES = ("ERROR_MESSAGE", "ErrorMessage")
_OF_A_SCHEDULE = "SCHEDULE_ARN"
_CUT = "IS_PAYLOAD_TRUNCATED"


@dataclass(frozen=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        id: SQS's id of the message.
        body: its text.
        attributes: its message attributes.
        sent_ms: when it was sent: to the function's queue where SQS gave it up, otherwise to the
            dead-letter queue, UTC ms.
        receipt: what it is deleted, or shown again, by.
    """

    id: str
    body: str
    attributes: Mapping[str, str]
    sent_ms: int
    receipt: str

    @property
    def text(self) -> str:
        """What was to reach the function's queue; Scheduler leaves its whole request here."""
        if _OF_A_SCHEDULE in self.attributes:
            try:
                request = decode(self.body)
            except ValueError:
                return self.body
            if isinstance(request, dict) and isinstance(request.get("MessageBody"), str):
                return str(request["MessageBody"])
        return self.body

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here: Scheduler cuts off what is too large."""
        return self.attributes.get(_CUT, "false").lower() != "true"

    def reason(self, max_receives: int) -> str:
        """Why it is here, and where to look.

        Args:
            max_receives: after how many receives SQS gives a message of this queue up.
        """
        if "reason" in self.attributes:
            return self.attributes["reason"]
        code = next((self.attributes[name] for name in _CODES if name in self.attributes), None)
        if code is not None:
            why = next((self.attributes[name] for name in _MESSAGES if name in self.attributes), "")
            sender = "Scheduler" if _OF_A_SCHEDULE in self.attributes else "SNS"
            return f"{sender} could not deliver it: {code}: {why}".removesuffix(": ")
        return (
            f"received {max_receives} times, and never done with: the Lambda could not start, "
            "crashed, or ran out of time or memory; its log group says why"
        )


@dataclass(frozen=True)
class Subject:
    """What a dead letter is about.

    Attributes:
        env: the environment.
        event_id: the internal id of its event, if it has one; of a cron's tick, that of the event
            which the tick stands for.
        event_name: the event's name.
        run_id: the run that it starts, or goes on with; it may not be recorded.
    """

    env: str
    event_id: str | None = None
    event_name: str | None = None
    run_id: str | None = None

    @classmethod
    def of(cls, letter: DeadLetter, function_id: str) -> Subject | None:
        """What a dead letter of a function, or of the matcher, is about; None if it is damaged."""
        try:
            if function_id == MATCHER:
                return cls._of_the_matcher(letter.text)
            message = decode_message(letter.text)
        except DeadLetterError:
            return None
        if isinstance(message, EventMessage):
            event, rerun = message.event, message.rerun
        else:
            event, rerun = tick_event(message, function_id, jitter_ms=0), None
        run_id = rerun.run_id if rerun else run_id_of(event.env, function_id, event.internal_id)
        return cls(event.env, event.internal_id, event.name, run_id)

    @classmethod
    def _of_the_matcher(cls, text: str) -> Subject:
        if JobMessage.is_in(text):
            return cls(JobMessage.decode(text).job.env)
        look = LookMessage.decode(text)
        if look is not None:
            return cls(look.key.env, event_name=look.key.event_name)
        event = EventMessage.decode(text).event
        return cls(event.env, event.internal_id, event.name)


@dataclass(frozen=True)
class Depth:
    """About how many dead letters there are.

    Attributes:
        waiting: those that anybody can take into hand.
        in_hand: those that somebody has in hand.
    """

    waiting: int
    in_hand: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.in_hand


@dataclass(frozen=True)
class DeadLetterQueue:
    """A function's dead letters.

    Attributes:
        queues: its queues.
    """

    queues: FunctionQueues

    def depth(self) -> Depth:
        """About how many there are, of all environments.

        Raises:
            PlatformError: SQS did not answer.
        """
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        try:
            found: Any = client("sqs").get_queue_attributes(
                QueueUrl=self.queues.dead_letter_url, AttributeNames=names
            )
        except AWS_ERRORS as error:
            raise unavailable("the dead letters could not be counted", error) from error
        return Depth(*(int(found["Attributes"][name]) for name in names))

    def receive(self, limit: int, *, hidden_s: int, wait_s: int = 0) -> list[DeadLetter]:
        """Take some dead letters into hand, 10 at the most; none when there are no more.

        Args:
            limit: how many, at most.
            hidden_s: for how long nobody else gets them, in seconds.
            wait_s: how long to wait for one; with 0 only some of SQS's servers are asked, and a few
                letters may be missed.

        Raises:
            PlatformError: SQS did not answer.
        """
        try:
            found = client("sqs").receive_message(
                QueueUrl=self.queues.dead_letter_url,
                MaxNumberOfMessages=min(limit, 10),
                VisibilityTimeout=hidden_s,
                WaitTimeSeconds=wait_s,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        except AWS_ERRORS as error:
            raise unavailable("the dead letters could not be read", error) from error
        return [_letter(message) for message in found.get("Messages", [])]

    def send_back(self, letter: DeadLetter) -> None:
        """Put a dead letter into the function's queue, and take it out of this one.

        Raises:
            PlatformError: it is in this queue still, and perhaps in the other already; repeating
                the call is safe, since a message that comes twice starts nothing twice.
        """
        try:
            client("sqs").send_message(QueueUrl=self.queues.queue_url, MessageBody=letter.text)
        except AWS_ERRORS as error:
            raise unavailable("a dead letter could not be sent back", error) from error
        self.delete(letter)

    def delete(self, letter: DeadLetter) -> None:
        """Forget a dead letter.

        Raises:
            PlatformError: SQS did not answer.
        """
        try:
            client("sqs").delete_message(
                QueueUrl=self.queues.dead_letter_url, ReceiptHandle=letter.receipt
            )
        except AWS_ERRORS as error:
            raise unavailable("a dead letter could not be deleted", error) from error

    def put_down(self, letters: Sequence[DeadLetter]) -> None:
        """Let others see dead letters again at once; otherwise they do when they are due."""
        concurrently(self._show, letters)

    def _show(self, letter: DeadLetter) -> None:
        try:
            client("sqs").change_message_visibility(
                QueueUrl=self.queues.dead_letter_url,
                ReceiptHandle=letter.receipt,
                VisibilityTimeout=0,
            )
        except AWS_ERRORS:
            # It is seen again by itself.
            return


def _letter(message: Mapping[str, Any]) -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    return DeadLetter(
        id=message["MessageId"],
        body=message["Body"],
        attributes={
            name: value["StringValue"]
            for name, value in attributes.items()
            if "StringValue" in value
        },
        sent_ms=int(message["Attributes"]["SentTimestamp"]),
        receipt=message["ReceiptHandle"],
    )
