"""Keys and environments looked after by calls of the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import function_of
from tests.aws.rest import Rest, load_handler
from tests.gateway import ask, request
from tidegate.ids import is_ulid
from tidegate.ingest import Ingest
from tidegate.key import StoredKeys
from tidegate.key_records import KeyRecord, KeyRecords

pytestmark = pytest.mark.storage


class Admin:
    """Somebody with a signing key."""

    def __init__(self, stage: Stage, patch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.keys = StoredKeys(stage.settings.keys_table, stage.clock)
        self.handler = load_handler(stage, patch, auth="keys")
        self.rest = Rest(self.handler, self.keys.create("signing", "prod"))
        self.branch = Rest(self.handler, self.keys.create("signing", "branches", branch=True))

    def send(self, secret: str, env: str = "", name: str = "app/a") -> int:
        ingest = Ingest(self.keys, self.stage.admission, 1_000_000)
        headers = {"x-inngest-env": env} if env else {}
        event = request({"name": name}, path=f"/e/{secret}", headers=headers)
        return ask(ingest.handle, event).status


@pytest.fixture
def admin(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Admin:
    return Admin(stage, monkeypatch)


def test_a_created_key_is_shown_once_and_works(admin: Admin) -> None:
    body = {"kind": "event", "name": "shop", "event_names": ["app/*"]}
    answer = admin.rest.post("/v1/keys", body)
    assert answer.status == 201
    created = answer.data
    secret = created.pop("secret")
    assert created["last_used"] is None, "to make it is not to use it"
    assert created in admin.rest.get("/v1/keys").data
    assert (created["kind"], created["environment"], created["branch"]) == ("event", "prod", False)
    assert (created["name"], created["event_names"]) == ("shop", ["app/*"])
    assert admin.send(secret) == 200
    assert admin.send(secret, name="other/a") == 403
    listed = {key["id"]: key for key in admin.rest.get("/v1/keys").data}
    assert listed[created["id"]]["name"] == "shop"
    assert secret not in str(listed)


def test_a_created_signing_key_looks(admin: Admin) -> None:
    secret = admin.rest.post("/v1/keys", {"kind": "signing"}).data["secret"]
    assert Rest(admin.handler, secret).get("/v1/events").status == 200


def test_rotation_and_revocation(admin: Admin) -> None:
    created = admin.rest.post("/v1/keys", {"kind": "event", "name": "shop"}).data
    rotated = admin.rest.post(f"/v1/keys/{created['id']}/rotate").data
    assert (rotated["replaces"], rotated["name"]) == (created["id"], "shop")
    assert [admin.send(one["secret"]) for one in (created, rotated)] == [200, 200]
    revoked = admin.rest.delete(f"/v1/keys/{created['id']}")
    assert revoked.data["revoked_at"] == "2025-10-09T08:53:20.000Z"
    assert "secret" not in revoked.data
    admin.stage.clock.advance(seconds=60)
    assert [admin.send(one["secret"]) for one in (created, rotated)] == [401, 200]
    assert admin.rest.delete(f"/v1/keys/{created['id']}").data == revoked.data
    assert admin.rest.post(f"/v1/keys/{created['id']}/rotate").status == 409


def test_keys_of_other_environments_are_not_there(admin: Admin) -> None:
    other = admin.keys.create("event", "eu")
    key_id = next(
        key["id"]
        for key in Rest(admin.handler, admin.keys.create("signing", "eu")).get("/v1/keys").data
        if key["kind"] == "event"
    )
    assert {key["environment"] for key in admin.rest.get("/v1/keys").data} == {"prod"}
    assert admin.rest.delete(f"/v1/keys/{key_id}").status == 404
    assert admin.rest.post(f"/v1/keys/{key_id}/rotate").status == 404
    admin.stage.clock.advance(seconds=60)
    assert admin.send(other) == 200


def test_a_branch_key_makes_keys_of_a_branch_environment(admin: Admin) -> None:
    headers = {"x-inngest-env": "pr-1"}
    answer = admin.branch.get("/v1/keys", method="POST", body={"kind": "event"}, headers=headers)
    assert (answer.data["environment"], answer.data["branch"]) == ("pr-1", False)
    # It stays one of branch keys.
    assert admin.branch.get("/v1/events", headers=headers).status == 200
    rotated = admin.branch.get(
        f"/v1/keys/{answer.data['id']}/rotate", method="POST", headers=headers
    )
    assert rotated.status == 201
    assert admin.branch.get("/v1/events", headers=headers).status == 200


def test_a_plain_key_touches_no_branch_key(admin: Admin) -> None:
    branch = admin.keys.create("signing", "prod", branch=True)
    key_id = next(key["id"] for key in admin.rest.get("/v1/keys").data if key["branch"])
    for answer in (
        admin.rest.post(f"/v1/keys/{key_id}/rotate"),
        admin.rest.delete(f"/v1/keys/{key_id}"),
    ):
        assert (answer.status, "opens branch environments" in answer.body["error"]) == (403, True)
    assert Rest(admin.handler, branch).post(f"/v1/keys/{key_id}/rotate").data["branch"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "kind is required"),
        ({"kind": "other"}, "kind: "),
        ({"kind": "event", "names": ["a"]}, "unknown field 'names'"),
        ({"kind": "event", "event_names": ["*"]}, "can never match"),
        ({"kind": "signing", "event_names": ["a"]}, "they limit event keys alone"),
        ({"kind": "event", "name": "x" * 201}, "name: "),
    ],
)
def test_a_key_that_cannot_be_is_refused(admin: Admin, body: Any, error: str) -> None:
    before = admin.rest.get("/v1/keys").data
    answer = admin.rest.post("/v1/keys", body)
    assert answer.status == 400
    assert error in answer.body["error"]
    assert admin.rest.get("/v1/keys").data == before


def test_environments_of_branch_keys(admin: Admin) -> None:
    secret = admin.keys.create("event", "branches", branch=True)
    assert admin.send(secret, "pr-1") == 200
    [found] = admin.branch.get("/v1/environments").data
    assert (found["name"], found["archived_at"]) == ("pr-1", None)
    archived = admin.branch.post("/v1/environments/pr-1/archive").data
    assert archived["archived_at"] == "2025-10-09T08:53:20.000Z"
    admin.stage.clock.advance(seconds=60)
    assert admin.send(secret, "pr-1") == 403
    assert admin.branch.post("/v1/environments/pr-1/unarchive").data["archived_at"] is None
    assert admin.send(secret, "pr-1") == 200
    assert admin.branch.post("/v1/environments/pr-2/archive").status == 404


def test_environments_are_for_branch_keys(admin: Admin) -> None:
    assert admin.rest.get("/v1/environments").status == 403
    for change in ("archive", "unarchive"):
        assert admin.rest.post(f"/v1/environments/pr-1/{change}").status == 403


def test_events_sent_by_the_rest_api_are_taken_in(admin: Admin) -> None:
    answer = admin.rest.post("/v1/events", [{"name": "app/a"}, {"name": "app/b"}])
    assert answer.status == 201
    assert all(map(is_ulid, answer.data["ids"]))
    assert admin.rest.post("/v1/events", {"name": ""}).status == 400


def test_the_rest_api_sends_into_environments_as_the_event_api_does(admin: Admin) -> None:
    headers = {"x-inngest-env": "pr-1"}

    def send() -> int:
        body = {"name": "app/a"}
        return admin.branch.get("/v1/events", method="POST", body=body, headers=headers).status

    assert send() == 201
    assert [one["name"] for one in admin.branch.get("/v1/environments").data] == ["pr-1"]
    admin.branch.post("/v1/environments/pr-1/archive")
    admin.stage.clock.advance(seconds=60)
    assert send() == 403
    assert admin.branch.get("/v1/events", headers=headers).status == 200, "one may still look"


def test_the_rest_api_takes_an_event_of_an_id_once(admin: Admin) -> None:
    first, second = (
        admin.rest.post("/v1/events", {"name": "app/a", "id": "mine"}).data["ids"] for _ in range(2)
    )
    assert first == second
    assert len(admin.rest.get("/v1/events").data) == 1


def test_a_key_that_is_revoked_while_it_is_rotated_is_not(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = admin.rest.post("/v1/keys", {"kind": "event"}).data
    find = KeyRecords.find

    def then_revoked(records: KeyRecords, *asked: Any) -> KeyRecord:
        found = find(records, *asked)
        monkeypatch.undo()
        records.revoke(found.pk, found.env)
        return found

    monkeypatch.setattr(KeyRecords, "find", then_revoked)
    answer = admin.rest.post(f"/v1/keys/{created['id']}/rotate")
    assert (answer.status, "is revoked" in answer.body["error"]) == (409, True)


def test_an_archived_environment_starts_no_run_by_invocation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = function_of(lambda ctx: None)
    stage.deploy(function)
    admin = Admin(stage, monkeypatch)
    rest, headers = admin.branch, {"x-inngest-env": "pr-1"}

    def invoke() -> int:
        path = f"/v1/functions/{function.id}/invoke"
        return rest.get(path, method="POST", body={}, headers=headers).status

    assert invoke() == 201
    listed = rest.get("/v1/environments").data
    assert [one["name"] for one in listed] == ["pr-1"], "who starts runs has opened it"
    assert rest.post("/v1/environments/pr-1/archive").status == 200
    admin.stage.clock.advance(seconds=60)
    assert invoke() == 403
    assert len(admin.stage.messages(function)) == 1


def test_an_archived_environment_takes_nothing_of_its_own_keys_either(admin: Admin) -> None:
    headers = {"x-inngest-env": "pr-1"}
    sent = admin.branch.get("/v1/events", method="POST", body={"name": "a"}, headers=headers)
    assert sent.status == 201
    own = [
        admin.branch.get("/v1/keys", method="POST", body={"kind": kind}, headers=headers).data
        for kind in ("event", "signing")
    ]
    event, signing = (one["secret"] for one in own)
    rest = Rest(admin.handler, signing)
    assert (admin.send(event), rest.post("/v1/events", {"name": "a"}).status) == (200, 201)
    assert admin.branch.post("/v1/environments/pr-1/archive").status == 200
    admin.stage.clock.advance(seconds=60)
    assert (admin.send(event), rest.post("/v1/events", {"name": "a"}).status) == (403, 403)
    assert rest.get("/v1/events").status == 200, "it can still be looked at"
    assert admin.branch.post("/v1/environments/pr-1/unarchive").status == 200
    assert (admin.send(event), rest.post("/v1/events", {"name": "a"}).status) == (200, 201)


def test_what_its_own_key_opened_stays_closed_to_branch_keys(admin: Admin) -> None:
    branch = admin.keys.create("event", "branches", branch=True)
    eu = admin.keys.create("event", "eu")
    assert admin.send(eu) == 200
    assert admin.send(branch, env="eu") == 401
