"""What holds for a whole test run.

The AWS calls of handlers are recorded, and looked at last. Tests that are marked as `storage` run
on moto and again on another engine of DynamoDB's API.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dynamodb import dynoxide
from tests.handler_calls import Calls, recording

TESTS = Path(__file__).parent
LAST = TESTS / "infra" / "test_calls.py"
# Whose tests together make every call.
CALLING = ("aws", "e2e")
# The engines that storage is tested on.
MOTO, SERVER = "moto", "server"


@pytest.fixture(scope="session", autouse=True)
def handler_calls() -> Iterator[Calls]:
    with recording() as calls:
        yield calls


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path == LAST)


@pytest.fixture(scope="session")
def whole_run(request: pytest.FixtureRequest) -> None:
    """Skips a test unless the run has all tests of the folders whose calls count."""
    collected = {item.path for item in request.session.items}
    wanted = {path for folder in CALLING for path in (TESTS / folder).glob("test_*.py")}
    if wanted - collected:
        pytest.skip("it takes all tests of aws and e2e to make every call")


@pytest.fixture(scope="session")
def dynamodb_server() -> Iterator[str]:
    """The address of a DynamoDB besides moto's; without one its tests are skipped, not in CI."""
    if not dynoxide.is_there():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(dynoxide.MISSING)
    with dynoxide.serving() as url:
        yield url


@pytest.fixture(scope="module")
def dynamodb_url(request: pytest.FixtureRequest) -> str | None:
    """Where the tables of a test's stage are; None is in moto."""
    if getattr(request, "param", MOTO) == MOTO:
        return None
    url: str = request.getfixturevalue("dynamodb_server")
    return url


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have tests that are marked as `storage` run with their tables in each engine.

    A mark with the name of an engine is for that one alone.
    """
    marked = metafunc.definition.get_closest_marker("storage")
    if marked is not None and "dynamodb_url" in metafunc.fixturenames:
        engines = marked.args or (MOTO, SERVER)
        metafunc.parametrize("dynamodb_url", engines, indirect=True, scope="module")
