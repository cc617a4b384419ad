"""The description of the REST API, served by it, against what it does."""

from __future__ import annotations

import json

import pytest

from tests.aws.conftest import Stage
from tests.aws.rest import Rest, load_handler
from tidegate.rest_document import DOCUMENT


@pytest.fixture
def rest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Rest:
    return Rest(load_handler(stage, monkeypatch))


def test_it_is_served_as_it_is_and_without_a_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Rest(load_handler(stage, monkeypatch, auth="keys"))
    assert closed.get("/v1/functions").status == 401
    answer = closed.get("/v1/openapi.json", headers={"accept-encoding": "gzip"})
    assert answer.status == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.body == json.loads(DOCUMENT.read_text())
    assert closed.get("/v1/openapi.json").body == answer.body
    assert closed.get("/v1/openapi.json", method="POST").status == 405
    assert closed.get("/v1/openapi.jsonx").status == 401


def test_it_has_all_paths_and_methods_and_no_others(rest: Rest, subtests: pytest.Subtests) -> None:
    for path, operations in json.loads(DOCUMENT.read_text())["paths"].items():
        with subtests.test(path):
            answer = rest.get(path.replace("{", "").replace("}", ""), method="TRACE")
            assert answer.status == 405
            assert answer.headers["allow"] == ", ".join(sorted(m.upper() for m in operations))


def test_each_route_of_the_handler_is_in_it(rest: Rest) -> None:
    described = json.loads(DOCUMENT.read_text())["paths"]
    api = rest.handler.__globals__["api"]  # type: ignore[attr-defined]
    assert {path.replace("<", "{").replace(">", "}") for path in api.paths} == set(described)
