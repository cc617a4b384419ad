"""Bodies of requests to the REST API: JSON objects, checked field by field."""

from __future__ import annotations

from typing import TypeVar

from pydantic_core import ValidationError

from tidegate.encoding import decode
from tidegate.errors import RequestError
from tidegate.rest_field import fields_of, parse

BodyT = TypeVar("BodyT")


def parse_body(model: type[BodyT], body: bytes) -> BodyT:
    """The body of a request; an empty one is an empty object.

    Args:
        model: a TypedDict, its fields annotated with a `Field`. A field that it does not have is
            refused, or a misspelt one would change what happens without a word.
        body: the bytes.

    Raises:
        RequestError: 400; the message names the field.
    """
    try:
        values = decode(body) if body.strip() else {}
    except ValueError as error:
        raise RequestError(400, f"the body is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise RequestError(400, "the body must be a JSON object")
    try:
        return parse(model, values, is_closed=True)
    except ValidationError as error:
        raise RequestError(400, _fault(model, error)) from None


def _fault(model: type, error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    # What is misspelt may well be what is missing.
    fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown field {where!r}; known are {', '.join(fields_of(model))}"
    if fault["type"] == "missing":
        return f"{where} is required"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
