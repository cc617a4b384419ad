"""Whatever is asked of the REST API: no 5xx, nothing outside its document, nothing half done."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed
from tests.aws.rest import Handler, answer_of, load_handler
from tests.openapi import check_answer, closed_document
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.ids import run_id_of

QUICK = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def sleeps(ctx: ContextSync) -> None:
    ctx.step.sleep("nap", 60_000)


@pytest.fixture
def handler(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Handler:
    """The API's handler on a stage with a run that sleeps, whose ids are `EVENT` and `RUN`."""
    deployed = Deployed(stage, sleeps)
    message = deployed.send()
    assert deployed.handle(message) == []
    ids["EVENT"] = message.event.internal_id
    ids["RUN"] = run_id_of(ENV, deployed.function.id, message.event.internal_id)
    return load_handler(stage, monkeypatch)


# --- what is asked ------------------------------------------------------------------------------

ids: dict[str, str] = {}
TEXT = st.lists(st.characters() | st.sampled_from("\ud800\udfff%/&=\x00"), max_size=10).map("".join)
LEAVES = st.none() | st.booleans() | TEXT | st.integers(-(2**70), 2**70) | st.floats()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
OPERATIONS = [
    (method, path, operation)
    for path, operations in closed_document()["paths"].items()
    for method, operation in operations.items()
]
KNOWN = ["EVENT", "RUN", "test-f", "nap", "dev", "f"]
NAMES = sorted(
    {
        name
        for *_, operation in OPERATIONS
        for parameter in operation.get("parameters", [])
        if (name := parameter.get("name"))
    }
)
FIELDS = [
    "name", "data", "id", "ts", "env", "function_id", "from", "until", "expression", "kind",
    "event_names", "app_id", "from_step", "statuses", "rate", "per_second", "event", "branch",
]  # fmt: skip
STRANGE_BODIES = st.sampled_from(
    [
        "",
        "null",
        "[" * 100_000,
        '{"data":' * 5_000,
        '{"name":"app/a","data":{"n":NaN}}',
        '{"name":"app/a","data":{"n":1e999}}',
        '{"name":"app/a","data":{"n":' + "9" * 5_000 + "}}",
        '{"name":"app/a","name":"app/b"}',
        '{"name":"\\ud800"}',
        '{"name":"' + "n" * 5_242_880 + '"}',
        b"\xff\xfe",
        b'{"name":"\xed\xa0\x80"}',
        gzip.compress(b" " * 50_000_000, mtime=0),
    ]
)
BODIES = (
    VALUES.map(json.dumps)
    | st.dictionaries(st.sampled_from(FIELDS), VALUES | st.sampled_from(KNOWN)).map(json.dumps)
    | st.binary(max_size=20)
    | STRANGE_BODIES
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request for an operation, or for none, with anything in its places."""
    method, path, _ = draw(st.sampled_from(OPERATIONS))
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + draw(st.sampled_from(KNOWN) | TEXT) + rest.partition("}")[2]
    if draw(st.integers(0, 9)) == 0:
        path = "/v1/" + draw(TEXT)
    body = draw(BODIES)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "ANY /v1/{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"accept": "*/*"}
        | draw(
            st.dictionaries(
                st.sampled_from(["content-type", "content-encoding", "x-inngest-env", "cookie"]),
                st.sampled_from(["gzip", "application/json", "dev", "feature/a"]) | TEXT,
                max_size=2,
            )
        ),
        "requestContext": {
            "http": {"method": method.upper(), "path": path},
            "requestId": "r1",
            "stage": "$default",
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": isinstance(body, bytes),
    }
    query = draw(st.dictionaries(st.sampled_from(NAMES) | TEXT, TEXT, max_size=3))
    if query:
        event["queryStringParameters"] = query
    return event


def filled_in(event: dict[str, Any]) -> dict[str, Any]:
    """A request with the ids of what is there."""
    text = json.dumps(event)
    for name, value in ids.items():
        text = text.replace(name, value)
    return dict(json.loads(text))


@QUICK
@given(requests())
def test_no_request_is_answered_with_a_5xx_or_outside_the_document(
    stage: Stage, handler: Handler, event: dict[str, Any]
) -> None:
    asked = filled_in(event)
    before = counts(stage)
    raw = handler(asked, None)
    assert raw["statusCode"] < 500, raw
    content_type = {name.lower(): value for name, value in raw["headers"].items()}["content-type"]
    if content_type == "application/json":
        answer = answer_of(raw)
        assert isinstance(answer.body, dict)
        if answer.status >= 400:
            assert answer.body["error"].strip()
        http = asked["requestContext"]["http"]
        check_answer(http["method"], http["path"], answer.status, answer.body)
    if raw["statusCode"] >= 400:
        assert counts(stage) == before, "a refused request left something behind"


def counts(stage: Stage) -> list[int]:
    """How much is stored."""
    tables = (
        stage.settings.events_table,
        stage.settings.dedup_table,
        stage.settings.runs_table,
        stage.settings.jobs_table,
        stage.settings.keys_table,
    )
    described = [client("dynamodb").describe_table(TableName=name) for name in tables]
    return [table["Table"]["ItemCount"] for table in described]
