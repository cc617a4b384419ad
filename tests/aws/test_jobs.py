"""Replays and cancellations: which runs they concern, their progress, and what interrupts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import Deployed, ProcessDied, bodies, dies, function_of, match, settle
from tests.aws.rest import Rest, load_handler
from tidegate import job_work
from tidegate.aws import client
from tidegate.bulk_job import JobKind, JobMessage, Progress
from tidegate.context import ContextSync
from tidegate.errors import NonRetriableError
from tidegate.ids import Seed, run_id_of
from tidegate.partition import item_key
from tidegate.rest_call import rfc3339
from tidegate.run import Run, Status, failure_of
from tidegate.trigger import TriggerEvent

HOUR_MS = 3_600_000


def handler(ctx: ContextSync) -> str:
    """Fails, sleeps or returns, as its event says; a rerun returns."""
    data = ctx.event.data
    if data.get("fails") == "always" or (data.get("fails") and ctx.run_id not in data["again"]):
        raise NonRetriableError("as it was told")
    if data.get("sleeps"):
        ctx.step.sleep("rest", timedelta(days=3))
    return "done"


class Shop:
    """Functions with many runs, and a client of the REST API."""

    def __init__(self, stage: Stage, patch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        other = function_of(
            handler, fn_id="other", trigger=TriggerEvent(event="app/other"), retries=0
        )
        self.deployed, self.other = Deployed.all(stage, function_of(handler), other)
        self.rest = Rest(load_handler(stage, patch))

    def run(self, *, env: str = ENV, name: str = "app/a", ts: int = 0, **data: Any) -> Run:
        """A run of a new event, once it has come to where it ends or waits."""
        deployed = self.other if name == "app/other" else self.deployed
        [event_id] = self.stage.send({"name": name, "data": data, "ts": ts}, env=env)
        deployed.handle(*self.stage.messages(deployed.function))
        run = self.stage.runs.get(env, run_id_of(env, deployed.function.id, event_id))
        assert run is not None
        self.stage.clock.advance(seconds=1)
        return run

    def now(self, run: Run) -> Run:
        now = self.stage.runs.get(run.env, run.id)
        assert now is not None
        return now

    def all_runs(self) -> list[Run]:
        items = client("dynamodb").scan(TableName=self.stage.settings.runs_table)["Items"]
        runs = [self.stage.runs.run_of(item["pk"]["S"].split("#")[0], item) for item in items]
        return sorted(runs, key=lambda run: run.id)

    def replays_of(self, job_id: str) -> list[Run]:
        return [run for run in self.all_runs() if run.replay_id == job_id]

    def replay(self, **body: Any) -> Any:
        body = {
            "function_id": self.deployed.function.id,
            "from": rfc3339(self.stage.clock.ms - HOUR_MS),
            "until": rfc3339(self.stage.clock.ms),
        } | body
        answer = self.rest.post("/v1/replays", body)
        assert answer.status == 201, answer.body
        return answer.data

    def cancel(self, **body: Any) -> Any:
        body = {
            "app_id": "test",
            "function_id": self.deployed.function.id,
            "started_before": rfc3339(self.stage.clock.ms),
        } | body
        answer = self.rest.post("/v1/cancellations", body)
        assert answer.status == 201, answer.body
        return answer.data

    def settle(self) -> None:
        settle(self.stage, self.deployed, self.other)

    def job(self, job: Any) -> Any:
        return self.rest.get(f"/v1/{job['kind']}s/{job['id']}").data

    def counts(self, job: Any) -> tuple[int, int, int]:
        job = self.job(job)
        return job["found"], job["done"], job["skipped"]


@pytest.fixture
def shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(stage, monkeypatch)


def slice_of(stage: Stage) -> None:
    """Have the matcher do the one slice that is asked for, of one page."""
    [text] = bodies(stage.cloud.matcher.queue_url)
    matcher = replace(stage.matcher, jobs=replace(stage.jobs, slice_ms=0))
    records = [{"messageId": "slice", "body": text}]
    assert matcher.handle(batch(records)) == {"batchItemFailures": []}


# --- replays --------------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_replay_starts_the_failed_runs_of_a_time_again(stage: Stage, shop: Shop) -> None:
    before = shop.run(fails="always")
    stage.clock.advance(hours=2)
    failed = [shop.run(fails="yes", again=[]) for _ in range(3)]
    shop.run()
    shop.run(sleeps=True)
    elsewhere = shop.run(name="app/other", fails="yes", again=[])
    stage.clock.advance(seconds=10)
    until = rfc3339(stage.clock.ms)
    after = shop.run(fails="always")
    job = shop.replay(until=until)
    assert job["status"] == "Running"
    assert (job["kind"], job["run_statuses"], job["ended_at"]) == ("replay", ["Failed"], None)
    shop.settle()
    done = shop.job(job)
    assert (done["status"], done["found"], done["done"], done["skipped"]) == ("Completed", 3, 3, 0)
    assert done["ended_at"] == rfc3339(stage.clock.ms)
    replays = shop.replays_of(job["id"])
    assert {run.original_run_id for run in replays} == {run.id for run in failed}
    assert shop.now(before).reruns == shop.now(after).reruns == shop.now(elsewhere).reruns == ()
    shown = shop.rest.get(f"/v1/runs/{replays[0].id}").data
    assert shown["replay_id"] == job["id"]
    listed = shop.rest.get(f"/v1/events/{failed[0].event_id}/runs").data
    assert len(listed) == 2


@pytest.mark.storage
def test_a_replay_takes_cancelled_runs_when_it_is_asked_to(stage: Stage, shop: Shop) -> None:
    run = shop.run(sleeps=True)
    stage.canceller.cancel(ENV, run.id, "by a test")
    shop.settle()
    job = shop.replay(status=["Cancelled"])
    shop.settle()
    assert shop.counts(job) == (1, 1, 0)
    both = shop.replay(status=["Failed", "Cancelled"])
    shop.settle()
    assert shop.counts(both) == (1, 1, 0)
    assert shop.now(run).status == Status.CANCELLED


@pytest.mark.storage
def test_a_replay_does_not_replay_the_runs_that_it_starts(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 1)
    failed = [shop.run(fails="always") for _ in range(2)]
    # By its sender's clock this one is of a time to come, which a replay gets to first.
    ahead = Seed.random(stage.clock.ms + HOUR_MS // 2)
    stage.send({"name": "app/a", "data": {"fails": "always"}}, seed=ahead)
    shop.deployed.handle(*stage.messages(shop.deployed.function))
    job = shop.replay(until=rfc3339(stage.clock.ms + HOUR_MS))
    assert job["until"] == job["created_at"]
    while shop.job(job)["status"] == "Running":
        slice_of(stage)
        shop.deployed.handle(*stage.messages(shop.deployed.function))
        assert shop.job(job)["found"] <= 2
    assert shop.counts(job) == (2, 2, 0)
    originals = [run.original_run_id for run in shop.replays_of(job["id"])]
    assert sorted(map(str, originals)) == sorted(run.id for run in failed)


@pytest.mark.parametrize("first", ["0001-01-01", "1969-12-31T23:59:59Z", "1970-01-01"])
def test_a_time_may_begin_before_any_run(stage: Stage, shop: Shop, first: str) -> None:
    shop.run(fails="always")
    replay = shop.replay(**{"from": first, "until": rfc3339(stage.clock.ms + 1)})
    cancellation = shop.cancel(started_after=first)
    shop.settle()
    assert [shop.job(job)["status"] for job in (replay, cancellation)] == ["Completed"] * 2
    assert shop.counts(replay) == (1, 1, 0)


def test_other_environments_are_not_touched(stage: Stage, shop: Shop) -> None:
    failed = shop.run(env="other", fails="always")
    sleeping = shop.run(env="other", sleeps=True)
    replay, cancellation = shop.replay(), shop.cancel()
    match(stage)
    assert shop.counts(replay) == shop.counts(cancellation) == (0, 0, 0)
    assert shop.now(failed).reruns == ()
    assert shop.now(sleeping).status == Status.RUNNING
    for job in (replay, cancellation):
        path = f"/v1/{job['kind']}s"
        headers = {"x-inngest-env": "other"}
        assert shop.rest.get(path, headers=headers).data == []
        assert shop.rest.get(f"{path}/{job['id']}", headers=headers).status == 404
        deleted = shop.rest.get(f"{path}/{job['id']}", headers=headers, method="DELETE")
        assert deleted.status == 404


@pytest.mark.storage
def test_a_run_whose_event_is_gone_is_skipped_with_a_note(stage: Stage, shop: Shop) -> None:
    gone, kept = shop.run(fails="always"), shop.run(fails="always")
    table = stage.settings.events_table
    client("dynamodb").delete_item(TableName=table, Key=item_key(ENV, gone.event_id))
    job = shop.replay()
    shop.settle()
    assert shop.counts(job) == (2, 1, 1)
    assert shop.job(job)["note"] == (
        f"run {gone.id} cannot be run again: its event {gone.event_id} is no longer stored"
    )
    assert [run.original_run_id for run in shop.replays_of(job["id"])] == [kept.id]


# --- cancellations --------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_cancellation_ends_the_runs_of_a_time_that_have_not_ended(
    stage: Stage, shop: Shop
) -> None:
    before = shop.run(sleeps=True)
    after_ms = stage.clock.ms
    sleeping = shop.run(sleeps=True)
    scheduled = shop.run(ts=stage.clock.ms + 5 * HOUR_MS)
    done, elsewhere = shop.run(), shop.run(name="app/other", sleeps=True)
    until_ms = stage.clock.ms
    late = shop.run(sleeps=True)
    job = shop.cancel(started_after=rfc3339(after_ms), started_before=until_ms)
    assert (job["kind"], job["app_id"], job["status"]) == ("cancellation", "test", "Running")
    shop.settle()
    assert shop.counts(job) == (2, 2, 0)
    assert shop.job(job)["status"] == "Completed"
    for run in (sleeping, scheduled):
        ended = shop.now(run)
        assert ended.status == Status.CANCELLED
        message = failure_of(stage.runs.output_of(ended)).message
        assert message == f"cancelled: by cancellation {job['id']}"
    assert [shop.now(run).status for run in (before, elsewhere, late)] == [Status.RUNNING] * 3
    assert shop.now(done).status == Status.COMPLETED


def test_a_cancellation_takes_the_runs_whose_event_is_as_asked(stage: Stage, shop: Shop) -> None:
    mine, other = shop.run(sleeps=True, user="a"), shop.run(sleeps=True, user="b")
    job = shop.cancel(**{"if": "event.data.user == 'a'", "function_id": "f"})
    assert job["if"] == "event.data.user == 'a'"
    shop.settle()
    assert shop.counts(job) == (1, 1, 0)
    assert shop.now(mine).status == Status.CANCELLED
    assert shop.now(other).status == Status.RUNNING


def test_an_expression_without_an_answer_skips_the_run(stage: Stage, shop: Shop) -> None:
    run = shop.run(sleeps=True, n=1)
    job = shop.cancel(**{"if": "event.data.n > 'x'"})
    shop.settle()
    assert shop.counts(job) == (1, 0, 1)
    assert shop.job(job)["note"].startswith(f"run {run.id}: ")
    assert shop.now(run).status == Status.RUNNING


def test_what_ended_meanwhile_is_skipped(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shop.run(sleeps=True)
    job = shop.cancel()
    listed = job_work.newest_items

    def ends(*arguments: Any) -> Any:
        page = listed(*arguments)
        stage.canceller.cancel(ENV, run.id, "by somebody else")
        return page

    with monkeypatch.context() as patch:
        patch.setattr(job_work, "newest_items", ends)
        match(stage)
    assert shop.counts(job) == (1, 0, 1)
    shop.settle()
    assert "by somebody else" in failure_of(stage.runs.output_of(shop.now(run))).message


# --- slices ---------------------------------------------------------------------------------------


@pytest.mark.storage
def test_a_job_goes_on_slice_by_slice_and_counts_each_run_once(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 2)
    for _ in range(5):
        shop.run(fails="always")
    job = shop.replay()
    for found in (2, 4, 5):
        slice_of(stage)
        assert shop.counts(job) == (found, found, 0)
    slices = 3
    while shop.job(job)["status"] == "Running":
        slice_of(stage)
        slices += 1
    assert slices <= 4
    assert shop.counts(job) == (5, 5, 0)
    assert bodies(stage.cloud.matcher.queue_url) == []
    assert len(stage.messages(shop.deployed.function)) == 5


@pytest.mark.storage
def test_a_stopped_job_goes_no_further(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 2)
    for _ in range(5):
        shop.run(fails="always")
    job = shop.replay()
    slice_of(stage)
    stage.clock.advance(seconds=5)
    stopped = shop.rest.delete(f"/v1/replays/{job['id']}").data
    assert (stopped["status"], stopped["done"]) == ("Stopped", 2)
    assert stopped["ended_at"] == rfc3339(stage.clock.ms)
    slice_of(stage)
    assert bodies(stage.cloud.matcher.queue_url) == []
    stage.clock.advance(seconds=5)
    assert shop.rest.delete(f"/v1/replays/{job['id']}").data == stopped
    assert shop.job(job) == stopped
    assert len(stage.messages(shop.deployed.function)) == 2


@pytest.mark.storage
def test_what_a_slice_did_while_it_was_stopped_is_counted(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.run(fails="always")
    job = shop.replay()
    listed = job_work.newest_items

    def stops(*arguments: Any) -> Any:
        shop.rest.delete(f"/v1/replays/{job['id']}")
        return listed(*arguments)

    monkeypatch.setattr(job_work, "newest_items", stops)
    match(stage)
    shown = shop.job(job)
    assert (shown["status"], shown["found"], shown["done"]) == ("Stopped", 1, 1)


@pytest.mark.storage
def test_a_message_that_comes_twice_at_once_counts_once(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 2)
    for _ in range(3):
        shop.run(fails="always")
    job = shop.replay()
    [text] = bodies(stage.cloud.matcher.queue_url)
    listed = job_work.newest_items

    def twice(*arguments: Any) -> Any:
        monkeypatch.setattr(job_work, "newest_items", listed)
        page = listed(*arguments)
        stage.jobs.work(JobMessage.decode(text).job)
        return page

    monkeypatch.setattr(job_work, "newest_items", twice)
    stage.jobs.work(JobMessage.decode(text).job)
    assert shop.counts(job) == (3, 3, 0)
    shop.settle()
    assert len(shop.replays_of(job["id"])) == 3
    # And once more, long after it was completed.
    stage.jobs.work(JobMessage.decode(text).job)
    assert shop.counts(job) == (3, 3, 0)


Start = Callable[[Shop], Any]


def _replay(shop: Shop) -> Any:
    for _ in range(3):
        shop.run(fails="always")
    return shop.replay()


def _cancellation(shop: Shop) -> Any:
    for _ in range(3):
        shop.run(sleeps=True, user="a")
    return shop.cancel(**{"if": "event.data.user == 'a'"})


@pytest.mark.parametrize("start", [_replay, _cancellation])
@pytest.mark.parametrize(
    ("at", "calls"),
    [
        ("dynamodb.put_item", 1),
        ("dynamodb.query", 1),
        ("dynamodb.get_item", 3),
        ("dynamodb.update_item", 5),
        ("sns.publish_batch", 3),
        ("sqs.send_message", 1),
    ],
)
def test_a_slice_that_dies_is_repeated_and_counts_each_run_once(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch, start: Start, at: str, calls: int
) -> None:
    job = start(shop)
    service, operation = at.split(".")
    [text] = bodies(stage.cloud.matcher.queue_url)
    work = replace(stage.jobs, slice_ms=0) if service == "sqs" else stage.jobs
    died = 0
    for count in range(calls):
        with monkeypatch.context() as patch:
            _dies_behind(patch, service, operation, count)
            try:
                work.work(JobMessage.decode(text).job)
            except ProcessDied:
                died += 1
        # What it started is already done when it is repeated.
        settle(stage, shop.deployed)
    assert died >= min(calls, 2)
    stage.jobs.work(JobMessage.decode(text).job)
    shop.settle()
    assert shop.job(job)["status"] == "Completed"
    assert shop.counts(job) == (3, 3, 0)
    if job["kind"] == "replay":
        assert len(shop.replays_of(job["id"])) == 3
        assert len(shop.all_runs()) == 6
    else:
        assert {run.status for run in shop.all_runs()} == {Status.CANCELLED}


def _dies_behind(patch: pytest.MonkeyPatch, service: Any, operation: str, count: int) -> None:
    """Let the process die at a call of AWS, after so many that succeed."""
    call = getattr(client(service), operation)
    made = [0]

    def counted(**arguments: Any) -> Any:
        made[0] += 1
        if made[0] > count:
            raise ProcessDied
        return call(**arguments)

    patch.setattr(client(service), operation, counted)


@pytest.mark.storage
def test_an_answer_that_was_lost_does_not_end_the_job(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _replay(shop)
    advance = stage.jobs.jobs.advance
    recorded = stage.jobs.jobs.get(ENV, JobKind.REPLAY, job["id"], stage.clock.ms)
    assert recorded is not None
    first = advance(recorded, Progress("x", 1, 1))
    assert advance(recorded, Progress("x", 1, 1)) == first
    assert advance(recorded, Progress("y", 1, 1)) is None
    assert shop.counts(job) == (1, 1, 0)


@pytest.mark.parametrize("at", ["dynamodb.put_item", "sqs.send_message"])
def test_a_request_that_dies_starts_its_job_or_nothing(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    run = shop.run(sleeps=True)
    with monkeypatch.context() as patch:
        dies(patch, at)
        with pytest.raises(ProcessDied):
            shop.cancel()
    shop.settle()
    jobs = shop.rest.get("/v1/cancellations").data
    if at == "sqs.send_message":
        assert jobs == []
        assert shop.now(run).status == Status.RUNNING
    else:
        assert [job["status"] for job in jobs] == ["Completed"]
        assert shop.now(run).status == Status.CANCELLED


def test_of_a_batch_the_slices_of_jobs_are_done_last(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.cancel()
    [text] = bodies(stage.cloud.matcher.queue_url)
    order: list[str] = []
    worker = stage.matcher
    monkeypatch.setattr(type(worker.jobs), "work", lambda *_: order.append("job"))
    monkeypatch.setattr(type(worker.matcher), "accept", lambda *_: order.append("event"))
    records = [{"messageId": str(n), "body": body} for n, body in enumerate([text, "{}", "{}"])]
    assert worker.handle(batch(records)) == {"batchItemFailures": []}
    assert order == ["event", "event", "job"]


@pytest.mark.storage
def test_a_slice_that_fails_comes_again(
    stage: Stage, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _replay(shop)
    [text] = bodies(stage.cloud.matcher.queue_url)
    records = [{"messageId": "m", "body": text}]
    with monkeypatch.context() as patch:
        patch.setattr(client("sns"), "publish_batch", lambda **_: 1 / 0)
        answer = stage.matcher.handle(batch(records))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert shop.counts(job) == (0, 0, 0)


# --- looking at jobs ------------------------------------------------------------------------------


@pytest.mark.storage
def test_jobs_are_listed_by_kind_the_newest_first(stage: Stage, shop: Shop) -> None:
    shop.cancel()
    ids = []
    for _ in range(3):
        ids.append(shop.replay()["id"])
        stage.clock.advance(seconds=1)
    page = shop.rest.get("/v1/replays", {"limit": "2"})
    assert [job["id"] for job in page.data] == [ids[2], ids[1]]
    assert (page.metadata["has_more"], page.metadata["next_cursor"]) == (True, ids[1])
    rest = shop.rest.get("/v1/replays", {"limit": "2", "cursor": ids[1]})
    assert [job["id"] for job in rest.data] == [ids[0]]
    assert (rest.metadata["has_more"], rest.metadata["next_cursor"]) == (False, None)
    assert len(shop.rest.get("/v1/cancellations").data) == 1
    assert shop.rest.get(f"/v1/cancellations/{ids[0]}").status == 404


@pytest.mark.storage
def test_jobs_are_kept_for_their_retention(stage: Stage, shop: Shop) -> None:
    job = shop.replay()
    stage.clock.advance(days=stage.settings.retention_days + 1)
    assert shop.rest.get("/v1/replays").data == []
    answer = shop.rest.get(f"/v1/replays/{job['id']}")
    assert (answer.status, answer.body["error"]) == (404, "Replay not found")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "function_id is required"),
        ({"function_id": "test-f"}, 400, "from is required"),
        ({"function_id": "test-no", "from": "2025-01-01"}, 404, "Function not found: test-no"),
        ({"function_id": "test-f", "from": "soon"}, 400, "from: 'soon'; write 2026-11-23T18:00"),
        ({"function_id": "test-f", "from": True}, 400, "from: a time is a text, or UTC"),
        (
            {"function_id": "test-f", "from": "2025-01-02", "until": "2025-01-02"},
            400,
            "from must be earlier than until, and than now",
        ),
        ({"function_id": "test-f", "from": "2099-01-02"}, 400, "from must be earlier than until"),
        (
            {"function_id": "test-f", "from": "2025-01-02", "status": ["Completed"]},
            400,
            "status.0: Input should be 'Failed' or 'Cancelled'",
        ),
        ({"function_id": "test-f", "from": "2025-01-02", "status": []}, 400, "status: "),
        ({"function_id": "test-f", "form": 1}, 400, "unknown field 'form'; known are function_id,"),
        ("{", 400, "the body is not valid JSON"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    stage: Stage, shop: Shop, body: Any, status: int, text: str
) -> None:
    answer = shop.rest.post("/v1/replays", body)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.body["error"].startswith(text)
    assert bodies(stage.cloud.matcher.queue_url) == []


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        (
            {"app_id": None, "function_id": None, "started_before": None},
            400,
            "app_id is required\nfunction_id is required\nstarted_before is required",
        ),
        ({"started_before": "2099-01-01T00:00:00Z"}, 400, "started_before must be in the past"),
        (
            {"started_after": "2025-01-01", "started_before": "2024-01-01"},
            400,
            "started_after must be before started_before",
        ),
        ({"function_id": "no"}, 404, "function not found"),
        ({"app_id": "else"}, 404, "function not found"),
        ({"if": "event.data.x =="}, 400, "invalid expression: "),
        ({"if": "nothing.x"}, 400, "invalid expression: "),
        ({"started_afer": 1}, 400, "Invalid cancellation request: unknown field 'started_afer'"),
        ({"started_after": "x"}, 400, "Invalid cancellation request: started_after: 'x'; write"),
        ({"app_id": 1}, 400, "Invalid cancellation request: app_id: "),
        ("{", 400, "Invalid cancellation request: the body is not valid JSON"),
    ],
)
def test_a_cancellation_that_cannot_be_is_refused(
    stage: Stage, shop: Shop, change: Any, status: int, text: str
) -> None:
    body = {"app_id": "test", "function_id": "f", "started_before": "2025-01-01T00:00:00Z"}
    if isinstance(change, dict):
        changed = body | change
        change = {name: value for name, value in changed.items() if value is not None}
    answer = shop.rest.post("/v1/cancellations", change)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.body["error"].startswith(text)
    assert bodies(stage.cloud.matcher.queue_url) == []


def test_a_clock_that_is_a_little_ahead_may_ask(stage: Stage, shop: Shop) -> None:
    shop.cancel(started_before=stage.clock.ms + 5_000)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/replays/nope", 400, "Invalid replay ID: nope"),
        ("/v1/cancellations/nope", 400, "Invalid cancellation ID: nope"),
        ("/v1/replays/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "Replay not found"),
        ("/v1/cancellations/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "Cancellation not found"),
    ],
)
def test_there_is_no_such_job(shop: Shop, method: str, path: str, status: int, text: str) -> None:
    answer = shop.rest.get(path, method=method)
    assert (answer.status, answer.body["error"]) == (status, text)
