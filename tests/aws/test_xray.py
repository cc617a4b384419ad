"""What X-Ray is told: each attempt in its event's trace, each step within the attempt."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import Stage, batch
from tests.aws.deployed import TIMEOUT_MS, Deployed, function_of
from tidegate.aws import client
from tidegate.context import Context, ContextSync
from tidegate.errors import NonRetriableError
from tidegate.event_model import Event
from tidegate.message import CronMessage, decode_message
from tidegate.settings import Settings
from tidegate.trigger import TriggerEvent
from tidegate.watching import Watching
from tidegate.xray import Traces

ROOT = "1-67891233-abcdef012345678912345678"
PARENT = "53995c3f42cd8ad8"
HEADER = f"Root={ROOT};Parent={PARENT};Sampled=1"
OTHER = HEADER.replace("abcdef", "000000")


class Daemon:
    """Listens where a Lambda's X-Ray daemon would."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        host, port = self._socket.getsockname()
        self.address = f"{host}:{port}"

    def close(self) -> None:
        self._socket.close()

    def documents(self) -> list[dict[str, Any]]:
        """What came since the last call; on loopback a datagram is there once it is sent."""
        found = []
        while True:
            try:
                head, _, body = self._socket.recv(65_536).decode().partition("\n")
            except BlockingIOError:
                return found
            assert json.loads(head) == {"format": "json", "version": 1}
            found.append(json.loads(body))


@pytest.fixture
def daemon(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    listening = Daemon()
    stage.observer = Traces(listening.address)
    yield listening
    listening.close()


def deliver(deployed: Deployed, *headers: str) -> None:
    """Hand its worker what is in its queue, each message in a trace, as SQS says it."""
    records = deployed.stage.queued(deployed.function)
    assert len(records) == len(headers)
    for record, header in zip(records, headers, strict=True):
        if header:
            record["attributes"]["AWSTraceHeader"] = header
    assert deployed.worker.handle(batch(records), TIMEOUT_MS) == {"batchItemFailures": []}


def test_an_attempt_and_its_steps_are_in_the_trace_of_the_message(
    stage: Stage, daemon: Daemon
) -> None:
    def work(ctx: ContextSync) -> None:
        ctx.step.run("charge the card", lambda: stage.clock.advance(seconds=2))
        ctx.step.run("ship", lambda: None)

    deployed = Deployed(stage, work)
    [event_id] = stage.send({"name": "app/a", "data": {"card": "payloadMARK"}})
    began_s = stage.clock.ms / 1000
    deliver(deployed, HEADER)
    charge, ship, attempt = daemon.documents()
    assert (attempt["name"], attempt["trace_id"], attempt["parent_id"]) == ("test-f", ROOT, PARENT)
    assert "type" not in attempt, "a segment of its own"
    assert (attempt["start_time"], attempt["end_time"]) == (began_s, began_s + 2)
    for step in (charge, ship):
        assert (step["type"], step["trace_id"]) == ("subsegment", ROOT)
        assert step["parent_id"] == attempt["id"]
    assert (charge["name"], ship["name"]) == ("charge the card", "ship")
    assert (charge["start_time"], charge["end_time"]) == (began_s, began_s + 2)
    assert len({attempt["id"], charge["id"], ship["id"]}) == 3
    [run_id] = {one["annotations"]["run_id"] for one in (charge, ship, attempt)}
    assert attempt["annotations"] == {
        "run_id": run_id, "function": "test-f", "event_id": event_id, "attempt": 0,
    }  # fmt: skip
    assert stage.runs.get("dev", run_id) is not None
    assert "payloadMARK" not in json.dumps([charge, ship, attempt])


def test_a_failure_is_a_fault_without_its_message(stage: Stage, daemon: Daemon) -> None:
    def break_down() -> None:
        raise NonRetriableError("payloadMARK")

    deployed = Deployed(stage, lambda ctx: ctx.step.run("break", break_down))
    stage.send({"name": "app/a"})
    deliver(deployed, HEADER)
    step, attempt = daemon.documents()
    assert step["fault"] is True
    assert attempt["fault"] is True
    assert step["cause"]["exceptions"][0]["type"] == "NonRetriableError"
    assert "payloadMARK" not in json.dumps([step, attempt])


def test_messages_of_a_batch_are_each_in_their_own_trace(stage: Stage, daemon: Daemon) -> None:
    async def work(ctx: Context) -> None:
        async def nothing() -> None: ...

        await ctx.group.parallel(
            (lambda: ctx.step.run("a", nothing), lambda: ctx.step.run("b", nothing))
        )

    deployed = Deployed(stage, work)
    stage.send({"name": "app/a"}, {"name": "app/a"})
    deliver(deployed, HEADER, OTHER)
    documents = daemon.documents()
    assert len(documents) == 6
    for header in (HEADER, OTHER):
        root = header.split(";")[0].removeprefix("Root=")
        own = [one for one in documents if one["trace_id"] == root]
        assert sorted(one["name"] for one in own) == ["a", "b", "test-f"]
        assert len({one["annotations"]["run_id"] for one in own}) == 1


def test_a_run_stays_in_its_trace_and_takes_others_along(stage: Stage, daemon: Daemon) -> None:
    def work(ctx: ContextSync) -> None:
        ctx.step.send_event("tell", Event(name="app/child"))
        ctx.step.sleep("nap", timedelta(hours=1))
        ctx.step.run("late", lambda: None)

    child = function_of(lambda ctx: None, fn_id="child", trigger=TriggerEvent(event="app/child"))
    parent, children = Deployed.all(stage, function_of(work), child)
    stage.send({"name": "app/a"})
    deliver(parent, HEADER)
    daemon.documents()
    stage.clock.advance(seconds=3_600)
    # What resumes a run came by Scheduler, or in a message of a worker that had another trace.
    assert parent.handle_due() == 1
    late, attempt = (one for one in daemon.documents() if one["name"] in ("late", "test-f"))
    assert {late["trace_id"], attempt["trace_id"]} == {ROOT}
    deliver(children, OTHER)
    [of_child] = daemon.documents()
    assert (of_child["name"], of_child["trace_id"]) == ("test-child", ROOT)


@pytest.mark.parametrize(
    "header",
    [HEADER.replace("Sampled=1", "Sampled=0"), HEADER.replace("1-67", "2-67"), "nonsense", ""],
)
def test_what_is_not_sampled_is_not_told(stage: Stage, daemon: Daemon, header: str) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run("a", lambda: None))
    stage.send({"name": "app/a"})
    deliver(deployed, header)
    assert daemon.documents() == []


def test_what_has_no_trace_is_in_that_of_the_invocation(
    stage: Stage, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = Deployed(stage, lambda ctx: None)
    stage.send({"name": "app/a"})
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER + ";Lineage=1:a:0")
    deliver(deployed, "")
    assert [one["trace_id"] for one in daemon.documents()] == [ROOT]


def test_a_tick_stays_in_the_trace_that_it_began() -> None:
    tick = CronMessage("0 5 * * *", "dev", 60_000).in_trace(HEADER)
    again = decode_message(tick.encode())
    assert again == tick
    assert again.in_trace(OTHER).origin.xray == HEADER
    assert "origin" not in json.loads(CronMessage("0 5 * * *", "dev", 60_000).encode())


def test_names_are_such_as_x_ray_takes(stage: Stage, daemon: Daemon) -> None:
    deployed = Deployed(stage, lambda ctx: ctx.step.run(f"a“b”?<{'x' * 300}", lambda: None))
    stage.send({"name": "app/a"})
    deliver(deployed, HEADER)
    step, _ = daemon.documents()
    assert step["name"] == f"a_b___{'x' * 300}"[:200]


def test_a_daemon_that_is_not_there_is_no_failure(stage: Stage) -> None:
    stage.observer = Traces("127.0.0.1:9")
    deployed = Deployed(stage, lambda ctx: ctx.step.run("a", lambda: None))
    for _ in range(2):
        stage.send({"name": "app/a"})
        deliver(deployed, HEADER)


def test_only_a_traced_stage_keeps_traces(
    stage: Stage, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.address)
    attributes = {"AWSTraceHeader": HEADER}
    on, off = (Watching.of(Settings(tracing=one), "f").observer for one in ("on", "off"))
    assert (on.trace_of(attributes), off.trace_of(attributes)) == (HEADER, "")
    both = Watching.of(Settings(tracing="on", metrics="on"), "f").observer
    assert both.trace_of(attributes) == HEADER


def test_what_a_lambda_publishes_carries_its_trace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SNS hands it on to SQS: https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sns.html
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "ingest")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER)
    Deployed(stage, lambda ctx: None)
    sent: list[Any] = []

    def note(request: Any, **_: Any) -> None:
        sent.append(request.headers["X-Amzn-Trace-Id"])

    # A client of its own: that of the stage takes a short way to moto.
    monkeypatch.setattr("tidegate.aws._clients", {})
    client("sns").meta.events.register_first("before-send.sns.PublishBatch", note)
    with ThreadPoolExecutor(1) as request_thread:
        request_thread.submit(stage.send, {"name": "app/a"}).result()
    assert sent == [HEADER.encode()]
