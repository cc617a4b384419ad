"""Logging in a Lambda: one line of JSON a record, joined by ids, without payloads."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from tidegate.tracing import add_ids

# What a record may carry for the dev server's console, and a log must not keep.
PAYLOAD_ATTRIBUTES = ("output",)


def log_to_cloudwatch() -> None:
    """Send what Tidegate and its functions log to standard output, as JSON.

    Does nothing when the logger has a handler already: then somebody else decides. The level comes
    from `TIDEGATE_LOG_LEVEL`, `INFO` by default.
    """
    if not logging.getLogger("tidegate").handlers:
        log_to(sys.stdout)


def log_to(stream: TextIO) -> None:
    """Write what Tidegate and its functions log, as JSON, a line each."""
    root = logging.getLogger("tidegate")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LambdaPowertoolsFormatter(utc=True, service="tidegate"))
    handler.addFilter(_without_payloads)
    handler.addFilter(add_ids)
    root.addHandler(handler)
    root.setLevel(os.environ.get("TIDEGATE_LOG_LEVEL") or "INFO")
    root.propagate = False


def _without_payloads(record: logging.LogRecord) -> bool:
    for name in PAYLOAD_ATTRIBUTES:
        record.__dict__.pop(name, None)
    return True
