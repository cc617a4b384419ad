"""Delivering a message to a function's queue at a time: by SQS up to 15 minutes, else Scheduler."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.clock import Clock
from tidegate.settings import Settings

logger = logging.getLogger("tidegate.schedule")

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
MAX_SQS_DELAY_MS = 900_000
# Scheduler fires within a minute of the time asked for
# (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html), so it is asked for a
# time this much earlier, and the worker delays the message by SQS for what is left.
SCHEDULER_LEAD_MS = 120_000


@dataclass(frozen=True)
class Delivery:
    """A function's own queue.

    Attributes:
        queue_url, queue_arn: the queue.
        dead_letter_arn: where Scheduler leaves what it could not deliver.
        schedule_group: the group of the stage's schedules.
        schedule_role_arn: the role in which Scheduler sends to the queue.
        clock: the time.
        schedule_key_arn: the KMS key that schedules are encrypted with, if not with AWS's own.
    """

    queue_url: str
    queue_arn: str
    dead_letter_arn: str
    schedule_group: str
    schedule_role_arn: str
    clock: Clock
    schedule_key_arn: str = ""

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> Delivery:
        """The queue of the function that a worker's settings name."""
        return cls(
            settings.queue_url,
            settings.queue_arn,
            settings.dead_letter_arn,
            settings.schedule_group,
            settings.schedule_role_arn,
            clock,
            settings.schedule_key_arn,
        )

    def at(self, due_ms: int, text: str, name: str) -> None:
        """Have a message delivered at a time, or a little earlier, as far as AWS is punctual.

        The worker knows from the run's record when it is due, and waits or delays what comes early.

        Args:
            due_ms: UTC ms; the past means at once.
            text: the message.
            name: names the delivery; the same name and time deliver once where Scheduler does it.

        Raises:
            PlatformError: it could not be arranged.
        """
        delay_ms = max(due_ms - self.clock.now_ms(), 0)
        try:
            if delay_ms <= MAX_SQS_DELAY_MS:
                client("sqs").send_message(
                    QueueUrl=self.queue_url, MessageBody=text, DelaySeconds=delay_ms // 1000
                )
            else:
                self._schedule(due_ms, text, f"{name}-{due_ms}")
        except AWS_ERRORS as error:
            raise unavailable("a delayed message could not be arranged", error) from error

    def forget(self, due_ms: int, name: str) -> None:
        """Have a message not delivered, where that can be done; it is harmless if it comes.

        Args:
            due_ms, name: as they were given to `at`.
        """
        if due_ms - self.clock.now_ms() <= SCHEDULER_LEAD_MS:
            return
        try:
            client("scheduler").delete_schedule(
                Name=f"{name}-{due_ms}", GroupName=self.schedule_group
            )
        except AWS_ERRORS as error:
            # It is not there when SQS has the message, or it has been delivered. Whatever else
            # keeps it from being recalled is no reason to hold up the run.
            code = error_code(error) if isinstance(error, ClientError) else ""
            if code != "ResourceNotFoundException":
                logger.warning("the schedule of run %s stays", name, exc_info=True)

    def arranged(self, due_ms: int, name: str) -> str | None:
        """The text of a message that is to be delivered, as long as Scheduler has it.

        Args:
            due_ms, name: as they were given to `at`.

        Raises:
            PlatformError: Scheduler did not answer.
        """
        try:
            found = client("scheduler").get_schedule(
                Name=f"{name}-{due_ms}", GroupName=self.schedule_group
            )
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise unavailable("a delayed message could not be read", error) from error
        except AWS_ERRORS as error:
            raise unavailable("a delayed message could not be read", error) from error
        return found["Target"].get("Input")

    def _schedule(self, due_ms: int, text: str, name: str) -> None:
        moment = datetime.fromtimestamp((due_ms - SCHEDULER_LEAD_MS) // 1000, UTC)
        key = {"KmsKeyArn": self.schedule_key_arn} if self.schedule_key_arn else {}
        try:
            client("scheduler").create_schedule(
                Name=name,
                GroupName=self.schedule_group,
                ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": self.queue_arn,
                    "RoleArn": self.schedule_role_arn,
                    # Scheduler replaces `<aws.scheduler.…>` in what it sends; this is JSON, where
                    # it can be spelled otherwise.
                    "Input": text.replace("<aws.", "\\u003caws."),
                    "DeadLetterConfig": {"Arn": self.dead_letter_arn},
                },
                **key,  # type: ignore[arg-type]
            )
        except ClientError as error:
            # It was arranged before: a worker died behind it, or a message came twice.
            if error_code(error) != "ConflictException":
                raise
