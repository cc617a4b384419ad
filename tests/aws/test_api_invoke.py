"""POST /v1/functions/{id}/invoke: a run of one function, started by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, ProcessDied, announced, dies, function_of, listener
from tests.aws.rest import Rest, load_handler
from tidegate.context import ContextSync
from tidegate.run import Status
from tidegate.trigger import TriggerEvent


def echo(ctx: ContextSync) -> dict[str, Any]:
    return {"data": ctx.event.data, "user": ctx.event.user, "name": ctx.event.name}


@pytest.fixture
def deployed(stage: Stage) -> Deployed:
    return Deployed(stage, echo, function_of(echo, fn_id="g"), listener(stage, "inngest/*"))


@pytest.fixture
def rest(stage: Stage, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Rest:
    return Rest(load_handler(stage, monkeypatch))


def test_an_invoked_function_runs_with_the_data_it_was_given(
    stage: Stage, deployed: Deployed, rest: Rest
) -> None:
    answer = rest.post("/v1/functions/test-f/invoke", {"data": {"n": 7}, "user": {"id": "u"}})
    assert answer.status == 201
    assert answer.data.keys() == {"run_id", "event_id"}
    [message] = stage.messages(deployed.function)
    assert message.event.internal_id == answer.data["event_id"]
    assert deployed.handle(message) == []
    run = rest.get(f"/v1/runs/{answer.data['run_id']}").data
    assert run["status"] == "Completed"
    assert run["event_id"] == answer.data["event_id"]
    output = run["output"]
    about = output["data"].pop("_inngest")
    assert output == {"data": {"n": 7}, "user": {"id": "u"}, "name": "inngest/function.invoked"}
    assert about["fn_id"] == "test-f"


def test_its_event_is_stored_and_tells_of_its_run(
    stage: Stage, deployed: Deployed, rest: Rest
) -> None:
    made = rest.post("/v1/functions/test-f/invoke", {}).data
    deployed.handle(*stage.messages(deployed.function))
    event = rest.get(f"/v1/events/{made['event_id']}").data
    assert event["name"] == "inngest/function.invoked"
    runs = rest.get(f"/v1/events/{made['event_id']}/runs").data
    assert [run["run_id"] for run in runs] == [made["run_id"]]


def test_no_other_function_runs_but_who_listens_to_invocations_hears_of_it(
    stage: Stage, deployed: Deployed, rest: Rest
) -> None:
    other = function_of(echo, fn_id="g")
    heard = listener(stage, "inngest/*")
    rest.post("/v1/functions/test-f/invoke", {"data": {"n": 1}})
    assert stage.messages(other) == []
    assert [event.data["n"] for event in announced(stage, heard)] == [1]
    assert len(stage.messages(deployed.function)) == 1


def test_the_end_of_an_invoked_run_is_told_without_a_caller(
    stage: Stage, deployed: Deployed, rest: Rest
) -> None:
    heard = listener(stage, "inngest/*")
    made = rest.post("/v1/functions/test-f/invoke", {}).data
    stage.queued(heard)
    assert deployed.handle(*stage.messages(deployed.function)) == []
    [finished] = announced(stage, heard)
    assert finished.name == "inngest/function.finished"
    assert finished.data["run_id"] == made["run_id"]
    assert "correlation_id" not in finished.data


def test_a_body_is_not_needed(stage: Stage, deployed: Deployed, rest: Rest) -> None:
    made = rest.post("/v1/functions/test-f/invoke").data
    deployed.handle(*stage.messages(deployed.function))
    assert rest.get(f"/v1/runs/{made['run_id']}").data["output"]["data"].keys() == {"_inngest"}


def test_a_large_payload_arrives_whole(stage: Stage, deployed: Deployed, rest: Rest) -> None:
    data = {"text": "x" * 300_000}
    made = rest.post("/v1/functions/test-f/invoke", {"data": data}).data
    deployed.handle(*stage.messages(deployed.function))
    run = stage.runs.get(ENV, made["run_id"])
    assert run is not None
    assert run.status == Status.COMPLETED
    assert json.loads(stage.runs.output_of(run) or "")["data"]["text"] == data["text"]


def test_two_invocations_are_two_runs(stage: Stage, deployed: Deployed, rest: Rest) -> None:
    made = [rest.post("/v1/functions/test-f/invoke", {"data": {"n": 1}}).data for _ in range(2)]
    assert len({one["run_id"] for one in made}) == 2
    assert len(stage.messages(deployed.function)) == 2


def test_a_trigger_expression_does_not_hold_an_invocation_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    picky = Deployed(stage, echo, trigger=TriggerEvent(event="app/a", expression="event.data.x"))
    rest = Rest(load_handler(stage, monkeypatch))
    made = rest.post("/v1/functions/test-f/invoke", {}).data
    picky.handle(*stage.messages(picky.function))
    assert rest.get(f"/v1/runs/{made['run_id']}").data["status"] == "Completed"


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("test-no", {}, 404, "Function not found: test-no"),
        ("test-f", "{", 400, "the body is not valid JSON"),
        ("test-f", [1], 400, "the body must be a JSON object"),
        ("test-f", {"data": [1]}, 400, "data: Input should be a valid dictionary"),
        ("test-f", {"user": "u"}, 400, "user: Input should be a valid dictionary"),
        ("test-f", {"dta": {}}, 400, "unknown field 'dta'; known are data, user"),
        ("test-f", '{"data": {"n": 1e999}}', 400, "JSON"),
        ("test-f", {"data": {"text": "x" * 600_000}}, 413, "more than 524288 bytes"),
    ],
)
def test_what_cannot_be_is_refused_and_starts_nothing(
    stage: Stage, deployed: Deployed, rest: Rest, path: str, body: Any, status: int, text: str
) -> None:
    answer = rest.post(f"/v1/functions/{path}/invoke", body)
    assert (answer.status, answer.body["status"], answer.body["data"]) == (status, status, None)
    assert text in answer.body["error"]
    assert stage.messages(deployed.function) == []


def test_only_post_invokes(rest: Rest) -> None:
    answer = rest.get("/v1/functions/test-f/invoke")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("at", ["dynamodb.batch_write_item", "sns.publish_batch"])
def test_a_request_that_dies_half_way_has_started_nothing(
    stage: Stage, deployed: Deployed, rest: Rest, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with monkeypatch.context() as patch:
        dies(patch, at)
        with pytest.raises(ProcessDied):
            rest.post("/v1/functions/test-f/invoke", {})
    assert stage.messages(deployed.function) == []
