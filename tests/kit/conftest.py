"""Both kinds of stores: in memory, and on AWS, with their tables in moto or in another engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws.conftest import staged
from tests.kit.backends import AwsBackend, Backend, MemoryBackend


@pytest.fixture(scope="module")
def moto_backend() -> Iterator[Backend]:
    with staged() as stage:
        yield AwsBackend(stage)


@pytest.fixture(scope="module", params=["memory", "moto", "server"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    url = request.getfixturevalue("dynamodb_server") if request.param == "server" else None
    with staged(url) as stage:
        yield AwsBackend(stage)
