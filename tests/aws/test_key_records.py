"""Keys looked after: listed, revoked, rotated without a lost event; when they were last used."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import Stage
from tests.gateway import ask, request
from tidegate.aws import client
from tidegate.errors import ConfigurationError, NotFoundError
from tidegate.ingest import Ingest
from tidegate.key import Key, StoredKeys
from tidegate.key_records import KeyRecords

pytestmark = pytest.mark.storage

LIMIT = 512 * 1024


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


@pytest.fixture
def records(keys: StoredKeys) -> KeyRecords:
    return KeyRecords(keys)


def status(stage: Stage, keys: StoredKeys, secret: str) -> int:
    """What sending an event with a key gives."""
    ingest = Ingest(keys, stage.admission, LIMIT)
    return ask(ingest.handle, request({"name": "app/a"}, path=f"/e/{secret}")).status


def test_keys_are_listed_without_their_secrets(
    stage: Stage, keys: StoredKeys, records: KeyRecords
) -> None:
    secrets = [keys.create("event", "prod", name="shop", branch=True, event_names=["app/*"])]
    stage.clock.advance(seconds=1)
    secrets.append(keys.create("signing", "eu"))
    shop, signing = records.all()
    assert (shop.kind, shop.env, shop.name, shop.branch, shop.event_names) == (
        "event",
        "prod",
        "shop",
        True,
        ("app/*",),
    )
    assert shop.created_ms == stage.clock.ms - 1_000
    assert (signing.kind, signing.last_used_day, signing.revoked_ms) == ("signing", None, None)
    assert [one.env for one in records.all("eu")] == ["eu"]
    assert not [secret for secret in secrets if secret in str(records.all())]


def test_many_keys_are_all_listed(
    stage: Stage, keys: StoredKeys, records: KeyRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        keys.create("event", "prod", name="x" * 60_000 + str(number))
    # A page of a scan has up to 1 MB.
    assert len({one.name for one in records.all()}) == 30


def test_a_revoked_key_stops_within_a_minute_and_stays_listed(
    stage: Stage, keys: StoredKeys, records: KeyRecords
) -> None:
    secret, other = keys.create("event", "prod"), keys.create("event", "prod")
    assert status(stage, keys, secret) == 200
    key_id = records.of_secret("event", secret).id
    revoked = records.revoke(key_id)
    assert revoked.revoked_ms == stage.clock.ms
    stage.clock.advance(seconds=60)
    assert status(stage, keys, secret) == 401
    assert status(stage, keys, other) == 200
    assert records.revoke(key_id).revoked_ms == revoked.revoked_ms
    assert [one.revoked_ms is None for one in records.all()].count(False) == 1


def test_rotating_loses_no_event(stage: Stage, keys: StoredKeys, records: KeyRecords) -> None:
    old = keys.create("event", "prod", name="shop", event_names=["app/*"])
    old_id = records.of_secret("event", old).id
    new = records.rotate(old_id)
    for _ in range(3):
        assert (status(stage, keys, old), status(stage, keys, new)) == (200, 200)
        stage.clock.advance(seconds=61)
    records.revoke(old_id)
    stage.clock.advance(seconds=60)
    assert (status(stage, keys, old), status(stage, keys, new)) == (401, 200)
    made = records.of_secret("event", new)
    assert (made.replaces, made.name, made.event_names) == (old_id, "shop", ("app/*",))


def test_a_revoked_key_cannot_be_rotated(keys: StoredKeys, records: KeyRecords) -> None:
    key_id = records.of_secret("signing", keys.create("signing", "prod")).id
    records.revoke(key_id)
    with pytest.raises(ConfigurationError, match="is revoked; create a new one"):
        records.rotate(key_id)


@pytest.mark.parametrize("key_id", ["", "nonsense", "session#", "%"])
def test_an_id_of_no_key_is_told(keys: StoredKeys, records: KeyRecords, key_id: str) -> None:
    keys.create("event", "prod")
    for act in (records.revoke, records.rotate):
        with pytest.raises(NotFoundError, match="`tidegate keys list` has all"):
            act(key_id)


def test_the_beginning_of_several_ids_is_told(keys: StoredKeys, records: KeyRecords) -> None:
    for _ in range(17):
        keys.create("event", "prod")
    firsts = [one.pk[0] for one in records.all()]
    shared = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(ConfigurationError, match="several keys begin with"):
        records.revoke(shared)


def test_a_key_of_another_environment_is_not_found(keys: StoredKeys, records: KeyRecords) -> None:
    key_id = records.of_secret("event", keys.create("event", "prod")).id
    with pytest.raises(NotFoundError):
        records.revoke(key_id, env="eu")


def test_the_day_of_the_last_use_is_written_once_a_day(
    stage: Stage, keys: StoredKeys, records: KeyRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[Any] = []
    update = client("dynamodb").update_item

    def recording(**arguments: Any) -> Any:
        writes.append(arguments)
        return update(**arguments)

    monkeypatch.setattr(client("dynamodb"), "update_item", recording)
    secret = keys.create("event", "prod")
    others = StoredKeys(keys.table, stage.clock)
    for _ in range(24):
        assert keys.find("event", secret)
        assert others.find("event", secret)
        stage.clock.advance(seconds=3_600)
    # FakeClock begins at 08:53 UTC: the hours are of two days.
    assert len(writes) == 2
    assert records.all()[0].last_used_day == "2025-10-10"


def test_a_use_that_cannot_be_noted_refuses_nothing(
    keys: StoredKeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = keys.create("event", "prod")

    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "x")

    monkeypatch.setattr(client("dynamodb"), "update_item", denied)
    with caplog.at_level(logging.WARNING, "tidegate"):
        assert keys.find("event", secret) == Key("event", "prod")
    assert "could not be noted" in caplog.text
    assert secret not in json.dumps([str(vars(record)) for record in caplog.records])
