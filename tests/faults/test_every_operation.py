"""Every call of AWS that a Lambda makes fails in every way in which it can, and nothing is lost.

Each test is a tour through all that there is, on which the first call fails that a Lambda makes of
an operation with a resource: 71 of them. What comes of the tour is what comes of it without faults.
"""

from __future__ import annotations

import json

import pytest

from tests.faults.fault import (
    KINDS,
    AnswerLost,
    Crash,
    CutOff,
    DoneInPart,
    Fault,
    ServerError,
    Throttled,
    TimedOut,
    name_of,
)
from tests.faults.plan import FirstOfEach
from tests.faults.stage import Stage
from tests.faults.tour import FORGOTTEN, Tour
from tests.handler_calls import SCHEDULES
from tests.roles import HANDLER_ROLES, called

Target = tuple[str, str, str]

# Where a fault can happen that does not happen everywhere. The looks that a worker asks for are a
# batch, which is no action of its own.
BATCHES = {"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "sns:Publish"}
# Asked by a recovery alone, of a run that outlived its event: tests/aws/test_recovery.py.
ELSEWHERE = ("matcher", SCHEDULES, "scheduler:GetSchedule")
LOOKS = ("worker", "WaitsQueue", "sqs:SendMessage")
# What is repeated by botocore is not noticed; a call all of whose attempts fail is.
ONCE = [(kind, 1) for kind in KINDS]
WHOLE = [(kind, 3) for kind in (Throttled(), ServerError(), TimedOut(), AnswerLost())]


def expected(kind: Fault) -> set[Target]:
    """Where a fault of that kind can happen."""
    every = {(handler, *one) for handler in HANDLER_ROLES for one in called(handler)} - {ELSEWHERE}
    if isinstance(kind, DoneInPart):
        return {target for target in every if target[2] in BATCHES} | {LOOKS}
    if isinstance(kind, CutOff):
        return {target for target in every if target[2] == "s3:GetObject"}
    return every


@pytest.mark.parametrize(
    ("kind", "attempts"), ONCE + WHOLE, ids=lambda one: name_of(one) if one in KINDS else str(one)
)
def test_all_comes_out_as_without_faults(kind: Fault, attempts: int) -> None:
    plan, tour = FirstOfEach(kind, attempts), Tour()
    with Stage(tour.functions(), plan, auth="keys", retention_days=2, timeout_s=60) as stage:
        tour.go(stage)
        dead = stage.dead_letters()
        crashed = stage.crashed.total()
    assert plan.hit.keys() == expected(kind)
    if isinstance(kind, Crash):
        assert crashed >= len(plan.hit) // 2, "what is done beside each other dies together"
        assert {status for status in tour.answers if status >= 500} == {500}
    elif attempts == 1 and not isinstance(kind, CutOff):
        assert max(tour.answers) < 500, "botocore has tried again"
    else:
        assert {status for status in tour.answers if status >= 500} == {503}
    # The one that is no message was seen, put back, and deleted on the way.
    assert {json.loads(body)["name"] for body in dead} == {FORGOTTEN}
