"""A stage that the tests of a module share; each of them has rows of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws.conftest import Stage, staged


@pytest.fixture(scope="module")
def stage(dynamodb_url: str | None) -> Iterator[Stage]:
    with staged(dynamodb_url) as stage:
        yield stage
