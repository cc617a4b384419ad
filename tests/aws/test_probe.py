"""Probes: events that the matcher answers, so that anybody can see whether a stage works."""

from __future__ import annotations

import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import bodies, match
from tests.aws.rest import Rest, load_handler
from tidegate.event import PROBE
from tidegate.message import EventMessage
from tidegate.probe import KEPT_S

pytestmark = pytest.mark.storage


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rest:
    return Rest(load_handler(stage, monkeypatch))


def test_a_probe_is_answered_once_it_came_through_to_the_matcher(stage: Stage, rest: Rest) -> None:
    [event_id] = stage.send({"name": PROBE})
    assert rest.get(f"/v1/probes/{event_id}").data == {"event_id": event_id, "answered_at": None}
    stage.clock.advance(seconds=2)
    assert len(match(stage)) == 1
    answered = rest.get(f"/v1/probes/{event_id}").data["answered_at"]
    sent = rest.get(f"/v1/events/{event_id}").data["received_at"]
    assert answered > sent
    [other] = stage.send({"name": PROBE})
    assert rest.get(f"/v1/probes/{other}").data["answered_at"] is None


def test_what_is_no_probe_does_not_go_to_the_matcher(stage: Stage, rest: Rest) -> None:
    ids = stage.send({"name": "app/a"}, {"name": f"{PROBE}.not"}, {"name": PROBE})
    [message] = [EventMessage.decode(text) for text in bodies(stage.cloud.matcher.queue_url)]
    assert message.event.internal_id == ids[2]


def test_an_answer_does_not_stay(stage: Stage) -> None:
    from tidegate.aws import client

    stage.send({"name": PROBE})
    match(stage)
    [item] = client("dynamodb").scan(TableName=stage.settings.jobs_table)["Items"]
    assert int(item["expires_at"]["N"]) == stage.clock.ms // 1000 + KEPT_S


def test_what_is_no_id_is_refused(rest: Rest) -> None:
    assert rest.get("/v1/probes/x").status == 400
