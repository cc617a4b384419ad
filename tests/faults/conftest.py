"""Handlers that a stage loads set up logging for their process; tests share theirs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("tidegate")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate
