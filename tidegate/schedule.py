"""Delivering a message to a function's queue at a time: by SQS up to 15 minutes, else Scheduler."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.aws import AWS_ERRORS, client, error_code, unavailable
from tidegate.clock import Clock
from tidegate.errors import PlatformError
from tidegate.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_scheduler.type_defs import GetScheduleOutputTypeDef

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
            # It is not there when SQS has the message, or it has been delivered.
            self._delete(f"{name}-{due_ms}")
        except AWS_ERRORS:
            # Whatever else keeps it from being recalled is no reason to hold up the run.
            logger.warning("the schedule of run %s stays", name, exc_info=True)

    def arranged(self, due_ms: int, name: str) -> str | None:
        """The text of a message that is to be delivered, as long as Scheduler has it.

        Args:
            due_ms, name: as they were given to `at`.

        Raises:
            PlatformError: Scheduler did not answer.
        """
        return scheduled_text(self.schedule_group, due_ms, name)

    def _schedule(self, due_ms: int, text: str, name: str) -> None:
        moment = datetime.fromtimestamp((due_ms - SCHEDULER_LEAD_MS) // 1000, UTC)
        schedule: dict[str, Any] = {
            "Name": name,
            "GroupName": self.schedule_group,
            "ScheduleExpression": f"at({moment:%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": self.queue_arn,
                "RoleArn": self.schedule_role_arn,
                # Scheduler replaces `<aws.scheduler.…>` in what it sends; this is JSON, where it
                # can be spelled otherwise.
                "Input": text.replace("<aws.", "\\u003caws."),
                "DeadLetterConfig": {"Arn": self.dead_letter_arn},
            },
        }
        if self.schedule_key_arn:
            schedule["KmsKeyArn"] = self.schedule_key_arn
        if self._is_created(schedule):
            return
        # It was arranged before: a worker died behind it, or a message came twice.
        there = _schedule_of(self.schedule_group, name)
        if there is None or there["Target"]["Arn"] != self.queue_arn:
            # It would go to a queue whose place this one has taken. Who dies before the new one is
            # made still has the message that asks for it.
            self._delete(name)
            if not self._is_created(schedule):
                raise PlatformError(f"schedule {name} was made anew by somebody else")

    def _is_created(self, schedule: Mapping[str, Any]) -> bool:
        """Make a schedule; False when there is one of that name."""
        try:
            client("scheduler").create_schedule(**schedule)
        except ClientError as error:
            if error_code(error) == "ConflictException":
                return False
            raise
        return True

    def _delete(self, name: str) -> None:
        """Delete a schedule; it may be gone."""
        try:
            client("scheduler").delete_schedule(Name=name, GroupName=self.schedule_group)
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise


def scheduled_text(group: str, due_ms: int, name: str) -> str | None:
    """The text of a message that is to be delivered, as long as Scheduler has it.

    Args:
        group: the group of the stage's schedules.
        due_ms, name: as they were given to `Delivery.at`.

    Raises:
        PlatformError: Scheduler did not answer.
    """
    try:
        found = _schedule_of(group, f"{name}-{due_ms}")
    except AWS_ERRORS as error:
        raise unavailable("a delayed message could not be read", error) from error
    return None if found is None else found["Target"].get("Input")


def _schedule_of(group: str, name: str) -> GetScheduleOutputTypeDef | None:
    """A schedule; None when there is none, or it has been delivered."""
    try:
        return client("scheduler").get_schedule(Name=name, GroupName=group)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return None
