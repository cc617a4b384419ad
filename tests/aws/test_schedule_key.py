"""Schedules are encrypted with the key of a stage that has one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.aws.conftest import Stage
from tidegate.aws import client
from tidegate.schedule import Delivery
from tidegate.settings import Settings

KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DAY_MS = 86_400_000


@pytest.mark.parametrize("key_arn", ["", KEY_ARN])
def test_a_late_message_is_kept_under_the_stages_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, key_arn: str
) -> None:
    settings = Settings.read(stage.cloud.ingest_environment())
    settings = replace(settings, schedule_group="tidegate", schedule_key_arn=key_arn)
    asked = []
    monkeypatch.setattr(client("scheduler"), "create_schedule", lambda **call: asked.append(call))
    Delivery.of(settings, stage.clock).at(stage.clock.ms + DAY_MS, "{}", "run-1")
    assert [call.get("KmsKeyArn", "") for call in asked] == [key_arn]
