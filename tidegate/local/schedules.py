"""EventBridge Scheduler's clock: moto stores schedules, this fires them when they are due."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from moto.scheduler.models import scheduler_backends

from tidegate.aws import AWS_ERRORS, client
from tidegate.clock import Clock
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.message import SCHEDULED_TIME, rfc3339_s

logger = logging.getLogger("tidegate.local.schedules")

_INTERVAL_S = 1.0
_SQS = ":sqs:"
# Days of the week are names, since Scheduler counts them from 1.
_CRON = re.compile(r"cron\((\S+ \S+ \S+ \S+ [A-Z,?*-]+) \*\)")


class ScheduleClock:
    """Fires the schedules of a group whose target is a queue: one-time ones, and crons.

    A cron's times count from when it is first seen. Of those that passed while this machine slept
    the first one fires, late, and the others are left out.

    Args:
        group: the schedule group.
        clock: what the time is.
    """

    def __init__(self, group: str, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        # When each schedule, known by its ARN and expression, fires next; None is never.
        self._next_ms: dict[tuple[str, str], int | None] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)

    def start(self) -> None:
        """Look for due schedules now, and then each second."""
        self.fire_due()
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
        now_ms = self._clock.now_ms()
        schedules = {(s.arn, s.schedule_expression): s for s in self._schedules()}
        self._next_ms = {
            key: self._next_ms[key] if key in self._next_ms else _first_ms(schedule, now_ms)
            for key, schedule in schedules.items()
        }
        due = [(key, ms) for key, ms in self._next_ms.items() if ms is not None and ms <= now_ms]
        for key, due_ms in due:
            schedule = schedules[key]
            self._fire(schedule, due_ms)
            self._next_ms[key] = next_ms(*_when(schedule), now_ms)
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
        schedules = [] if group is None else list(group.schedules.values())
        return [schedule for schedule in schedules if schedule.state == "ENABLED"]

    def _fire(self, schedule: Any, due_ms: int) -> None:
        arn = schedule.target["Arn"]
        try:
            if _SQS not in arn:
                raise ValueError(
                    f"the target {arn} is no queue; the dev server fires to queues only"
                )
            sqs = client("sqs")
            url = sqs.get_queue_url(QueueName=arn.split(":")[-1])["QueueUrl"]
            text = schedule.target.get("Input", "").replace(SCHEDULED_TIME, rfc3339_s(due_ms))
            sqs.send_message(QueueUrl=url, MessageBody=text)
        except (*AWS_ERRORS, ValueError) as error:
            logger.error("schedule %s failed: %s", schedule.name, error)
        # The message is sent before the schedule goes: rather twice than never.
        if schedule.action_after_completion == "DELETE":
            self._delete(schedule)

    def _delete(self, schedule: Any) -> None:
        scheduler = client("scheduler")
        # Whoever made it may have deleted it in the meantime.
        with contextlib.suppress(scheduler.exceptions.ResourceNotFoundException):
            scheduler.delete_schedule(GroupName=self._group, Name=schedule.name)


def _when(schedule: Any) -> tuple[str, str]:
    return schedule.schedule_expression, schedule.schedule_expression_timezone


def _first_ms(schedule: Any, now_ms: int) -> int | None:
    """When a schedule that was not seen before fires first: a one-time one may be overdue."""
    expression, timezone = _when(schedule)
    return at_ms(expression, timezone) or next_ms(expression, timezone, now_ms)


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


def next_ms(expression: str, timezone: str, after_ms: int) -> int | None:
    """When a recurring schedule fires next, in UTC ms; None if never.

    Of the expressions that Scheduler knows it understands what a cron trigger becomes: every year,
    no `L`, `W` and `#`, no step. As Scheduler does it, a local time that a clock change leaves out
    is left out, and one that comes twice counts the first time; see
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time

    Args:
        expression: such as `cron(0 9 ? * MON-FRI *)`.
        timezone: of the IANA database, such as `UTC`.
        after_ms: it fires later than this, UTC ms.
    """
    found = _CRON.fullmatch(expression)
    if found is None:
        return None
    zone = ZoneInfo(timezone)
    local = datetime.fromtimestamp(after_ms // 1000, zone).replace(tzinfo=None)
    try:
        for moment in CronSim(found[1].replace("?", "*"), local):
            due = moment.replace(tzinfo=zone)
            exists = due.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment
            due_ms = int(due.timestamp()) * 1000
            if exists and due_ms > after_ms:
                return due_ms
    except CronSimError as error:
        logger.error("%s is not understood here: %s", expression, error)
    return None
