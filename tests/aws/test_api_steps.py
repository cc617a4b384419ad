"""What the REST API tells about how a run went: its steps, its timeline and its jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import Stage
from tests.aws.deployed import Deployed, ProcessDied, dies, match, raising, settle
from tests.aws.rest import Rest, load_handler
from tests.aws.test_api_runs import end, record
from tidegate import ContextSync, NonRetriableError, ParallelMode
from tidegate.attempt import MAX_KEPT
from tidegate.aws import client
from tidegate.ids import random_ulid
from tidegate.rest_call import rfc3339
from tidegate.run import Failure, Run, Status
from tidegate.run_store import RunStore
from tidegate.step import StepId

HOUR = timedelta(hours=1)


class Seen:
    """A deployed function, and what the REST API tells about its newest run."""

    def __init__(
        self, stage: Stage, patch: pytest.MonkeyPatch, handler: Any, **options: Any
    ) -> None:
        self.stage = stage
        self.deployed = Deployed(stage, handler, **options)
        self.rest = Rest(load_handler(stage, patch))
        self.started_ms = stage.clock.ms
        self.message = self.deployed.send()

    def begin(self) -> Seen:
        """Handle the event's message."""
        assert self.deployed.handle(self.message) == []
        return self

    def drive(self) -> Seen:
        """Handle all that comes, passing the time."""
        self.begin()
        self.deployed.drive()
        return self

    @property
    def run(self) -> Run:
        return self.deployed.run_of(self.message)

    def get(self, what: str) -> Any:
        return self.rest.get(f"/v1/runs/{self.run.id}/{what}").data

    def at(self, seconds: float) -> str:
        """A time, counted from when the function was deployed."""
        return rfc3339(self.started_ms + round(seconds * 1000))

    def spans(self) -> list[tuple[Any, ...]]:
        """Kind, name, attempt, first and last second, and status of each span."""
        return [
            (
                span["kind"],
                span["name"],
                span.get("attempt"),
                self._seconds(span["started_at"]),
                self._seconds(span["ended_at"]),
                span["status"],
            )
            for span in self.get("timeline")["spans"]
        ]

    def _seconds(self, text: str | None) -> float | None:
        return next((s / 2 for s in range(100_000) if self.at(s / 2) == text), None)


See = Callable[..., Seen]


@pytest.fixture
def see(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> See:
    return lambda handler, **options: Seen(stage, monkeypatch, handler, **options)


def error(message: str = "no") -> dict[str, str]:
    return {"name": "ValueError", "message": message}


# --- steps --------------------------------------------------------------------------------------


def test_a_step_with_its_output(stage: Stage, see: See) -> None:
    def charge() -> dict[str, int]:
        stage.clock.advance(seconds=2)
        return {"paid": 9007199254740993}

    seen = see(lambda ctx: ctx.step.run("charge", charge)).drive()
    step = {
        "step_id": StepId("charge").hashed,
        "index": 0,
        "name": "charge",
        "op": "run",
        "status": "Completed",
        "attempt": 0,
        "started_at": seen.at(0),
        "ended_at": seen.at(2),
        "due_at": None,
        "output": {"paid": 9007199254740993},
        "attempts": [{"attempt": 0, "started_at": seen.at(0), "ended_at": seen.at(2)}],
    }
    assert seen.get("steps") == [step]
    assert seen.get(f"steps/{step['step_id']}") == step


def test_a_step_that_was_tried_again_tells_of_each_attempt(stage: Stage, see: See) -> None:
    tries = 0

    def charge() -> str:
        nonlocal tries
        tries += 1
        stage.clock.advance(seconds=1)
        if tries < 3:
            raise ValueError(f"no {tries}" + "!" * 500)
        return "paid"

    seen = see(lambda ctx: ctx.step.run("charge", charge)).begin()
    [step] = seen.get("steps")
    assert (step["status"], step["attempt"], step["ended_at"]) == ("Waiting", 1, None)
    assert step["due_at"] == seen.at(16)
    assert len(step["attempts"]) == 1
    seen.deployed.drive()
    [step] = seen.get("steps")
    assert (step["status"], step["attempt"], step["output"]) == ("Completed", 2, "paid")
    first, second, third = step["attempts"]
    assert [a["attempt"] for a in step["attempts"]] == [0, 1, 2]
    assert (first["started_at"], first["ended_at"]) == (seen.at(0), seen.at(1))
    assert (second["started_at"], second["ended_at"]) == (seen.at(16), seen.at(17))
    assert (third["started_at"], third["ended_at"]) == (seen.at(47), seen.at(48))
    assert first["error"]["name"] == "ValueError"
    assert first["error"]["message"].startswith("no 1!!")
    assert len(first["error"]["message"]) == 200
    assert "error" not in third
    assert step["started_at"] == seen.at(0)


def test_a_step_that_failed_for_good_tells_why(see: See) -> None:
    def charge() -> None:
        raise ValueError("no")

    seen = see(lambda ctx: ctx.step.run("charge", charge), retries=1).drive()
    [step] = seen.get("steps")
    assert (step["status"], step["attempt"]) == ("Failed", 1)
    assert step["error"]["stack"].startswith("Traceback")
    assert {**step["error"], "stack": ""} == {**error(), "stack": ""}
    assert [attempt["error"] for attempt in step["attempts"]] == [error(), error()]
    assert "output" not in step


def test_of_many_attempts_the_last_are_told(see: See) -> None:
    def charge() -> None:
        raise ValueError("no")

    seen = see(lambda ctx: ctx.step.run("charge", charge), retries=13).drive()
    [step] = seen.get("steps")
    assert [a["attempt"] for a in step["attempts"]] == list(range(14 - MAX_KEPT, 14))


def test_steps_that_wait(stage: Stage, see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.group.parallel(
            (
                lambda: ctx.step.sleep("nap", timedelta(minutes=1)),
                lambda: ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR),
            ),
            parallel_mode=ParallelMode.RACE,
        )
        ctx.step.sleep("nap", timedelta(minutes=1))

    seen = see(handler).begin()
    nap, answer = sorted(seen.get("steps"), key=lambda step: step["op"])
    assert (nap["op"], nap["status"], nap["due_at"]) == ("sleep", "Waiting", seen.at(60))
    assert (answer["op"], answer["event_name"]) == ("wait_for_event", "app/b")
    assert (answer["status"], answer["due_at"]) == ("Waiting", seen.at(3600))
    assert nap["attempts"] == answer["attempts"] == []
    stage.clock.advance(seconds=61)
    nap = next(step for step in seen.get("steps") if step["op"] == "sleep")
    assert (nap["status"], nap["ended_at"], nap["due_at"]) == ("Completed", seen.at(60), None)
    assert "output" not in nap
    seen.deployed.drive()
    assert [(s["name"], s["index"]) for s in seen.get("steps")][-1] == ("nap", 1)


def test_what_came_for_a_step_is_its_output(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR) and 1)
    seen.begin()
    stage.clock.advance(seconds=5)
    stage.send({"name": "app/b", "data": {"n": 7}})
    match(stage)
    settle(stage, seen.deployed)
    [step] = seen.get("steps")
    assert (step["status"], step["ended_at"]) == ("Completed", seen.at(5))
    assert (step["output"]["name"], step["output"]["data"]) == ("app/b", {"n": 7})


def test_a_wait_that_was_in_vain_has_null_as_its_output(stage: Stage, see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR)

    [step] = see(handler).drive().get("steps")
    assert (step["status"], step["output"]) == ("Completed", None)


def test_a_step_that_invokes_what_is_not_there(see: See) -> None:
    seen = see(lambda ctx: ctx.step.invoke_by_id("call", function_id="nobody"), retries=0).drive()
    [step] = seen.get("steps")
    assert (step["op"], step["status"]) == ("invoke", "Failed")
    assert "nobody" in step["error"]["message"]


def test_steps_are_in_the_order_of_their_beginning(stage: Stage, see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        for name in "cab":
            ctx.step.run(name, lambda: stage.clock.advance(seconds=1))

    assert [step["name"] for step in see(handler).drive().get("steps")] == ["c", "a", "b"]


def test_uses_of_one_name_in_the_same_moment_are_in_their_order(see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        for number in range(12):
            ctx.step.run("same", lambda number=number: number)

    steps = see(handler).drive().get("steps")
    assert [step["index"] for step in steps] == list(range(12))


def test_a_large_output_comes_from_the_bucket_and_may_be_gone(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: len(ctx.step.run("a", lambda: "x" * 100_000))).drive()
    assert seen.get("steps")[0]["output"] == "x" * 100_000
    bucket = stage.settings.bucket
    [stored] = client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    client("s3").delete_object(Bucket=bucket, Key=stored["Key"])
    [step] = seen.get("steps")
    assert (step["status"], step["output"]) == ("Completed", None)
    assert "is gone" in step["note"]


def test_outputs_too_large_for_a_list_are_left_out_of_it(see: See) -> None:
    def handler(ctx: ContextSync) -> int:
        return sum(len(ctx.step.run("a", lambda: "x" * 500_000)) for _ in range(6))

    seen = see(handler).drive()
    steps = seen.get("steps")
    assert ["output" in step for step in steps] == [True] * 4 + [False] * 2
    assert "GET /v1/runs/<run_id>/steps/<step_id>" in steps[5]["note"]
    assert seen.get(f"steps/{steps[5]['step_id']}")["output"] == "x" * 500_000


def test_what_is_not_there(stage: Stage, see: See, subtests: pytest.Subtests) -> None:
    seen = see(lambda ctx: ctx.step.run("a", str)).drive()
    hidden = record(stage, env="other")
    unknown = random_ulid(stage.clock.ms)
    mine = f"/v1/runs/{seen.run.id}"
    for path, status, message in (
        *((f"/v1/runs/nonsense/{what}", 400, "Invalid run ID") for what in ASKED),
        *((f"/v1/runs/{unknown}/{what}", 404, "Run not found") for what in ASKED),
        *((f"/v1/runs/{hidden.id}/{what}", 404, "Run not found") for what in ASKED),
        (f"/v1/runs/{hidden.id}/steps/{StepId('a').hashed}", 404, "Run not found"),
        (f"{mine}/steps/{'0' * 40}", 404, "Step not found"),
        (f"{mine}/steps/a", 404, "Step not found"),
    ):
        with subtests.test(path):
            answer = seen.rest.get(path)
            assert (answer.status, answer.body["data"]) == (status, None)
            assert message in answer.body["error"]


ASKED = ("steps", "timeline", "jobs")


def test_steps_of_another_environment_are_never_seen(
    stage: Stage, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = see(lambda ctx: ctx.step.run("a", str)).drive()
    # The same id in two environments: they share nothing.
    other = replace(seen.run, env="other", lease="worker")
    stage.runs.create(other)
    record_of_a = stage.steps.load(seen.run)[StepId("a").hashed]
    stage.steps.put(other, replace(record_of_a, memo='{"data":"secret"}'))
    assert [step["output"] for step in seen.get("steps")] == [""]


# --- timeline -----------------------------------------------------------------------------------


def test_timeline_of_a_run_with_steps(stage: Stage, see: See) -> None:
    tries = 0

    def charge() -> None:
        nonlocal tries
        tries += 1
        stage.clock.advance(seconds=1)
        if tries == 1:
            raise ValueError("no")

    def handler(ctx: ContextSync) -> None:
        ctx.step.run("charge", charge)
        ctx.step.sleep("nap", timedelta(minutes=1))
        ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR)

    seen = see(handler)
    stage.clock.advance(seconds=3)
    seen.drive()
    assert seen.spans() == [
        ("queue", "app/a", None, 0, 3, "Completed"),
        ("step", "charge", 0, 3, 4, "Failed"),
        ("step", "charge", 1, 19, 20, "Completed"),
        ("sleep", "nap", None, 20, 80, "Completed"),
        ("wait", "answer", None, 80, 3680, "Completed"),
    ]
    timeline = seen.get("timeline")
    assert (timeline["run_id"], timeline["status"]) == (seen.run.id, "Completed")
    assert (timeline["from"], timeline["until"]) == (seen.at(0), seen.at(3680))
    assert timeline["spans"][1]["error"] == error()
    assert timeline["spans"][1]["step_id"] == StepId("charge").hashed
    assert "error" not in timeline["spans"][2]


def test_timeline_of_a_function_that_failed_outside_of_steps(stage: Stage, see: See) -> None:
    def handler(ctx: ContextSync) -> str:
        stage.clock.advance(seconds=2)
        if ctx.attempt < 2:
            raise ValueError(f"no {ctx.attempt}")
        return "done"

    seen = see(handler).drive()
    assert seen.spans() == [
        ("queue", "app/a", None, 0, 0, "Completed"),
        ("attempt", "test-f", 0, 0, 2, "Failed"),
        ("attempt", "test-f", 1, 17, 19, "Failed"),
        ("attempt", "test-f", 2, 49, 51, "Completed"),
    ]
    assert [span.get("error") for span in seen.get("timeline")["spans"][1:]] == [
        error("no 0"),
        error("no 1"),
        None,
    ]


def test_timeline_of_a_run_of_one_attempt(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: stage.clock.advance(seconds=2)).drive()
    assert seen.spans()[1:] == [("attempt", "test-f", 0, 0, 2, "Completed")]


def test_timeline_of_a_failure_behind_a_step(stage: Stage, see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.sleep("nap", timedelta(minutes=1))
        stage.clock.advance(seconds=2)
        raise NonRetriableError("no stock")

    seen = see(handler).drive()
    assert seen.spans()[1:] == [
        ("sleep", "nap", None, 0, 60, "Completed"),
        ("attempt", "test-f", 0, 60, 62, "Failed"),
    ]
    assert seen.get("timeline")["spans"][2]["error"] == {
        "name": "NonRetriableError",
        "message": "no stock",
    }


def test_timeline_of_a_failed_step_blames_the_step_alone(see: See) -> None:
    def charge() -> None:
        raise ValueError("no")

    seen = see(lambda ctx: ctx.step.run("charge", charge), retries=0).drive()
    assert [span[0] for span in seen.spans()] == ["queue", "step"]


def test_timeline_of_a_worker_that_died(
    stage: Stage, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = see(lambda ctx: "done")
    with monkeypatch.context() as patch:
        dies(patch, "dynamodb.update_item")
        with pytest.raises(ProcessDied):
            seen.begin()
    stage.clock.advance(seconds=200)
    assert seen.spans()[1:] == [("attempt", "test-f", 0, 0, None, "Running")]
    seen.begin()
    first, second = seen.get("timeline")["spans"][1:]
    assert (first["status"], first["error"]["name"]) == ("Failed", "WorkerDied")
    assert (first["started_at"], second["started_at"]) == (seen.at(0), seen.at(200))
    assert (second["attempt"], second["status"]) == (1, "Completed")


def test_timeline_of_a_worker_that_died_in_the_last_attempt(
    stage: Stage, see: See, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(ctx: ContextSync) -> None:
        stage.clock.advance(seconds=1)
        raise ValueError("no")

    seen = see(handler, retries=1).begin()
    stage.clock.ms = seen.run.due_ms or 0
    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "end", raising(ProcessDied()))
        with pytest.raises(ProcessDied):
            seen.begin()
    stage.clock.advance(seconds=200)
    seen.begin()
    assert seen.spans()[1:] == [
        ("attempt", "test-f", 0, 0, 1, "Failed"),
        ("attempt", "test-f", 1, 16, 217, "Failed"),
    ]


def test_timeline_of_a_run_that_waits(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: ctx.step.sleep("nap", timedelta(minutes=1))).begin()
    stage.clock.advance(seconds=10)
    assert seen.spans()[1:] == [("sleep", "nap", None, 0, None, "Waiting")]
    timeline = seen.get("timeline")
    assert (timeline["status"], timeline["until"]) == ("Running", seen.at(10))


def test_timeline_while_the_function_runs(stage: Stage, see: See) -> None:
    spans: list[Any] = []
    seen: Seen

    def look() -> None:
        spans.append(seen.spans())
        if len(spans) == 1:
            raise ValueError("no")

    seen = see(lambda ctx: ctx.step.run("look", look))
    seen.drive()
    assert spans[0][1:] == [("attempt", "test-f", 0, 0, None, "Running")]
    assert spans[1][1:] == [
        ("step", "look", 0, 0, 0, "Failed"),
        ("step", "look", 1, 15, None, "Running"),
    ]


def test_timeline_of_a_run_that_is_cancelled(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: ctx.step.sleep("nap", timedelta(minutes=1))).begin()
    stage.clock.advance(seconds=10)
    assert seen.rest.delete(f"/v1/runs/{seen.run.id}").status == 200
    settle(stage, seen.deployed)
    assert seen.spans()[1:] == [("sleep", "nap", None, 0, 10, "Cancelled")]
    [step] = seen.get("steps")
    assert (step["status"], step["ended_at"]) == ("Waiting", None)


def test_timeline_of_a_run_that_has_not_begun(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: None)
    later = stage.clock.ms + 60_000
    seen.message = seen.deployed.send(ts=later)
    seen.begin()
    stage.clock.advance(seconds=10)
    assert seen.spans() == [("queue", "app/a", None, 0, None, "Waiting")]
    assert seen.rest.delete(f"/v1/runs/{seen.run.id}").status == 200
    settle(stage, seen.deployed)
    assert seen.spans() == [("queue", "app/a", None, 0, 10, "Cancelled")]


def test_timeline_of_a_rerun_begins_when_it_was_asked_for(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: None).drive()
    stage.clock.advance(seconds=100)
    new = seen.rest.post(f"/v1/runs/{seen.run.id}/rerun", {}).data
    stage.clock.advance(seconds=5)
    settle(stage, seen.deployed)
    timeline = seen.rest.get(f"/v1/runs/{new['run_id']}/timeline").data
    assert timeline["from"] == seen.at(100)
    assert timeline["spans"][0]["ended_at"] == seen.at(105)
    assert new["event_name"] == "app/a"


def test_timeline_of_a_run_whose_event_is_gone(stage: Stage, see: See) -> None:
    run = end(stage, record(stage), Status.FAILED, Failure("EventGone", "gone").as_dict())
    rest = see(lambda ctx: None).rest
    spans = rest.get(f"/v1/runs/{run.id}/timeline").data["spans"]
    assert [(span["kind"], span["name"]) for span in spans] == [
        ("queue", "shop/order.placed"),
        ("attempt", "shop-mail"),
    ]


# --- jobs ---------------------------------------------------------------------------------------


def jobs(seen: Seen) -> list[tuple[Any, ...]]:
    found = seen.get("jobs")
    assert [job["position"] for job in found] == list(range(len(found)))
    return [(job["kind"], job["at"], job["attempt"]) for job in found]


def test_a_run_that_has_ended_has_no_jobs(see: See) -> None:
    assert see(lambda ctx: None).drive().get("jobs") == []


def test_job_of_a_run_that_is_scheduled(stage: Stage, see: See) -> None:
    seen = see(lambda ctx: None)
    seen.message = seen.deployed.send(ts=stage.clock.ms + 60_000)
    seen.begin()
    assert seen.get("jobs") == [
        {
            "JobID": seen.run.id,
            "at": seen.at(60),
            "position": 0,
            "kind": "start",
            "attempt": 0,
            "Raw": None,
        }
    ]


def test_jobs_of_what_a_run_waits_for(stage: Stage, see: See) -> None:
    def fail() -> None:
        raise ValueError("no")

    def handler(ctx: ContextSync) -> None:
        ctx.group.parallel(
            (
                lambda: ctx.step.wait_for_event("answer", event="app/b", timeout=HOUR),
                lambda: ctx.step.sleep("nap", timedelta(minutes=1)),
                lambda: ctx.step.run("charge", fail),
            )
        )

    seen = see(handler).begin()
    assert jobs(seen) == [
        ("edge", seen.at(15), 1),
        ("sleep", seen.at(60), 0),
        ("pause", seen.at(3600), 0),
    ]
    assert seen.get("jobs")[0]["Raw"] == {"step_id": StepId("charge").hashed, "name": "charge"}


def test_job_of_a_retry_and_of_a_run_that_goes_on(stage: Stage, see: See) -> None:
    running: list[Any] = []
    seen: Seen

    def handler(ctx: ContextSync) -> None:
        running.append(jobs(seen))
        raise ValueError("no")

    seen = see(handler)
    seen.begin()
    assert running == [[("edge", seen.at(0), 0)]]
    assert jobs(seen) == [("edge", seen.at(15), 1)]


def test_of_many_jobs_the_next_ten_are_told(see: See) -> None:
    def handler(ctx: ContextSync) -> None:
        naps = [timedelta(minutes=n) for n in range(12, 0, -1)]
        ctx.group.parallel(tuple(lambda n=n: ctx.step.sleep("nap", n) for n in naps))

    seen = see(handler).begin()
    assert jobs(seen) == [("sleep", seen.at(60 * n), 0) for n in range(1, 11)]


def test_attempts_of_before_they_were_kept_are_told_as_far_as_they_are_known(
    stage: Stage, see: See
) -> None:
    run = end(stage, record(stage, attempt=2), Status.COMPLETED, 1)
    spans = see(lambda ctx: None).rest.get(f"/v1/runs/{run.id}/timeline").data["spans"]
    assert [(span["kind"], span.get("attempt")) for span in spans] == [
        ("queue", None),
        ("attempt", 2),
    ]
