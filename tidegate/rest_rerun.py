"""Running a run again by the REST API, from its beginning or from one of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from tidegate.errors import RequestError
from tidegate.ids import random_ulid
from tidegate.rerunning import Rerunner
from tidegate.rest_body import parse_body
from tidegate.rest_call import Call, Result, Routes
from tidegate.rest_runs import run_object
from tidegate.run import Rerun
from tidegate.run_store import RunStore


class RerunBody(BaseModel):
    """What may be sent.

    Attributes:
        from_step: the `step_id` of the step to go on from, 40 hex digits.
    """

    model_config = ConfigDict(extra="forbid")

    from_step: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}$", to_lower=True)] | None = (
        None
    )


@dataclass(frozen=True)
class RerunEndpoints:
    """What runs runs again.

    Attributes:
        runs: where they are.
        rerunner: starts them.
    """

    runs: RunStore
    rerunner: Rerunner

    def routes(self) -> Routes:
        """The paths."""
        return {"/v1/runs/<run_id>/rerun": {"POST": self.rerun}}

    def rerun(self, call: Call) -> Result:
        """Start a new run of the same event and function."""
        run_id = call.ulid("run_id", "run ID")
        body = parse_body(RerunBody, call.body)
        original = self.runs.get(call.env, run_id, call.now_ms)
        if original is None:
            raise RequestError(404, "Run not found")
        rerun = Rerun(random_ulid(call.now_ms), original.id)
        run = self.rerunner.rerun(original, rerun, body.from_step)
        return Result(run_object(run, {}), status=201)
