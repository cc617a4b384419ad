"""Both kinds of stores: in memory, and on AWS, with their tables in moto or in another engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.aws.conftest import Stage
from tests.clock import FakeClock
from tests.kit.backends import AwsBackend, Backend, MemoryBackend
from tidegate import registry
from tidegate.local.cloud import Cloud
from tidegate.manifest import Manifest
from tidegate.settings import Settings


@contextmanager
def _on_aws(dynamodb_url: str | None) -> Iterator[Backend]:
    registry.clear()
    cloud = Cloud(dynamodb_url)
    cloud.start()
    cloud.provision(Manifest(functions=()))
    settings = Settings.read(cloud.ingest_environment() | cloud.api_environment())
    yield AwsBackend(Stage(cloud, FakeClock(), settings))
    cloud.stop()
    registry.clear()


@pytest.fixture(scope="module")
def moto_backend() -> Iterator[Backend]:
    with _on_aws(None) as backend:
        yield backend


@pytest.fixture(scope="module", params=["memory", "moto", "server"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    url = request.getfixturevalue("dynamodb_server") if request.param == "server" else None
    with _on_aws(url) as backend:
        yield backend
