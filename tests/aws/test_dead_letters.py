"""Dead letters: seen with their reason, sent back without starting anything twice, or deleted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto.backends import get_backend
from moto.core.utils import unix_time_millis

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import Deployed, ProcessDied, bodies, dies, function_of, match, waiting
from tests.aws.rest import Rest, load_handler
from tidegate import redrive
from tidegate.aws import client
from tidegate.bulk_job import AT_END, JobKind, JobMessage
from tidegate.context import ContextSync
from tidegate.dead_letters import DeadLetter, DeadLetterQueue
from tidegate.errors import PlatformError
from tidegate.ids import run_id_of
from tidegate.job_store import JobQueue, JobStore
from tidegate.local.lambda_function import ACCOUNT_ID, REGION
from tidegate.message import CronMessage
from tidegate.run import Run, Status
from tidegate.trigger import TriggerEvent

FUNCTION = "test-f"


class Pier:
    """A function whose messages die, and a client of the REST API."""

    def __init__(self, stage: Stage, patch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.calls: list[str] = []
        self.deployed = Deployed(stage, self._handle, retries=1)
        self.wiring = stage.cloud.wiring[FUNCTION]
        self.rest = Rest(load_handler(stage, patch))
        # SQS has times of its own.
        self.stage.clock.ms = now_of_sqs() + 1_000

    def _handle(self, ctx: ContextSync) -> str:
        self.calls.append(ctx.run_id)
        return "done"

    def die(self, *events: dict[str, Any], env: str = ENV) -> list[str]:
        """Let the messages of events be given up on by SQS; gives the events' ids."""
        ids = self.stage.send(*({"name": "app/a", **event} for event in events), env=env)
        for text in bodies(self.wiring.queue_url):
            self.bury(text)
        self.stage.clock.ms = now_of_sqs() + 1_000
        return ids

    def bury(self, text: str, **attributes: str) -> None:
        """Put a message into the dead-letter queue."""
        client("sqs").send_message(
            QueueUrl=self.wiring.dead_letter_url,
            MessageBody=text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def letters(self, function_id: str = FUNCTION, **query: str) -> list[dict[str, Any]]:
        path = f"/v1/functions/{function_id}/dead_letters"
        return list(self.rest.get(path, query).data["dead_letters"])

    def depth(self, function_id: str = FUNCTION) -> int:
        found = self.rest.get("/v1/dead_letter_queues").data
        return int(next(one["messages"] for one in found if one["function_id"] == function_id))

    def start(self, path: str = "/v1/redrives", **body: Any) -> dict[str, Any]:
        return dict(self.rest.post(path, {"function_id": FUNCTION, **body}).data)

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return dict(self.rest.get(f"/v1/{job['kind']}s/{job['id']}").data)

    def redrive(self, **body: Any) -> dict[str, Any]:
        """Redrive, until the job has ended."""
        job = self.start(**body)
        while match(self.stage):
            pass
        return self.job(job)

    def work(self) -> None:
        """Handle what is in the function's queue."""
        for message in self.stage.messages(self.deployed.function):
            assert self.deployed.handle(message) == []

    def run(self, event_id: str, env: str = ENV) -> Run | None:
        return self.stage.runs.get(env, run_id_of(env, FUNCTION, event_id))


def now_of_sqs() -> int:
    return int(unix_time_millis())


@pytest.fixture
def pier(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Pier:
    return Pier(stage, monkeypatch)


# --- seeing them ----------------------------------------------------------------------------------


def test_a_message_that_was_never_done_with_is_seen_with_its_event(pier: Pier) -> None:
    [event_id] = pier.die({"data": {"n": 1}})
    [letter] = pier.letters()
    assert letter["event_id"] == event_id
    assert letter["event_name"] == "app/a"
    assert letter["run_id"] is None
    assert letter["run_status"] is None
    assert "body" not in letter
    receives = pier.wiring.function.max_receive_count
    assert letter["reason"].startswith(f"received {receives} times, and never done with")
    assert pier.depth() == 1


def test_looking_takes_nothing_away(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(25)))
    seen = [{letter["id"] for letter in pier.letters(limit="100")} for _ in range(3)]
    assert [len(ids) for ids in seen] == [25, 25, 25]
    assert seen[0] == seen[1] == seen[2]
    assert pier.depth() == 25


def test_a_look_is_limited(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(25)))
    answer = pier.rest.get(f"/v1/functions/{FUNCTION}/dead_letters", {"limit": "7"})
    assert len(answer.data["dead_letters"]) == 7
    assert answer.data["messages"] == 25
    # What was looked at on the way is there for the next one at once.
    assert len(pier.letters(limit="100")) == 25


def test_the_run_that_a_message_belongs_to_is_named(pier: Pier) -> None:
    message = pier.deployed.send(data={})
    pier.deployed.handle(message)
    pier.bury(message.encode())
    [letter] = pier.letters()
    assert letter["run_id"] == pier.run(message.event.internal_id).id  # type: ignore[union-attr]
    assert letter["run_status"] == "Completed"


def test_what_the_worker_found_impossible_has_its_words(pier: Pier) -> None:
    record = {
        "messageId": "m",
        "receiptHandle": "none",
        "body": '{"half": ',
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    assert pier.deployed.worker.handle(batch([record]), 10_000) == {"batchItemFailures": []}
    [letter] = pier.letters()
    assert letter["reason"].startswith("not a message of an event or a cron")
    assert letter["body"] == '{"half": '
    assert letter["event_id"] is None


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (
            {"ERROR_CODE": "AccessDenied", "ERROR_MESSAGE": "no", "SCHEDULE_ARN": "arn:s"},
            "Scheduler could not deliver it: AccessDenied: no",
        ),
        ({"ErrorCode": "403", "ErrorMessage": "no"}, "SNS could not deliver it: 403: no"),
        ({"ErrorCode": "403"}, "SNS could not deliver it: 403"),
    ],
)
def test_what_could_not_be_delivered_says_who_could_not(
    pier: Pier, attributes: dict[str, str], reason: str
) -> None:
    pier.bury(pier.deployed.send(data={}).encode(), **attributes)
    assert [letter["reason"] for letter in pier.letters()] == [reason]


def test_a_cron_s_tick_is_seen_as_the_event_it_stands_for(pier: Pier) -> None:
    pier.bury(CronMessage("0 5 * * *", ENV, 1_795_456_800_000).encode())
    [letter] = pier.letters()
    assert letter["event_name"] == "inngest/scheduled.timer"


def test_the_matchers_letters_are_seen(pier: Pier) -> None:
    text = pier.deployed.send(data={}).encode()
    url = pier.stage.cloud.matcher.dead_letter_url
    job = pier.start()
    [slice_] = bodies(pier.stage.cloud.matcher.queue_url)
    look = '{"look": {"env": "dev"'
    for one in (text, slice_, look):
        client("sqs").send_message(QueueUrl=url, MessageBody=one)
    letters = pier.letters("matcher")
    assert {letter["event_name"] for letter in letters} == {"app/a", None}
    assert [letter.get("body") for letter in letters if "body" in letter] == [look]
    assert pier.depth("matcher") == 3
    assert job["kind"] == "redrive"


def test_no_environment_sees_anothers(pier: Pier) -> None:
    pier.die({"data": {"n": 1}}, env="branch")
    pier.die({"data": {"n": 2}})
    pier.bury("damaged")
    assert len(pier.letters()) == 2
    other = pier.rest.get(
        f"/v1/functions/{FUNCTION}/dead_letters", headers={"x-inngest-env": "branch"}
    )
    assert [letter["event_name"] for letter in other.data["dead_letters"]] == ["app/a"]
    assert other.data["messages"] == 3


def test_an_unknown_function_is_named(pier: Pier) -> None:
    answer = pier.rest.get("/v1/functions/nope/dead_letters")
    assert (answer.status, answer.body["error"]) == (
        404,
        "Function not found: nope; see GET /v1/dead_letter_queues",
    )


# --- sending them back ----------------------------------------------------------------------------


def test_all_go_back_and_run_once(pier: Pier) -> None:
    ids = pier.die(*({"data": {"n": n}} for n in range(120)))
    job = pier.redrive()
    assert (job["status"], job["found"], job["done"], job["skipped"]) == ("Completed", 120, 120, 0)
    assert pier.depth() == 0
    pier.work()
    assert [pier.run(one).status for one in ids] == [Status.COMPLETED] * 120  # type: ignore[union-attr]
    assert len(pier.calls) == len(set(pier.calls)) == 120


def test_what_has_run_already_runs_no_second_time(pier: Pier) -> None:
    message = pier.deployed.send(data={})
    pier.deployed.handle(message)
    for _ in range(3):
        pier.bury(message.encode())
    assert pier.redrive(until=pier.stage.clock.ms + 60_000)["done"] == 3
    pier.work()
    assert len(pier.calls) == 1


def test_the_chosen_go_back_and_the_others_stay(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(30)))
    chosen = [letter["id"] for letter in pier.letters(limit="100")[3:25:7]]
    job = pier.redrive(message_ids=[*chosen, chosen[0]])
    assert job["message_ids"] == chosen
    assert (job["status"], job["found"], job["done"]) == ("Completed", 4, 4)
    left = pier.letters(limit="100")
    assert len(left) == 26
    assert not {letter["id"] for letter in left} & set(chosen)
    pier.work()
    assert len(pier.calls) == 4


def test_a_message_that_is_not_there_is_told(pier: Pier) -> None:
    pier.die({"data": {}})
    job = pier.redrive(message_ids=["00000000-0000-0000-0000-000000000000"])
    assert (job["status"], job["found"], job["done"], job["skipped"]) == ("Completed", 1, 0, 1)
    assert job["note"] == "1 of the messages are not in the dead-letter queue any more"
    assert len(pier.letters()) == 1


def test_only_those_of_a_time_go_back(pier: Pier) -> None:
    pier.die({"data": {}})
    sent_at = pier.letters()[0]["sent_at"]
    assert pier.redrive(until=sent_at)["found"] == 0
    assert pier.redrive(**{"from": sent_at})["found"] == 1


def test_those_of_other_environments_stay(pier: Pier) -> None:
    pier.die({"data": {}}, env="branch")
    pier.die({"data": {}})
    pier.bury("damaged")
    answer = pier.rest.get(
        "/v1/redrives",
        method="POST",
        headers={"x-inngest-env": "branch"},
        body={"function_id": FUNCTION},
    )
    assert answer.status == 201
    while match(pier.stage):
        pass
    assert [message.event.env for message in pier.stage.messages(pier.deployed.function)] == [
        "branch"
    ]
    assert pier.depth() == 2


def test_what_dies_again_is_not_sent_back_for_ever(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(3)))
    job = pier.start()
    pier.stage.clock.ms += 60_000
    match(pier.stage)
    for text in bodies(pier.wiring.queue_url):
        pier.bury(text)
    # A slice that comes twice, later: the job has ended.
    client("sqs").send_message(
        QueueUrl=pier.stage.cloud.matcher.queue_url,
        MessageBody=JobMessage(recorded(pier, job)).encode(),
    )
    match(pier.stage)
    assert pier.job(job)["done"] == 3
    assert pier.depth() == 3


def recorded(pier: Pier, job: dict[str, Any]) -> Any:
    store = JobStore(pier.stage.settings.jobs_table, pier.stage.settings.retention_s)
    return store.get(ENV, JobKind.REDRIVE, job["id"], pier.stage.clock.ms)


def test_a_rate_is_kept_to(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(25)))
    job = pier.start(per_second=10)
    moved = []
    for _ in range(6):
        [slice_] = delayed(pier.stage.cloud.matcher.queue_url) or [None]
        if slice_ is None:
            break
        delay_s, text = slice_
        pier.stage.matcher.handle(batch([{"messageId": "1", "body": text}]))
        moved.append((delay_s, len(bodies(pier.wiring.queue_url))))
    assert moved == [(0, 10), (1, 10), (1, 5)]
    assert pier.job(job)["status"] == "Completed"
    assert pier.job(job)["per_second"] == 10


def test_a_redrive_does_not_wait_for_what_it_has_itself_left_alone(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(3)), env="branch")
    pier.die(*({"data": {"n": n}} for n in range(25)))
    job = pier.start(per_second=10)
    pages = 0
    while found := delayed(pier.stage.cloud.matcher.queue_url):
        [(_, text)] = found
        pier.stage.matcher.handle(batch([{"messageId": "1", "body": text}]))
        pages += 1
    assert (pier.job(job)["status"], pier.job(job)["done"], pages) == ("Completed", 25, 3)


def test_a_redrive_meets_again_what_came_back_from_its_own_hand(pier: Pier) -> None:
    pier.die({"data": {}}, env="branch")
    pier.die(*({"data": {"n": n}} for n in range(11)))
    job = pier.start(per_second=10)
    [(_, text)] = delayed(pier.stage.cloud.matcher.queue_url)
    pier.stage.matcher.handle(batch([{"messageId": "1", "body": text}]))
    come_back(pier.wiring.dead_letter_url)
    pier.stage.clock.ms += redrive.HIDDEN_S * 1_000
    somebody = client("sqs").receive_message(
        QueueUrl=pier.wiring.dead_letter_url, VisibilityTimeout=600
    )
    assert len(somebody["Messages"]) == 1
    # What it left alone counts no more as its own: what somebody has may be the job's.
    [(_, text)] = delayed(pier.stage.cloud.matcher.queue_url)
    pier.stage.matcher.handle(batch([{"messageId": "2", "body": text}]))
    assert pier.job(job)["status"] == "Running"


def test_a_rate_is_kept_to_when_a_message_comes_twice(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(40)))
    pier.start(per_second=5)
    [(_, text)] = delayed(pier.stage.cloud.matcher.queue_url)
    moved = []
    texts = [text, text]
    while texts:
        for one in texts:
            pier.stage.matcher.handle(batch([{"messageId": "1", "body": one}]))
        moved.append(len(bodies(pier.wiring.queue_url)))
        texts = [one for _, one in delayed(pier.stage.cloud.matcher.queue_url)]
    assert moved == [5] * 8 + [0]


@pytest.mark.parametrize("at", ["asked", "noted"])
def test_a_job_goes_on_wherever_asking_for_its_next_slice_is_cut_off(pier: Pier, at: str) -> None:
    ids = pier.die(*({"data": {"n": n}} for n in range(6)))
    job = pier.start(per_second=2)
    ask = JobQueue.ask

    def die(*_: Any) -> None:
        raise ProcessDied

    def ask_and_die(queue: JobQueue, *asked: Any) -> None:
        ask(queue, *asked)
        raise ProcessDied

    handled = 0
    while texts := [text for _, text in delayed(pier.stage.cloud.matcher.queue_url)]:
        for text in texts:
            message = batch([{"messageId": "1", "body": text}])
            with pytest.MonkeyPatch.context() as patch:
                if at == "asked":
                    patch.setattr(JobQueue, "ask", ask_and_die)
                else:
                    patch.setattr(JobStore, "note_slice", die)
                with contextlib.suppress(ProcessDied):
                    pier.stage.matcher.handle(message)
            pier.stage.matcher.handle(message)
            handled += 1
        come_back(pier.wiring.dead_letter_url)
    assert pier.job(job)["status"] == "Completed"
    assert handled < 20, "each cut-off begins another chain"
    pier.work()
    assert len(pier.calls) == len(ids)


def delayed(queue_url: str) -> list[tuple[int, str]]:
    """Take the messages out of a queue, with the seconds by which each is delayed."""
    queue = get_backend("sqs")[ACCOUNT_ID][REGION].queues[queue_url.rpartition("/")[2]]
    found = [
        (max(round((message.delayed_until - message.sent_timestamp) / 1000), 0), message.body)
        for message in queue._messages.values()
    ]
    queue.clear()
    return found


@pytest.mark.parametrize("at", ["sqs.send_message", "sqs.delete_message", "dynamodb.update_item"])
def test_a_redrive_that_is_cut_off_loses_nothing_and_starts_nothing_twice(
    pier: Pier, at: str
) -> None:
    ids = pier.die(*({"data": {"n": n}} for n in range(7)))
    pier.start()
    [text] = bodies(pier.stage.cloud.matcher.queue_url)
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, at)
        with pytest.raises(ProcessDied):
            pier.stage.matcher.handle(batch([{"messageId": "1", "body": text}]))
    come_back(pier.wiring.dead_letter_url)
    client("sqs").send_message(QueueUrl=pier.stage.cloud.matcher.queue_url, MessageBody=text)
    match(pier.stage)
    pier.work()
    assert pier.depth() == 0
    assert [pier.run(one).status for one in ids] == [Status.COMPLETED] * 7  # type: ignore[union-attr]
    assert len(pier.calls) == 7


def come_back(queue_url: str) -> None:
    """Let what somebody died with in hand be seen again, as after the visibility timeout."""
    queue = get_backend("sqs")[ACCOUNT_ID][REGION].queues[queue_url.rpartition("/")[2]]
    for message in list(queue._messages.values()):
        if message.receipt_handle:
            queue.change_visibility(message.receipt_handle, 0)


def test_a_redrive_waits_for_what_somebody_has_in_hand(pier: Pier) -> None:
    pier.die({"data": {}})
    client("sqs").receive_message(QueueUrl=pier.wiring.dead_letter_url, VisibilityTimeout=60)
    job = pier.start()
    [text] = bodies(pier.stage.cloud.matcher.queue_url)
    pier.stage.matcher.handle(batch([{"messageId": "1", "body": text}]))
    assert pier.job(job)["status"] == "Running"
    [(delay_s, text)] = delayed(pier.stage.cloud.matcher.queue_url)
    assert delay_s == redrive.PAUSE_S
    come_back(pier.wiring.dead_letter_url)
    pier.stage.matcher.handle(batch([{"messageId": "2", "body": text}]))
    match(pier.stage)
    assert (pier.job(job)["status"], pier.job(job)["done"]) == ("Completed", 1)


def test_a_redrive_does_not_wait_for_ever(pier: Pier) -> None:
    pier.die({"data": {}})
    client("sqs").receive_message(QueueUrl=pier.wiring.dead_letter_url, VisibilityTimeout=600)
    job = pier.redrive()
    assert (job["status"], job["found"]) == ("Completed", 0)


def test_what_one_letter_fails_of_is_no_matter_of_the_others(pier: Pier) -> None:
    ids = pier.die(*({"data": {"n": n}} for n in range(3)))
    delete, failures = DeadLetterQueue.delete, [PlatformError("SQS did not answer")]

    def delete_at_last(queue: DeadLetterQueue, letter: DeadLetter) -> None:
        if failures:
            raise failures.pop()
        delete(queue, letter)

    chosen = [letter["id"] for letter in pier.letters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeadLetterQueue, "delete", delete_at_last)
        job = pier.redrive(message_ids=chosen)
    assert (job["status"], job["found"], job["done"], job["skipped"]) == ("Completed", 3, 3, 0)
    assert "note" not in job
    pier.work()
    assert len(pier.calls) == len(ids)


def test_a_redrive_ends_though_it_can_never_see_all_others_at_once(
    pier: Pier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "_LOOKED_AT", 10)
    pier.die({"data": {}})
    pier.die(*({"data": {"n": n}} for n in range(30)), env="branch")
    job = recorded(pier, pier.start(per_second=1))
    assert job is not None
    done, note = 0, None
    for _ in range(50):
        page = pier.stage.jobs.redriver.page(job, 1)
        job, done, note = replace(job, cursor=page.cursor), done + page.done, page.note
        if page.cursor == AT_END:
            break
        come_back(pier.wiring.dead_letter_url)
        pier.stage.clock.advance(seconds=60)
    assert (job.cursor, done) == (AT_END, 1)
    assert note is not None
    assert "more letters of other environments" in note


def test_a_stopped_redrive_moves_no_more(pier: Pier) -> None:
    pier.die({"data": {}})
    job = pier.start()
    assert pier.rest.delete(f"/v1/redrives/{job['id']}").data["status"] == "Stopped"
    match(pier.stage)
    assert pier.depth() == 1


def test_what_scheduler_left_goes_back_as_what_it_was_to_deliver(pier: Pier) -> None:
    message = pier.deployed.send(data={"n": 1})
    request = {"MessageBody": message.encode(), "QueueUrl": "https://gone"}
    pier.bury(json.dumps(request), SCHEDULE_ARN="arn:s", ERROR_CODE="X", ERROR_MESSAGE="y")
    assert pier.redrive(until=pier.stage.clock.ms + 60_000)["done"] == 1
    assert pier.stage.messages(pier.deployed.function) == [message]


def test_what_scheduler_cut_off_stays(pier: Pier) -> None:
    pier.bury(
        '{"MessageBody": "{\\"ev', SCHEDULE_ARN="arn:s", ERROR_CODE="X", IS_PAYLOAD_TRUNCATED="true"
    )
    job = pier.redrive(until=pier.stage.clock.ms + 60_000)
    assert (job["done"], job["skipped"]) == (0, 1)
    assert "Scheduler left only a part of it here" in job["note"]
    assert len(pier.letters()) == 1


def test_a_run_that_crashed_goes_on_where_it_was(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def two_steps(ctx: ContextSync) -> str:
        ctx.step.run("first", lambda: done.append("first"))
        ctx.step.sleep("rest", timedelta(hours=1))
        ctx.step.run("second", lambda: done.append("second"))
        return "done"

    deployed = Deployed(stage, two_steps)
    message = deployed.send(data={})
    deployed.handle(message)
    stage.clock.advance(hours=2)
    # The message that resumes it has died meanwhile.
    wiring = stage.cloud.wiring[FUNCTION]
    [resuming] = [one.encode() for one in waiting(stage, deployed.function)]
    client("sqs").send_message(QueueUrl=wiring.dead_letter_url, MessageBody=resuming)
    rest = Rest(load_handler(stage, monkeypatch))
    stage.clock.ms = max(stage.clock.ms, now_of_sqs() + 1_000)
    rest.post("/v1/redrives", {"function_id": FUNCTION})
    match(stage)
    deployed.drive()
    assert done == ["first", "second"]


# --- deleting them --------------------------------------------------------------------------------


def test_they_can_be_deleted(pier: Pier) -> None:
    pier.die(*({"data": {"n": n}} for n in range(12)))
    chosen = [letter["id"] for letter in pier.letters()[:2]]
    job = pier.start("/v1/dead_letter_deletions", message_ids=chosen)
    match(pier.stage)
    assert pier.job(job)["done"] == 2
    assert pier.depth() == 10
    pier.stage.clock.advance(seconds=1)
    job = pier.start("/v1/dead_letter_deletions")
    match(pier.stage)
    assert (pier.job(job)["status"], pier.job(job)["done"]) == ("Completed", 10)
    assert bodies(pier.wiring.queue_url) == []
    assert pier.rest.get("/v1/dead_letter_deletions").data[0]["id"] == job["id"]


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "function_id is required"),
        ({"function_id": "nope"}, 404, "Function not found: nope; see GET /v1/dead_letter_queues"),
        ({"function_id": FUNCTION, "message_ids": []}, 400, "message_ids: List should have at"),
        ({"function_id": FUNCTION, "message_ids": ["x"] * 101}, 400, "message_ids: List should"),
        ({"function_id": FUNCTION, "message_ids": [3]}, 400, "message_ids.0: Input should be a"),
        ({"function_id": FUNCTION, "message_ids": ["x" * 101]}, 400, "message_ids.0: String sh"),
        ({"function_id": FUNCTION, "per_second": 0}, 400, "per_second: Input should be greater"),
        ({"function_id": FUNCTION, "ids": ["x"]}, 400, "unknown field 'ids'; known are function"),
        (
            {"function_id": FUNCTION, "from": "2026-11-02", "until": "2026-11-01"},
            400,
            "from must be earlier than until, and than now",
        ),
    ],
)
def test_a_wrong_redrive_is_told(pier: Pier, body: dict[str, Any], status: int, error: str) -> None:
    answer = pier.rest.post("/v1/redrives", body)
    assert answer.status == status
    assert answer.body["error"].startswith(error)


def test_new_functions_are_found_within_a_minute(pier: Pier) -> None:
    assert {one["function_id"] for one in pier.rest.get("/v1/dead_letter_queues").data} == {
        FUNCTION,
        "matcher",
    }
    many = [
        function_of(lambda ctx: None, fn_id=f"f{n}", trigger=TriggerEvent(event="app/a"))
        for n in range(30)
    ]
    pier.stage.deploy(*many)
    pier.stage.clock.advance(seconds=61)
    found = [one["function_id"] for one in pier.rest.get("/v1/dead_letter_queues").data]
    # A function that is gone keeps its queues.
    assert found == [*sorted([FUNCTION, *(one.id for one in many)]), "matcher"]


def test_a_letter_of_a_removed_function_says_how_often_it_was_received(pier: Pier) -> None:
    pier.die({"data": {}})
    pier.stage.deploy(function_of(lambda ctx: None, fn_id="other"))
    removed = pier.stage.manifest.deployed_function(FUNCTION)
    assert removed is not None
    with pytest.MonkeyPatch.context() as patch:
        rest = Rest(load_handler(pier.stage, patch))
        [letter] = rest.get(f"/v1/functions/{FUNCTION}/dead_letters").data["dead_letters"]
    assert letter["reason"].startswith(f"received {removed.max_receive_count} times")
