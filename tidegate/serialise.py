"""What functions and steps return, as JSON text and back."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from tidegate.encoding import MAX_NESTING, decode, encode, is_too_deep
from tidegate.errors import OutputError

MAX_OUTPUT_BYTES = 4 * 1024 * 1024


def serialise(value: Any, what: str) -> str:
    """The JSON text of a value; pydantic models, dataclasses, datetimes and the like included.

    Args:
        value: what was returned.
        what: names who returned it in the error, such as `step 'charge'`.

    Raises:
        OutputError: JSON cannot hold it, or it has more than 4 MiB.
    """
    try:
        plain = to_jsonable_python(value)
        text = encode(plain)
    except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
        raise OutputError(
            f"{what} returned what JSON cannot hold: {error}; return plain data, "
            "a pydantic model or a dataclass"
        ) from None
    if is_too_deep([plain], text):
        raise OutputError(f"{what} returned more than {MAX_NESTING} levels of nesting")
    size = len(text.encode())
    if size > MAX_OUTPUT_BYTES:
        raise OutputError(
            f"{what} returned {size} bytes of JSON; at most {MAX_OUTPUT_BYTES} are kept: "
            "store the rest elsewhere and return where it is"
        )
    return text


def deserialise(text: str, output_type: Any = None) -> Any:
    """The value of JSON text, as a type if one is given.

    Raises:
        pydantic.ValidationError: it is no such type.
    """
    if output_type is None:
        return decode(text)
    return TypeAdapter(output_type).validate_json(text)
