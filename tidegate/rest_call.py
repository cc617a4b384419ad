"""A call of the REST API, as its endpoints see it, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.ids import is_ulid

if TYPE_CHECKING:
    from tidegate.key import Key

# Inngest's clients expect UUIDs here. We have one account and name environments by text.
ZERO_UUID = "00000000-0000-0000-0000-000000000000"

# What the payloads in a list may have together, in bytes. A Lambda's answer has 6 MB at the most,
# and JSON within JSON can take twice its size.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_LIST_BYTES = 2 * 1024 * 1024

# Large payloads are fetched so many at a time, lest they fill the memory.
FETCHED_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Shape:
    """Keywords of JSON Schema for what a type alone does not say; pydantic asks for them."""

    keywords: Mapping[str, Any]

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """The type's schema with the keywords."""
        return {**handler(core_schema), **self.keywords}


# A time as it is shown, RFC 3339 in UTC with milliseconds.
Time = Annotated[str, Shape({"format": "date-time"})]


class Metadata(TypedDict):
    """Beside the data of every answer.

    Attributes:
        fetched_at: when the request was answered.
        cached_until: always null: an answer is never older than its request.
    """

    fetched_at: Time
    cached_until: None


class PageMetadata(Metadata):
    """Beside the data of a list that has pages.

    Attributes:
        has_more: whether there may be more behind this page.
        next_cursor: the `cursor` of the next page; null when there is none.
    """

    has_more: bool
    next_cursor: str | None


class ErrorAnswer(TypedDict):
    """What is answered instead of data.

    Attributes:
        error: what is wrong, where, and what to do.
        status: the HTTP status.
    """

    error: str
    data: None
    status: int


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    Attributes:
        env: the environment it looks into.
        now_ms: when it came, UTC ms.
        path: the variable parts of its path.
        query: its query parameters; empty ones are left out.
        body: its body, decompressed.
        key: the signing key that it was made with; one of nobody where none is needed.
    """

    env: str
    now_ms: int
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    key: Key

    def ulid(self, name: str, what: str) -> str:
        """A part of the path that must be a ULID.

        Args:
            name: the part.
            what: what it is called in the error.

        Raises:
            RequestError: 400.
        """
        text = self.path[name].upper()
        if not is_ulid(text):
            raise RequestError(400, f"Invalid {what}: {self.path[name]}")
        return text


@dataclass(frozen=True)
class Result:
    """What an endpoint answers with.

    Attributes:
        data: any JSON value.
        metadata: beside `fetched_at`.
        status: the HTTP status.
        is_bare: whether the data is all of the answer, without the envelope.
    """

    data: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    is_bare: bool = False


Endpoint = Callable[[Call], Result]

# By path, with its variable parts as `<name>`, and by method.
Routes = Mapping[str, Mapping[str, Endpoint]]


def rfc3339(ms: int) -> str:
    """A time (UTC ms) as people and clients read it: `2026-11-23T18:05:00.250Z`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
