"""A call of the REST API, as its endpoints see it, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.errors import RequestError
from tidegate.ids import is_ulid

# Inngest's clients expect UUIDs here. We have one account and name environments by text.
ZERO_UUID = "00000000-0000-0000-0000-000000000000"

# What the payloads in a list may have together, in bytes. A Lambda's answer has 6 MB at the most,
# and JSON within JSON can take twice its size.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_LIST_BYTES = 2 * 1024 * 1024

# Large payloads are fetched so many at a time, lest they fill the memory.
FETCHED_AT_ONCE = 8


@dataclass(frozen=True)
class Call:
    """A request that was let in.

    Attributes:
        env: the environment it looks into.
        now_ms: when it came, UTC ms.
        path: the variable parts of its path.
        query: its query parameters; empty ones are left out.
        body: its body, decompressed.
    """

    env: str
    now_ms: int
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""

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
    """

    data: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


Endpoint = Callable[[Call], Result]

# By path, with its variable parts as `<name>`, and by method.
Routes = Mapping[str, Mapping[str, Endpoint]]


def rfc3339(ms: int) -> str:
    """A time (UTC ms) as people and clients read it: `2026-11-23T18:05:00.250Z`."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
