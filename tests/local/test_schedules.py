"""Schedules fire when a clock says so."""

from datetime import UTC, datetime

import pytest

from tests.clock import FakeClock
from tests.local.conftest import arn_of
from tidegate.aws import client
from tidegate.local.cloud import PREFIX
from tidegate.local.schedules import ScheduleClock, at_ms


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
