"""The OpenAPI document of the REST API."""

from __future__ import annotations

import json
from typing import Annotated, Any, NotRequired

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic_core import ValidationError
from typing_extensions import TypedDict

from tests.openapi import check_answer, closed_document
from tidegate import openapi
from tidegate.openapi_examples import EXAMPLES
from tidegate.rest_document import DOCUMENT
from tidegate.rest_field import fields_of, parse, some_of, text


def operations() -> list[tuple[str, str, Any]]:
    document = json.loads(DOCUMENT.read_text())
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_file_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == openapi.text(), "run `make openapi`"


def test_it_is_openapi_3_1() -> None:
    document = json.loads(DOCUMENT.read_text())
    assert document["openapi"] == "3.1.0"
    validate(document, cls=OpenAPIV31SpecValidator)


WITHOUT_BODY = {"rotate_key", "archive_environment", "unarchive_environment"}


def test_each_operation_can_be_found_and_understood() -> None:
    tags = {tag["name"] for tag in openapi.document()["tags"]}
    ids = []
    for method, path, operation in operations():
        where = f"{method} {path}"
        assert operation["summary"].endswith("."), where
        assert set(operation["tags"]) <= tags, where
        takes_body = method == "post" and operation["operationId"] not in WITHOUT_BODY
        assert ("requestBody" in operation) == takes_body, where
        assert ("404" in operation["responses"]) >= ("{" in path), where
        assert ("401" in operation["responses"]) == (operation.get("security") != []), where
        ids.append(operation["operationId"])
    assert len(ids) == len(set(ids)) == 51


def test_only_the_document_itself_is_open() -> None:
    is_open = [path for _, path, operation in operations() if operation.get("security") == []]
    assert is_open == ["/v1/openapi.json"]
    assert openapi.document()["security"] == [{"signingKey": []}]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_fits_its_schema(name: str) -> None:
    document = closed_document()
    validator = Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})
    assert document["components"]["schemas"][name]["examples"] == [EXAMPLES[name]]
    validator.validate(EXAMPLES[name])


def test_parameters_of_queries_are_described_as_they_are_read() -> None:
    listed = {path: op for method, path, op in operations() if method == "get"}["/v1/runs"]
    parameters = {shown.get("name"): shown for shown in listed["parameters"]}
    assert list(parameters) == [
        None, "function_id", "status", "event_name", "limit", "cursor", "from", "until",
    ]  # fmt: skip
    assert parameters["limit"]["schema"] == {"type": "integer", "default": 20}
    assert parameters["status"]["explode"] is False
    assert listed["parameters"][0] == {"$ref": "#/components/parameters/environment"}


def test_what_docstrings_say_of_fields_is_there() -> None:
    step = openapi.document()["components"]["schemas"]["StepObject"]
    assert step["description"] == "A step of a run."
    assert step["properties"]["note"]["description"] == "Why the output is not there."
    job = openapi.document()["components"]["schemas"]["JobObject"]["properties"]
    assert job["if"]["description"] == job["app_id"]["description"] != ""


class Body(TypedDict):
    """A body of this test's own."""

    name: Annotated[str, text("Its name", max_length=3)]
    kinds: Annotated[list[str], some_of("Its kinds", ["a", "b"], ["a"])]
    note: NotRequired[Annotated[str, text("A note")]]


def test_a_field_is_checked_as_it_is_described() -> None:
    assert parse(Body, {"name": "n", "note": None}, is_closed=True) == {"name": "n", "kinds": ["a"]}
    assert parse(Body, {"name": "n", "x": 1}, is_closed=False) == {"name": "n", "kinds": ["a"]}
    assert [field.is_required for field in fields_of(Body).values()] == [True, False, False]
    for wrong in (
        {},
        {"name": None},
        {"name": 1},
        {"name": "long"},
        {"name": "n", "kinds": []},
        {"name": "n", "kinds": ["c"]},
        {"name": "n", "x": 1},
    ):
        with pytest.raises(ValidationError):
            parse(Body, wrong, is_closed=True)


def test_a_field_without_a_declaration_is_a_mistake() -> None:
    class Undeclared(TypedDict):
        name: str

    with pytest.raises(TypeError, match="name is not annotated with a Field"):
        fields_of(Undeclared)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/v1/functions", 200, {"data": []}),
        ("GET", "/v1/functions", 418, {"error": "tea", "data": None, "status": 418}),
        ("GET", "/v1/functions", 400, {"error": "no", "data": None}),
        ("GET", "/v1/functions", 400, {"error": "no", "data": None, "status": 400, "more": 1}),
        ("PUT", "/v1/functions", 200, {"data": []}),
    ],
)
def test_an_answer_that_is_not_described_is_found(
    method: str, path: str, status: int, body: Any
) -> None:
    with pytest.raises(AssertionError):
        check_answer(method, path, status, body)
