"""Keys: stored as hashes, found by their secret, forgotten a minute after they were revoked."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tidegate.aws import client
from tidegate.errors import ConfigurationError, PlatformError, RequestError
from tidegate.key import Key, OpenKeys, StoredKeys

pytestmark = pytest.mark.storage


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


def stored(stage: Stage) -> list[dict[str, Any]]:
    """The keys in the table, without the environments that were recorded with them."""
    items = client("dynamodb").scan(TableName=stage.settings.keys_table)["Items"]
    return [item for item in items if item["kind"]["S"] in ("event", "signing")]


def revoke_all(stage: Stage) -> None:
    for item in stored(stage):
        item["revoked_ms"] = {"N": str(stage.clock.ms)}
        client("dynamodb").put_item(TableName=stage.settings.keys_table, Item=item)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> list[dict[str, Any]]:
    """What is read of DynamoDB from here on."""
    asked: list[dict[str, Any]] = []
    get_item = client("dynamodb").get_item

    def recording(**arguments: Any) -> Any:
        asked.append(arguments)
        return get_item(**arguments)

    monkeypatch.setattr(client("dynamodb"), "get_item", recording)
    return asked


def test_a_key_is_found_by_its_secret(keys: StoredKeys) -> None:
    secret = keys.create("event", "prod", branch=True, event_names=["app/*", "b"])
    expected = Key("event", "prod", branch=True, event_names=("app/*", "b"))
    assert keys.find("event", secret) == expected


@pytest.mark.parametrize("wrong", ["", "x", "\ud800", "ü", "x" * 10_000])
def test_another_secret_finds_nothing(keys: StoredKeys, wrong: str) -> None:
    secret = keys.create("event", "prod")
    for kind in ("event", "signing"):
        assert keys.find(kind, wrong) is None  # type: ignore[arg-type]
    for near in (secret[:-1], secret + "A", secret.swapcase()):
        assert keys.find("event", near) is None


def test_secrets_are_not_stored(stage: Stage, keys: StoredKeys) -> None:
    event, signing = keys.create("event", "prod"), keys.create("signing", "prod")
    bare = signing.removeprefix("signkey-env-")
    hashed = hashlib.sha256(bytes.fromhex(bare)).hexdigest()
    text = json.dumps(stored(stage))
    assert len(stored(stage)) == 2
    # The hash of a signing key opens as much as the key, so it may not be there either.
    assert not [secret for secret in (event, signing, bare, hashed) if secret in text]


@pytest.mark.parametrize("prefix", ["", "signkey-env-", "signkey-branch-", "signkey-test-"])
def test_a_signing_key_is_known_by_itself_and_by_its_hash(keys: StoredKeys, prefix: str) -> None:
    bare = keys.create("signing", "prod").removeprefix("signkey-env-")
    hashed = hashlib.sha256(bytes.fromhex(bare)).hexdigest()
    assert keys.find("signing", prefix + bare) == Key("signing", "prod")
    assert keys.find("signing", prefix + hashed) == Key("signing", "prod")
    twice = hashlib.sha256(bytes.fromhex(hashed)).hexdigest()
    assert keys.find("signing", prefix + twice) is None


def test_what_is_stored_opens_nothing(stage: Stage, keys: StoredKeys) -> None:
    event, signing = keys.create("event", "prod"), keys.create("signing", "prod")
    secrets = [item["pk"]["S"] for item in stored(stage)]
    # What is hashed into a signing key's place must not be guessed as an event key.
    hashed = hashlib.sha256(bytes.fromhex(signing.removeprefix("signkey-env-"))).hexdigest()
    for secret in (*secrets, f"signing:{hashed}", signing):
        assert keys.find("event", secret) is None
    for secret in (*secrets, event):
        assert keys.find("signing", secret) is None


def test_a_revoked_key_is_good_for_less_than_a_minute(stage: Stage, keys: StoredKeys) -> None:
    secret = keys.create("event", "prod")
    assert keys.find("event", secret)
    revoke_all(stage)
    stage.clock.advance(seconds=59.999)
    assert keys.find("event", secret)
    stage.clock.advance(seconds=0.001)
    assert keys.find("event", secret) is None


def test_a_key_in_use_is_read_once_a_minute(
    stage: Stage, keys: StoredKeys, reads: list[dict[str, Any]]
) -> None:
    secret = keys.create("event", "prod")
    reads.clear()
    for _ in range(120):
        assert keys.find("event", secret)
        stage.clock.advance(seconds=1)
    assert len(reads) == 2
    # A stale read would be believed for a minute more than a revoked key may work.
    assert all(read["ConsistentRead"] for read in reads)


def test_a_new_key_is_good_at_once(keys: StoredKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.key.secrets.token_urlsafe", lambda length: "guessed")
    assert keys.find("event", "guessed") is None
    assert keys.create("event", "prod") == "guessed"
    assert keys.find("event", "guessed")


def test_many_keys_are_remembered_within_bounds(
    keys: StoredKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.key._MAX_CACHED", 5)
    secrets = [keys.create("event", "prod") for _ in range(12)]
    for secret in secrets:
        assert keys.find("event", secret)
        assert len(keys._cache) <= 5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"env": ""}, "environment name ''"),
        ({"env": "a b"}, "environment name 'a b'"),
        ({"env": "x" * 129}, "1 to 128"),
        ({"env": "prod", "event_names": ["*"]}, "can never match"),
        ({"env": "prod", "event_names": ["a*b"]}, "can never match"),
        ({"env": "prod", "event_names": [""]}, "1 to 256 characters"),
        ({"kind": "signing", "env": "prod", "event_names": ["a"]}, "they limit event keys alone"),
    ],
)
def test_a_key_that_cannot_work_is_not_made(
    stage: Stage, keys: StoredKeys, arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigurationError, match=error.replace("*", r"\*")):
        keys.create(**{"kind": "event"} | arguments)
    assert stored(stage) == []


def test_a_table_that_does_not_answer_is_no_missing_key(stage: Stage) -> None:
    keys = StoredKeys("no-such-table", stage.clock)
    with pytest.raises(PlatformError):
        keys.find("event", "x")
    with pytest.raises(PlatformError):
        keys.create("event", "prod")


def test_names_a_key_may_send() -> None:
    Key("event", "prod").check_names(["anything", "else"])
    limited = Key("event", "prod", event_names=("app/user.*", "b"))
    limited.check_names(["b", "app/user.created", "app/user."])
    for name in ("c", "B", "app/user", "app/users.created", "b "):
        with pytest.raises(RequestError, match=r"^events\[1\]: ") as refused:
            limited.check_names(["b", name])
        assert refused.value.status == 403


def test_environments_a_key_opens() -> None:
    plain, branch = Key("event", "prod"), Key("event", "branches", branch=True)
    assert [plain.environment(header) for header in (None, "", "prod")] == ["prod"] * 3
    assert branch.environment(None) == "branches"
    assert branch.environment("feature/a#1") == "feature/a#1"
    for key, header, status in ((plain, "dev", 401), (branch, "a b", 400), (branch, "é", 400)):
        with pytest.raises(RequestError) as refused:
            key.environment(header)
        assert refused.value.status == status


def test_where_keys_are_open_any_will_do() -> None:
    for kind in ("event", "signing"):
        key = OpenKeys("dev").find(kind, "anything")  # type: ignore[arg-type]
        assert key.environment(None) == "dev"
        assert key.environment("feature") == "feature"
        key.check_names(["anything"])


def test_the_minute_of_a_key_begins_before_it_is_read(
    stage: Stage, keys: StoredKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long DynamoDB takes to note that it was used."""
    secret = keys.create("event", "prod")
    update = client("dynamodb").update_item

    def slowly(**arguments: Any) -> Any:
        revoke_all(stage)
        stage.clock.advance(seconds=14)
        return update(**arguments)

    monkeypatch.setattr(client("dynamodb"), "update_item", slowly)
    assert keys.find("event", secret) is not None
    stage.clock.advance(seconds=45)
    assert keys.find("event", secret) is not None
    stage.clock.advance(seconds=1)
    assert keys.find("event", secret) is None
