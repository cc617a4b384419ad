"""Stored events given to one function: which, once each, as fast as asked, and after a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed, ProcessDied, bodies, dies, function_of, settle
from tests.aws.rest import Rest, load_handler
from tidegate import job_work
from tidegate.aws import client
from tidegate.bulk_job import JobMessage
from tidegate.cancel import Timeouts
from tidegate.context import ContextSync
from tidegate.ids import run_id_of
from tidegate.rest_call import rfc3339
from tidegate.run import Run
from tidegate.trigger import TriggerEvent

pytestmark = pytest.mark.storage

HOUR_MS = 3_600_000


class History:
    """Events of a time, and a function that may not have been there then."""

    def __init__(self, stage: Stage, patch: pytest.MonkeyPatch, **options: Any) -> None:
        self.stage = stage
        self.seen: list[tuple[int, str]] = []
        trigger = options.pop("trigger", TriggerEvent(event="app/*"))
        function = function_of(self._handle, fn_id="late", trigger=trigger, **options)
        self.deployed = Deployed(stage, function.handler, fn_id="late", trigger=trigger, **options)
        self.rest = Rest(load_handler(stage, patch))

    def _handle(self, ctx: ContextSync) -> None:
        self.seen.append((ctx.event.data["n"], ctx.run_id))

    def send(self, *numbers: int, name: str = "app/a", env: str = ENV) -> list[str]:
        """The ids of stored events that nobody has handled."""
        ids = self.stage.send(*({"name": name, "data": {"n": n}} for n in numbers), env=env)
        self.stage.queued(self.deployed.function)
        self.stage.clock.advance(seconds=1)
        return ids

    def replay(self, **body: Any) -> Any:
        asked = {"function_id": "test-late", "from": rfc3339(self.stage.clock.ms - HOUR_MS)} | body
        answer = self.rest.post("/v1/event_replays", asked)
        assert answer.status == 201, answer.body
        return answer.data

    def job(self, job: Any) -> Any:
        return self.rest.get(f"/v1/event_replays/{job['id']}").data

    def settle(self) -> None:
        settle(self.stage, self.deployed)

    def run(self, event_id: str) -> Run:
        run = self.stage.runs.get(ENV, run_id_of(ENV, "test-late", event_id))
        assert run is not None
        return run

    @property
    def numbers(self) -> list[int]:
        return sorted(n for n, _ in self.seen)


@pytest.fixture
def history(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., History]:
    return lambda **options: History(stage, monkeypatch, **options)


def test_a_new_function_gets_what_was_sent_before_it(history: Callable[..., History]) -> None:
    late = history()
    ids = late.send(1, 2, 3)
    late.send(4, name="other/a")
    late.send(5, env="elsewhere")
    job = late.replay()
    assert (job["kind"], job["status"], job["run_statuses"]) == ("event_replay", "Running", [])
    late.settle()
    assert late.numbers == [1, 2, 3]
    done = late.job(job)
    assert (done["status"], done["found"], done["done"], done["skipped"]) == ("Completed", 3, 3, 0)
    run = late.run(ids[0])
    assert (run.status, run.replay_id, run.original_run_id) == ("Completed", job["id"], None)
    shown = late.rest.get(f"/v1/events/{ids[0]}/runs").data
    assert [(one["run_id"], one["replay_id"]) for one in shown] == [(run.id, job["id"])]


def test_what_ran_before_runs_again_as_a_new_run(history: Callable[..., History]) -> None:
    late = history()
    late.deployed.handle(late.deployed.send(data={"n": 1}))
    late.stage.clock.advance(seconds=1)
    job = late.replay()
    late.settle()
    (_, first), (_, second) = late.seen
    assert first != second
    again = late.stage.runs.get(ENV, second)
    assert again is not None
    assert (again.original_run_id, again.replay_id) == (first, job["id"])
    late.replay()
    late.settle()
    assert len({run_id for _, run_id in late.seen}) == 3


@pytest.mark.parametrize(
    ("limits", "numbers"),
    [
        ({"event_name": "app/b"}, [3]),
        ({"if": "event.data.n > 1"}, [2, 3]),
        ({"event_name": "app/a", "if": "event.data.n > 1"}, [2]),
    ],
)
def test_a_replay_is_limited_as_asked(
    history: Callable[..., History], limits: dict[str, Any], numbers: list[int]
) -> None:
    late = history()
    late.send(1, 2)
    late.send(3, name="app/b")
    job = late.replay(**limits)
    assert {name: job[name] for name in limits} == limits
    late.settle()
    assert late.numbers == numbers


def test_events_outside_of_the_time_are_left_out(history: Callable[..., History]) -> None:
    late = history()
    late.send(1)
    since = rfc3339(late.stage.clock.ms)
    late.send(2)
    until = rfc3339(late.stage.clock.ms)
    late.send(3)
    late.replay(**{"from": since, "until": until})
    late.settle()
    assert late.numbers == [2]


def test_the_expressions_of_triggers_hold(history: Callable[..., History]) -> None:
    late = history(trigger=TriggerEvent(event="app/a", expression="event.data.n > 1"))
    late.send(1, 2)
    late.replay()
    late.settle()
    assert late.numbers == [2]


def test_large_events_are_replayed(history: Callable[..., History]) -> None:
    late = history()
    late.stage.send({"name": "app/a", "data": {"n": 1, "text": "x" * 300_000}})
    late.stage.queued(late.deployed.function)
    late.stage.clock.advance(seconds=1)
    late.replay()
    late.settle()
    assert late.numbers == [1]


def test_a_late_start_is_not_too_late(history: Callable[..., History]) -> None:
    late = history(timeouts=Timeouts(start=timedelta(seconds=5)))
    [event_id] = late.send(1)
    late.stage.clock.advance(seconds=600)
    late.replay()
    late.settle()
    assert late.run(event_id).status == "Completed"


def test_a_crash_starts_nothing_twice(
    history: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = history()
    late.send(*range(5))
    late.replay()
    with monkeypatch.context() as patch:
        # The page was acted on, and its progress is not noted.
        dies(patch, "dynamodb.update_item")
        [text] = bodies(late.stage.cloud.matcher.queue_url)
        with pytest.raises(ProcessDied):
            late.stage.jobs.work(JobMessage.decode(text).job)
    late.deployed.handle(*late.stage.messages(late.deployed.function))
    assert late.numbers == [0, 1, 2, 3, 4]
    late.stage.jobs.work(JobMessage.decode(text).job)
    late.settle()
    assert late.numbers == [0, 1, 2, 3, 4]


def test_pages_go_on_where_the_last_one_ended(
    history: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 4)
    late = history()
    late.send(*range(10))
    job = late.replay()
    late.settle()
    assert late.numbers == list(range(10))
    assert late.job(job)["found"] == 10


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [(3, [3, 3, 3, 1]), (7, [7, 3]), (10, [10]), (1_000, [10])],
)
def test_as_many_are_started_in_a_second_as_asked_and_no_more(
    history: Callable[..., History],
    monkeypatch: pytest.MonkeyPatch,
    per_second: int,
    expected: list[int],
) -> None:
    # More in a second than in a page are several pages, before there is a pause.
    monkeypatch.setattr(job_work, "PAGE", 4)
    late = history()
    late.send(*range(10))
    late.replay(per_second=per_second)
    asked: list[int] = []
    send_message = client("sqs").send_message

    def recording(**arguments: Any) -> Any:
        if arguments["QueueUrl"] == late.stage.cloud.matcher.queue_url:
            asked.append(arguments["DelaySeconds"])
            arguments = {**arguments, "DelaySeconds": 0}
        return send_message(**arguments)

    monkeypatch.setattr(client("sqs"), "send_message", recording)
    started = []
    while texts := bodies(late.stage.cloud.matcher.queue_url):
        for text in texts:
            late.stage.jobs.work(JobMessage.decode(text).job)
        started.append(len(late.stage.queued(late.deployed.function)))
    assert [count for count in started if count] == expected
    assert set(asked) <= {1}
    assert sum(expected[:-1]) == per_second * (len(expected) - 1)


def test_a_stopped_replay_goes_no_further(
    history: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_work, "PAGE", 2)
    late = history()
    late.send(*range(6))
    job = late.replay()
    [text] = bodies(late.stage.cloud.matcher.queue_url)
    replace(late.stage.jobs, slice_ms=0).work(JobMessage.decode(text).job)
    assert late.rest.delete(f"/v1/event_replays/{job['id']}").data["status"] == "Stopped"
    late.settle()
    assert len(late.seen) == 2


def test_a_run_that_goes_on_is_skipped_and_told(history: Callable[..., History]) -> None:
    late = history()
    late.send(1)
    first = late.replay()
    late.settle()
    assert late.job(first)["done"] == 1
    [event_id] = late.stage.send(
        {"name": "app/a", "data": {"n": 2}, "ts": late.stage.clock.ms + HOUR_MS}
    )
    late.deployed.handle(*late.stage.messages(late.deployed.function))
    late.stage.clock.advance(seconds=1)
    job = late.replay(**{"if": "event.data.n == 2"})
    late.settle()
    assert late.job(job)["skipped"] == 1
    assert late.run(event_id).id in late.job(job)["note"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"function_id": "test-none"}, 404, "Function not found"),
        ({"event_name": "other/a"}, 400, "'other/a' does not trigger 'test-late'"),
        ({"from": "2030-01-01"}, 400, "from must be earlier"),
        ({"per_second": 0}, 400, "per_second: "),
        ({"per_second": 1_001}, 400, "per_second: "),
        ({"if": "event."}, 400, "invalid expression"),
        ({"status": ["Failed"]}, 400, "unknown field 'status'"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    history: Callable[..., History], body: dict[str, Any], status: int, error: str
) -> None:
    late = history()
    asked = {"function_id": "test-late", "from": "2020-01-01"} | body
    answer = late.rest.post("/v1/event_replays", asked)
    assert (answer.status, error in answer.body["error"]) == (status, True), answer.body
    assert late.rest.get("/v1/event_replays").data == []


def test_waiting_for_ones_turn_in_a_replay_is_not_waiting_to_start(
    history: Callable[..., History],
) -> None:
    late = history(timeouts=Timeouts(start=timedelta(seconds=10)))
    for n in range(15):
        late.deployed.handle(late.deployed.send(data={"n": n}))
    late.stage.clock.advance(seconds=1)
    late.seen.clear()
    job = late.replay(per_second=1)
    while texts := bodies(late.stage.cloud.matcher.queue_url):
        for text in texts:
            late.stage.jobs.work(JobMessage.decode(text).job)
        for message in late.stage.messages(late.deployed.function):
            late.deployed.handle(message)
        late.stage.clock.advance(seconds=1)
    assert late.job(job)["done"] == 15
    assert late.numbers == list(range(15))


def test_a_replay_says_that_its_function_is_gone(history: Callable[..., History]) -> None:
    late = history()
    late.send(1, 2, 3)
    job = late.replay()
    late.stage.deploy(function_of(lambda ctx: None, fn_id="other"))
    late.settle()
    now = late.job(job)
    assert (now["status"], now["found"]) == ("Completed", 0)
    assert now["note"] == "function 'test-late' is not registered any more"
