"""What holds for a whole test run: the AWS calls of handlers are recorded, and looked at last.

With `-n`, workers of pytest-xdist run the tests. Each tells the controller what its handlers
called, and leaves it the tests that look at the calls of all: the controller runs those itself,
once every worker has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.distribution import Distribution, place
from tests.handler_calls import Calls, no_calls, recording

TESTS = Path(__file__).parent
LAST = TESTS / "infra" / "test_calls.py"
# Whose tests together make every call.
CALLING = ("aws", "e2e")


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


# --- with workers ---------------------------------------------------------------------------------


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
