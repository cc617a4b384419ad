"""A function waits for an event, and gets it, once, whatever happens at the same time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, product
from typing import Any

import botocore.client
import pytest

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import Deployed, bodies, match, settle
from tidegate import Context, ContextSync, EventModel, ParallelMode
from tidegate.aws import client
from tidegate.bus import Bus
from tidegate.errors import PlatformError
from tidegate.ids import Seed
from tidegate.message import EventMessage
from tidegate.run import Run, Status
from tidegate.step import StepState
from tidegate.step_store import StepStore
from tidegate.wait import Condition

pytestmark = pytest.mark.storage

HOUR = timedelta(hours=1)


def waiter(**options: Any) -> Callable[[ContextSync], Any]:
    """A function that waits for `app/b` and returns what came."""

    def handler(ctx: ContextSync) -> Any:
        found = ctx.step.wait_for_event("b", **{"event": "app/b", "timeout": HOUR} | options)
        return None if found is None else found.model_dump(exclude_none=True)

    return handler


def began(deployed: Deployed, **event: Any) -> EventMessage:
    """Send an event, and let its run come as far as it does at once."""
    message = deployed.send(**event)
    assert deployed.handle(message) == []
    return message


def output(deployed: Deployed, message: EventMessage) -> Any:
    run = deployed.run_of(message)
    assert run.status == Status.COMPLETED, run
    return json.loads(deployed.stage.runs.output_of(run) or "")


def waiting_rows(stage: Stage) -> int:
    return len(client("dynamodb").scan(TableName=stage.settings.waits_table)["Items"])


def test_the_event_is_the_result(stage: Stage) -> None:
    deployed = Deployed(stage, waiter())
    message = began(deployed)
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING
    stage.clock.advance(seconds=60)
    [event_id] = stage.send({"name": "app/b", "data": {"n": 1}, "user": {"id": "u"}})
    sent_ms = stage.clock.ms
    settle(stage, deployed)
    assert output(deployed, message) == {
        "name": "app/b",
        "data": {"n": 1},
        "user": {"id": "u"},
        "id": event_id,
        "ts": sent_ms,
    }
    assert stage.clock.ms == sent_ms
    assert waiting_rows(stage) == 0


def test_async_functions_wait_too(stage: Stage) -> None:
    async def handler(ctx: Context) -> Any:
        found = await ctx.step.wait_for_event("b", event="app/b", timeout=60_000)
        return found and found.data

    deployed = Deployed(stage, handler)
    message = began(deployed)
    stage.send({"name": "app/b", "data": {"n": 1}})
    settle(stage, deployed)
    assert output(deployed, message) == {"n": 1}


def test_none_when_the_time_is_over(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(timeout=timedelta(days=3)))
    start_ms = stage.clock.ms
    message = began(deployed)
    match(stage)
    deployed.drive()
    assert output(deployed, message) is None
    assert stage.clock.ms - start_ms == 3 * 86_400_000
    assert waiting_rows(stage) == 0


def test_a_timeout_that_is_over_at_once_gives_none(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(timeout=0))
    message = began(deployed)
    assert output(deployed, message) is None
    assert waiting_rows(stage) == 0


def test_events_that_do_not_count(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(event="app/a"))
    stage.send({"name": "app/a", "data": {"too": "old"}})
    stage.clock.advance(seconds=6)
    bodies(stage.cloud.wiring[deployed.function.id].queue_url)
    message = began(deployed, data={"its": "own"})
    # The run's own event again, as a matcher would get it that is told late.
    stage.bus.publish([message.event], {message.event.internal_id})
    match(stage)
    stage.send({"name": "app/other"})
    stage.send({"name": "app/a", "data": {"another": "environment"}}, env="branch")
    match(stage)
    assert deployed.run_of(message).status == Status.RUNNING
    bodies(stage.cloud.wiring[deployed.function.id].queue_url)
    stage.send({"name": "app/a", "data": {"right": "one"}})
    match(stage)
    [record] = stage.steps.load(deployed.run_of(message)).values()
    assert json.loads(record.memo or "")["data"] == {"right": "one"}


def test_an_event_of_the_last_seconds_counts(stage: Stage) -> None:
    deployed = Deployed(stage, waiter())
    stage.send({"name": "app/b", "data": {"n": 1}})
    stage.clock.advance(seconds=0.1)
    stage.send({"name": "app/b", "data": {"n": 2}})
    stage.clock.advance(seconds=4.9)
    message = began(deployed)
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"n": 1}, "the first one"


def test_large_events_are_waited_for(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(match="data.key"))
    message = began(deployed, data={"key": "k", "text": "x" * 70_000})
    stage.send({"name": "app/b", "data": {"key": "k", "text": "y" * 300_000}})
    settle(stage, deployed)
    assert len(output(deployed, message)["data"]["text"]) == 300_000


# --- which event --------------------------------------------------------------------------------


def test_match_compares_a_field_with_the_runs_own_event(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(match="data.user.id"))
    message = began(deployed, data={"user": {"id": 7}})
    for data in ({}, {"user": 7}, {"user": {"id": "7"}}, {"user": {"id": 8}}):
        stage.send({"name": "app/b", "data": data})
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING
    stage.send({"name": "app/b", "data": {"user": {"id": 7, "more": 1}}})
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"user": {"id": 7, "more": 1}}


@pytest.mark.parametrize(
    ("value", "other", "is_met"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        ([1, 2], [2, 1], False),
        (None, None, True),
        (True, 1, False),
        ("x" * 5_000, "x" * 5_000, True),
        ("x" * 5_000, "x" * 5_001, False),
    ],
)
def test_match_compares_json(value: Any, other: Any, is_met: bool) -> None:
    condition = Condition.decode(Condition.of(None, "data.v", {"data": {"v": value}}).encode())
    assert condition.holds({}, {"data": {"v": other}}, 0) is is_met


def test_a_field_that_the_own_event_lacks_matches_nothing() -> None:
    assert not Condition.of(None, "data.v", {"data": {}}).holds({}, {"data": {}}, 0)


def test_an_expression_over_both_events(stage: Stage) -> None:
    expression = "async.data.order == event.data.order && async.data.total > 100"
    deployed = Deployed(stage, waiter(if_exp=expression))
    message = began(deployed, data={"order": 7, "text": "x" * 70_000})
    for data in ({"order": 8, "total": 200}, {"order": 7, "total": 100}, {"order": 7}, {}):
        stage.send({"name": "app/b", "data": data})
    settle(stage, deployed)
    assert deployed.run_of(message).status == Status.RUNNING
    stage.send({"name": "app/b", "data": {"order": 7, "total": 101}})
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"order": 7, "total": 101}


def test_an_expression_that_cannot_be_read_fails_the_run_at_once(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(if_exp="async.data.order =="))
    run = deployed.run_of(began(deployed))
    assert run.status == Status.FAILED
    assert "async.data.order ==" in json.loads(run.output or "")["message"]
    assert waiting_rows(stage) == 0


def test_an_expression_that_has_no_answer_concerns_its_own_run_alone(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        if_exp = ctx.event.data.get("if_exp")
        return bool(ctx.step.wait_for_event("b", event="app/b", if_exp=if_exp, timeout=HOUR))

    deployed = Deployed(stage, handler)
    broken = began(deployed, data={"if_exp": "async.data.n + 1"})
    plain = began(deployed)
    stage.send({"name": "app/b", "data": {"n": 1}})
    settle(stage, deployed)
    assert deployed.run_of(broken).status == Status.RUNNING
    assert output(deployed, plain) is True


def test_each_waiting_run_gets_the_event_and_only_those(stage: Stage) -> None:
    deployed = Deployed(stage, waiter(match="data.n"))
    messages = [began(deployed, data={"n": n % 2}) for n in range(4)]
    stage.send({"name": "app/b", "data": {"n": 1}})
    settle(stage, deployed)
    statuses = [deployed.run_of(message).status for message in messages]
    assert statuses == [Status.RUNNING, Status.COMPLETED] * 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"event": ""}, "'' is no event's name"),
        ({"event": "app/*"}, "takes one exact name"),
        ({"event": "inngest/function.finished"}, "system events cannot be waited for"),
        ({"timeout": timedelta(days=367)}, "waits for more than 366 days"),
    ],
)
def test_what_cannot_be_waited_for_is_named(
    stage: Stage, options: dict[str, Any], fault: str
) -> None:
    deployed = Deployed(stage, waiter(**options))
    message = began(deployed)
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    assert fault in json.loads(run.output or "")["message"]
    assert "'b'" in json.loads(run.output or "")["message"]


# --- beside other steps -------------------------------------------------------------------------


def test_waits_beside_each_other(stage: Stage) -> None:
    calls: list[str] = []

    def handler(ctx: ContextSync) -> Any:
        def wait(name: str) -> Any:
            found = ctx.step.wait_for_event(name, event=f"app/{name}", timeout=HOUR)
            ctx.step.run(f"after {name}", calls.append, name)
            return found and found.data["n"]

        return ctx.group.parallel([lambda: wait("b"), lambda: wait("c"), lambda: wait("never")])

    deployed = Deployed(stage, handler)
    message = began(deployed)
    for n, name in enumerate(("app/c", "app/b")):
        stage.send({"name": name, "data": {"n": n}})
        settle(stage, deployed)
    assert calls == ["c", "b"]
    deployed.drive()
    assert output(deployed, message) == [1, 0, None]
    assert calls == ["c", "b", "never"]


def test_a_race_that_is_won_by_an_event_forgets_the_other_waits(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        def wait(name: str) -> str:
            ctx.step.wait_for_event(name, event=f"app/{name}", timeout=HOUR)
            return name

        def rest() -> str:
            ctx.step.sleep("rest", timedelta(days=1))
            return "rest"

        branches = [rest, lambda: wait("b"), lambda: wait("c")]
        return ctx.group.parallel(branches, ParallelMode.RACE)

    deployed = Deployed(stage, handler)
    message = began(deployed)
    assert waiting_rows(stage) == 2
    stage.send({"name": "app/c"})
    settle(stage, deployed)
    assert output(deployed, message) == ["c"]
    assert waiting_rows(stage) == 0


def test_a_run_that_fails_leaves_no_wait_behind(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        def fail() -> None:
            raise ValueError

        return ctx.group.parallel(
            [
                lambda: ctx.step.wait_for_event("b", event="app/b", timeout=HOUR),
                lambda: ctx.step.run("fails", fail),
            ]
        )

    deployed = Deployed(stage, handler, retries=0)
    message = began(deployed)
    assert deployed.run_of(message).status == Status.FAILED
    assert waiting_rows(stage) == 0


def test_what_a_crash_behind_the_end_left_waiting_is_forgotten_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(ctx: ContextSync) -> Any:
        ctx.group.parallel(
            [lambda: ctx.step.wait_for_event("b", event="app/b", timeout=HOUR), lambda: 1],
            ParallelMode.RACE,
        )

    deployed = Deployed(stage, handler)
    message = deployed.send()
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.waits), "delete", _refusing)
        assert deployed.handle(message)
    assert deployed.run_of(message).status == Status.COMPLETED
    assert waiting_rows(stage) == 1
    assert deployed.handle(message) == []
    assert waiting_rows(stage) == 0


def _refusing(*_: Any) -> Any:
    raise PlatformError("out of order")


# --- who is first -------------------------------------------------------------------------------


def test_event_and_timeout_give_one_result(stage: Stage) -> None:
    """The event comes in time; the run is called for the time-out before it is woken."""
    deployed = Deployed(stage, waiter())
    message = began(deployed)
    stage.clock.advance(seconds=3_599)
    stage.send({"name": "app/b", "data": {"n": 1}})
    match(stage)
    stage.clock.advance(seconds=10)
    for late in (message, message):
        assert deployed.handle(late) == []
    assert output(deployed, message)["data"] == {"n": 1}


def test_an_event_behind_the_timeout_changes_nothing(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        found = ctx.step.wait_for_event("b", event="app/b", timeout=HOUR)
        ctx.step.sleep("rest", HOUR)
        return found

    deployed = Deployed(stage, handler)
    message = began(deployed)
    match(stage)
    wait = next(stage.waits.waiting_for(ENV, "app/b"))[0]
    stage.clock.advance(hours=1)
    assert deployed.handle(message) == []
    # The matcher had read the wait before it was deleted.
    stage.waker.complete(wait, StepState.COMPLETED, '{"data":{}}')
    stage.clock.advance(hours=1)
    assert deployed.handle(message) == []
    assert output(deployed, message) is None


def test_an_event_that_comes_while_the_run_is_leased_is_not_late(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wake is sent back, so whoever drives the run looks once more before leaving it."""
    deployed = Deployed(stage, waiter())
    message = deployed.send()
    release = type(stage.runs).release
    sent_back: list[str] = []

    def releasing(runs: Any, run: Run, *arguments: Any, **options: Any) -> bool:
        stage.send({"name": "app/b"})
        match(stage)
        wakes = [EventMessage.decode(body) for body in bodies(queue_url)]
        sent_back.extend(deployed.handle(*wakes))
        return release(runs, run, *arguments, **options)

    queue_url = stage.cloud.wiring[deployed.function.id].queue_url
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.runs), "release", releasing)
        assert deployed.handle(message) == []
    assert len(sent_back) == 1
    settle(stage, deployed)
    assert output(deployed, message)["name"] == "app/b"


def test_a_wake_of_a_run_that_is_gone_starts_nothing(stage: Stage) -> None:
    deployed = Deployed(stage, waiter())
    message = deployed.send()
    stage.bus.send_to(deployed.function.id, EventMessage(message.event, wakes=True))
    [wake] = [EventMessage.decode(record["body"]) for record in stage.queued(deployed.function)]
    assert wake.wakes
    assert deployed.handle(wake) == []
    assert stage.steps.load(Run("x", ENV, "f", "e", Status.RUNNING, 0, 0)) == {}
    with pytest.raises(AssertionError):
        deployed.run_of(wake)


@pytest.mark.parametrize("dies_at", ["put", "send_to", "delete"])
def test_a_matcher_that_dies_does_it_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    deployed = Deployed(stage, waiter())
    message = began(deployed)
    match(stage)
    stage.send({"name": "app/b", "data": {"n": 1}})
    [body] = bodies(stage.cloud.matcher.queue_url)
    records = [{"messageId": "1", "body": body}]
    where = {"put": StepStore, "send_to": type(stage.bus), "delete": type(stage.waits)}
    with monkeypatch.context() as patch:
        patch.setattr(where[dies_at], dies_at, _refusing)
        answer = stage.matcher.handle(batch(records))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert stage.matcher.handle(batch(records)) == {"batchItemFailures": []}
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"n": 1}
    assert waiting_rows(stage) == 0


@pytest.mark.parametrize("dies_at", ["waits", "looks", "step"])
def test_a_wait_that_is_stored_in_part_is_stored_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    deployed = Deployed(stage, waiter())
    message = deployed.send()
    refuse = {
        "waits": ("PutItem", "waits"),
        "looks": ("SendMessageBatch", ""),
        "step": ("PutItem", "steps"),
    }
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def calling(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if (operation, _table(arguments)) == refuse[dies_at]:
            raise SystemExit
        return call(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", calling)
        patch.setattr(type(stage.runs), "end", _refusing)
        patch.setattr(type(stage.runs), "release", _refusing)
        assert deployed.handle(message)
    stage.clock.advance(seconds=200)
    assert deployed.handle(message) == []
    stage.send({"name": "app/b", "data": {"n": 1}})
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"n": 1}


def _table(arguments: dict[str, Any]) -> str:
    return str(arguments.get("TableName", "")).removeprefix("tidegate-")


# --- an event that comes while the wait is being stored ------------------------------------------

INGEST = {
    ("Query", "waits"): "ask",
    ("BatchWriteItem", ""): "store",
    ("PublishBatch", ""): "publish",
}
# What the worker does for a wait, and then for suspending the run.
WORKER = [
    ("PutItem", "waits"),
    ("SendMessageBatch", ""),
    ("PutItem", "steps"),
    ("UpdateItem", "runs"),
    ("Query", "steps"),
]


class Race:
    """Lets the calls of an ingest request happen before chosen calls of the worker.

    Args:
        stage: the stage.
        points: before which call of the worker each call of ingest happens, in ingest's order;
            behind the last one is after the run was suspended.
    """

    def __init__(self, stage: Stage, points: dict[str, int]) -> None:
        self.stage = stage
        self.points = points
        self.seen: list[tuple[str, str]] = []
        self._call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]
        self._worker = threading.current_thread()
        self._may = {name: threading.Event() for name in points}
        self._did = {name: threading.Event() for name in points}
        self._is_matching = False

    def call(self, caller: Any, operation: str, arguments: dict[str, Any]) -> Any:
        """In the place of boto3's."""
        key = (operation, _table(arguments))
        if threading.current_thread() is self._worker:
            return self._worker_calls(caller, key, arguments)
        if key not in INGEST:
            return self._call(caller, operation, arguments)
        name = INGEST[key]
        assert self._may[name].wait(10)
        try:
            return self._call(caller, operation, arguments)
        finally:
            self._did[name].set()

    def let(self, point: int) -> None:
        """Let ingest's calls of a point happen."""
        for name, its_point in self.points.items():
            if its_point == point:
                self._may[name].set()
                assert self._did[name].wait(10)

    def _worker_calls(self, caller: Any, key: tuple[str, str], arguments: dict[str, Any]) -> Any:
        if self._is_matching or key not in WORKER:
            return self._call(caller, key[0], arguments)
        assert key == WORKER[len(self.seen)]
        self.let(len(self.seen))
        self.seen.append(key)
        answer = self._call(caller, key[0], arguments)
        if key[0] == "SendMessageBatch":
            # The first look is taken as early as can be.
            self._is_matching = True
            look = arguments["Entries"][0]["MessageBody"]
            assert arguments["Entries"][0]["DelaySeconds"] == 0
            record = {"messageId": "look", "body": look}
            assert self.stage.matcher.handle(batch([record])) == {"batchItemFailures": []}
            left = bodies(self.stage.cloud.matcher.queue_url)
            left.remove(look)
            for body in left:
                client("sqs").send_message(
                    QueueUrl=self.stage.cloud.matcher.queue_url, MessageBody=body
                )
            self._is_matching = False
        return answer


def interleavings(*, with_id: bool) -> Iterator[dict[str, int]]:
    behind = len(WORKER)
    for ask, other in product(range(behind + 1), repeat=2):
        if with_id and ask <= other:
            for store in sorted({other, behind}):
                yield {"ask": ask, "publish": other, "store": store}
        elif not with_id:
            for publish in sorted({max(ask, other), behind}):
                yield {"ask": ask, "store": other, "publish": publish}


@pytest.mark.parametrize("with_id", [False, True])
def test_no_event_is_lost_wherever_it_meets_the_storing_of_the_wait(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, with_id: bool
) -> None:
    def handler(ctx: ContextSync) -> Any:
        name = ctx.event.data["waits_for"]
        found = ctx.step.wait_for_event("b", event=name, timeout=HOUR)
        return found and found.data

    deployed = Deployed(stage, handler)
    numbers = count()
    for points in interleavings(with_id=with_id):
        name = f"app/{next(numbers)}"
        message = deployed.send(data={"waits_for": name})
        race = Race(stage, points)
        sent = {"name": name, "data": points} | ({"id": name} if with_id else {})
        ingest = threading.Thread(target=stage.send, args=[sent])
        with monkeypatch.context() as patch:
            patch.setattr(
                botocore.client.BaseClient, "_make_api_call", lambda *a, race=race: race.call(*a)
            )
            ingest.start()
            assert deployed.handle(message) == []
            if deployed.run_of(message).status == Status.RUNNING:
                assert race.seen == WORKER
            for point in range(len(race.seen), len(WORKER) + 1):
                race.let(point)
            ingest.join(10)
        settle(stage, deployed)
        assert output(deployed, message) == points
        assert waiting_rows(stage) == 0


def test_the_first_look_finds_what_was_stored_before_without_delay(stage: Stage) -> None:
    """An ingest request asked before the wait was stored, and stored its event before the look."""
    deployed = Deployed(stage, waiter())
    stage.send({"name": "app/b"})
    message = began(deployed)
    looks = bodies(stage.cloud.matcher.queue_url)
    assert len(looks) == 2
    stage.matcher.handle(batch([{"messageId": "1", "body": looks[0]}]))
    settle(stage, deployed)
    assert output(deployed, message)["name"] == "app/b"


class Answered(EventModel, name="app/answered.typed"):
    """An answer, as a class."""

    n: int


def test_an_event_is_waited_for_by_its_class(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> Any:
        came = ctx.step.wait_for_event("b", event=Answered, timeout=60_000)
        return came and [type(came.data).__name__, came.data.n + 1]

    deployed = Deployed(stage, handler)
    message = began(deployed)
    stage.send({"name": "app/answered.typed", "data": {"n": 1}})
    settle(stage, deployed)
    assert output(deployed, message) == ["Answered", 2]


def test_what_does_not_fit_the_class_fails_the_run_with_the_reason(stage: Stage) -> None:
    def handler(ctx: ContextSync) -> None:
        ctx.step.wait_for_event("b", event=Answered, timeout=60_000)

    deployed = Deployed(stage, handler)
    message = began(deployed)
    stage.send({"name": "app/answered.typed", "data": {"n": "many"}})
    settle(stage, deployed)
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    failure = json.loads(stage.runs.output_of(run) or "")
    assert failure["name"] == "EventValidationError"
    assert "app/answered.typed" in failure["message"]
    assert run.attempt == 0


@pytest.mark.parametrize("hours", [-2, 2])
def test_an_event_whose_id_has_another_time_is_not_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A look goes by the times of ids; they are a sender's clock's, or those of a sending run."""
    deployed = Deployed(stage, waiter())
    message = deployed.send()
    publish = Bus.publish

    def begin_to_wait(*args: Any) -> None:
        # Ingest has asked and stored, and the wait is stored only now.
        monkeypatch.setattr(Bus, "publish", publish)
        assert deployed.handle(message) == []
        publish(*args)

    monkeypatch.setattr(Bus, "publish", begin_to_wait)
    seed = Seed.random(stage.clock.ms + hours * 3_600_000)
    stage.send({"name": "app/b", "data": {"n": 1}}, seed=seed)
    settle(stage, deployed)
    assert output(deployed, message)["data"] == {"n": 1}


def test_what_lost_a_race_does_not_shorten_the_wait_for_a_retry(stage: Stage) -> None:
    tried_ms: list[int] = []

    def waits(ctx: ContextSync) -> None:
        ctx.step.wait_for_event("loser", event="app/b", timeout=timedelta(days=1))

    def handler(ctx: ContextSync) -> str:
        branches = (lambda: waits(ctx), lambda: ctx.step.run("winner", lambda: 1))
        ctx.group.parallel(branches, ParallelMode.RACE)
        tried_ms.append(stage.clock.ms)
        if len(tried_ms) < 3:
            raise ValueError("again")
        return "done"

    deployed = Deployed(stage, handler)
    message = deployed.send()
    assert deployed.handle(message) == []
    for _ in range(2):
        retry_ms = deployed.run_of(message).due_ms
        assert retry_ms is not None
        assert retry_ms >= stage.clock.ms + 15_000
        stage.clock.advance(seconds=1)
        stage.send({"name": "app/b"})
        settle(stage, deployed)
        assert deployed.run_of(message).due_ms == retry_ms
        stage.clock.ms = retry_ms
        deployed.handle_due()
        assert tried_ms[-1] == retry_ms
    assert deployed.run_of(message).output == '"done"'
