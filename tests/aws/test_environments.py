"""Branch environments: made by their first event, listed, archived, opened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.gateway import Answer, ask, request
from tidegate.aws import client
from tidegate.environments import Environments
from tidegate.errors import NotFoundError
from tidegate.ingest import Ingest
from tidegate.key import StoredKeys

pytestmark = pytest.mark.storage


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


@pytest.fixture
def environments(stage: Stage) -> Environments:
    return Environments(stage.settings.keys_table, stage.clock)


def send(stage: Stage, keys: StoredKeys, secret: str, env: str = "", name: str = "app/a") -> Answer:
    headers = {"x-inngest-env": env} if env else {}
    ingest = Ingest(keys, stage.admission, 1_000_000)
    return ask(ingest.handle, request({"name": name}, path=f"/e/{secret}", headers=headers))


def test_the_first_event_makes_an_environment(
    stage: Stage, keys: StoredKeys, environments: Environments
) -> None:
    branch = keys.create("event", "branches", branch=True)
    assert environments.all() == []
    assert send(stage, keys, branch).status == 200
    assert environments.all() == [], "the key's own environment is there with the key"
    assert send(stage, keys, branch, "pr-2").status == 200
    stage.clock.advance(seconds=5)
    assert send(stage, keys, branch, "pr-1").status == 200
    assert send(stage, keys, branch, "pr-2").status == 200
    now = stage.clock.ms
    assert [(one.name, one.created_ms, one.archived_ms) for one in environments.all()] == [
        ("pr-1", now, None),
        ("pr-2", now - 5_000, None),
    ]


def test_what_is_refused_makes_no_environment(
    stage: Stage, keys: StoredKeys, environments: Environments
) -> None:
    plain = keys.create("event", "prod")
    limited = keys.create("event", "prod", branch=True, event_names=["b/*"])
    assert send(stage, keys, plain, "pr-1").status == 401
    assert send(stage, keys, limited, "pr-1").status == 403
    assert send(stage, keys, limited, "two words").status == 400
    assert environments.all() == []


def test_an_archived_environment_takes_no_events_within_a_minute(
    stage: Stage, keys: StoredKeys, environments: Environments
) -> None:
    branch = keys.create("event", "branches", branch=True)
    send(stage, keys, branch, "pr-1")
    environments.archive("pr-1")
    archived_ms = stage.clock.ms
    stage.clock.advance(seconds=60)
    refused = send(stage, keys, branch, "pr-1")
    assert (refused.status, "is archived" in refused.error) == (403, True)
    assert send(stage, keys, branch, "pr-2").status == 200
    environments.archive("pr-1")
    assert environments.all()[0].archived_ms == archived_ms
    environments.unarchive("pr-1")
    assert send(stage, keys, branch, "pr-1").status == 200


def test_an_environment_that_is_not_there_cannot_be_archived(environments: Environments) -> None:
    for act in (environments.archive, environments.unarchive):
        with pytest.raises(NotFoundError, match="no branch key has opened an environment 'x'"):
            act("x")
    assert environments.all() == []


def test_a_branch_key_does_not_open_what_another_key_was_created_for(
    stage: Stage, keys: StoredKeys, environments: Environments
) -> None:
    branch = keys.create("event", "branches", branch=True)
    others = keys.create("event", "other-branches", branch=True)
    assert send(stage, keys, branch, "production").status == 200, "nobody has it yet"
    own = keys.create("event", "eu")
    for secret, env in ((branch, "eu"), (others, "branches"), (branch, "other-branches")):
        refused = send(stage, keys, secret, env)
        assert (refused.status, env in refused.error) == (401, True)
    assert [send(stage, keys, secret).status for secret in (own, branch, others)] == [200] * 3
    assert [one.name for one in environments.all()] == ["production"]
    # What branch keys have opened stays theirs.
    keys.create("event", "production")
    assert send(stage, keys, branch, "production").status == 200


def test_an_environment_that_a_key_was_created_for_cannot_be_archived(
    stage: Stage, keys: StoredKeys, environments: Environments
) -> None:
    secret = keys.create("event", "eu")
    for act in (environments.archive, environments.unarchive):
        with pytest.raises(NotFoundError, match="closed by revoking the key"):
            act("eu")
    assert send(stage, keys, secret).status == 200


def test_an_environment_is_asked_for_once_a_minute(
    stage: Stage, keys: StoredKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = keys.create("event", "branches", branch=True)
    asked: list[Any] = []
    get_item = client("dynamodb").get_item
    monkeypatch.setattr(
        client("dynamodb"), "get_item", lambda **kwargs: asked.append(kwargs) or get_item(**kwargs)
    )
    for _ in range(60):
        keys.open_environment(keys.find("event", branch), "pr-1")  # type: ignore[arg-type]
        stage.clock.advance(seconds=1)
    assert [one["Key"]["pk"]["S"] for one in asked].count("environment#pr-1") == 1


def test_sixteen_first_events_make_one_environment(
    stage: Stage, environments: Environments
) -> None:
    with ThreadPoolExecutor(16) as threads:
        opened = list(threads.map(lambda _: environments.open("pr-1"), range(16)))
    assert {one.name for one in opened} == {"pr-1"}
    assert len(environments.all()) == 1


def test_an_environment_of_any_name_is_one(stage: Stage, environments: Environments) -> None:
    for name in ("session#x", "environment#x", "~"):
        environments.open(name)
    assert [one.name for one in environments.all()] == sorted(["session#x", "environment#x", "~"])
