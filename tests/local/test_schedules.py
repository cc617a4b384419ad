"""Schedules fire when a clock says so."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.clock import FakeClock
from tests.local.conftest import arn_of
from tidegate.aws import client
from tidegate.local.schedules import ScheduleClock, at_ms, next_ms
from tidegate.local.wiring import PREFIX


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def schedules(cloud, clock):
    yield ScheduleClock(PREFIX, clock)
    for summary in client("scheduler").list_schedules(GroupName=PREFIX)["Schedules"]:
        client("scheduler").delete_schedule(GroupName=PREFIX, Name=summary["Name"])


def create(clock, target_arn, *, seconds, name="resume", **options):
    due = datetime.fromtimestamp(clock.now_ms() / 1000 + seconds, UTC)
    client("scheduler").create_schedule(
        **{
            "GroupName": PREFIX,
            "Name": name,
            "ScheduleExpression": f"at({due:%Y-%m-%dT%H:%M:%S})",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": target_arn, "RoleArn": "arn:aws:iam::1:role/r", "Input": "body"},
            "ActionAfterCompletion": "DELETE",
            **options,
        }
    )


def names():
    found = client("scheduler").list_schedules(GroupName=PREFIX)["Schedules"]
    return [schedule["Name"] for schedule in found]


def bodies(url):
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


def test_a_schedule_fires_when_it_is_due_and_is_deleted(schedules, clock, queue):
    url = queue()
    create(clock, arn_of(url), seconds=3_600)
    clock.advance(seconds=3_599)
    assert schedules.fire_due() == 0
    assert bodies(url) == []
    clock.advance(seconds=1)
    assert schedules.fire_due() == 1
    assert bodies(url) == ["body"]
    assert names() == []
    assert schedules.fire_due() == 0


def test_what_is_to_be_kept_is_kept_and_fires_once(schedules, clock, queue):
    url = queue()
    create(clock, arn_of(url), seconds=10, ActionAfterCompletion="NONE")
    clock.advance(seconds=11)
    assert schedules.fire_due() == 1
    assert schedules.fire_due() == 0
    assert bodies(url) == ["body"]
    assert names() == ["resume"]


def test_a_disabled_schedule_does_not_fire(schedules, clock, queue):
    url = queue()
    create(clock, arn_of(url), seconds=10, State="DISABLED")
    clock.advance(seconds=11)
    assert schedules.fire_due() == 0
    assert bodies(url) == []


def test_one_that_fails_keeps_no_other_from_firing(schedules, clock, queue, caplog):
    url = queue()
    create(clock, "arn:aws:sqs:us-east-1:123456789012:nowhere", seconds=10, name="a")
    create(clock, "arn:aws:lambda:us-east-1:123456789012:function:f", seconds=10, name="b")
    create(clock, arn_of(url), seconds=10, name="c", ScheduleExpression="at(2025-13-45T00:00:00)")
    create(clock, arn_of(url), seconds=10, name="d")
    clock.advance(seconds=11)
    schedules.fire_due()
    assert bodies(url) == ["body"]
    assert "schedule a failed" in caplog.text
    assert "fires to queues only" in caplog.text
    assert "at(2025-13-45T00:00:00) in UTC is no time" in caplog.text


def test_the_thread_fires_and_stops(schedules, clock, queue, eventually):
    url = queue()
    create(clock, arn_of(url), seconds=0)
    schedules.start()
    eventually(lambda: names() == [])
    schedules.stop()
    assert bodies(url) == ["body"]


def test_times_are_read_in_their_time_zone():
    assert at_ms("at(2026-11-22T08:15:00)", "UTC") == 1_795_335_300_000
    assert at_ms("at(2026-11-22T08:15:00)", "Europe/Berlin") == 1_795_331_700_000
    assert at_ms("rate(5 minutes)", "UTC") is None


# --- crons ----------------------------------------------------------------------------------------

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


def create_cron(clock, target_arn, expression, timezone="UTC", name="cron"):
    target = {"Arn": target_arn, "RoleArn": "arn:aws:iam::1:role/r", "Input": SCHEDULED_TIME}
    create(
        clock,
        target_arn,
        seconds=0,
        name=name,
        ScheduleExpression=expression,
        ScheduleExpressionTimezone=timezone,
        ActionAfterCompletion="NONE",
        Target=target,
    )


def test_a_cron_fires_at_each_of_its_times_with_the_time(schedules, clock, queue):
    url = queue()
    clock.ms = utc_ms(2026, 11, 23, 8, 59, 30)
    create_cron(clock, arn_of(url), "cron(0,1 9 * * ? *)")
    assert schedules.fire_due() == 0
    clock.advance(seconds=31)
    assert schedules.fire_due() == 1
    assert schedules.fire_due() == 0
    assert bodies(url) == ["2026-11-23T09:00:00Z"]
    clock.advance(seconds=59)
    assert schedules.fire_due() == 1
    clock.advance(hours=23)
    assert schedules.fire_due() == 0
    clock.advance(hours=1)
    assert schedules.fire_due() == 1
    assert bodies(url) == ["2026-11-23T09:01:00Z", "2026-11-24T09:00:00Z"]
    assert names() == ["cron"]


def test_after_a_sleep_of_the_machine_a_cron_fires_once(schedules, clock, queue):
    url = queue()
    clock.ms = utc_ms(2026, 11, 23, 9, 0, 30)
    create_cron(clock, arn_of(url), "cron(* * * * ? *)")
    schedules.fire_due()
    clock.advance(hours=8)
    assert schedules.fire_due() == 1
    assert schedules.fire_due() == 0
    assert bodies(url) == ["2026-11-23T09:01:00Z"]
    clock.advance(seconds=60)
    schedules.fire_due()
    assert bodies(url) == ["2026-11-23T17:01:00Z"]


def test_a_cron_that_changed_fires_at_its_new_times(schedules, clock, queue):
    url = queue()
    clock.ms = utc_ms(2026, 11, 23, 9, 0, 30)
    create_cron(clock, arn_of(url), "cron(1 9 * * ? *)")
    schedules.fire_due()
    client("scheduler").delete_schedule(GroupName=PREFIX, Name="cron")
    create_cron(clock, arn_of(url), "cron(2 9 * * ? *)")
    schedules.fire_due()
    clock.advance(seconds=60)
    assert schedules.fire_due() == 0
    clock.advance(seconds=60)
    assert schedules.fire_due() == 1
    assert bodies(url) == ["2026-11-23T09:02:00Z"]


def utc_ms(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000


def times(expression, timezone, *start, count):
    """The next times of an expression, as local time with its offset."""
    zone = ZoneInfo(timezone)
    ms = int(datetime(*start, tzinfo=zone).timestamp()) * 1000
    found = []
    for _ in range(count):
        ms = next_ms(expression, timezone, ms)
        found.append(datetime.fromtimestamp(ms / 1000, zone).strftime("%m-%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("expression", "timezone", "start", "expected"),
    [
        (
            "cron(0 9 ? * MON-FRI *)",
            "UTC",
            (2026, 11, 19, 9),
            ["11-20 09:00+0000", "11-23 09:00+0000"],
        ),
        ("cron(0 0 29 2 ? *)", "UTC", (2025, 1, 1), ["02-29 00:00+0000", "02-29 00:00+0000"]),
        # The office hour stays where it is when the clocks change.
        (
            "cron(0 9 * * ? *)",
            "Europe/Berlin",
            (2026, 3, 28),
            ["03-28 09:00+0100", "03-29 09:00+0200"],
        ),
        # In spring 02:30 does not exist, and is left out.
        (
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            (2026, 3, 28),
            ["03-28 02:30+0100", "03-30 02:30+0200"],
        ),
        # In autumn it comes twice, and counts once.
        (
            "cron(30 2 * * ? *)",
            "Europe/Berlin",
            (2026, 10, 24, 12),
            ["10-25 02:30+0200", "10-26 02:30+0100"],
        ),
        (
            "cron(0,30 * * * ? *)",
            "America/New_York",
            (2026, 11, 1, 0, 45),
            ["11-01 01:00-0400", "11-01 01:30-0400", "11-01 02:00-0500"],
        ),
        (
            "cron(0,30 * * * ? *)",
            "America/New_York",
            (2026, 3, 8, 1, 0),
            ["03-08 01:30-0500", "03-08 03:00-0400"],
        ),
    ],
)
def test_crons_follow_the_local_clock_as_schedulers_do(expression, timezone, start, expected):
    assert times(expression, timezone, *start, count=len(expected)) == expected


def test_an_hour_that_comes_twice_is_over_when_it_has_come_once():
    # 06:40 UTC is 01:40 in New York for the second time.
    after_ms = utc_ms(2026, 11, 1, 6, 40)
    assert next_ms("cron(45 * * * ? *)", "America/New_York", after_ms) == utc_ms(2026, 11, 1, 7, 45)


@pytest.mark.parametrize(
    "expression", ["rate(5 minutes)", "cron(0 9 ? * 2-6 *)", "cron(99 * * * ? *)"]
)
def test_what_is_not_understood_never_fires(expression):
    assert next_ms(expression, "UTC", 0) is None
