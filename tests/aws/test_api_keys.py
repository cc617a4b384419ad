"""Who may look, and into which environment."""

from __future__ import annotations

import hashlib

import pytest

from tests.aws.conftest import Stage
from tests.aws.rest import Handler, Rest, load_handler
from tidegate.aws import client
from tidegate.ids import run_id_of
from tidegate.key import Key, StoredKeys
from tidegate.run import Run, Status

pytestmark = pytest.mark.storage


@pytest.fixture
def handler(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Handler:
    return load_handler(stage, monkeypatch, auth="keys")


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


def revoke_all(stage: Stage) -> None:
    table = stage.settings.keys_table
    for item in client("dynamodb").scan(TableName=table)["Items"]:
        client("dynamodb").update_item(
            TableName=table,
            Key={"pk": item["pk"]},
            UpdateExpression="SET revoked_ms = :now",
            ExpressionAttributeValues={":now": {"N": str(stage.clock.ms)}},
        )


def hashed(secret: str) -> str:
    """A signing key as the official Python client sends it: without prefix, hashed."""
    return hashlib.sha256(bytes.fromhex(secret.rpartition("-")[2])).hexdigest()


def test_signing_key_in_all_its_spellings(handler: Handler, keys: StoredKeys) -> None:
    secret = keys.create("signing", "production")
    bare = secret.rpartition("-")[2]
    for token in (secret, bare, hashed(secret), f"signkey-prod-{hashed(secret)}"):
        assert Rest(handler, token).get("/v1/functions").status == 200


def test_without_a_key_nothing_is_told(
    handler: Handler, keys: StoredKeys, subtests: pytest.Subtests
) -> None:
    keys.create("signing", "production")
    wrong = ["", "Bearer ", "Bearer nonsense", f"Bearer {'0' * 64}", "Basic dTpw"]
    for headers in ({}, *({"authorization": text} for text in wrong)):
        for path in ("/v1/events", "/v1/functions", "/v1/nonsense"):
            with subtests.test(path, headers=headers):
                answer = Rest(handler).get(path, headers=headers)
                assert answer.status == answer.body["status"] == 401
                assert answer.body["data"] is None
                assert answer.body["error"].startswith("Authentication failed")
                assert "Authorization: Bearer" in answer.body["error"]
                assert answer.headers["www-authenticate"] == "Bearer"


def test_event_key_does_not_open_the_rest_api(handler: Handler, keys: StoredKeys) -> None:
    assert Rest(handler, keys.create("event", "production")).get("/v1/events").status == 401


def test_scheme_of_the_header_is_in_any_case(handler: Handler, keys: StoredKeys) -> None:
    secret = keys.create("signing", "production")
    answer = Rest(handler).get("/v1/events", headers={"authorization": f"bearer {secret}"})
    assert answer.status == 200


def test_revoked_key_opens_nothing_after_a_minute_at_the_latest(
    stage: Stage, handler: Handler, keys: StoredKeys
) -> None:
    rest = Rest(handler, keys.create("signing", "production"))
    never_used = Rest(handler, keys.create("signing", "production"))
    assert rest.get("/v1/events").status == 200
    revoke_all(stage)
    assert never_used.get("/v1/events").status == 401
    stage.clock.advance(seconds=60)
    assert rest.get("/v1/events").status == 401


def test_known_key_is_not_looked_up_again_for_a_minute(
    stage: Stage, handler: Handler, keys: StoredKeys
) -> None:
    rest = Rest(handler, keys.create("signing", "production"))
    assert rest.get("/v1/functions").status == 200
    client("dynamodb").delete_table(TableName=stage.settings.keys_table)
    stage.clock.advance(seconds=59)
    assert rest.get("/v1/functions").status == 200
    stage.clock.advance(seconds=1)
    answer = rest.get("/v1/functions")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_key_sees_its_own_environment_only(
    stage: Stage, handler: Handler, keys: StoredKeys
) -> None:
    [event_id] = stage.send({"name": "secret"}, env="production")
    run = Run(
        id=run_id_of("production", "f", event_id),
        env="production",
        function_id="f",
        event_id=event_id,
        status=Status.RUNNING,
        attempt=0,
        queued_ms=stage.clock.ms,
    )
    stage.runs.create(run)
    mine = Rest(handler, keys.create("signing", "production"))
    other = Rest(handler, keys.create("signing", "staging"))
    paths = [f"/v1/events/{event_id}", f"/v1/events/{event_id}/runs", f"/v1/runs/{run.id}"]
    assert [mine.get(path).status for path in paths] == [200, 200, 200]
    assert [other.get(path).status for path in paths] == [404, 404, 404]
    assert [e["internal_id"] for e in mine.get("/v1/events").data] == [event_id]
    assert other.get("/v1/events").data == []


def test_header_chooses_the_environment_for_a_branch_key_only(
    stage: Stage, handler: Handler, keys: StoredKeys
) -> None:
    [event_id] = stage.send({"name": "a"}, env="feature/x")
    branch = Rest(handler, keys.create("signing", "branches", branch=True))
    fixed = Rest(handler, keys.create("signing", "production"))
    header = {"x-inngest-env": "feature/x"}
    path = f"/v1/events/{event_id}"
    assert branch.get(path, headers=header).data["environment"] == "feature/x"
    assert branch.get(path).status == 404
    assert fixed.get("/v1/events", headers={"x-inngest-env": "production"}).status == 200
    refused = fixed.get(path, headers=header)
    assert refused.status == 401
    assert "feature/x" in refused.body["error"]
    assert branch.get("/v1/events", headers={"x-inngest-env": "a b"}).status == 400


def test_a_branch_key_does_not_look_where_another_key_was_created_for(
    stage: Stage, handler: Handler, keys: StoredKeys
) -> None:
    stage.send({"name": "a"}, env="production")
    branch = Rest(handler, keys.create("signing", "branches", branch=True))
    header = {"x-inngest-env": "production"}
    keys.create("event", "production")
    for method, path in (("GET", "/v1/events"), ("GET", "/v1/keys"), ("POST", "/v1/keys")):
        refused = branch.get(path, method=method, body={"kind": "event"}, headers=header)
        assert (refused.status, "production" in refused.body["error"]) == (401, True)
    assert branch.get("/v1/events", headers={"x-inngest-env": "branches"}).status == 200


def test_an_environment_that_is_looked_at_is_asked_for_once_a_minute(
    stage: Stage, handler: Handler, keys: StoredKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = Rest(handler, keys.create("signing", "branches", branch=True))
    headers = {"x-inngest-env": "pr-1"}
    keys.open_environment(Key("event", "branches", branch=True), "pr-1")
    assert branch.get("/v1/events", headers=headers).status == 200
    client("dynamodb").delete_table(TableName=stage.settings.keys_table)
    assert branch.get("/v1/functions", headers=headers).status == 200
    stage.clock.advance(seconds=60)
    assert branch.get("/v1/functions", headers=headers).status == 503
