"""JSON, strictly: what goes in comes out, and what is not JSON is an error."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

# An event with its envelope in a message stays below the 200 levels that `decode` reads.
MAX_NESTING = 150

# Valid in JSON, refused by SNS and SQS (their messages hold XML characters only).
_NOT_IN_XML = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})


def decode(text: bytes | str) -> Any:
    """The value of a JSON text; integers keep every digit.

    Raises:
        ValueError: not JSON (RFC 8259); also lone surrogates, more than 200 levels, integers of
            more than 4,300 digits. The message tells line and column.
    """
    # Of a text with a lone surrogate the parser would say that it is none.
    data = text.encode() if isinstance(text, str) else text
    return from_json(data, allow_inf_nan=False)


def encode(value: Any) -> str:
    """The compact JSON text of a value, such that SNS, SQS and DynamoDB accept it.

    Raises:
        ValueError: NaN, infinity, a lone surrogate, a value that contains itself.
        TypeError: a type that JSON has not.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    return text.translate(_NOT_IN_XML) if "\ufffe" in text or "\uffff" in text else text


def is_too_deep(values: list[Any], text: str) -> bool:
    """Whether any of some values is nested so deep that a message around it could not be decoded.

    Args:
        values: objects, arrays or plain values.
        text: the JSON text of all of them.
    """
    # Few texts have so many brackets at all; the others need no closer look.
    return text.count("{") + text.count("[") > MAX_NESTING and _is_deeper(values, MAX_NESTING)


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in value)
