"""Whatever is asked of the REST API: no 5xx, nothing outside its document, nothing half done."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import hostile
from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed
from tests.aws.footprint import changed, footprint
from tests.aws.rest import Handler, Rest, answer_of, load_handler
from tests.openapi import check_answer, closed_document
from tidegate.context import ContextSync
from tidegate.ids import run_id_of

QUICK = settings(
    max_examples=500,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
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


LONGEST_ERROR = 1_001

# --- what is asked ------------------------------------------------------------------------------

ids: dict[str, str] = {}
TEXT = st.lists(st.characters() | st.sampled_from("\ud800\udfff%/&=\x00"), max_size=10).map(
    "".join
) | st.just("n" * 9_000)
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
PLAIN_BODIES = (
    VALUES.map(json.dumps).map(str.encode)
    | st.dictionaries(st.sampled_from(FIELDS), VALUES | st.sampled_from(KNOWN))
    .map(json.dumps)
    .map(str.encode)
    | st.dictionaries(st.sampled_from(FIELDS), hostile.JSON_TEXTS, max_size=3).map(hostile.members)
    | hostile.JSON_TEXTS
    | st.sampled_from([*hostile.TEXTS.values(), *hostile.VALUES.values()])
)
# Bodies, with what their header says of their encoding.
BODIES: st.SearchStrategy[tuple[bytes, str]] = (
    st.tuples(PLAIN_BODIES, st.just(""))
    | st.tuples(PLAIN_BODIES.map(lambda body: gzip.compress(body, 1)), st.just("gzip"))
    | st.tuples(st.sampled_from(list(hostile.GZIPS.values())), st.just("gzip"))
    | st.tuples(st.binary(max_size=20), st.sampled_from(["", "gzip", "br", "\x00"]))
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
    body, encoding = draw(BODIES)
    is_text = not encoding and body.isascii() and draw(st.booleans())
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "ANY /v1/{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"accept": "*/*", **({"content-encoding": encoding} if encoding else {})}
        | draw(
            st.dictionaries(
                st.sampled_from(["content-type", "accept-encoding", "x-inngest-env", "cookie"]),
                st.sampled_from(["gzip", "application/json", "dev", "feature/a"]) | TEXT,
                max_size=2,
            )
        ),
        "requestContext": {
            "http": {"method": method.upper(), "path": path},
            "requestId": "r1",
            "stage": "$default",
        },
        "body": body.decode() if is_text else base64.b64encode(body).decode(),
        "isBase64Encoded": not is_text,
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
    before = footprint(stage)
    raw = handler(asked, None)
    assert raw["statusCode"] < 500, raw
    content_type = {name.lower(): value for name, value in raw["headers"].items()}["content-type"]
    if content_type == "application/json":
        answer = answer_of(raw)
        assert isinstance(answer.body, dict)
        if answer.status >= 400:
            assert answer.body["error"].strip()
            assert len(answer.body["error"]) <= LONGEST_ERROR
        http = asked["requestContext"]["http"]
        check_answer(http["method"], http["path"], answer.status, answer.body)
    if raw["statusCode"] >= 400:
        assert changed(before, footprint(stage)) == set(), "something was left behind"


WITH_BODIES = [
    (method, path) for method, path, operation in OPERATIONS if "requestBody" in operation
]


@pytest.mark.parametrize(("method", "path"), WITH_BODIES)
def test_a_body_that_is_no_body_is_refused(
    stage: Stage, handler: Handler, method: str, path: str
) -> None:
    rest = Rest(handler)
    path = path.replace("{run_id}", ids["RUN"]).replace("{key_id}", "0" * 64)
    path = path.format(function_id="test-f", environment="dev")
    # Of what is no JSON object none can be meant.
    texts = [text for text in hostile.TEXTS.values() if text.strip() and text[-6:] != b':"a"}']
    values = [value for value in hostile.VALUES.values() if value and value[:1] != b"{"]
    before = footprint(stage)
    for body in texts + values:
        for answer in (
            rest.send(method, path, body),
            rest.send(method, path, gzip.compress(body, 1), "gzip"),
        ):
            assert answer.status in (400, 413), (body[:80], answer)
            assert 0 < len(answer.body["error"]) <= LONGEST_ERROR
    for name, body in hostile.GZIPS.items():
        # Some do not need a body.
        if name != "of nothing":
            assert rest.send(method, path, body, "gzip").status in (400, 413), name
    assert changed(before, footprint(stage)) == set()
