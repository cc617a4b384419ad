"""Logging in a Lambda: one line of JSON a record, joined by ids, without payloads."""

from __future__ import annotations

import logging
import os
import sys

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

# What a record may carry for the dev server's console, and a log must not keep.
PAYLOAD_ATTRIBUTES = ("output",)


def log_to_cloudwatch() -> None:
    """Send what Tidegate and its functions log to standard output, as JSON.

    Does nothing when the logger has a handler already: then somebody else decides. The level comes
    from `TIDEGATE_LOG_LEVEL`, `INFO` by default.
    """
    root = logging.getLogger("tidegate")
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LambdaPowertoolsFormatter(utc=True, service="tidegate"))
    handler.addFilter(_without_payloads)
    root.addHandler(handler)
    root.setLevel(os.environ.get("TIDEGATE_LOG_LEVEL") or "INFO")
    root.propagate = False


def _without_payloads(record: logging.LogRecord) -> bool:
    for name in PAYLOAD_ATTRIBUTES:
        record.__dict__.pop(name, None)
    return True
