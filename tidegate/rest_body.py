"""Bodies of requests to the REST API: JSON objects, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from tidegate.encoding import decode
from tidegate.errors import RequestError
from tidegate.rest_query import moment_ms


def _moment(value: Any) -> Any:
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value if value is None else moment_ms(str(value))
    raise ValueError("a time is a text, or UTC milliseconds")


# A time as in a query, or UTC milliseconds as a number; UTC ms.
Moment = Annotated[int, BeforeValidator(_moment)]

BodyT = TypeVar("BodyT", bound=BaseModel)


def parse_body(model: type[BodyT], body: bytes) -> BodyT:
    """The body of a request; an empty one is an empty object.

    Args:
        model: what it may have. A field that is not in it is refused if the model forbids it, or
            a misspelt one would change what happens without a word.
        body: the bytes.

    Raises:
        RequestError: 400; the message names the field.
    """
    try:
        fields = decode(body) if body.strip() else {}
    except ValueError as error:
        raise RequestError(400, f"the body is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "the body must be a JSON object")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RequestError(400, _fault(model, error)) from None


def _fault(model: type[BaseModel], error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    # What is misspelt may well be what is missing.
    fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(field.alias or name for name, field in model.model_fields.items())
        return f"unknown field {where!r}; known are {known}"
    if fault["type"] == "missing":
        return f"{where} is required"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
