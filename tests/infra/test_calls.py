"""What each role allows is what its handler calls: nothing is missing, and nothing is spare.

These tests come last. The calls are those of the whole run, see `tests/handler_calls.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_permissions import BY_QUEUES, INGEST, MATCHER, REST_API, worker

if TYPE_CHECKING:
    from tests.handler_calls import Calls


def by_queues(role: str) -> dict[str, set[str]]:
    return {f"Function{queue}": actions for queue, actions in BY_QUEUES[role].items()}


ROLES = {
    "ingest": INGEST,
    "api": REST_API | by_queues("RestApiRole"),
    "matcher": MATCHER | by_queues("WaitsMatcherRole"),
    "worker": worker("Function"),
}

# What no handler calls, and why a role allows it all the same.
WITHOUT_A_CALL = {
    "logs:CreateLogStream": "Lambda writes the logs in the role of the function",
    "logs:PutLogEvents": "Lambda writes the logs in the role of the function",
    "s3:ListBucket": "without it S3 says of an object that is gone that access is denied",
    "iam:PassRole": "asked for by CreateSchedule, which names the role of schedules",
}
# Of the queue that a Lambda reads: Lambda's pollers call in the role of the function.
POLLING = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
READS = {"matcher": "WaitsQueue", "worker": "FunctionQueue"}


def pairs(granted: dict[str, set[str]]) -> set[tuple[str, str]]:
    return {(resource, action) for resource, actions in granted.items() for action in actions}


@pytest.mark.parametrize("handler", ROLES)
def test_a_handler_calls_nothing_that_its_role_does_not_allow(
    handler_calls: Calls, handler: str
) -> None:
    assert pairs(handler_calls[handler]) - pairs(ROLES[handler]) == set()


@pytest.mark.usefixtures("whole_run")
@pytest.mark.parametrize("handler", ROLES)
def test_a_role_allows_nothing_that_its_handler_does_not_call(
    handler_calls: Calls, handler: str
) -> None:
    polled = {(READS[handler], action) for action in POLLING} if handler in READS else set()
    spare = pairs(ROLES[handler]) - pairs(handler_calls[handler]) - polled
    assert {one for one in spare if one[1] not in WITHOUT_A_CALL} == set()


def test_every_exception_is_needed() -> None:
    granted = {action for role in ROLES.values() for _, action in pairs(role)}
    assert WITHOUT_A_CALL.keys() <= granted
