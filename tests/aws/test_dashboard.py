"""The dashboard's own requests: its files, and who may look and change."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.rest import Handler, load_handler
from tidegate.aws import client
from tidegate.dashboard.files import FOLDER, version
from tidegate.dashboard.session import LIFETIME_S
from tidegate.key import CACHE_MS, StoredKeys

HOST = "abc.execute-api.eu-central-1.amazonaws.com"
ELSEWHERE = "https://evil.example"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes
    cookies: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Browser:
    """Sends what a browser sends of its own accord."""

    handler: Handler
    host: str = HOST
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"host": self.host, **(headers or {})}
        event: dict[str, Any] = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {name: value for name, value in sent.items() if value},
            "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
            "isBase64Encoded": False,
        }
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if self.cookies:
            event["cookies"] = [f"{name}={value}" for name, value in self.cookies.items()]
        raw = self.handler(event, None)
        content = raw["body"]
        data = base64.b64decode(content) if raw.get("isBase64Encoded") else content.encode()
        headers = {name.lower(): value for name, value in raw["headers"].items()}
        for cookie in raw.get("cookies", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(raw["statusCode"], dict(headers), data, raw.get("cookies", []))

    def log_in(self, key: str) -> dict[str, Any]:
        answer = self.ask("/dashboard/session", "POST", {"key": key})
        assert answer.status == 200, answer.content
        return dict(answer.json["data"])


@pytest.fixture
def keys(stage: Stage) -> StoredKeys:
    return StoredKeys(stage.settings.keys_table, stage.clock)


@pytest.fixture
def closed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A browser at a deployed stage."""
    return Browser(load_handler(stage, monkeypatch, auth="keys"))


@pytest.fixture
def opened(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A browser at a dev server."""
    return Browser(load_handler(stage, monkeypatch), host="localhost:8288")


def revoke(keys: StoredKeys, secret: str) -> None:
    key = keys.find("signing", secret)
    assert key is not None
    client("dynamodb").update_item(
        TableName=keys.table,
        Key={"pk": {"S": key.id}},
        UpdateExpression="SET revoked_ms = :now",
        ExpressionAttributeValues={":now": {"N": "1"}},
    )


# --- files ----------------------------------------------------------------------------------------


def test_the_page_names_its_files_by_version_and_has_no_inline_script(closed: Browser) -> None:
    answer = closed.ask("/")
    page = answer.content.decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-cache"
    assert "{" not in page
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert " style=" not in page
    assert "http" not in page
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert f"/dashboard/{version()}/app.js" in addresses
    for address in addresses:
        file = closed.ask(address)
        assert file.status == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_every_file_is_there_with_its_type(closed: Browser) -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name != "index.html":
            answer = closed.ask(f"/dashboard/{version()}/{path.relative_to(FOLDER)}")
            assert answer.content == path.read_bytes()
            expected = "text/javascript; charset=utf-8" if path.suffix == ".js" else ""
            assert answer.headers["content-type"].startswith(expected)


def test_the_policy_allows_this_hosts_own_files_only(closed: Browser) -> None:
    for path in ("/", f"/dashboard/{version()}/app.js", "/dashboard/session", "/dashboard/x"):
        headers = closed.ask(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_what_a_browser_has_is_not_sent_again(closed: Browser) -> None:
    for path in ("/", f"/dashboard/{version()}/app.js"):
        etag = closed.ask(path).headers["etag"]
        again = closed.ask(path, headers={"if-none-match": etag})
        assert (again.status, again.content) == (304, b"")
        assert again.headers["cache-control"] == closed.ask(path).headers["cache-control"]
        assert closed.ask(path, headers={"if-none-match": '"other"'}).status == 200


def test_files_are_compressed_for_who_takes_it(closed: Browser) -> None:
    path = f"/dashboard/{version()}/vendor/preact.js"
    packed = closed.ask(path, headers={"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "accept-encoding"
    assert gzip.decompress(packed.content) == closed.ask(path).content
    assert "content-encoding" not in closed.ask(path).headers


def test_a_page_of_an_older_version_gets_files_that_it_does_not_keep(closed: Browser) -> None:
    answer = closed.ask("/dashboard/0123456789abcdef/app.js")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    "name", ["../door.py", "x.js", "vendor", "vendor/../../door.py", "/etc/passwd", ""]
)
def test_nothing_else_is_served(closed: Browser, name: str) -> None:
    assert closed.ask(f"/dashboard/{version()}/{name}").status == 404


def test_files_are_only_read(closed: Browser) -> None:
    answer = closed.ask("/", "POST", "x")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    head = closed.ask("/", "HEAD")
    assert (head.status, head.content) == (200, b"")


# --- logging in -----------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_session_opens_the_api_in_the_environment_of_its_key(
    stage: Stage, closed: Browser, keys: StoredKeys
) -> None:
    [there] = stage.send({"name": "app/a"}, env="prod")
    [other] = stage.send({"name": "app/a"}, env="staging")
    assert closed.ask("/v1/events").status == 401
    told = closed.log_in(keys.create("signing", "prod"))
    assert (told["auth"], told["env"], told["branch"]) == ("session", "prod", False)
    assert closed.ask(f"/v1/events/{there}").status == 200
    assert closed.ask(f"/v1/events/{other}").status == 404
    assert closed.ask("/v1/events", headers={"x-inngest-env": "staging"}).status == 401
    assert closed.ask("/dashboard/session").json["data"] == told


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(
    closed: Browser, keys: StoredKeys
) -> None:
    answer = closed.ask("/dashboard/session", "POST", {"key": keys.create("signing", "prod")})
    [cookie] = answer.cookies
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-tidegate=")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/", f"Max-Age={LIFETIME_S}"} == set(
        attributes
    )
    assert answer.headers["cache-control"] == "no-store"
    token = name.partition("=")[2]
    assert len(token) >= 43
    assert token not in answer.content.decode()
    stored = client("dynamodb").scan(TableName=keys.table)["Items"]
    assert token not in json.dumps(stored)


@pytest.mark.parametrize("key", ["", "nonsense", "signkey-env-" + "0" * 64, "é"])
def test_a_wrong_key_is_refused_whatever_is_wrong(closed: Browser, key: str) -> None:
    answer = closed.ask("/dashboard/session", "POST", {"key": key})
    assert answer.status == 401
    assert answer.json["error"] == "this is not a signing key that is valid here"
    assert not answer.cookies


def test_an_event_key_does_not_open_it(closed: Browser, keys: StoredKeys) -> None:
    secret = keys.create("event", "prod")
    assert closed.ask("/dashboard/session", "POST", {"key": secret}).status == 401


@pytest.mark.parametrize("body", ["", "[]", "{", '{"key": 1}', "x" * 5_000])
def test_a_bad_login_is_explained(closed: Browser, body: str) -> None:
    answer = closed.ask("/dashboard/session", "POST", body)
    assert answer.status in (400, 413)
    assert answer.json["error"]


@pytest.mark.storage
def test_a_session_ends_by_itself(stage: Stage, closed: Browser, keys: StoredKeys) -> None:
    closed.log_in(keys.create("signing", "prod"))
    stage.clock.advance(seconds=LIFETIME_S - 0.5)
    assert closed.ask("/v1/events").status == 200
    stage.clock.advance(seconds=0.5)
    assert closed.ask("/v1/events").status == 401


@pytest.mark.storage
def test_revoking_a_key_ends_its_sessions_within_a_minute(
    stage: Stage, closed: Browser, keys: StoredKeys
) -> None:
    secret = keys.create("signing", "prod")
    closed.log_in(secret)
    revoke(keys, secret)
    stage.clock.advance(seconds=CACHE_MS / 1000)
    assert closed.ask("/v1/events").status == 401
    answer = closed.ask("/dashboard/session")
    assert (answer.status, answer.json) == (200, {"data": None})


@pytest.mark.storage
def test_logging_out_ends_the_session_at_once(closed: Browser, keys: StoredKeys) -> None:
    told = closed.log_in(keys.create("signing", "prod"))
    kept = dict(closed.cookies)
    assert closed.ask("/dashboard/session", "DELETE").status == 403
    assert Browser(closed.handler).ask("/dashboard/session", "DELETE").status == 401
    headers = {"x-csrf-token": told["csrf_token"]}
    answer = closed.ask("/dashboard/session", "DELETE", headers=headers)
    assert answer.status == 204
    assert "Max-Age=0" in answer.cookies[0]
    closed.cookies = kept
    assert closed.ask("/v1/events").status == 401


@pytest.mark.storage
def test_a_session_is_no_key(closed: Browser, keys: StoredKeys) -> None:
    closed.log_in(keys.create("signing", "prod"))
    [token] = closed.cookies.values()
    anybody = Browser(closed.handler)
    for secret in (token, f"session#{token}"):
        headers = {"authorization": f"Bearer {secret}"}
        assert anybody.ask("/v1/events", headers=headers).status == 401
    items = client("dynamodb").scan(TableName=keys.table)["Items"]
    for item in items:
        assert keys.find_by_id("event", item["pk"]["S"]) is None


# --- changes --------------------------------------------------------------------------------------


def test_a_change_needs_the_token_of_the_session(closed: Browser, keys: StoredKeys) -> None:
    told = closed.log_in(keys.create("signing", "prod"))
    event = {"name": "app/sent"}
    for token in ("", "wrong", "é"):
        answer = closed.ask("/v1/events", "POST", event, {"x-csrf-token": token})
        assert answer.status == 403
        assert "x-csrf-token" in answer.json["error"]
    other = Browser(closed.handler).log_in(keys.create("signing", "prod"))["csrf_token"]
    assert closed.ask("/v1/events", "POST", event, {"x-csrf-token": other}).status == 403
    answer = closed.ask("/v1/events", "POST", event, {"x-csrf-token": told["csrf_token"]})
    assert answer.status == 201
    [event_id] = answer.json["data"]["ids"]
    assert closed.ask(f"/v1/events/{event_id}").json["data"]["name"] == "app/sent"


def test_a_key_in_the_header_needs_no_token(closed: Browser, keys: StoredKeys) -> None:
    headers = {"authorization": f"Bearer {keys.create('signing', 'prod')}"}
    assert closed.ask("/v1/events", "POST", {"name": "app/a"}, headers).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ELSEWHERE},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/events", "/dashboard/session"])
def test_a_page_of_another_origin_changes_nothing(
    opened: Browser, closed: Browser, keys: StoredKeys, path: str, headers: dict[str, str]
) -> None:
    told = closed.log_in(keys.create("signing", "prod"))
    for browser in (opened, closed):
        sent = {**headers, "x-csrf-token": told["csrf_token"]}
        answer = browser.ask(path, "POST", {"name": "app/a", "key": "x"}, sent)
        assert answer.status == 403
        assert "origin" in answer.json["error"]


def test_behind_a_proxy_the_page_has_another_host(closed: Browser, keys: StoredKeys) -> None:
    """CloudFront asks the API by a host of its own, and no page can set `sec-fetch-site`."""
    told = closed.log_in(keys.create("signing", "prod"))
    sent = {
        "origin": ELSEWHERE,
        "sec-fetch-site": "same-origin",
        "x-csrf-token": told["csrf_token"],
    }
    assert closed.ask("/v1/events", "POST", {"name": "app/a"}, sent).status == 201
    refused = closed.ask("/v1/events", "POST", {"name": "app/a"}, sent | {"x-csrf-token": "x"})
    assert refused.status == 403


def test_a_dev_server_believes_no_other_host(opened: Browser) -> None:
    sent = {"origin": ELSEWHERE, "sec-fetch-site": "same-origin"}
    assert opened.ask("/v1/events", "POST", {"name": "app/a"}, sent).status == 403


def test_the_page_itself_may_change_things(opened: Browser) -> None:
    assert opened.ask("/dashboard/session").json["data"]["auth"] == "open"
    for headers in (
        {"origin": "http://localhost:8288", "sec-fetch-site": "same-origin"},
        {},
    ):
        assert opened.ask("/v1/events", "POST", {"name": "app/a"}, headers).status == 201


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8288", 200),
        ("127.0.0.1:8288", 200),
        ("[::1]:8288", 200),
        ("evil.example", 403),
        ("localhost.evil.example:8288", 403),
        ("192.168.0.7:8288", 403),
        ("[", 403),
    ],
)
def test_a_dev_server_answers_by_names_of_its_own_machine_only(
    opened: Browser, host: str, status: int
) -> None:
    opened.host = host
    assert opened.ask("/").status == status
    assert opened.ask("/v1/events").status == status


def test_a_bad_event_is_refused_as_the_event_api_does(opened: Browser) -> None:
    answer = opened.ask("/v1/events", "POST", [{"name": "ok"}, {}])
    assert (answer.status, answer.json["error"]) == (400, "events[1]: name: Field required")
    assert opened.ask("/v1/events", "POST", {"name": "inngest/x"}).status == 400
