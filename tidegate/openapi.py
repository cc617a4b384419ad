"""The OpenAPI 3.1 document of the REST API, made of what its operations declare.

`make openapi` writes it to `tidegate/openapi.json`, which the api Lambda serves. Only there, never
in a Lambda, pydantic makes JSON Schema of the types of answers.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

# Whatever the API can do is declared by then.
import tidegate.api
import tidegate.rest_acting  # noqa: F401
from tidegate.environments import MAX_ENV_LENGTH
from tidegate.openapi_examples import EXAMPLES
from tidegate.rest_call import ErrorAnswer, Metadata, PageMetadata
from tidegate.rest_document import DOCUMENT
from tidegate.rest_field import ULID_PATTERN, Field, fields_of
from tidegate.rest_operation import OPERATIONS, Operation

Schema = dict[str, Any]

_DESCRIPTION = """What was received, what it started and how that went; cancelling runs, running \
them again, and starting functions.

Every answer is JSON in an envelope: `data` and `metadata`, or `error`, `data: null` and `status`, \
which is the HTTP status. A method that a path does not take gets 405 with `Allow`, a path that is \
not here 404. Everything is seen and done in the environment of the key."""

_TAGS = {
    "Events": "What was received.",
    "Runs": "What events started, step by step.",
    "Functions": "What is registered, and how it fares.",
    "Replays": "Jobs that start all failed runs of a function in a time again.",
    "Cancellations": "Jobs that cancel all runs of a function in a time.",
    "Dead letters": "Messages that were given up on, and jobs that put them back, or delete them.",
    "Recoveries": "Jobs that have runs go on whose messages may be lost.",
    "Keys": "Who may send and look, and the environments of branch keys.",
    "Description": "This document.",
}

# Refusals that any operation can answer with, and those of paths that name something.
_ALWAYS: dict[int, str] = {
    400: "something in the request cannot be; the message names it",
    401: "no key, an unknown or revoked one, or one for another environment",
    403: "a browser's change that does not come from the dashboard",
    413: "the body is too large, or the answer is: ask for it with `Accept-Encoding: gzip`",
    415: "a `Content-Encoding` other than gzip",
    500: "a fault of this server",
    503: "storage did not answer; send the request again",
}
_NOT_FOUND = "it is not there, or not in this environment, or its retention has ended"

_HEADERS: dict[int, Schema] = {
    401: {"www-authenticate": {"schema": {"type": "string"}}},
    503: {
        "retry-after": {
            "description": "After how many seconds to send the request again.",
            "schema": {"type": "integer"},
        }
    },
}

_ULID: Schema = {"type": "string", "pattern": ULID_PATTERN}
_PATH_PARAMETERS: dict[str, Schema] = {
    "event_id": {"description": "The event's internal id.", "schema": _ULID},
    "run_id": {"description": "The run's id.", "schema": _ULID},
    "job_id": {"description": "The job's id.", "schema": _ULID},
    "function_id": {
        "description": "The function's id, `<app>-<function>`.",
        "schema": {"type": "string", "minLength": 1},
    },
    "step_id": {
        "description": "The `step_id` of a step, a hash of its name and index.",
        "schema": {"type": "string", "pattern": "^[0-9a-fA-F]{40}$"},
    },
    "key_id": {
        "description": "The key's id, or its beginning.",
        "schema": {"type": "string", "minLength": 1},
    },
    "environment": {
        "description": "The environment's name.",
        "schema": {"type": "string", "pattern": f"^[!-~]{{1,{MAX_ENV_LENGTH}}}$"},
    },
}

_ENVIRONMENT: Schema = {
    "name": "x-inngest-env",
    "in": "header",
    "description": "The environment to look into. A branch key opens any, other keys their own.",
    "schema": {"type": "string", "pattern": f"^[!-~]{{0,{MAX_ENV_LENGTH}}}$"},
}

_SIGNING_KEY: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A signing key, as it is or hashed as Inngest's SDKs do it. "
    "The dev server takes any request.",
}

_ATTRIBUTE = re.compile(r"    (\w+(?:, \w+)*): (.*)")


def document() -> Schema:
    """The OpenAPI document."""
    operations = sorted(OPERATIONS, key=lambda found: list(_TAGS).index(found.tag))
    answers, schemas = _schemas(operations)
    bodies = [found.body for found in operations if isinstance(found.body, type)]
    schemas |= {body.__name__: _body_schema(body) for body in bodies}
    for name, schema in schemas.items():
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tidegate REST API", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "security": [{"signingKey": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(operations, answers),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": {_name(status): _refusal(status) for status in _ALWAYS},
            "parameters": {"environment": _ENVIRONMENT},
            "securitySchemes": {"signingKey": _SIGNING_KEY},
        },
    }


def main() -> None:
    """Write the document where the api Lambda finds it."""
    DOCUMENT.write_text(text())


def text() -> str:
    """The document as it is checked in."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _paths(operations: list[Operation], answers: Mapping[str, Schema]) -> Schema:
    paths: Schema = {}
    for found in operations:
        path = re.sub(r"<(\w+)>", r"{\1}", found.path)
        shown = _operation(found, answers[found.name], list(_path_parameters(path)))
        paths.setdefault(path, {})[found.method.lower()] = shown
    return paths


def _operation(found: Operation, answer: Schema, parameters: list[Schema]) -> Schema:
    shown: Schema = {
        "operationId": found.name,
        "tags": [found.tag],
        "summary": found.summary,
        "parameters": parameters,
        "responses": {str(found.status): _success(found, answer)} | _refusals(found),
    }
    if found.is_open:
        shown["security"] = []
    else:
        parameters.append({"$ref": "#/components/parameters/environment"})
    if found.query is not None:
        parameters += [_parameter(*named) for named in fields_of(found.query).items()]
    if isinstance(found.body, Mapping):
        shown["requestBody"] = {"required": True, "content": _json(dict(found.body))}
    elif found.body is not None:
        shown["requestBody"] = {
            "required": any(field.is_required for field in fields_of(found.body).values()),
            "content": _json({"$ref": f"#/components/schemas/{found.body.__name__}"}),
        }
    return shown


def _success(found: Operation, answer: Schema) -> Schema:
    if not found.is_bare:
        is_page = found.query is not None and "cursor" in fields_of(found.query)
        metadata = "PageMetadata" if is_page else "Metadata"
        answer = {
            "type": "object",
            "required": ["data", "metadata"],
            "properties": {
                "data": answer,
                "metadata": {"$ref": f"#/components/schemas/{metadata}"},
            },
        }
    return {"description": HTTPStatus(found.status).phrase, "content": _json(answer)}


def _refusals(found: Operation) -> Schema:
    more = dict(found.refusals or {})
    if "<" in found.path:
        more.setdefault(404, _NOT_FOUND)
    refusals = {status: {"$ref": f"#/components/responses/{_name(status)}"} for status in _ALWAYS}
    if found.is_open:
        del refusals[401]
    refusals |= {status: _refusal(status, why) for status, why in more.items()}
    return {str(status): refusals[status] for status in sorted(refusals)}


def _refusal(status: int, why: str = "") -> Schema:
    shown: Schema = {"description": _sentence(why or _ALWAYS[status])}
    if status in _HEADERS:
        shown["headers"] = _HEADERS[status]
    return {**shown, "content": _json({"$ref": "#/components/schemas/ErrorAnswer"})}


def _path_parameters(path: str) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, **_PATH_PARAMETERS[name]}


def _parameter(name: str, field: Field) -> Schema:
    shown: Schema = {"name": name, "in": "query", "description": f"{field.description}."}
    # An empty one is as good as none.
    shown |= {"required": True} if field.is_required else {"allowEmptyValue": True}
    # Commas stand between several.
    shown |= {"explode": False} if field.schema.get("type") == "array" else {}
    return {**shown, "schema": _field_schema(field)}


def _field_schema(field: Field) -> Schema:
    return dict(field.schema) | ({} if field.default is None else {"default": field.default})


def _body_schema(body: type) -> Schema:
    fields = fields_of(body)
    properties = {}
    for name, field in fields.items():
        schema = {**_field_schema(field), "description": f"{field.description}."}
        properties[name] = schema if field.is_required else _or_null(schema)
    required = [name for name, field in fields.items() if field.is_required]
    shown: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**shown, "required": required} if required else shown


def _or_null(schema: Schema) -> Schema:
    """Null is as good as nothing."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


class _Untitled(GenerateJsonSchema):
    """JSON Schema without a title for each field that only says its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def _schemas(operations: list[Operation]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The schemas of the answers' data, by the operations' names, and what they refer to."""
    types = {found.name: found.answer for found in operations}
    types |= {model.__name__: model for model in (Metadata, PageMetadata, ErrorAnswer)}
    mode: JsonSchemaMode = "serialization"
    inputs = [(name, mode, TypeAdapter[Any](kind)) for name, kind in types.items()]
    template = "#/components/schemas/{model}"
    made, definitions = TypeAdapter.json_schemas(
        inputs, ref_template=template, schema_generator=_Untitled
    )
    schemas: dict[str, Schema] = definitions["$defs"]
    for schema in schemas.values():
        schema.pop("title", None)
        _describe(schema)
    key: Literal["serialization"] = "serialization"
    return {name: made[name, key] for name in types}, schemas


def _describe(schema: Schema) -> None:
    """Give a schema's properties what its docstring says of them."""
    head, _, rest = inspect.cleandoc(schema.get("description", "")).partition("\nAttributes:\n")
    if head:
        schema["description"] = re.sub(r"(?<=\S)\n(?=\S)", " ", head.strip())
    names: list[str] = []
    for line in rest.splitlines():
        found = _ATTRIBUTE.match(line)
        if found:
            names = found[1].split(", ")
        for name in names:
            said = found[2] if found else line
            before = schema["properties"][name].get("description", "")
            described = _sentence(f"{before} {said.strip()}".strip(), ended=False)
            schema["properties"][name]["description"] = described


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _sentence(said: str, *, ended: bool = True) -> str:
    return said[:1].upper() + said[1:] + ("." if ended and not said.endswith(".") else "")


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


if __name__ == "__main__":
    main()
