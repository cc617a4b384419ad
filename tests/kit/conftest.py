"""Both kinds of stores: in memory, and on AWS as moto has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws.conftest import Stage
from tests.clock import FakeClock
from tests.kit.backends import Backend, MemoryBackend, MotoBackend
from tidegate import registry
from tidegate.local.cloud import Cloud
from tidegate.manifest import Manifest
from tidegate.settings import Settings


@pytest.fixture(scope="module")
def moto_backend() -> Iterator[Backend]:
    registry.clear()
    cloud = Cloud()
    cloud.start()
    cloud.provision(Manifest(functions=()))
    settings = Settings.read(cloud.ingest_environment() | cloud.api_environment())
    yield MotoBackend(Stage(cloud, FakeClock(), settings))
    cloud.stop()
    registry.clear()


@pytest.fixture(scope="module", params=["memory", "moto"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "memory":
        return MemoryBackend()
    found: Backend = request.getfixturevalue("moto_backend")
    return found
