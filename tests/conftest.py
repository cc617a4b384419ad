"""What holds for a whole test run: the AWS calls of handlers are recorded, and looked at last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handler_calls import Calls, recording

TESTS = Path(__file__).parent
LAST = TESTS / "infra" / "test_calls.py"
# Whose tests together make every call.
CALLING = ("aws", "e2e")


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
