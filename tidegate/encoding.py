"""JSON, strictly: what goes in comes out, and what is not JSON is an error."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

# Valid in JSON, refused by SNS and SQS (their messages hold XML characters only).
_NOT_IN_XML = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})


def decode(text: bytes | str) -> Any:
    """The value of a JSON text; integers keep every digit.

    Raises:
        ValueError: not JSON (RFC 8259); also lone surrogates, more than 200 levels, integers of
            more than 4,300 digits. The message tells line and column.
    """
    return from_json(text, allow_inf_nan=False)


def encode(value: Any) -> str:
    """The compact JSON text of a value, such that SNS, SQS and DynamoDB accept it.

    Raises:
        ValueError: NaN, infinity, a lone surrogate, a value that contains itself.
        TypeError: a type that JSON has not.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    return text.translate(_NOT_IN_XML) if "\ufffe" in text or "\uffff" in text else text
