"""HTTP as Lambda sees it: API Gateway's payload format 2.0, in and out.

See https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.encoding import encode
from tidegate.errors import RequestError

_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    Attributes:
        method: upper case.
        path: decoded, without the query string.
        headers: names in lower case.
        raw_body: the body as it came, still compressed if it was.
        request_id: the gateway's id of it, for logs.
        cookies: by name.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    raw_body: bytes
    request_id: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_gateway(cls, event: Mapping[str, Any]) -> Request:
        """The request in an event of API Gateway."""
        context = event["requestContext"]
        text = event.get("body") or ""
        if event.get("isBase64Encoded"):
            try:
                body = base64.b64decode(text, validate=True)
            except ValueError:
                # It has other characters, or is cut off. No gateway sends that.
                body = b""
        else:
            # Whatever is not Unicode (a lone surrogate) is left for the JSON parser to refuse.
            body = text.encode(errors="surrogatepass")
        return cls(
            method=context["http"]["method"].upper(),
            path=event.get("rawPath") or "/",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            raw_body=body,
            request_id=request_id(event),
            cookies=dict(_cookie(text) for text in event.get("cookies") or ()),
        )

    def body(self, max_bytes: int) -> bytes:
        """The body, decompressed if it is gzip.

        Args:
            max_bytes: the most it may have, counted after decompression; no more than that is
                ever inflated, so that a small bomb stays small.

        Raises:
            RequestError: 413 too large, 415 an encoding other than gzip, 400 broken gzip.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity", "gzip"):
            raise RequestError(
                415, f"Content-Encoding {encoding!r} is not understood; send gzip or nothing"
            )
        body = self.raw_body
        if encoding == "gzip" and len(body) <= max_bytes:
            body = _inflated(body, max_bytes)
        if len(body) > max_bytes:
            raise RequestError(
                413,
                f"the body has more than {max_bytes} bytes; send fewer events in one request",
            )
        return body


def _cookie(text: str) -> tuple[str, str]:
    """The name and the value of a cookie, `name=value`."""
    name, _, value = text.partition("=")
    return name.strip(), value.strip()


def _inflated(body: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    try:
        inflated = inflater.decompress(body, max_bytes + 1)
        if len(inflated) <= max_bytes and not inflater.eof:
            raise zlib.error("it ends too early")
    except zlib.error as error:
        raise RequestError(400, f"the body is not valid gzip: {error}") from None
    if inflater.unused_data:
        raise RequestError(400, "the body is not valid gzip: there is more behind its end")
    return inflated


def request_id(event: Mapping[str, Any]) -> str:
    """The gateway's id of the request in its event; its answer has it as `apigw-requestid`."""
    return str((event.get("requestContext") or {}).get("requestId") or "")


@dataclass(frozen=True)
class Response:
    """An HTTP response whose body is JSON.

    Attributes:
        status: the HTTP status.
        content: what the body says; None for an empty body.
        headers: beside `content-type`.
        cookies: the values of its `Set-Cookie` headers.
    """

    status: int
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Sequence[str] = ()

    def to_gateway(self) -> dict[str, Any]:
        """The response as API Gateway takes it."""
        headers = dict(self.headers)
        if self.content is not None:
            headers["content-type"] = "application/json"
        body = "" if self.content is None else encode(self.content)
        answer = {"statusCode": self.status, "headers": headers, "body": body}
        return {**answer, "cookies": list(self.cookies)} if self.cookies else answer


def bearer_token(headers: Mapping[str, str]) -> str:
    """The token of `Authorization: Bearer <token>`, or an empty text."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
