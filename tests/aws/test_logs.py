"""What Lambdas log: nothing of what events, steps and runs carry, and no key."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import TIMEOUT_MS, Deployed, function_of, match, settle
from tests.aws.rest import Rest, load_handler
from tests.gateway import request
from tidegate.cancel import Cancel
from tidegate.context import ContextSync
from tidegate.event_model import Event
from tidegate.function import Function
from tidegate.key import StoredKeys
from tidegate.local.lambda_function import LambdaFunction
from tidegate.logs import log_to
from tidegate.trigger import TriggerEvent

# No line may have it, in whatever spelling JSON or a traceback gives it.
MARK = "payloadMARK"
KEY_MARK = "keyMARK"
SECRET = {"name": f"{MARK}-name", "card": f"{MARK}-card", "total": f"{MARK}-total"}


class Order(BaseModel):
    """Data that `SECRET` does not fit."""

    total: int


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(params=["INFO", "DEBUG"])
def lines(
    request: pytest.FixtureRequest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lines]:
    """What Lambdas log at a level, line by line."""
    monkeypatch.setenv("TIDEGATE_LOG_LEVEL", request.param)
    yield from _lines()


def _lines() -> Iterator[Lines]:
    stream = io.StringIO()
    logger = logging.getLogger("tidegate")
    logger.handlers[:] = []
    log_to(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.handlers[:] = []


def whole(ctx: ContextSync) -> str:
    """Does all that a function can do, with what came."""
    ctx.logger.info("working")
    ctx.step.run("copy", lambda: ctx.event.data)
    ctx.step.send_event("tell", Event(name="app/told", data=SECRET, user=SECRET))
    ctx.step.invoke("call", function=CALLED, data=SECRET)
    ctx.step.sleep("nap", timedelta(hours=1))
    answer = ctx.step.wait_for_event(
        "answer",
        event="app/answer",
        timeout=timedelta(hours=1),
        if_exp="int(async.data.total) < 3 && event.data.card == async.data.card",
    )
    tried.append(1)
    if len(tried) == 1:
        raise OSError("not yet")
    return f"{MARK} {answer}"


tried: list[int] = []


def typed(ctx: ContextSync) -> str:
    Order.model_validate(ctx.event.data)
    return "never"


FUNCTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "whole": (whole, {"retries": 3}),
    "called": (lambda ctx: ctx.event.data, {"trigger": TriggerEvent(event="app/never")}),
    "fails": (
        lambda ctx: ctx.step.run("break", lambda: ctx.event.data["missing"]),
        {"retries": 0, "trigger": TriggerEvent(event="app/a")},
    ),
    "choosy": (
        lambda ctx: "never",
        {"trigger": TriggerEvent(event="app/a", expression="int(event.data.total) > 3")},
    ),
    "keyed": (lambda ctx: SECRET, {"idempotency": "string(int(event.data.card))"}),
    "once": (lambda ctx: SECRET, {"idempotency": "event.data.card"}),
    "stopped": (
        lambda ctx: ctx.step.sleep("nap", timedelta(days=2)),
        {"cancel": [Cancel(event="app/stop", if_exp="event.data.card == async.data.card")]},
    ),
}
CALLED = function_of(FUNCTIONS["called"][0], fn_id="called", **FUNCTIONS["called"][1])


def functions() -> list[Function]:
    return [
        CALLED if name == "called" else function_of(handler, fn_id=name, **options)
        for name, (handler, options) in FUNCTIONS.items()
    ]


def broad_run(stage: Stage, patch: pytest.MonkeyPatch) -> set[str]:
    """Send, run, fail, repeat, cancel, look up; give the keys that were used."""
    tried.clear()
    deployed = Deployed.all(stage, *functions())
    keys = StoredKeys(stage.settings.keys_table, stage.clock)
    event_key, signing_key = keys.create("event", ENV), keys.create("signing", ENV)
    variables = stage.cloud.ingest_environment() | {"TIDEGATE_AUTH": "keys"}
    patch.setattr("tidegate.clock.SystemClock", lambda: stage.clock)
    ingest = LambdaFunction("ingest", "tidegate.handlers.ingest", variables)

    def post(body: Any, path: str = f"/e/{event_key}", **headers: str) -> Any:
        answer = ingest.invoke(request(body, path=path, headers=headers))
        return answer["statusCode"], json.loads(answer["body"])

    status, answer = post({"name": "app/a", "id": "1", "data": SECRET, "user": SECRET})
    assert status == 200
    assert post({"name": "app/a", "id": "1", "data": SECRET})[0] == 200, "a duplicate"
    assert post({"name": "app/a", "data": SECRET | {"big": MARK * 30_000}})[0] == 200
    # What is refused is logged with the reason.
    for body in (f'{{"{MARK}', f'"{MARK}"', [{"name": "", "data": SECRET}], {"data": SECRET}):
        assert post(body)[0] == 400
    assert post({"name": "a", "data": MARK})[0] == 400
    assert post({"name": "a"}, f"/e/{KEY_MARK}")[0] == 401
    assert post({"name": "a"}, f"/{KEY_MARK}/{event_key}")[0] == 404
    assert post({"name": "a"}, "/e", authorization=f"Bearer {KEY_MARK}")[0] == 401
    settle(stage, *deployed)
    for name in ("app/answer", "app/stop", "app/nothing"):
        stage.clock.advance(seconds=3_600)
        settle(stage, *deployed)
        post({"name": name, "data": SECRET})
        settle(stage, *deployed)
    # A message that is none of ours, and one that no function wants.
    [worker, *_] = [one.worker for one in deployed]
    stray = {"messageId": "m", "receiptHandle": "r", "body": f'{{"cron": ["{MARK}"]}}'}
    attributes = {"ApproximateReceiveCount": "1"}
    worker.handle(batch([{**stray, "attributes": attributes}]), TIMEOUT_MS)
    rest = Rest(load_handler(stage, patch, auth="keys"), token=signing_key)
    found = [run["run_id"] for run in rest.get(f"/v1/events/{answer['ids'][0]}/runs").data]
    assert len(found) > 3
    for run_id in found:
        rest.get(f"/v1/runs/{run_id}")
        rest.get(f"/v1/runs/{run_id}/rerun", method="POST")
    rest.get("/v1/functions/test-called/invoke", method="POST", body={"data": SECRET})
    assert rest.get("/v1/events", method="POST", body=[{"name": 1, "data": SECRET}]).status == 400
    assert Rest(rest.handler, token=KEY_MARK).get("/v1/events").status == 401
    settle(stage, *deployed)
    match(stage)
    return {event_key, signing_key}


def test_no_payload_and_no_key_is_in_any_line(
    stage: Stage,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    keys = broad_run(stage, monkeypatch)
    told = lines()
    written = "\n".join([json.dumps(line) for line in told] + list(capfd.readouterr()))
    for secret in (MARK, KEY_MARK, *keys, *(key[-16:] for key in keys)):
        assert secret not in written, _around(written, secret)
    # That it was a broad run at all:
    assert {
        "event received", "event duplicate", "request refused", "run started", "run resumed",
        "run suspended", "run completed", "run failed", "run cancelled", "run woken",
        "run skipped", "attempt failed", "working", "run started again", "message dead-lettered",
        "expression failed: the event counts as not wanted",
        "expression failed: the event counts as not the one that is waited for",
        "idempotency expression failed: the event starts its run",
    } <= {line["message"] for line in told}  # fmt: skip


def _around(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(at - 600, 0) : at + 200]


def test_a_share_of_invocations_is_logged_at_debug(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_SAMPLE_RATE", "0.1")
    lots = iter([0.9, 0.05, 0.9])
    monkeypatch.setattr("random.random", lambda: next(lots))
    levels = []
    # One lot is drawn when the Lambda starts, as powertools does.
    monkeypatch.setattr(logging.getLogger("tidegate"), "handlers", [])
    draw_lots = log_to(io.StringIO())
    for _ in range(2):
        draw_lots()
        levels.append(logging.getLogger("tidegate.engine").getEffectiveLevel())
    assert levels == [logging.DEBUG, logging.INFO], "one invocation, and not those behind it"


def test_a_lambda_draws_lots_for_each_invocation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger("tidegate"), "handlers", [])
    variables = stage.cloud.ingest_environment() | {"POWERTOOLS_LOGGER_SAMPLE_RATE": "0.1"}
    monkeypatch.setattr("random.random", lambda: 0.9)
    ingest = LambdaFunction("ingest", "tidegate.handlers.ingest", variables)
    told = []
    for lot in (0.9, 0.05, 0.9):
        monkeypatch.setattr("random.random", lambda lot=lot: lot)
        capsys.readouterr()
        ingest.invoke(request([{"name": "app/a"}]))
        written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        told.append("request answered" in {line["message"] for line in written})
    assert told == [False, True, False]
