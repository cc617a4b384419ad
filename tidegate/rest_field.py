"""What may be sent to the REST API, each declared once: fields of bodies, parameters of queries.

A body or a query is a TypedDict whose fields are annotated with a `Field`. That is what checks
them, and what the OpenAPI document says of them. They are checked by pydantic's core: models would
take 50 ms more of a cold start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, NotRequired, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic_core import CoreSchema, SchemaValidator, core_schema

# In any case; https://github.com/ulid/spec
ULID_PATTERN = "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, eq=False)
class Field:
    """What may be written in one field.

    Attributes:
        description: what it means, a sentence.
        check: what makes the value that the code gets of the one that was sent.
        schema: the JSON Schema of what is sent.
        default: what is meant if nothing is sent; None when that is for the code to say.
        is_required: whether something must be sent.
    """

    description: str
    check: CoreSchema
    schema: Mapping[str, Any]
    default: Any = None
    is_required: bool = True


def text(description: str, *, max_length: int | None = None) -> Field:
    """Any text."""
    schema = {"type": "string"} | ({} if max_length is None else {"maxLength": max_length})
    return Field(description, core_schema.str_schema(max_length=max_length), schema)


def whole_number(description: str, least: int, most: int) -> Field:
    """A whole number within bounds."""
    check = core_schema.int_schema(ge=least, le=most)
    return Field(description, check, {"type": "integer", "minimum": least, "maximum": most})


def hashed(description: str) -> Field:
    """A SHA-1 in hex, in upper or lower case; the code gets lower case."""
    check = core_schema.str_schema(pattern="^[0-9a-fA-F]{40}$", to_lower=True)
    return Field(description, check, {"type": "string", "pattern": "^[0-9a-fA-F]{40}$"})


def json_object(description: str) -> Field:
    """A JSON object, checked where it is used."""
    return Field(description, core_schema.any_schema(), {"type": "object"})


def some_of(description: str, options: Sequence[str], default: Sequence[str]) -> Field:
    """A list of one or more of some texts."""
    check = core_schema.list_schema(core_schema.literal_schema(list(options)), min_length=1)
    items = {"type": "string", "enum": list(options)}
    schema = {"type": "array", "minItems": 1, "items": items}
    return Field(description, check, schema, list(default))


def some_texts(description: str, most: int, longest: int) -> Field:
    """A list of one or more texts of so many characters at the most."""
    text = core_schema.str_schema(max_length=longest)
    check = core_schema.list_schema(text, min_length=1, max_length=most)
    items = {"type": "string", "maxLength": longest}
    schema = {"type": "array", "minItems": 1, "maxItems": most, "items": items}
    return Field(description, check, schema)


def made_by(
    make: Callable[[Any], Any], description: str, schema: Mapping[str, Any], default: Any = None
) -> Field:
    """Whatever a function makes of what was sent; it raises ValueError for what cannot be."""
    check = core_schema.no_info_plain_validator_function(make)
    return Field(description, check, schema, default)


@cache
def fields_of(model: type) -> Mapping[str, Field]:
    """The fields of a body or a query, by name.

    Args:
        model: a TypedDict, its fields annotated with a `Field`.
    """
    fields = {}
    for name, hint in get_type_hints(model, include_extras=True).items():
        is_optional = get_origin(hint) is NotRequired
        annotated = get_args(hint)[0] if is_optional else hint
        if get_origin(annotated) is not Annotated:
            raise TypeError(f"{model}: {name} is not annotated with a Field")
        field: Field = get_args(annotated)[1]
        is_required = not is_optional and field.default is None
        fields[name] = replace(field, is_required=is_required)
    return fields


def parse(model: type[ModelT], values: Mapping[str, Any], *, is_closed: bool) -> ModelT:
    """What was sent, checked. Of what need not be sent, null is as good as nothing.

    Args:
        model: a TypedDict, its fields annotated with a `Field`.
        values: what was sent, by name.
        is_closed: whether names that it does not have are refused; otherwise they are left out.

    Raises:
        pydantic_core.ValidationError: with all that is wrong.
    """
    fields = fields_of(cast(type, model))
    given = {
        name: value
        for name, value in values.items()
        if value is not None or name not in fields or fields[name].is_required
    }
    return cast(ModelT, _validator(cast(type, model), is_closed).validate_python(given))


@cache
def _validator(model: type, is_closed: bool) -> SchemaValidator:
    schema = core_schema.typed_dict_schema(
        {name: _core(field) for name, field in fields_of(model).items()},
        extra_behavior="forbid" if is_closed else "ignore",
    )
    return SchemaValidator(schema, core_schema.CoreConfig(strict=True))


def _core(field: Field) -> core_schema.TypedDictField:
    check = field.check
    if field.default is not None:
        check = core_schema.with_default_schema(check, default=field.default)
    return core_schema.typed_dict_field(check, required=field.is_required)
