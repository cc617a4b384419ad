"""What is counted for CloudWatch: one line of the embedded metric format for each invocation."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, ProcessDied, dies, settle
from tests.gateway import request
from tidegate.context import ContextSync
from tidegate.errors import NonRetriableError
from tidegate.event_model import Event
from tidegate.ids import random_ulid
from tidegate.local.lambda_function import LambdaFunction
from tidegate.metrics import COUNTS, DIMENSIONS, NAMESPACE, TIMES, Metrics
from tidegate.observer import Observers
from tidegate.run import Rerun, Status


@pytest.fixture
def metered(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Metered:
    return Metered(stage, capsys)


class Metered:
    """A stage whose events and runs are counted."""

    def __init__(self, stage: Stage, capture: pytest.CaptureFixture[str]) -> None:
        self.stage = stage
        self.metrics = Metrics("production", "test-f")
        stage.observer = self.metrics
        self._capture = capture

    def lines(self) -> list[dict[str, Any]]:
        """What is printed when an invocation ends."""
        self._capture.readouterr()
        self.metrics.invocation_ended()
        return [json.loads(line) for line in self._capture.readouterr().out.splitlines()]

    def counted(self) -> dict[str, Any]:
        """The numbers in the only line, by name."""
        [line] = self.lines()
        return {name: line[name] for name in (*COUNTS, *TIMES) if name in line}


def start(stage: Stage, deployed: Deployed) -> None:
    """Send an event, and let pass what time its run needs."""
    stage.send({"name": "app/a"})
    deployed.handle(*stage.messages(deployed.function))
    deployed.drive()


def test_a_line_is_what_cloudwatch_makes_metrics_of(
    metered: Metered, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others in the process may use powertools, too.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "shop")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Shop")
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    metered.stage.send({"name": "app/a"})
    [line] = metered.lines()
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [list(DIMENSIONS)],
            "Metrics": [{"Name": "EventsReceived", "Unit": "Count"}],
        }
    ]
    assert (line["stage"], line["function"]) == ("production", "test-f")
    assert isinstance(line["_aws"]["Timestamp"], int)
    assert line["EventsReceived"] == [1]


def test_an_invocation_in_which_nothing_happens_prints_nothing(metered: Metered) -> None:
    assert metered.lines() == []
    metered.stage.send({"name": "app/a"})
    assert len(metered.lines()) == 1
    assert metered.lines() == [], "what was told is not told again"


def test_events_and_duplicates_are_counted(metered: Metered) -> None:
    metered.stage.send({"name": "app/a"}, {"name": "app/b", "id": "1"})
    metered.stage.send({"name": "app/b", "id": "1"}, {"name": "app/b", "id": "2"})
    assert metered.counted() == {"EventsReceived": [3], "EventsDuplicate": [1]}


def test_what_a_run_sends_is_told_apart_from_what_came(metered: Metered) -> None:
    def work(ctx: ContextSync) -> None:
        ctx.step.send_event("tell", [Event(name="app/b"), Event(name="app/c")])

    deployed = Deployed(metered.stage, work)
    metered.stage.send({"name": "app/a"})
    assert metered.counted() == {"EventsReceived": [1]}
    deployed.handle(*metered.stage.messages(deployed.function))
    counted = metered.counted()
    assert (counted["EventsSent"], "EventsReceived" in counted) == ([2], False)


def test_an_event_whose_idempotency_key_is_taken_is_a_duplicate_of_the_function(
    metered: Metered,
) -> None:
    deployed = Deployed(metered.stage, lambda ctx: None, idempotency="event.data.cart")
    for cart in (1, 1, 2):
        metered.stage.send({"name": "app/a", "data": {"cart": cart}})
    metered.lines()
    deployed.handle(*metered.stage.messages(deployed.function))
    counted = metered.counted()
    assert (counted["RunsStarted"], counted["EventsDuplicate"]) == ([2], [1])


def test_a_run_is_counted_from_its_start_to_its_end(metered: Metered) -> None:
    def work(ctx: ContextSync) -> None:
        def slowly() -> None:
            metered.stage.clock.advance(seconds=2)

        ctx.step.run("work", slowly)
        ctx.step.run("rest", lambda: None)

    deployed = Deployed(metered.stage, work)
    metered.stage.send({"name": "app/a"})
    metered.lines()
    metered.stage.clock.advance(seconds=7)
    deployed.handle(*metered.stage.messages(deployed.function))
    assert metered.counted() == {
        "RunsStarted": [1],
        "RunsCompleted": [1],
        "QueueAge": [7_000],
        "StepDuration": [2_000, 0],
    }


def test_a_run_that_sleeps_is_started_and_ended_once(metered: Metered) -> None:
    deployed = Deployed(metered.stage, lambda ctx: ctx.step.sleep("nap", timedelta(hours=1)))
    metered.stage.send({"name": "app/a"})
    metered.lines()
    message = metered.stage.messages(deployed.function)[0]
    deployed.handle(message)
    assert set(metered.counted()) == {"RunsStarted", "QueueAge"}
    deployed.handle(message)
    assert metered.lines() == [], "a message that comes twice is nothing new"
    metered.stage.clock.advance(seconds=3_600)
    deployed.handle_due()
    assert metered.counted() == {"RunsCompleted": [1]}


def test_an_event_of_the_future_has_not_waited_before_its_time(metered: Metered) -> None:
    deployed = Deployed(metered.stage, lambda ctx: None)
    metered.stage.send({"name": "app/a", "ts": metered.stage.clock.ms + 600_000})
    metered.lines()
    settle(metered.stage, deployed)
    assert metered.lines() == [], "it is not due"
    metered.stage.clock.advance(seconds=603)
    settle(metered.stage, deployed)
    assert metered.counted() == {"RunsStarted": [1], "RunsCompleted": [1], "QueueAge": [3_000]}


def test_a_rerun_has_waited_since_it_was_asked_for(metered: Metered) -> None:
    stage = metered.stage
    deployed = Deployed(stage, lambda ctx: None)
    stage.send({"name": "app/a"})
    [message] = stage.messages(deployed.function)
    deployed.handle(message)
    stage.clock.advance(seconds=86_400)
    metered.lines()
    run = deployed.run_of(message)
    stage.rerunner.rerun(run, Rerun(random_ulid(stage.clock.ms), run.id))
    stage.clock.advance(seconds=4)
    deployed.handle(*stage.messages(deployed.function))
    assert metered.counted()["QueueAge"] == [4_000]


def test_retries_of_functions_and_of_steps_are_counted(metered: Metered) -> None:
    tried: list[str] = []

    def once(name: str) -> None:
        tried.append(name)
        if tried.count(name) == 1:
            raise OSError("not yet")

    def work(ctx: ContextSync) -> None:
        ctx.step.run("a", once, "step")
        once("function")

    deployed = Deployed(metered.stage, work, retries=3)
    start(metered.stage, deployed)
    counted = metered.counted()
    assert tried == ["step", "step", "function", "function"]
    assert (counted["Retries"], counted["RunsCompleted"]) == ([2], [1])
    assert "RunsFailed" not in counted
    assert counted["RunsStarted"] == [1]
    assert len(counted["StepDuration"]) == 2, "a step that is recalled was not tried again"


def test_a_function_that_fails_for_good_is_a_failed_run(metered: Metered) -> None:
    def work(ctx: ContextSync) -> None:
        raise NonRetriableError("no")

    deployed = Deployed(metered.stage, work)
    start(metered.stage, deployed)
    counted = metered.counted()
    assert counted["RunsFailed"] == [1]
    assert "Retries" not in counted


def test_a_worker_that_died_is_a_retry(metered: Metered, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = metered.stage
    deployed = Deployed(stage, lambda ctx: None)
    stage.send({"name": "app/a"})
    [message] = stage.messages(deployed.function)
    with monkeypatch.context() as patch:
        dies(patch, "dynamodb.update_item")
        with pytest.raises(ProcessDied):
            deployed.handle(message)
    stage.clock.advance(seconds=1_000)
    deployed.handle(message)
    counted = metered.counted()
    assert (counted["Retries"], counted["RunsStarted"]) == ([1], [1])
    assert counted["RunsCompleted"] == [1]


def test_a_cancelled_run_is_counted(metered: Metered) -> None:
    stage = metered.stage
    deployed = Deployed(stage, lambda ctx: ctx.step.sleep("nap", timedelta(hours=1)))
    stage.send({"name": "app/a"})
    [message] = stage.messages(deployed.function)
    deployed.handle(message)
    metered.lines()
    stage.canceller.cancel(ENV, deployed.run_of(message).id, "enough")
    deployed.handle(*stage.messages(deployed.function))
    assert deployed.run_of(message).status == Status.CANCELLED
    assert metered.counted() == {"RunsCancelled": [1]}


def test_more_times_than_a_line_may_have_are_several_lines(metered: Metered) -> None:
    deployed = Deployed(
        metered.stage, lambda ctx: [ctx.step.run(f"s{n}", lambda: None) for n in range(250)]
    )
    start(metered.stage, deployed)
    lines = metered.lines()
    assert [len(line.get("StepDuration", ())) for line in lines] == [100, 100, 50]
    assert sum(len(line.get("RunsCompleted", ())) for line in lines) == 1


def test_several_observers_are_told_the_same(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    both = Metrics("a", "f"), Metrics("b", "f")
    stage.observer = Observers(both)
    deployed = Deployed(stage, lambda ctx: ctx.step.run("s", lambda: None))
    start(stage, deployed)
    capsys.readouterr()
    stage.observer.invocation_ended()
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first.pop("stage"), second.pop("stage")) == ("a", "b")
    for name in (*COUNTS, *TIMES):
        assert first.get(name) == second.get(name)
    assert set(first) - {"_aws", "function"} == {
        "EventsReceived", "RunsStarted", "RunsCompleted", "QueueAge", "StepDuration",
    }  # fmt: skip


@pytest.mark.parametrize("switch", ["on", "off"])
def test_a_lambda_prints_its_metrics_where_the_stage_wants_them(
    stage: Stage, capsys: pytest.CaptureFixture[str], switch: str
) -> None:
    variables = stage.cloud.ingest_environment() | {
        "TIDEGATE_METRICS": switch,
        "TIDEGATE_STAGE": "production",
    }
    ingest = LambdaFunction("ingest", "tidegate.handlers.ingest", variables)
    capsys.readouterr()
    answer = ingest.invoke(request([{"name": "app/a"}, {"name": "app/b"}]))
    assert answer["statusCode"] == 200
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    found = [(one["stage"], one["function"], one["EventsReceived"]) for one in told]
    assert found == ([("production", "ingest", [2])] if switch == "on" else [])
