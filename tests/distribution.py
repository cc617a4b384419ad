"""Which tests a worker of pytest-xdist takes together, and in which order they are begun.

A worker takes the tests of a file, so that what a module's fixtures make is made once. Where a
fixture is made for a whole folder, it takes the folder.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
# The CDK's syntheses, and a browser with its dev server. Longest first: what is long and begins
# late leaves the other workers without work.
WHOLE_FOLDERS = ("infra", "browser")
# Many files, each of them quick: they are what is left to fill the end with.
AT_THE_END = ("aws", "unit")


def place(item: pytest.Item) -> int:
    """Where a test's folder comes in the order of folders."""
    folder = item.path.relative_to(TESTS).parts[0]
    if folder in WHOLE_FOLDERS:
        return WHOLE_FOLDERS.index(folder) - len(WHOLE_FOLDERS)
    return AT_THE_END.index(folder) + 1 if folder in AT_THE_END else 0


class Distribution(LoadScopeScheduling):
    """Hands out files and folders as they come in the order of tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        _, folder, *_ = Path(file).parts
        return folder if folder in WHOLE_FOLDERS else file
