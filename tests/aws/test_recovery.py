"""A function's queue is lost with all that is in it, and everything goes on all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import (
    Deployed,
    ProcessDied,
    bodies,
    dies,
    function_of,
    match,
    raising,
    settle,
)
from tests.aws.rest import Rest, load_handler
from tidegate import InvokeCancelledError, job_work, recovery
from tidegate.aws import client
from tidegate.bulk_job import JobMessage
from tidegate.context import ContextSync
from tidegate.cron import TriggerCron
from tidegate.ids import Seed, run_id_of
from tidegate.local import wiring
from tidegate.message import CronMessage, EventMessage, decode_message
from tidegate.partition import item_key
from tidegate.rest_call import rfc3339
from tidegate.run import ENDED, Run, Status, failure_of
from tidegate.step import MAX_WAIT_MS
from tidegate.trigger import TriggerEvent

HOUR_MS = 3_600_000
DAY = timedelta(days=1)
OTHER = function_of(lambda ctx: None, fn_id="other", trigger=TriggerEvent(event="app/other"))


@dataclass
class Shop:
    """A function whose runs do what their events say, and its queue, which may be lost.

    Attributes:
        ran: how often each step of each run has run.
        during: what happens while a step runs.
        calls: how often the function was called.
    """

    stage: Stage
    patch: pytest.MonkeyPatch
    options: dict[str, Any] = field(default_factory=dict)
    ran: Counter[tuple[str, str]] = field(default_factory=Counter)
    during: Callable[[], None] = lambda: None
    calls: int = 0

    def __post_init__(self) -> None:
        self.function = function_of(self.handler, **self.options)
        self.deployed = Deployed.all(self.stage, self.function, OTHER)[0]
        self.rest = Rest(load_handler(self.stage, self.patch))

    def handler(self, ctx: ContextSync) -> str:
        self.calls += 1
        does = ctx.event.data.get("does", "nothing")
        ctx.step.run("first", self._step, ctx, "first")
        if does == "sleeps long":
            ctx.step.sleep("rest", 3 * DAY)
        elif does == "sleeps":
            ctx.step.sleep("rest", timedelta(minutes=10))
        elif does == "waits":
            ctx.step.wait_for_event("b", event="app/b", timeout=30 * DAY)
        elif does == "fails at first" and ctx.attempt == 0:
            raise ConnectionError("try again")
        elif does == "is at it":
            ctx.step.run("at it", lambda: self.during())
            ctx.step.sleep("rest", timedelta(minutes=1))
        ctx.step.run("last", self._step, ctx, "last")
        return "done"

    def _step(self, ctx: ContextSync, name: str) -> None:
        self.ran[ctx.run_id, name] += 1

    def send(self, does: str = "nothing", *, name: str = "app/a", **event: Any) -> EventMessage:
        """An event, and the message that it puts into the queue."""
        data = {"does": does, **event.pop("data", {})}
        return self.deployed.send(name=name, data=data, **event)

    def begin(self, does: str = "nothing", **event: Any) -> EventMessage:
        """An event whose run has come to where it ends or waits."""
        message = self.send(does, **event)
        assert self.deployed.handle(message) == []
        match(self.stage)
        return message

    def lose_queue(self) -> None:
        """Give the function a queue of another name; the old one is deleted with all in it."""
        old = self.stage.cloud.wiring.pop(self.function.id)
        client("sns").unsubscribe(SubscriptionArn=old.subscription_arn)
        for url in (old.queue_url, old.dead_letter_url):
            client("sqs").delete_queue(QueueUrl=url)
        named = wiring.queue_name
        self.patch.setattr(wiring, "queue_name", lambda one: f"{named(one)}-renamed")
        self.deployed = self.deployed.after(self.function, OTHER)
        assert self.deployed.worker.queue_url != old.queue_url

    def recover(self, **body: Any) -> Any:
        """Start a recovery."""
        asked = {
            "function_id": self.function.id,
            "from": rfc3339(self.stage.clock.ms - HOUR_MS),
        } | body
        answer = self.rest.post("/v1/recoveries", asked)
        assert answer.status == 201, answer.body
        return answer.data

    def handle_what_came(self) -> None:
        """Have the job done, and the worker handle what it has sent."""
        match(self.stage)
        while messages := self.stage.messages(self.function):
            assert self.deployed.handle(*messages) == []

    def job(self, job: Any) -> Any:
        return self.rest.get(f"/v1/recoveries/{job['id']}").data

    def counts(self, job: Any) -> tuple[str, int, int, int]:
        now = self.job(job)
        return now["status"], now["found"], now["done"], now["skipped"]

    def runs(self) -> list[Run]:
        items = client("dynamodb").scan(TableName=self.stage.settings.runs_table)["Items"]
        runs = [self.stage.runs.run_of(ENV, item) for item in items]
        return [run for run in runs if run.function_id == self.function.id]

    def go_on(self) -> None:
        """Let time pass until every run has ended, or nothing more happens."""
        for _ in range(50):
            settle(self.stage, self.deployed)
            waiting = [run for run in self.runs() if run.status not in ENDED]
            if not waiting:
                return
            self.stage.clock.ms = max(
                self.stage.clock.ms + 1, min(run.due_ms or run.lease_until_ms for run in waiting)
            )

    def completed(self, messages: list[EventMessage]) -> None:
        """Check that each event has one run, which is completed, and ran each step once."""
        runs = {run.event_id: run for run in self.runs()}
        assert len(runs) == len(self.runs()) == len(messages)
        for message in messages:
            run = runs[message.event.internal_id]
            assert run.id == run_id_of(ENV, self.function.id, run.event_id)
            assert run.status == Status.COMPLETED, (message.event.body, run)
            steps = {name: n for (run_id, name), n in self.ran.items() if run_id == run.id}
            assert steps == {"first": 1, "last": 1}, message.event.body


@pytest.fixture(autouse=True)
def _short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look through a year of days without runs takes moto a second."""
    monkeypatch.setattr(recovery, "MAX_WAIT_MS", 24 * HOUR_MS)


@pytest.fixture
def shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(stage, monkeypatch)


def schedules(stage: Stage) -> list[Any]:
    scheduler = client("scheduler")
    return [
        scheduler.get_schedule(Name=one["Name"], GroupName=one["GroupName"])
        for one in scheduler.list_schedules()["Schedules"]
    ]


def test_a_queue_that_was_replaced_loses_nothing(stage: Stage, shop: Shop) -> None:
    now_ms = stage.clock.ms
    sent = [
        shop.begin(),
        shop.begin("sleeps long"),
        shop.begin("sleeps"),
        shop.begin("waits"),
        shop.begin("fails at first"),
        shop.begin(ts=now_ms + 2 * 24 * HOUR_MS),
        shop.begin(ts=now_ms + 5 * 60_000),
        shop.begin(data={"text": "x" * 100_000}),
        *(shop.send() for _ in range(3)),
        shop.send(data={"text": "x" * 100_000}),
        shop.send(ts=now_ms + 2 * HOUR_MS),
    ]
    # The old worker is in a step, and what it does behind it reaches no queue any more.
    at_it = shop.send("is at it")
    # What a deployment calls is not what the worker calls.
    shop.during = lambda: Context().run(shop.lose_queue)
    old = shop.deployed
    assert old.handle(at_it) != [], "its message would come again, in a queue that is there"
    # Another one has died on the way.
    died = shop.begin("sleeps")
    run = shop.deployed.run_of(died)
    lease = {"lease": "gone", "lease_until_ms": stage.clock.ms + 60_000, "due_ms": None}
    assert stage.runs.take(run, replace(run, **lease))
    bodies(shop.deployed.worker.queue_url)
    before = stage.clock.ms
    shop.go_on()
    assert {run.status for run in shop.runs()} == {"Completed", "Running", "Scheduled"}
    stage.clock.ms = before
    stage.clock.advance(seconds=1)
    job = shop.recover()
    assert (job["kind"], job["run_statuses"]) == ("recovery", ["Scheduled", "Running"])
    match(stage)
    assert shop.counts(job) == ("Completed", 13, 13, 0), "all but those that had ended"
    again = shop.deployed.handle(*stage.messages(shop.function))
    assert len(again) == 1, "that of the worker that died comes when its lease is over"
    stage.clock.advance(seconds=61)
    assert shop.deployed.handle(replace(died, resumes=True)) == []
    shop.go_on()
    shop.completed([*sent, at_it, died])


def test_what_is_not_due_is_only_arranged_for_anew(stage: Stage, shop: Shop) -> None:
    message = shop.begin("sleeps long")
    before, calls = shop.deployed.run_of(message), shop.calls
    shop.lose_queue()
    stage.clock.advance(hours=1)
    shop.recover()
    shop.handle_what_came()
    after = shop.deployed.run_of(message)
    assert (after, shop.calls) == (before, calls), "it costs no attempt, and runs nothing early"
    [schedule] = schedules(stage)
    assert schedule["Target"]["Arn"] == shop.deployed.worker.engine.delivery.queue_arn
    assert shop.ran == {(before.id, "first"): 1}
    shop.go_on()
    assert stage.clock.ms == before.due_ms
    shop.completed([message])


def test_it_does_not_matter_how_long_ago_a_run_began(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MAX_WAIT_MS", MAX_WAIT_MS)
    message = shop.begin("waits")
    shop.lose_queue()
    run = shop.deployed.run_of(message)
    stage.clock.advance(days=360)
    job = shop.recover()
    match(stage)
    assert shop.counts(job) == ("Completed", 1, 1, 0)
    [resume] = stage.messages(shop.function)
    assert (resume.event.internal_id, resume.resumes) == (run.event_id, True)


def test_a_worker_that_dies_while_it_takes_a_schedule_over_is_followed(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = shop.begin("sleeps long")
    shop.lose_queue()
    shop.recover()
    match(stage)
    [resume] = stage.messages(shop.function)
    create = client("scheduler").create_schedule
    tries: list[str] = []

    def dies_at_the_second(**schedule: Any) -> Any:
        tries.append(schedule["Name"])
        if len(tries) == 2:
            raise ProcessDied
        return create(**schedule)

    with monkeypatch.context() as patch:
        patch.setattr(client("scheduler"), "create_schedule", dies_at_the_second)
        with pytest.raises(ProcessDied):
            shop.deployed.handle(resume)
    assert schedules(stage) == []
    with monkeypatch.context() as patch:
        # Whoever is told that it is there, and that it is not, tries again.
        conflict = ClientError({"Error": {"Code": "ConflictException"}}, "CreateSchedule")
        patch.setattr(client("scheduler"), "create_schedule", raising(conflict))
        assert len(shop.deployed.handle(resume)) == 1
    assert shop.deployed.handle(resume) == []
    assert len(schedules(stage)) == 1
    shop.go_on()
    shop.completed([message])


def test_nothing_that_goes_on_is_disturbed(stage: Stage, shop: Shop) -> None:
    sent = [shop.begin(does) for does in ("sleeps long", "sleeps", "waits", "fails at first")]
    sent += [shop.send() for _ in range(2)]
    for message in sent[4:]:
        client("sqs").send_message(
            QueueUrl=shop.deployed.worker.queue_url, MessageBody=message.encode()
        )
    stage.clock.advance(seconds=1)
    jobs = [shop.recover() for _ in range(2)]
    shop.go_on()
    assert [shop.counts(job)[0] for job in jobs] == ["Completed"] * 2
    shop.completed(sent)
    assert shop.counts(shop.recover())[1] == 0


def test_a_run_that_a_worker_drives_is_left_to_it(stage: Stage, shop: Shop) -> None:
    again: list[list[str]] = []

    def recovers() -> None:
        stage.clock.advance(seconds=1)
        shop.recover()
        match(stage)
        again.append(shop.deployed.handle(*stage.messages(shop.function)))

    shop.during = recovers
    message = shop.begin("is at it")
    assert len(again) == 1
    assert len(again[0]) == 1, "it comes again, in case the worker dies"
    shop.go_on()
    shop.completed([message])
    assert shop.deployed.run_of(message).attempts == ()


def forget_event(stage: Stage, run: Run) -> None:
    client("dynamodb").delete_item(
        TableName=stage.settings.events_table, Key=item_key(ENV, run.event_id)
    )


def test_a_run_whose_event_is_gone_has_its_message_in_a_schedule(stage: Stage, shop: Shop) -> None:
    message = shop.begin("sleeps long", data={"text": "x" * 100_000})
    forget_event(stage, shop.deployed.run_of(message))
    shop.lose_queue()
    job = shop.recover()
    match(stage)
    assert shop.counts(job) == ("Completed", 1, 1, 0)
    assert shop.deployed.handle(*stage.messages(shop.function)) == []
    shop.go_on()
    shop.completed([message])


def test_a_run_whose_message_nobody_has_is_left_as_it_is(stage: Stage, shop: Shop) -> None:
    message = shop.begin("sleeps")
    run = shop.deployed.run_of(message)
    forget_event(stage, run)
    shop.lose_queue()
    job = shop.recover()
    match(stage)
    assert shop.counts(job) == ("Completed", 1, 0, 1)
    assert shop.job(job)["note"].startswith(f"run {run.id}: its event is no longer stored")
    assert bodies(shop.deployed.worker.queue_url) == []
    assert shop.deployed.run_of(message) == run
    # Perhaps its message was not lost after all.
    stage.clock.advance(seconds=600)
    assert shop.deployed.handle(replace(message, resumes=True)) == []
    shop.completed([message])


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_run_of_a_cron_goes_on(stage: Stage, is_stored: bool, shop: Shop) -> None:
    def handler(ctx: ContextSync) -> str:
        ctx.step.sleep("rest", 3 * DAY)
        return ctx.event.data["cron"]

    function = function_of(handler, trigger=TriggerCron(cron="0 9 * * *"))
    shop.function = function
    shop.deployed = shop.deployed.after(function, OTHER)
    tick = CronMessage("0 9 * * *", ENV, stage.clock.ms // 60_000 * 60_000)
    shop.deployed.worker.engine.handle(tick, stage.clock.ms + 60_000)
    [run] = shop.runs()
    if not is_stored:
        forget_event(stage, run)
    shop.lose_queue()
    shop.recover()
    match(stage)
    for _ in range(2):
        [body] = bodies(shop.deployed.worker.queue_url)
        shop.deployed.worker.engine.handle(decode_message(body), stage.clock.ms + 60_000)
        own = [one for one in schedules(stage) if one["Name"].startswith(run.id)]
        if not own:
            break
        assert own[0]["Target"]["Arn"].endswith("-renamed")
        stage.clock.advance(days=3)
        client("sqs").send_message(
            QueueUrl=shop.deployed.worker.queue_url, MessageBody=own[0]["Target"]["Input"]
        )
        client("scheduler").delete_schedule(Name=own[0]["Name"], GroupName=own[0]["GroupName"])
    [run] = shop.runs()
    assert (run.status, stage.runs.output_of(run)) == (Status.COMPLETED, '"0 9 * * *"')


# --- events ---------------------------------------------------------------------------------------


def lost(shop: Shop) -> list[str]:
    """The events whose runs a recovery starts, of all that have none."""
    job = shop.recover()
    match(shop.stage)
    assert shop.job(job)["status"] == "Completed"
    found = shop.stage.messages(shop.function)
    assert all(not message.resumes for message in found)
    return sorted(message.event.internal_id for message in found)


def test_events_start_what_they_would_have_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    triggers = [
        TriggerEvent(event="app/a", expression="event.data.n > 1"),
        TriggerEvent(event="app/b.*"),
        TriggerEvent(event="app/a", expression="event.data.vip"),
    ]
    shop = Shop(stage, monkeypatch, {"trigger": triggers})
    ids = stage.send(
        {"name": "app/a", "data": {"n": 1, "vip": False}},
        {"name": "app/a", "data": {"n": 2, "vip": False}},
        # One expression has no answer, and the other one holds.
        {"name": "app/a", "data": {"n": "x", "vip": True}},
        {"name": "app/a", "data": {"n": "x", "vip": 1}},
        {"name": "app/b.c", "data": {}},
        {"name": "app/c", "data": {}},
        {"name": "app/other", "data": {}},
    )
    stage.queued(shop.function)
    stage.clock.advance(seconds=1)
    assert lost(shop) == sorted([ids[1], ids[2], ids[4]])


def test_a_run_that_is_started_late_is_like_any_other(stage: Stage, shop: Shop) -> None:
    message = shop.send()
    stage.clock.advance(seconds=1)
    shop.recover()
    shop.handle_what_came()
    assert shop.deployed.run_of(message).rerun is None
    shop.completed([message])


def test_an_invocation_that_was_lost_starts_its_run(stage: Stage, shop: Shop) -> None:
    told: list[Any] = []

    def calls(ctx: ContextSync) -> None:
        told.append(ctx.step.invoke("call", function=shop.function, data={}))

    caller = function_of(calls, fn_id="caller", trigger=TriggerEvent(event="app/c"))
    other = function_of(lambda ctx: None, fn_id="callee", trigger=[])
    one, shop.deployed, third = Deployed.all(stage, caller, shop.function, other)
    one.handle(one.send(name="app/c"))
    match(stage)
    shop.rest.post("/v1/functions/test-callee/invoke", {})
    bodies(third.worker.queue_url)
    bodies(shop.deployed.worker.queue_url)
    stage.clock.advance(seconds=1)
    assert shop.counts(shop.recover())[0] == "Running"
    settle(stage, one, shop.deployed, third)
    assert told == ["done"]
    assert len(shop.runs()) == 1


def test_events_outside_of_the_time_and_elsewhere_are_left_out(stage: Stage, shop: Shop) -> None:
    shop.send()
    stage.clock.advance(seconds=1)
    since = rfc3339(stage.clock.ms)
    wanted = shop.send()
    stage.clock.advance(seconds=1)
    until = rfc3339(stage.clock.ms)
    shop.send()
    stage.send({"name": "app/a"}, env="elsewhere")
    stage.queued(shop.function)
    stage.clock.advance(seconds=1)
    shop.recover(**{"from": since, "until": until})
    match(stage)
    assert stage.messages(shop.function) == [wanted]


def test_what_is_ahead_by_its_senders_clock_is_not_left_out(stage: Stage, shop: Shop) -> None:
    ahead = Seed.random(stage.clock.ms + 10 * 60_000)
    [event_id] = stage.send({"name": "app/a"}, seed=ahead)
    stage.queued(shop.function)
    assert lost(shop) == [event_id]
    [sleeping] = stage.send(
        {"name": "app/a", "data": {"does": "sleeps"}},
        seed=Seed.random(stage.clock.ms + 10 * 60_000),
    )
    shop.deployed.handle(*stage.messages(shop.function))
    bodies(shop.deployed.worker.queue_url)
    shop.recover()
    match(stage)
    resumed = [m.event.internal_id for m in stage.messages(shop.function) if m.resumes]
    assert resumed == [sleeping]


def test_an_event_that_was_skipped_stays_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(stage, monkeypatch, {"idempotency": "event.data.order"})
    first = shop.begin(data={"order": 1})
    stage.clock.advance(hours=23)
    skipped = shop.send(data={"order": 1})
    shop.deployed.handle(skipped)
    started = shop.send(data={"order": 2})
    # Long behind the hours for which the first one had the key, and what TTL deletes.
    stage.clock.advance(days=25)
    forget_what_is_over(stage.settings.dedup_table, stage.clock.ms)
    shop.recover(**{"from": rfc3339(stage.clock.ms - 28 * 24 * HOUR_MS)})
    shop.go_on()
    shop.completed([first, started])


def forget_what_is_over(table: str, now_ms: int) -> None:
    """Delete what DynamoDB deletes by TTL."""
    for item in client("dynamodb").scan(TableName=table)["Items"]:
        if int(item["expires_at"]["N"]) <= now_ms // 1000:
            client("dynamodb").delete_item(TableName=table, Key={"pk": item["pk"]})


def test_of_old_events_it_cannot_be_told_whether_their_key_was_free(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(stage, monkeypatch, {"idempotency": "event.data.order"})
    message = shop.send(data={"order": 1})
    stage.clock.advance(days=29)
    job = shop.recover(**{"from": rfc3339(stage.clock.ms - 30 * 24 * HOUR_MS)})
    match(stage)
    assert shop.counts(job) == ("Completed", 1, 0, 1)
    note = shop.job(job)["note"]
    assert note.startswith(f"event {message.event.internal_id}: it cannot be told any more")
    assert stage.messages(shop.function) == []


def test_where_the_retention_was_shortened_older_events_are_left_alone(
    stage: Stage, shop: Shop
) -> None:
    message = shop.begin()
    run = shop.deployed.run_of(message)
    client("dynamodb").delete_item(TableName=stage.settings.runs_table, Key=item_key(ENV, run.id))
    stage.clock.advance(days=10)
    since = {"from": rfc3339(stage.clock.ms - 20 * 24 * HOUR_MS)}
    patched = replace(stage.settings, retention_days=7)
    stage.settings = patched
    shop.recover(**since)
    match(stage)
    assert stage.messages(shop.function) == []


def test_a_large_event_whose_body_is_gone_is_skipped_with_a_note(stage: Stage, shop: Shop) -> None:
    message = shop.send(data={"text": "x" * 100_000})
    bucket = stage.settings.bucket
    for found in client("s3").list_objects_v2(Bucket=bucket)["Contents"]:
        client("s3").delete_object(Bucket=bucket, Key=found["Key"])
    stage.clock.advance(seconds=1)
    job = shop.recover()
    match(stage)
    assert shop.counts(job) == ("Completed", 1, 0, 1)
    assert shop.job(job)["note"].startswith(f"event {message.event.internal_id}: ")


# --- the job --------------------------------------------------------------------------------------


def test_a_removed_function_is_recovered_to_its_end(stage: Stage, shop: Shop) -> None:
    message = shop.begin("sleeps long")
    shop.deployed = shop.deployed.after(OTHER)
    shop.rest = Rest(load_handler(stage, shop.patch))
    shop.recover()
    shop.handle_what_came()
    run = shop.deployed.run_of(message)
    assert run.status == Status.CANCELLED
    assert failure_of(stage.runs.output_of(run)).name == "FunctionRemoved"
    assert schedules(stage) == []


def test_who_invoked_a_removed_function_is_told_although_that_was_lost(
    stage: Stage, shop: Shop
) -> None:
    told: list[str] = []

    def calls(ctx: ContextSync) -> None:
        try:
            ctx.step.invoke("call", function=shop.function, data={})
        except InvokeCancelledError as error:
            told.append(error.name)

    caller = function_of(calls, fn_id="caller", trigger=TriggerEvent(event="app/c"))
    one, shop.deployed = Deployed.all(stage, caller, shop.function)
    one.handle(one.send(name="app/c"))
    bodies(shop.deployed.worker.queue_url)
    shop.deployed = shop.deployed.after(caller)
    shop.rest = Rest(load_handler(stage, shop.patch))
    stage.clock.advance(seconds=1)
    shop.recover()
    settle(stage, one, shop.deployed)
    assert told == ["RunCancelled"]


def test_it_goes_on_page_by_page_and_may_be_repeated(stage: Stage, shop: Shop) -> None:
    shop.patch.setattr(job_work, "PAGE", 2)
    sent = [shop.begin("sleeps") for _ in range(3)] + [shop.send() for _ in range(3)]
    shop.lose_queue()
    job = shop.recover()
    [text] = bodies(stage.cloud.matcher.queue_url)
    with shop.patch.context() as patch:
        dies(patch, "sns.publish_batch")
        with pytest.raises(ProcessDied):
            stage.jobs.work(JobMessage.decode(text).job)
    for _ in range(2):
        stage.jobs.work(JobMessage.decode(text).job)
    assert shop.counts(job) == ("Completed", 6, 6, 0)
    shop.go_on()
    shop.completed(sent)


def test_jobs_are_listed_and_stopped(stage: Stage, shop: Shop) -> None:
    job = shop.recover()
    stopped = shop.rest.delete(f"/v1/recoveries/{job['id']}").data
    assert stopped["status"] == "Stopped"
    match(stage)
    assert shop.counts(job) == ("Stopped", 0, 0, 0)
    assert [one["id"] for one in shop.rest.get("/v1/recoveries").data] == [job["id"]]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "function_id is required"),
        ({"function_id": "test-f"}, 400, "from is required"),
        ({"function_id": "test-no", "from": "2025-01-01"}, 404, "Function not found: test-no"),
        ({"function_id": "test-f", "from": "2099-01-01"}, 400, "from must be earlier than until"),
        ({"function_id": "test-f", "per_second": 1}, 400, "unknown field 'per_second'"),
    ],
)
def test_a_recovery_that_cannot_be_is_refused(
    stage: Stage, shop: Shop, body: Any, status: int, text: str
) -> None:
    answer = shop.rest.post("/v1/recoveries", body)
    assert (answer.status, answer.body["error"][: len(text)]) == (status, text)
    assert bodies(stage.cloud.matcher.queue_url) == []


# --- what was lost on its way into the queue ------------------------------------------------------


def test_what_was_to_wake_a_run_and_was_lost_is_made_up_for(shop: Shop) -> None:
    message = shop.begin("waits")
    shop.stage.send({"name": "app/b"})
    match(shop.stage)
    shop.lose_queue()
    shop.stage.clock.advance(hours=1)
    shop.recover()
    shop.handle_what_came()
    settle(shop.stage, shop.deployed)
    assert shop.deployed.run_of(message).status == Status.COMPLETED


def test_a_run_that_nothing_has_come_for_goes_on_waiting(shop: Shop) -> None:
    message = shop.begin("waits")
    shop.lose_queue()
    shop.stage.clock.advance(hours=1)
    calls = shop.calls
    shop.recover()
    shop.handle_what_came()
    assert shop.deployed.run_of(message).status == Status.RUNNING
    assert shop.calls == calls, "its function was called for nothing"


def _recovered(shop: Shop) -> Any:
    job = shop.recover()
    shop.handle_what_came()
    settle(shop.stage, shop.deployed)
    return job


def test_a_rerun_that_was_lost_is_made_up_for_once(shop: Shop) -> None:
    message = shop.begin()
    first = shop.deployed.run_of(message)
    shop.stage.clock.advance(seconds=1)
    asked = shop.rest.post(f"/v1/runs/{first.id}/rerun", {})
    shop.lose_queue()
    shop.stage.clock.advance(seconds=60)
    assert shop.counts(_recovered(shop)) == ("Completed", 1, 1, 0)
    again = shop.stage.runs.get(ENV, asked.data["run_id"])
    assert again is not None
    assert (again.status, again.original_run_id) == (Status.COMPLETED, first.id)
    assert shop.counts(_recovered(shop)) == ("Completed", 0, 0, 0)
    assert shop.calls == 2
