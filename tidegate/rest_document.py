"""The description of the REST API as a document for tools: OpenAPI 3.1, read by anybody."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tidegate.encoding import decode
from tidegate.rest_call import Call, Result
from tidegate.rest_operation import operation

# Made by `tidegate.openapi`; what makes it would take long to load.
DOCUMENT = Path(__file__).with_name("openapi.json")


class DocumentEndpoints:
    """What tells what the API can do."""

    @operation(
        "GET", "/v1/openapi.json", dict[str, Any], tag="Description", is_open=True, is_bare=True
    )
    def get_document(self, call: Call) -> Result:  # noqa: ARG002
        """This description, as an OpenAPI 3.1 document; it needs no key."""
        return Result(_document(), is_bare=True)


@cache
def _document() -> Any:
    return decode(DOCUMENT.read_text())
