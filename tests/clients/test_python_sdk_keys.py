"""Inngest's official Python client against a server that checks keys, as a deployed one does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import inngest
import pytest
from inngest._internal.errors import SendEventsError  # exported nowhere

from tests.e2e.serving import Served, serving
from tidegate.clock import SystemClock
from tidegate.key import StoredKeys
from tidegate.local import server
from tidegate.local.cloud import Cloud
from tidegate.settings import Settings

KEYS_TABLE = "tidegate-keys"


class CloudWithKeys(Cloud):
    """Its Lambdas are told to check keys; nothing else differs."""

    def _settings(self, *arguments: Any) -> Settings:
        return replace(super()._settings(*arguments), auth="keys")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "Cloud", CloudWithKeys)
        with serving("tests.e2e.app") as served:
            yield served


@pytest.fixture(scope="module")
def keys(served: Served) -> StoredKeys:
    return StoredKeys(KEYS_TABLE, SystemClock())


@pytest.fixture(scope="module")
def signing_key(keys: StoredKeys) -> str:
    return keys.create("signing", "production")


def client_with(served: Served, event_key: str, **options: Any) -> inngest.Inngest:
    return inngest.Inngest(
        app_id="sdk",
        event_api_base_url=served.server.url,
        api_base_url=served.server.url,
        event_key=event_key,
        is_production=True,
        **options,
    )


def look(served: Served, path: str, signing_key: str) -> Any:
    """What the REST API answers to the SDK's own authenticated GET, which sends the key hashed."""
    client = client_with(served, "x", signing_key=signing_key)
    answer = client._http_client.get_sync(f"{served.server.url}/v1/{path}", auth=True)
    if isinstance(answer, Exception):
        raise answer
    return answer.json()["data"]


def test_a_known_key_opens_its_environment(
    served: Served, keys: StoredKeys, signing_key: str
) -> None:
    client = client_with(served, keys.create("event", "production"))
    [event_id] = client.send_sync(inngest.Event(name="show/known", data={"n": 1}))
    event = look(served, f"events/{event_id}", signing_key)
    assert (event["name"], event["data"]) == ("show/known", {"n": 1})
    assert event["environment"] == "production"


@pytest.mark.parametrize("wrong", ["unknown", "NO_EVENT_KEY_SET", "ключ"])
def test_an_unknown_key_is_an_exception(served: Served, wrong: str, signing_key: str) -> None:
    with pytest.raises(SendEventsError, match="Event key not found") as caught:
        client_with(served, wrong).send_sync(inngest.Event(name="show/unknown"))
    assert caught.value.ids == []
    assert look(served, "events?name=show/unknown", signing_key) == []


def test_a_key_for_some_events_sends_no_other(served: Served, keys: StoredKeys) -> None:
    client = client_with(served, keys.create("event", "production", event_names=["show/a.*"]))
    assert len(client.send_sync(inngest.Event(name="show/a.b"))) == 1
    with pytest.raises(SendEventsError, match=r"events\[0\].*may not send 'show/b'"):
        client.send_sync(inngest.Event(name="show/b"))


def test_only_a_branch_key_opens_branch_environments(served: Served, keys: StoredKeys) -> None:
    event = inngest.Event(name="show/branch")
    with pytest.raises(SendEventsError, match="does not open the environment 'feature'"):
        client_with(served, keys.create("event", "production"), env="feature").send_sync(event)
    branch = keys.create("event", "branches", branch=True)
    assert len(client_with(served, branch, env="feature").send_sync(event)) == 1


def test_looking_takes_a_signing_key(served: Served, keys: StoredKeys) -> None:
    with pytest.raises(Exception, match="401"):
        look(served, "events", "signkey-test-" + 32 * "ab")
    assert look(served, "functions", keys.create("signing", "production"))
