"""What each role allows is what its handler calls: nothing is missing, and nothing is spare.

These tests come last. The calls are those of the whole run, see `tests/handler_calls.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.roles import HANDLER_ROLES, WITHOUT_A_CALL, called, pairs

if TYPE_CHECKING:
    from tests.handler_calls import Calls


@pytest.mark.parametrize("handler", HANDLER_ROLES)
def test_a_handler_calls_nothing_that_its_role_does_not_allow(
    handler_calls: Calls, handler: str
) -> None:
    assert pairs(handler_calls[handler]) - pairs(HANDLER_ROLES[handler]) == set()


@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("handler", HANDLER_ROLES)
def test_a_role_allows_nothing_that_its_handler_does_not_call(
    handler_calls: Calls, handler: str
) -> None:
    assert called(handler) - pairs(handler_calls[handler]) == set()


def test_every_exception_is_needed() -> None:
    granted = {action for role in HANDLER_ROLES.values() for _, action in pairs(role)}
    assert WITHOUT_A_CALL.keys() <= granted
