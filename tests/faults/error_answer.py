"""How AWS says that a call failed: the status, headers and body of each service's protocol."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

_REQUEST_ID = "8f23e6e6-b4f2-4572-b426-343b370cb32c"

# By service: status, code and message. An empty code is an answer of what stands before it, which
# has no body that says anything.
THROTTLING: dict[str, tuple[tuple[int, str, str], ...]] = {
    "dynamodb": (
        (
            400,
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded",
        ),
        (400, "ThrottlingException", "Rate of requests exceeds the allowed throughput."),
        (400, "RequestLimitExceeded", "Throughput exceeds the current throughput limit"),
    ),
    "s3": ((503, "SlowDown", "Please reduce your request rate."),),
    "scheduler": ((429, "ThrottlingException", "Rate exceeded"),),
    "sns": ((400, "Throttling", "Rate exceeded"), (429, "Throttled", "Rate exceeded")),
    "sqs": ((403, "RequestThrottled", "Request is throttled."),),
    "ssm": ((400, "ThrottlingException", "Rate exceeded"),),
}
SERVER_ERRORS: dict[str, tuple[tuple[int, str, str], ...]] = {
    "dynamodb": (
        (500, "InternalServerError", "Internal server error"),
        (503, "ServiceUnavailable", "Service Unavailable"),
        (502, "", ""),
    ),
    "s3": (
        (500, "InternalError", "We encountered an internal error. Please try again."),
        (503, "ServiceUnavailable", "Service is unable to handle request."),
    ),
    "scheduler": ((500, "InternalServerException", "Internal server error"), (503, "", "")),
    "sns": (
        (500, "InternalError", "Internal error"),
        (503, "ServiceUnavailable", "Service Unavailable"),
    ),
    "sqs": (
        (500, "InternalError", "We encountered an internal error. Please try again."),
        (503, "ServiceUnavailable", "Service Unavailable"),
    ),
    "ssm": ((500, "InternalServerError", "An error occurred on the server side."), (503, "", "")),
}


def error_answer(
    service: str, request: AWSPreparedRequest, error: tuple[int, str, str]
) -> AWSResponse:
    """The answer that tells a client of an error.

    Args:
        service: whose protocol it is in, such as `sns`.
        request: what it answers.
        error: the status, the code and the message.
    """
    status, code, message = error
    headers, body = _WRITTEN[service](code, message) if code else ({}, b"")
    all_headers = HTTPHeaders()
    for name, value in {**headers, "x-amzn-requestid": _REQUEST_ID}.items():
        all_headers[name] = value
    return AWSResponse(request.url, status, all_headers, Raw(body))  # type: ignore[arg-type]


class Raw(io.BytesIO):
    """What a connection gives."""

    def stream(self, amount: int = 65_536, **_: Any) -> Iterator[bytes]:
        """The body, piece by piece."""
        while piece := self.read(amount):
            yield piece


Written = tuple[dict[str, str], bytes]


def _dynamodb(code: str, message: str) -> Written:
    fault = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
    return {"content-type": "application/x-amz-json-1.0"}, json.dumps(fault).encode()


def _sqs(code: str, message: str) -> Written:
    who = "Receiver" if code in ("InternalError", "ServiceUnavailable") else "Sender"
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amzn-query-error": f"{code};{who}",
    }
    fault = {"__type": f"com.amazonaws.sqs#{code}", "message": message}
    return headers, json.dumps(fault).encode()


def _ssm(code: str, message: str) -> Written:
    fault = {"__type": code, "message": message}
    return {"content-type": "application/x-amz-json-1.1"}, json.dumps(fault).encode()


def _scheduler(code: str, message: str) -> Written:
    headers = {"content-type": "application/json", "x-amzn-errortype": code}
    return headers, json.dumps({"Message": message}).encode()


def _sns(code: str, message: str) -> Written:
    text = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
        f"</Error><RequestId>{_REQUEST_ID}</RequestId></ErrorResponse>"
    )
    return {"content-type": "text/xml"}, text.encode()


def _s3(code: str, message: str) -> Written:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{_REQUEST_ID}</RequestId></Error>"
    )
    return {"content-type": "application/xml"}, text.encode()


_WRITTEN = {
    "dynamodb": _dynamodb,
    "s3": _s3,
    "scheduler": _scheduler,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
}
