"""Answers held against the OpenAPI document: every field that is there must be in it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match

from tidegate.rest_document import DOCUMENT

Schema = dict[str, Any]


@cache
def closed_document() -> Schema:
    """The document, but objects have no other fields than those that are described."""
    document: Schema = json.loads(DOCUMENT.read_text())
    _close(document)
    return document


def check_answer(method: str, path: str, status: int, body: Any) -> str | None:
    """Assert that the document has an answer like this one.

    Args:
        method, path: of the request; the path without the query.
        status: the HTTP status.
        body: the answer, decoded.

    Returns:
        The `operationId` of what was asked for; None for what nobody can ask for.
    """
    found = _operation(method, path)
    ref = "#/components/schemas/ErrorAnswer"
    if found is None:
        assert status in (400, 401, 404, 405, 500), f"{method} {path} is not described: {status}"
    else:
        operation, pointer = found
        answers = operation["responses"]
        assert str(status) in answers, f"{method} {path} answers {status}, not {list(answers)}"
        answer = answers[str(status)].get("$ref", f"{pointer}/responses/{status}")
        ref = f"{answer}/content/application~1json/schema"
    fault = best_match(_validator(ref).iter_errors(body))
    assert fault is None, f"{method} {path} {status}: {fault.json_path}: {fault.message}"
    return operation["operationId"] if found else None


def _operation(method: str, path: str) -> tuple[Schema, str] | None:
    """An operation, and where it stands in the document."""
    for template, operations in closed_document()["paths"].items():
        if method.lower() in operations and re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            pointer = f"#/paths/{_escaped(template)}/{method.lower()}"
            return operations[method.lower()], pointer
    return None


def _escaped(template: str) -> str:
    """A path as part of a JSON pointer in a URI."""
    escaped = template.replace("~", "~0").replace("/", "~1")
    return escaped.replace("{", "%7B").replace("}", "%7D")


@cache
def _validator(ref: str) -> Draft202012Validator:
    return Draft202012Validator(
        {**closed_document(), "$ref": ref}, format_checker=FormatChecker(["date-time"])
    )


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _close(part)
    elif isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
