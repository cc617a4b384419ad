"""What messages of the queues consist of: a queue may hold anything, and only these are handled.

What a message lacks is found here, before anything is done for it. Found later it would look like
a fault of the platform, and the message would come again and again.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import SchemaValidator, ValidationError, core_schema

from tidegate.errors import DeadLetterError
from tidegate.event import MAX_TS_MS
from tidegate.ids import ULID_PATTERN

_ULID = core_schema.str_schema(pattern=ULID_PATTERN)
_TEXT = core_schema.str_schema(min_length=1)
_TIME = core_schema.int_schema(ge=0, le=MAX_TS_MS)
_FLAG = core_schema.bool_schema()
_OBJECT = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())


def _object(required: dict[str, Any], optional: dict[str, Any]) -> Any:
    fields = {
        name: core_schema.typed_dict_field(schema, required=name in required)
        for name, schema in (required | optional).items()
    }
    return core_schema.typed_dict_schema(fields)


def _validator(required: dict[str, Any], optional: dict[str, Any]) -> SchemaValidator:
    config = core_schema.CoreConfig(strict=True)
    return SchemaValidator(_object(required, optional), config)


_EVENT = _object(
    {"name": _TEXT, "data": _OBJECT, "id": _TEXT, "ts": _TIME, "user": _OBJECT},
    {"v": core_schema.str_schema()},
)
_RERUN = _object(
    {"run_id": _ULID, "original_run_id": core_schema.nullable_schema(_ULID)},
    {
        "replay_id": core_schema.nullable_schema(_TEXT),
        "sent_ms": core_schema.nullable_schema(_TIME),
    },
)
_HEAD = {"internal_id": _ULID, "env": _TEXT, "name": _TEXT, "received_ms": _TIME, "ts": _TIME}
_MAY_HAVE = {"wakes": _FLAG, "resumes": _FLAG, "origin": _OBJECT, "rerun": _RERUN}

WITH_BODY = _validator(_HEAD | {"event": _EVENT}, _MAY_HAVE)
WITH_BODY_KEY = _validator(
    _HEAD | {"body_key": _TEXT}, _MAY_HAVE | {"about": core_schema.nullable_schema(_OBJECT)}
)
TICK = _validator(
    {"cron": _TEXT, "env": _TEXT, "scheduled_at": _TEXT}, {"wakes": _FLAG, "resumes": _FLAG}
)
LOOK = _validator(
    {
        "look": core_schema.tuple_schema(
            [_TEXT, core_schema.str_schema(), _ULID, _TEXT], strict=False
        )
    },
    {},
)


def check(schema: SchemaValidator, fields: Any, what: str) -> None:
    """Check the fields of a message.

    Args:
        schema: what they must be; more fields may be there.
        fields: what a text says.
        what: what is expected, for the error.

    Raises:
        DeadLetterError: they are something else; the error says which one is wrong.
    """
    try:
        schema.validate_python(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the message"
        raise DeadLetterError(f"not {what}: {where}: {fault['msg']}") from None
