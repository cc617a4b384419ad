"""EventBridge Scheduler's clock: moto stores schedules, this fires them when they are due."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from moto.scheduler.models import scheduler_backends

from tidegate.aws import AWS_ERRORS, client
from tidegate.clock import Clock
from tidegate.local.lambda_function import ACCOUNT_ID, REGION

logger = logging.getLogger("tidegate.local.schedules")

_INTERVAL_S = 1.0
_SQS = ":sqs:"


class ScheduleClock:
    """Fires the one-time schedules of a group whose target is a queue.

    Args:
        group: the schedule group.
        clock: what the time is.
    """

    def __init__(self, group: str, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._fired: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        """Look for due schedules each second."""
        self._thread.start()

    def stop(self) -> None:
        """Fire nothing more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_INTERVAL_S)

    def fire_due(self) -> int:
        """Fire what is due now, once; returns how many schedules that were.

        See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
        """
        due = [schedule for schedule in self._schedules() if self._is_due(schedule)]
        for schedule in due:
            self._fire(schedule)
        return len(due)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_S):
            try:
                self.fire_due()
            except Exception:
                logger.exception("firing schedules failed")

    def _schedules(self) -> list[Any]:
        # ListSchedules tells neither time nor input, and would cost one call for each schedule.
        group = scheduler_backends[ACCOUNT_ID][REGION].schedule_groups.get(self._group)
        return [] if group is None else list(group.schedules.values())

    def _is_due(self, schedule: Any) -> bool:
        if (
            schedule.state != "ENABLED"
            or (schedule.arn, schedule.schedule_expression) in self._fired
        ):
            return False
        due_ms = at_ms(schedule.schedule_expression, schedule.schedule_expression_timezone)
        return due_ms is not None and due_ms <= self._clock.now_ms()

    def _fire(self, schedule: Any) -> None:
        arn = schedule.target["Arn"]
        try:
            if _SQS not in arn:
                raise ValueError(
                    f"the target {arn} is no queue; the dev server fires to queues only"
                )
            sqs = client("sqs")
            url = sqs.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=schedule.target.get("Input", ""))
        except (*AWS_ERRORS, ValueError) as error:
            logger.error("schedule %s failed: %s", schedule.name, error)
        # The message is sent before the schedule goes: rather twice than never.
        if schedule.action_after_completion == "DELETE":
            self._delete(schedule)
        else:
            self._fired.add((schedule.arn, schedule.schedule_expression))

    def _delete(self, schedule: Any) -> None:
        scheduler = client("scheduler")
        # Whoever made it may have deleted it in the meantime.
        with contextlib.suppress(scheduler.exceptions.ResourceNotFoundException):
            scheduler.delete_schedule(GroupName=self._group, Name=schedule.name)


@functools.lru_cache(maxsize=10_000)
def at_ms(expression: str, timezone: str) -> int | None:
    """When a one-time schedule is due, in UTC ms; None for expressions of another kind.

    Args:
        expression: such as `at(2026-11-22T08:15:00)`.
        timezone: of the IANA database, such as `UTC`.
    """
    if not (expression.startswith("at(") and expression.endswith(")")):
        return None
    try:
        moment = datetime.fromisoformat(expression[3:-1]).replace(tzinfo=ZoneInfo(timezone))
    except (ValueError, KeyError):
        logger.error("%s in %s is no time; AWS would refuse the schedule", expression, timezone)
        return None
    return int(moment.timestamp() * 1000)
