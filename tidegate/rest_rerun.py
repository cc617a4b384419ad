"""Running a run again by the REST API, from its beginning or from one of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired

from typing_extensions import TypedDict

from tidegate.errors import RequestError
from tidegate.ids import random_ulid
from tidegate.rerunning import Rerunner
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result
from tidegate.rest_field import hashed
from tidegate.rest_operation import operation
from tidegate.rest_runs import RunObject, run_object
from tidegate.run import Rerun
from tidegate.run_store import RunStore


class RerunBody(TypedDict):
    """Where a run begins again."""

    from_step: NotRequired[
        Annotated[str, hashed("The `step_id` of the step to go on from; the beginning without")]
    ]


@dataclass(frozen=True)
class RerunEndpoints:
    """What runs runs again.

    Attributes:
        runs: where they are.
        rerunner: starts them.
    """

    runs: RunStore
    rerunner: Rerunner

    @operation(
        "POST",
        "/v1/runs/<run_id>/rerun",
        RunObject,
        tag="Runs",
        body=RerunBody,
        status=201,
        refusals={
            409: "the run has not ended, its function is gone, or it was run again too often",
            410: "the run's event, or what an earlier step gave, is no longer stored",
        },
    )
    def rerun(self, call: Call) -> Result:
        """Start a new run of the same event and function."""
        run_id = call.ulid("run_id", "run ID")
        body = parse_body(RerunBody, call.body)
        original = self.runs.get(call.env, run_id, call.now_ms)
        if original is None:
            raise RequestError(404, "Run not found")
        rerun = Rerun(random_ulid(call.now_ms), original.id)
        run = self.rerunner.rerun(original, rerun, body.get("from_step"))
        return Result(run_object(run, {}), status=201)
