"""HTTP in API Gateway's payload format, both ways."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway import request
from tidegate.errors import RequestError
from tidegate.http import Request, Response, bearer_token


def test_a_request_is_read() -> None:
    event = request("ü", method="post", path="/e/k", headers={"X-Inngest-Env": "Dev"})
    read = Request.from_gateway(event)
    assert (read.method, read.path, read.raw_body) == ("POST", "/e/k", "ü".encode())
    assert read.headers == {"content-type": "application/json", "x-inngest-env": "Dev"}
    assert read.request_id == "request-1"


@given(st.binary(max_size=50))
def test_bytes_come_through(body: bytes) -> None:
    assert Request.from_gateway(request(body)).body(50) == body


def test_what_the_gateway_leaves_out_is_empty() -> None:
    read = Request.from_gateway({"requestContext": {"http": {"method": "GET"}}})
    assert (read.method, read.path, read.headers, read.raw_body) == ("GET", "/", {}, b"")


def test_base64_that_is_none_is_no_body() -> None:
    event = request(b"x") | {"body": "%%%"}
    assert Request.from_gateway(event).raw_body == b""


def test_the_limit_is_inclusive() -> None:
    read = Request.from_gateway(request(b"12345"))
    assert read.body(5) == b"12345"
    with pytest.raises(RequestError, match="more than 4 bytes") as refused:
        read.body(4)
    assert refused.value.status == 413


@pytest.mark.parametrize("content", [{}, [], 0, "ü\uffff", {"a": None}])
def test_a_response_is_json(content: Any) -> None:
    answer = Response(201, content, {"x-a": "b"}).to_gateway()
    assert (answer["statusCode"], json.loads(answer["body"])) == (201, content)
    assert answer["headers"] == {"content-type": "application/json", "x-a": "b"}


def test_a_response_without_content_has_no_body() -> None:
    assert Response(204).to_gateway() == {"statusCode": 204, "headers": {}, "body": ""}


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Basic " + base64.b64encode(b"a:b").decode(), ""),
        ("abc", ""),
    ],
)
def test_bearer_tokens(header: str, token: str) -> None:
    assert bearer_token({"authorization": header}) == token
    assert bearer_token({}) == ""
