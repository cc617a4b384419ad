"""What holds for a whole test run.

The AWS calls of handlers are recorded, and looked at last. Tests that are marked as `storage` run
on moto and again on another engine of DynamoDB's API.

With `-n`, workers of pytest-xdist run the tests. Each tells the controller what its handlers
called, and leaves it the tests that look at the calls of all: the controller runs those itself,
once every worker has ended.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.distribution import Distribution, place
from tests.dynamodb import dynoxide
from tests.handler_calls import Calls, no_calls, recording

# No test depends on how fast the machine is.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")

TESTS = Path(__file__).parent
LAST = TESTS / "infra" / "test_calls.py"
# Whose tests together make every call.
CALLING = ("aws", "e2e")
# The engines that storage is tested on.
MOTO, SERVER = "moto", "server"


@dataclass
class WholeRun:
    """What a process knows of a test run.

    Attributes:
        files: the test files that were collected.
        left: the ids of the tests that workers leave to the controller.
        calls: what handlers called.
    """

    files: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    calls: Calls = field(default_factory=no_calls)

    def add(self, files: set[str], left: list[str], calls: Calls) -> None:
        """Take in what a worker tells."""
        self.files |= files
        # All workers collect the same tests.
        self.left = left
        for handler, resources in calls.items():
            for resource, actions in resources.items():
                self.calls[handler].setdefault(resource, set()).update(actions)


WHOLE_RUN = pytest.StashKey[WholeRun]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WHOLE_RUN] = WholeRun()


@pytest.fixture(scope="session", autouse=True)
def handler_calls(pytestconfig: pytest.Config) -> Iterator[Calls]:
    calls = pytestconfig.stash[WHOLE_RUN].calls
    with recording(calls):
        yield calls


@pytest.fixture(scope="session")
def whole_run(pytestconfig: pytest.Config) -> None:
    """Skips a test unless the run has all tests of the folders whose calls count."""
    wanted = {str(path) for folder in CALLING for path in (TESTS / folder).glob("test_*.py")}
    if wanted - pytestconfig.stash[WHOLE_RUN].files:
        pytest.skip("it takes all tests of aws and e2e to make every call")


def pytest_collection_finish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        check_ids([item.nodeid for item in session.items])


def check_ids(ids: Sequence[str]) -> None:
    """Of several tests with one id, workers would run one and say nothing of the others."""
    if twice := [nodeid for nodeid, count in Counter(ids).items() if count > 1]:
        raise pytest.UsageError(f"several tests have the id {twice[0]}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash[WHOLE_RUN]
    run.files |= {str(item.path) for item in items}
    items.sort(key=lambda item: (item.path == LAST, place(item)))
    if hasattr(config, "workerinput"):
        run.left = [item.nodeid for item in items if item.path == LAST]
        items[:] = [item for item in items if item.path != LAST]


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


# --- with workers ---------------------------------------------------------------------------------


def pytest_configure_node() -> None:
    """Each worker starts an engine of its own; a server that is named would be one for all."""
    if os.environ.get(dynoxide.VARIABLE):
        raise pytest.UsageError(f"{dynoxide.VARIABLE} names one server: run pytest without -n")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    """For `-n` alone, which is `--dist load`; any other `--dist` is what xdist makes of it."""
    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return Distribution(config, log)


def pytest_xdist_node_collection_finished(ids: Sequence[str]) -> None:
    check_ids(ids)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker's last words."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["whole_run"] = vars(session.config.stash[WHOLE_RUN])


def pytest_testnodedown(node: Any, error: object | None) -> None:
    """The controller hears them; of one that crashed there are none, and its crash is a failure."""
    if error is None:
        node.config.stash[WHOLE_RUN].add(**node.workeroutput["whole_run"])


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Behind the workers' tests, the controller runs those that they left."""
    result = yield
    left = session.config.stash[WHOLE_RUN].left
    if left and not hasattr(session.config, "workerinput"):
        by_workers = session.testscollected
        root = session.config.rootpath
        items = session.perform_collect([str(root / nodeid) for nodeid in left])
        session.testscollected += by_workers
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    return result
