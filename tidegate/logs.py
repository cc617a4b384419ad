"""Logging in a Lambda: one line of JSON a record, joined by ids, without payloads."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from tidegate.tracing import add_ids

# What a record may carry for the dev server's console, and a log must not keep.
PAYLOAD_ATTRIBUTES = ("output",)

_NAME = "tidegate"


def log_to_cloudwatch() -> Callable[[], None]:
    """Send what Tidegate and its functions log to standard output, as JSON.

    Does nothing when the logger has a handler already: then somebody else decides.

    Returns:
        What is to be called when an invocation begins: it draws lots whether that one is logged
        at `DEBUG`.
    """
    if logging.getLogger(_NAME).handlers:
        return _as_it_is
    return log_to(sys.stdout)


def log_to(stream: TextIO) -> Callable[[], None]:
    """Write what Tidegate and its functions log, as JSON, a line each.

    The level comes from `TIDEGATE_LOG_LEVEL`, `INFO` by default, and how many of the invocations
    are logged at `DEBUG` nevertheless from `POWERTOOLS_LOGGER_SAMPLE_RATE`, 0 to 1.

    Returns:
        As of `log_to_cloudwatch`.
    """
    handler = logging.StreamHandler(stream)
    handler.addFilter(_without_payloads)
    handler.addFilter(add_ids)
    handler.setFormatter(LambdaPowertoolsFormatter(utc=True, service=_NAME))
    root = logging.getLogger(_NAME)
    # Powertools sets a name up once in a process. Here the handler may be a new one.
    root.addHandler(handler)
    root.propagate = False
    logger = Logger(
        service=_NAME,
        level=os.environ.get("TIDEGATE_LOG_LEVEL") or "INFO",
        logger_handler=handler,
        logger_formatter=handler.formatter,  # type: ignore[arg-type]
    )
    logger.refresh_sample_rate_calculation()
    return logger.refresh_sample_rate_calculation


def _as_it_is() -> None:
    """Leave the level to whoever set it."""


def _without_payloads(record: logging.LogRecord) -> bool:
    for name in PAYLOAD_ATTRIBUTES:
        record.__dict__.pop(name, None)
    return True
