"""Requests become the events of API Gateway, what a Lambda returns becomes a response."""

import asyncio
import base64
import json

import httpx
import pytest

from tidegate.local.http_front import MAX_BODY_BYTES, HttpFront
from tidegate.manifest import ROUTES


@pytest.fixture
def lambdas():
    """What the Lambdas were given, and what they return."""
    return {"events": [], "returns": {"statusCode": 200, "body": "ok"}}


@pytest.fixture
def ask(lambdas):
    """Sends a request to the front."""

    def invoke(name):
        def handler(event):
            lambdas["events"].append((name, event))
            if isinstance(lambdas["returns"], Exception):
                raise lambdas["returns"]
            return lambdas["returns"]

        return handler

    front = HttpFront(ROUTES, invoke)

    def send(method, url, **options):
        async def run():
            transport = httpx.ASGITransport(app=front, client=("127.0.0.1", 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://local:8288") as c:
                return await c.request(method, url, **options)

        return asyncio.run(run())

    yield send
    front.close()


def test_the_event_is_the_one_that_api_gateway_makes(ask, lambdas):
    ask(
        "POST",
        "/e/my%20key?a=1&b=2&a=3&empty=",
        content=b'{"name": "\xc3\xa4"}',
        headers=[
            ("Content-Type", "application/json"),
            ("X-Inngest-Env", "one"),
            ("x-inngest-env", "two"),
            ("cookie", "a=b; c=d"),
            ("user-agent", "curl"),
        ],
    )
    ((name, event),) = lambdas["events"]
    assert name == "ingest"
    assert event["version"] == "2.0"
    assert event["routeKey"] == "$default"
    assert event["rawPath"] == "/e/my key", "decoded, as the gateway does"
    assert event["rawQueryString"] == "a=1&b=2&a=3&empty="
    assert event["queryStringParameters"] == {"a": "1,3", "b": "2", "empty": ""}
    assert event["headers"]["x-inngest-env"] == "one,two"
    assert event["headers"]["content-type"] == "application/json"
    assert event["cookies"] == ["a=b", "c=d"]
    assert "cookie" not in event["headers"]
    assert event["body"] == '{"name": "ä"}'
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["http"] == {
        "method": "POST",
        "path": "/e/my key",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "curl",
    }
    assert context["stage"] == "$default"
    assert context["requestId"]
    assert context["timeEpoch"] > 1_700_000_000_000
    json.dumps(event)


def test_what_is_absent_is_left_out(ask, lambdas):
    ask("GET", "/health")
    event = lambdas["events"][0][1]
    assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & event.keys()
    assert event["isBase64Encoded"] is False


@pytest.mark.parametrize(
    ("path", "name", "route", "proxy"),
    [
        ("/v1/events/x", "api", "ANY /v1/{proxy+}", "events/x"),
        ("/v1/", "ingest", "$default", None),
        ("/v1", "ingest", "$default", None),
        ("/v10/x", "ingest", "$default", None),
        ("/", "api", "ANY /", None),
        ("/dashboard/session", "api", "ANY /dashboard/{proxy+}", "session"),
        ("/dashboards", "ingest", "$default", None),
    ],
)
def test_the_route_decides_who_answers(ask, lambdas, path, name, route, proxy):
    ask("GET", path)
    got, event = lambdas["events"][0]
    assert got == name
    assert event.get("pathParameters", {}).get("proxy") == proxy
    assert event["routeKey"] == route


@pytest.mark.parametrize(
    ("headers", "body", "is_base64"),
    [
        ({"content-type": "application/json; charset=utf-8"}, b"{}", False),
        ({"content-type": "application/cloudevents+json"}, b"{}", False),
        ({"content-type": "text/plain"}, b"x", False),
        ({"content-type": "application/json"}, b"\xff\xfe", True),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"x", True),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", True),
        ({"content-type": "application/octet-stream"}, b"x", True),
        ({}, b"{}", True),
    ],
)
def test_what_is_not_known_to_be_text_travels_as_base64(ask, lambdas, headers, body, is_base64):
    ask("POST", "/e/k", content=body, headers=headers)
    event = lambdas["events"][0][1]
    assert event["isBase64Encoded"] is is_base64
    sent = base64.b64decode(event["body"]) if is_base64 else event["body"].encode()
    assert sent == body


def test_the_response_is_what_the_lambda_returned(ask, lambdas):
    lambdas["returns"] = {
        "statusCode": 418,
        "headers": {"Content-Type": "text/x", "Retry-After": "1"},
        "cookies": ["a=b", "c=d; Path=/"],
        "body": "ä",
    }
    response = ask("GET", "/")
    assert (response.status_code, response.text) == (418, "ä")
    assert response.headers["content-type"] == "text/x"
    assert response.headers["retry-after"] == "1"
    assert response.headers.get_list("set-cookie") == ["a=b", "c=d; Path=/"]


def test_a_binary_response_is_decoded(ask, lambdas):
    lambdas["returns"] = {"statusCode": 200, "body": "AAE=", "isBase64Encoded": True}
    assert ask("GET", "/").content == b"\x00\x01"


def test_no_content_has_no_body_and_no_length(ask, lambdas):
    lambdas["returns"] = {"statusCode": 204, "body": ""}
    response = ask("OPTIONS", "/")
    assert response.status_code == 204
    assert "content-length" not in response.headers


def test_a_bare_value_is_a_json_response(ask, lambdas):
    lambdas["returns"] = {"a": 1}
    response = ask("GET", "/")
    assert (response.status_code, response.json()) == (200, {"a": 1})


@pytest.mark.parametrize("returns", [KeyError("x"), {"statusCode": "no number"}])
def test_a_crash_is_a_500_that_clients_understand(ask, lambdas, returns):
    lambdas["returns"] = returns
    response = ask("POST", "/e/k", content=b"{}")
    assert response.status_code == 500
    body = response.json()
    assert (body["ids"], body["status"]) == ([], 500)
    assert "crashed" in body["error"]
    assert response.headers["access-control-allow-origin"] == "*"


def test_more_than_ten_megabytes_are_refused(ask, lambdas):
    response = ask("POST", "/e/k", content=b"x" * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413
    assert (response.json()["ids"], response.json()["status"]) == ([], 413)
    assert lambdas["events"] == []
    assert ask("POST", "/e/k", content=b"x" * MAX_BODY_BYTES).status_code == 200
