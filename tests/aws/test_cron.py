"""A tick of a cron becomes one run, whatever it does on its way."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from moto.backends import get_backend

from tests.aws.conftest import ENV, Stage, batch
from tidegate.aws import client
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.event_model import Event, EventModel
from tidegate.function import Function, make_function
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.message import CronMessage, decode_message
from tidegate.payload import PayloadStore
from tidegate.run import Run, Status
from tidegate.tick import SCHEDULED_TIMER, tick_event
from tidegate.trigger import TriggerEvent

NINE = "TZ=Europe/Berlin 0 9 * * *"
NINE_MS = 1_760_079_600_000  # 2025-10-10T07:00:00Z
TIMEOUT_MS = 120_000


class Counted(EventModel, name="cron/counted"):
    items: int


class Nightly:
    """A function with a cron on a stage, its calls and its runs."""

    def __init__(self, stage: Stage, *others: Function, **options: Any) -> None:
        self.stage = stage
        self.calls: list[Event] = []
        self.failing = False
        self.function = function_of(self._call, **options)
        stage.clock.ms = NINE_MS + 20_000
        stage.deploy(self.function, *others)
        self.worker = stage.worker(self.function)

    def _call(self, ctx: Any) -> str:
        self.calls.append(ctx.event)
        if self.failing:
            raise ValueError("boom")
        return "done"

    def tick(self, cron: str = NINE, ms: int = NINE_MS) -> str:
        """The text of a tick's message."""
        return CronMessage(cron, ENV, ms).encode()

    def handle(self, *texts: str) -> None:
        """Have the worker handle messages, one after the other; then all are done with."""
        for text in texts:
            assert self.worker.handle(batch_of(text), TIMEOUT_MS) == {"batchItemFailures": []}

    def delayed(self) -> list[str]:
        """Let time pass until delayed messages are due, and take them from the queue."""
        self.stage.clock.advance(seconds=900)
        return bodies_of_all(self.stage, self.function)

    @property
    def runs(self) -> list[Run]:
        items = client("dynamodb").scan(TableName=self.stage.settings.runs_table)["Items"]
        runs = [self.stage.runs.get(ENV, item["sk"]["S"]) for item in items]
        return [run for run in runs if run is not None]


def batch_of(text: str) -> dict[str, Any]:
    record = {"messageId": "1", "receiptHandle": "none", "body": text}
    return batch([{**record, "attributes": {"ApproximateReceiveCount": "1"}}])


def function_of(handler: Any, trigger: Any = None, **options: Any) -> Function:
    return make_function(
        handler,
        app_id="test",
        fn_id=options.get("fn_id", "nightly"),
        trigger=trigger or TriggerCron(cron=NINE, jitter=options.get("jitter")),
        name=None,
        retries=None,
    )


def bodies_of_all(stage: Stage, function: Function) -> list[str]:
    """Take all messages of a function's queue, delayed or not."""
    name = stage.cloud.wiring[function.id].queue_url.rpartition("/")[2]
    queue = get_backend("sqs")[ACCOUNT_ID][REGION].queues[name]
    bodies = [message.body for message in queue._messages.values()]
    queue.clear()
    return bodies


def test_a_tick_is_a_run_with_the_event_of_its_time(stage: Stage) -> None:
    nightly = Nightly(stage)
    nightly.handle(nightly.tick())
    assert nightly.calls == [
        Event(
            name="inngest/scheduled.timer",
            id="2025-10-10T07:00:00Z",
            ts=NINE_MS,
            data={
                "cron": NINE,
                "scheduledAt": "2025-10-10T07:00:00Z",
                "fireAt": "2025-10-10T07:00:00Z",
            },
        )
    ]
    [run] = nightly.runs
    assert (run.status, run.output) == (Status.COMPLETED, '"done"')
    assert (run.event_name, run.cron) == (SCHEDULED_TIMER, NINE)


def test_a_tick_that_comes_twice_runs_once(stage: Stage) -> None:
    nightly = Nightly(stage)
    nightly.handle(nightly.tick(), nightly.tick(), nightly.tick())
    assert len(nightly.calls) == len(nightly.runs) == 1
    stage.clock.advance(days=1)
    nightly.handle(nightly.tick(ms=NINE_MS + 86_400_000))
    assert len(nightly.calls) == len(nightly.runs) == 2


def test_two_crons_of_a_function_that_name_a_time_run_once(stage: Stage) -> None:
    hourly = "0 * * * *"
    crons = [TriggerCron(cron=NINE), TriggerCron(cron=hourly)]
    nightly = Nightly(stage, trigger=crons)
    nightly.handle(nightly.tick(), nightly.tick(hourly))
    assert len(nightly.calls) == 1


def test_functions_with_one_cron_run_each(stage: Stage) -> None:
    other = function_of(lambda ctx: "other", fn_id="other")
    nightly = Nightly(stage, other)
    nightly.handle(nightly.tick())
    stage.worker(other).handle(batch_of(nightly.tick()), TIMEOUT_MS)
    assert sorted(run.output for run in nightly.runs) == ['"done"', '"other"']
    assert len({run.event_id for run in nightly.runs}) == 2, "each has an event of its own"


@pytest.mark.parametrize("days", [0.1, 3])
def test_a_late_tick_runs_at_once(stage: Stage, days: float) -> None:
    nightly = Nightly(stage)
    stage.clock.advance(days=days)
    nightly.handle(nightly.tick())
    assert [event.id for event in nightly.calls] == ["2025-10-10T07:00:00Z"]


def test_an_early_tick_waits_for_its_time(stage: Stage) -> None:
    nightly = Nightly(stage)
    stage.clock.ms = NINE_MS - 30_000
    nightly.handle(nightly.tick())
    assert nightly.calls == []
    [run] = nightly.runs
    assert (run.status, run.due_ms) == (Status.SCHEDULED, NINE_MS)
    nightly.handle(*nightly.delayed())
    assert len(nightly.calls) == len(nightly.runs) == 1


def test_a_failed_run_is_tried_again(stage: Stage) -> None:
    nightly = Nightly(stage)
    nightly.failing = True
    nightly.handle(nightly.tick())
    nightly.failing = False
    [text] = nightly.delayed()
    nightly.handle(text)
    assert nightly.calls[0] == nightly.calls[1]
    [run] = nightly.runs
    assert (run.status, run.attempt) == (Status.COMPLETED, 1)


# --- jitter ---------------------------------------------------------------------------------------


def test_jitter_delays_a_run_by_the_same_time_however_often_the_tick_comes(stage: Stage) -> None:
    nightly = Nightly(stage, jitter="5m")
    stage.clock.ms = NINE_MS
    nightly.handle(nightly.tick())
    [run] = nightly.runs
    assert run.due_ms is not None
    assert NINE_MS < run.due_ms <= NINE_MS + 300_000
    nightly.handle(nightly.tick())
    assert [again.due_ms for again in nightly.runs] == [run.due_ms]
    nightly.handle(*nightly.delayed())
    [event] = nightly.calls
    assert event.ts == run.due_ms
    assert event.id == event.data["scheduledAt"] == "2025-10-10T07:00:00Z"
    delay_s = (run.due_ms - NINE_MS) // 1000
    assert event.data["fireAt"] == f"2025-10-10T07:{delay_s // 60:02}:{delay_s % 60:02}Z"


def test_jitter_spreads_ticks_and_functions_over_all_of_it() -> None:
    def delay(day: int, function_id: str, jitter_ms: int) -> int:
        tick = CronMessage(NINE, ENV, NINE_MS + day * 86_400_000)
        return tick_event(tick, function_id, jitter_ms).ts - tick.scheduled_ms

    assert {delay(day, "f", 3_000) for day in range(100)} == {0, 1_000, 2_000, 3_000}
    assert len({delay(0, f"f{n}", 300_000) for n in range(100)}) > 50
    assert {delay(day, "f", 0) for day in range(10)} == {0}


# --- what Scheduler sends -------------------------------------------------------------------------


def test_the_message_of_a_schedule_is_read_once_scheduler_put_the_time_in() -> None:
    text = CronMessage.template('0 9 * * "', ENV)
    assert text.count("<aws.scheduler.scheduled-time>") == 1
    sent = text.replace("<aws.scheduler.scheduled-time>", "2025-10-10T07:00:00Z")
    assert decode_message(sent) == CronMessage('0 9 * * "', ENV, NINE_MS)
    assert decode_message(CronMessage("x", ENV, NINE_MS).encode()).scheduled_ms == NINE_MS


def test_seconds_of_a_scheduled_time_make_no_other_tick() -> None:
    text = CronMessage.template("x", ENV).replace("<aws.scheduler.scheduled-time>", "{}")
    times = ["2025-10-10T07:00:00Z", "2025-10-10T07:00:59Z", "2025-10-10T09:00:07.5+02:00"]
    assert {decode_message(text.replace("{}", time)).scheduled_ms for time in times} == {NINE_MS}


@pytest.mark.parametrize(
    "fields",
    [
        {"cron": NINE, "env": ENV},
        {"cron": NINE, "env": ENV, "scheduled_at": "<aws.scheduler.scheduled-time>"},
        {"cron": NINE, "env": ENV, "scheduled_at": "2025-10-10T07:00:00"},
        {"cron": NINE, "env": ENV, "scheduled_at": 5},
        {"cron": "", "env": ENV, "scheduled_at": "2025-10-10T07:00:00Z"},
        {"cron": NINE, "scheduled_at": "2025-10-10T07:00:00Z"},
    ],
)
def test_what_is_no_tick_is_dead_lettered(stage: Stage, fields: dict[str, Any]) -> None:
    nightly = Nightly(stage)
    nightly.handle(json.dumps(fields))
    [dead] = stage.dead(nightly.function)
    assert dead["messageAttributes"]["reason"]["StringValue"].startswith("not a ")
    assert nightly.runs == []


def test_a_tick_of_a_cron_that_is_gone_is_dropped(stage: Stage, caplog: Any) -> None:
    nightly = Nightly(stage)
    with caplog.at_level(logging.INFO, "tidegate"):
        nightly.handle(nightly.tick("0 8 * * *"))
    assert nightly.calls == []
    assert nightly.runs == []
    [record] = [r for r in caplog.records if "tick dropped" in r.getMessage()]
    assert (record.function_id, record.cron) == ("test-nightly", "0 8 * * *")


# --- the event ------------------------------------------------------------------------------------


def test_the_event_can_be_looked_up(stage: Stage) -> None:
    nightly = Nightly(stage)
    nightly.handle(nightly.tick())
    [run] = nightly.runs
    found = stage.store.get(ENV, run.event_id, stage.clock.ms)
    assert found is not None
    assert found.event == nightly.calls[0]
    assert found.name == SCHEDULED_TIMER


def test_the_event_is_published_only_if_somebody_listens(stage: Stage) -> None:
    published: list[Any] = []
    client("sns").meta.events.register(
        "before-call.sns.PublishBatch", lambda **call: published.append(call)
    )
    nightly = Nightly(stage)
    nightly.handle(nightly.tick())
    assert published == []
    listener = function_of(
        lambda ctx: None, fn_id="listener", trigger=TriggerEvent(event=SCHEDULED_TIMER)
    )
    stage.deploy(nightly.function, listener)
    Nightly(stage, listener).handle(nightly.tick(ms=NINE_MS - 60_000))
    assert len(published) == 1
    [message] = stage.messages(listener)
    assert message.event.event.data["scheduledAt"] == "2025-10-10T06:59:00Z"
    stage.worker(listener).handle(batch_of(message.encode()), TIMEOUT_MS)
    assert {run.function_id for run in nightly.runs} == {"test-nightly", "test-listener"}


def test_a_function_that_listens_to_ticks_runs_once_for_its_own(stage: Stage) -> None:
    triggers = [TriggerCron(cron=NINE), TriggerEvent(event=SCHEDULED_TIMER)]
    nightly = Nightly(stage, trigger=triggers)
    nightly.handle(nightly.tick())
    own = bodies_of_all(stage, nightly.function)
    assert len(own) == 1, "it was published to the function, too"
    nightly.handle(*own, nightly.tick())
    assert len(nightly.calls) == len(nightly.runs) == 1


# --- steps and typed events -----------------------------------------------------------------------


def test_a_run_with_steps_goes_on_and_its_tick_is_published_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleepy(ctx: ContextSync) -> str:
        at = ctx.step.run("at", lambda: str(ctx.event.data["scheduledAt"]))
        ctx.step.sleep("pause", timedelta(minutes=5))
        return at

    published: list[Any] = []
    client("sns").meta.events.register(
        "before-call.sns.PublishBatch", lambda **call: published.append(call)
    )
    listener = function_of(
        lambda ctx: None, fn_id="listener", trigger=TriggerEvent(event=SCHEDULED_TIMER)
    )
    nightly = Nightly(stage, listener)
    monkeypatch.setattr(nightly, "worker", stage.worker(function_of(sleepy)))
    nightly.handle(nightly.tick())
    [run] = nightly.runs
    assert run.status != Status.COMPLETED
    nightly.handle(*nightly.delayed())
    [run] = nightly.runs
    assert (run.status, run.output) == (Status.COMPLETED, '"2025-10-10T07:00:00Z"')
    assert len(published) == 1


def test_a_tick_keeps_its_dict_in_a_function_of_typed_events(stage: Stage) -> None:
    nightly = Nightly(stage, trigger=[TriggerEvent(event=Counted), TriggerCron(cron=NINE)])
    nightly.handle(nightly.tick())
    stage.send({"name": "cron/counted", "data": {"items": 3}})
    [message] = stage.messages(nightly.function)
    nightly.handle(message.encode())
    tick, event = nightly.calls
    assert tick.data["scheduledAt"] == "2025-10-10T07:00:00Z"
    assert event.data == Counted(items=3)


def test_a_message_that_wakes_a_run_is_delivered_later_without_that() -> None:
    waking = CronMessage(NINE, ENV, NINE_MS, wakes=True)
    assert decode_message(waking.encode()) == waking
    later = waking.kept_until(NINE_MS, PayloadStore("none"))
    assert later == CronMessage(NINE, ENV, NINE_MS, resumes=True)
    assert decode_message(later.encode()) == later
