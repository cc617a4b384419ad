"""DynamoDB's limits, and what is done at each of them.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html. Moto lacks some
of them, or has them elsewhere; tests of these are for the server alone.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import ENV, Stage
from tests.aws.deployed import Deployed
from tests.aws.rest import Rest, load_handler
from tidegate.attempt import MAX_KEPT, Attempt
from tidegate.aws import client
from tidegate.batch_put import put_items
from tidegate.environments import MAX_ENV_LENGTH, PREFIX, Environments
from tidegate.errors import NotFoundError, PlatformError
from tidegate.event import MAX_NAME_LENGTH, AcceptedEvent, event_body
from tidegate.ids import random_ulid
from tidegate.large import MAX_INLINE_BYTES, is_large
from tidegate.rerun_notes import MAX_RERUNS
from tidegate.run import Failure, Run, Status
from tidegate.run_item import item_of
from tidegate.step import MAX_STEP_ID_LENGTH, Op, StepId, StepRecord, StepState
from tidegate.stores import MAX_PUT
from tidegate.wait import Condition, Wait, WaitKey
from tidegate.wait_store import wait_item

pytestmark = pytest.mark.storage

NOW_MS = 1_760_000_000_000
MAX_ITEM_BYTES = 400 * 1024
_numbers = itertools.count()


def key(sk: str = "s") -> dict[str, Any]:
    return {"pk": {"S": f"limit {next(_numbers)}"}, "sk": {"S": sk}}


def puts(count: int) -> list[Any]:
    pk = key()["pk"]
    return [{"PutRequest": {"Item": {"pk": pk, "sk": {"S": f"{n:04}"}}}} for n in range(count)]


def run_with(**changes: Any) -> Run:
    run = Run(
        id=random_ulid(NOW_MS),
        env=ENV,
        function_id="f",
        event_id=random_ulid(NOW_MS),
        status=Status.RUNNING,
        attempt=0,
        queued_ms=NOW_MS,
        lease="mine",
        lease_until_ms=NOW_MS + 1_000,
    )
    return replace(run, **changes)


# The longest that a text in an item may be: each character has two bytes, and JSON escapes none.
LONGEST = '"' + "é" * ((MAX_INLINE_BYTES - 2) // 2) + '"'
TRIED = tuple(Attempt(n, NOW_MS, NOW_MS, "é" * 100, "é" * 200) for n in range(MAX_KEPT))


# --- batches --------------------------------------------------------------------------------------


@pytest.mark.storage("server")
def test_a_batch_has_at_most_25_puts(stage: Stage) -> None:
    table = stage.settings.runs_table
    assert MAX_PUT == 25
    for count in (0, MAX_PUT + 1):
        with pytest.raises(ClientError, match="ValidationException"):
            client("dynamodb").batch_write_item(RequestItems={table: puts(count)})


def test_a_batch_has_no_key_twice(stage: Stage) -> None:
    table, [put] = stage.settings.runs_table, puts(1)
    with pytest.raises(ClientError, match="contains duplicates"):
        client("dynamodb").batch_write_item(RequestItems={table: [put, put]})


def test_many_items_are_put_in_batches(stage: Stage) -> None:
    table = stage.settings.runs_table
    items = [put["PutRequest"]["Item"] for put in puts(2 * MAX_PUT + 1)]
    put_items(table, items, stage.clock, "no")
    put_items(table, [], stage.clock, "no")
    found = client("dynamodb").query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": items[0]["pk"]},
        ConsistentRead=True,
    )
    assert found["Items"] == items


@pytest.mark.storage("server")
def test_of_a_batch_with_an_item_that_is_too_large_none_is_put(stage: Stage) -> None:
    table, good = stage.settings.runs_table, key()
    items: list[Any] = [good, {**key(), "text": {"S": "x" * MAX_ITEM_BYTES}}]
    with pytest.raises(PlatformError, match=r"not stored: .*Item size has exceeded") as raised:
        put_items(table, items, stage.clock, "not stored")
    assert not raised.value.is_passing, "trying again does not help"
    assert "Item" not in client("dynamodb").get_item(TableName=table, Key=good)


def test_the_same_event_twice_is_stored_once(stage: Stage) -> None:
    internal_id = random_ulid(NOW_MS)
    body = event_body(name="app/a", data={}, event_id=internal_id, ts=NOW_MS)
    event = AcceptedEvent(internal_id, ENV, "app/a", NOW_MS, NOW_MS, body)
    stage.store.put([event] * 3)
    assert stage.store.contains(ENV, internal_id)


def test_a_batch_of_the_largest_events_is_stored(stage: Stage) -> None:
    """The name and the body are as long as they can be: 25 of them stay far below 16 MB."""
    name = "🌊" * MAX_NAME_LENGTH
    events = []
    for _ in range(MAX_PUT):
        internal_id = random_ulid(NOW_MS)
        body = event_body(name=name, data={"x": ""}, event_id=internal_id, ts=NOW_MS)
        body = body.replace(
            '"x":""', f'"x":"{"é" * ((MAX_INLINE_BYTES - len(body.encode())) // 2)}"'
        )
        assert not is_large(body)
        assert is_large(body.replace("é", "éé", 1))
        events.append(AcceptedEvent(internal_id, ENV, name, NOW_MS, NOW_MS, body))
    stage.store.put(events)
    for event in events:
        assert stage.store.get(ENV, event.internal_id, NOW_MS) == event


def test_a_batch_has_at_most_100_keys_to_get(stage: Stage) -> None:
    table = stage.settings.runs_table
    with pytest.raises(ClientError, match="ValidationException"):
        client("dynamodb").batch_get_item(
            RequestItems={table: {"Keys": [key() for _ in range(101)]}}
        )


def test_many_runs_are_got_in_batches(stage: Stage) -> None:
    runs = [run_with() for _ in range(230)]
    put_items(stage.settings.runs_table, [item_of(run, 60) for run in runs], stage.clock, "no")
    ids = [run.id for run in runs]
    found = stage.runs.get_all(ENV, [*ids, *ids[:50], random_ulid(NOW_MS)])
    assert found == sorted(runs, key=lambda run: run.id)
    assert stage.runs.get_all(ENV, []) == []


def test_the_largest_runs_are_got_at_once(stage: Stage) -> None:
    """100 of them have 10 MB; what does not fit into an answer is asked for again."""
    items: list[Any] = []
    reruns = {"reruns": {"SS": [random_ulid(NOW_MS) for _ in range(MAX_RERUNS)]}}
    for _ in range(100):
        run = run_with(attempts=TRIED)
        items.append({**item_of(run, 60), "output": {"S": LONGEST}, **reruns})
    put_items(stage.settings.runs_table, items, stage.clock, "no")
    found = stage.runs.get_all(ENV, [item["sk"]["S"] for item in items])
    assert len(found) == 100
    assert {(len(run.reruns), run.output) for run in found} == {(MAX_RERUNS, LONGEST)}


# --- items ----------------------------------------------------------------------------------------


@pytest.mark.storage("server")
@pytest.mark.parametrize("spare", [0, 1])
def test_an_item_has_at_most_400_kb(stage: Stage, spare: int) -> None:
    item = key()
    size = sum(len(name) + len(value["S"]) for name, value in item.items()) + len("text")
    text = "x" * (MAX_ITEM_BYTES - size + 1 - spare)

    def put() -> None:
        client("dynamodb").put_item(
            TableName=stage.settings.runs_table, Item={**item, "text": {"S": text}}
        )

    if spare:
        put()
        return
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        put()


def test_the_largest_record_of_a_run_can_be_written(stage: Stage) -> None:
    run = run_with(
        env="~" * MAX_ENV_LENGTH,
        event_name="🌊" * MAX_NAME_LENGTH,
        cancels=("🌊" * MAX_NAME_LENGTH,) * 5,
        attempts=TRIED,
    )
    assert stage.runs.create(run) is None
    failure = Failure("é" * 16_000, "é" * 16_000, "é" * 16_000)
    assert stage.runs.release(run, NOW_MS, attempt=1, failure=failure)
    waiting = stage.runs.get(run.env, run.id)
    assert waiting is not None
    mine = replace(waiting, lease="mine", due_ms=None)
    assert stage.runs.take(waiting, mine)
    ended = replace(mine, status=Status.COMPLETED, output=LONGEST, ended_ms=NOW_MS)
    assert stage.runs.end(mine, ended)
    found = stage.runs.get(run.env, run.id)
    assert found is not None
    assert (found.output, found.cancels, found.attempts) == (LONGEST, run.cancels, TRIED)


def test_the_largest_record_of_a_step_can_be_written(stage: Stage) -> None:
    run = run_with(env="~" * MAX_ENV_LENGTH)
    step = StepId("🌊" * MAX_STEP_ID_LENGTH, 9_999)
    record = StepRecord(
        step, Op.RUN, StepState.COMPLETED, NOW_MS, NOW_MS, memo=LONGEST, attempts=TRIED
    )
    stage.steps.put(run, record)
    [found] = stage.steps.load(run).values()
    assert (found.step, found.memo, found.attempts) == (step, LONGEST, TRIED)


def test_the_largest_wait_can_be_written(stage: Stage) -> None:
    name = "🌊" * MAX_NAME_LENGTH
    wait = Wait(
        env="~" * MAX_ENV_LENGTH,
        run_id=random_ulid(NOW_MS),
        function_id="f" * 128,
        step=StepId("🌊" * MAX_STEP_ID_LENGTH),
        op=Op.WAIT_FOR_EVENT,
        since_ms=NOW_MS,
        due_ms=NOW_MS + 1,
        # A body in a message is a text within a text.
        message='\\"' * MAX_INLINE_BYTES,
        event_id=random_ulid(NOW_MS),
        event_name=name,
        condition=Condition("é" * 1_000, "é" * 1_000, "é" * 4_096, "é" * 4_096),
        stored_ms=NOW_MS,
        cancels=False,
    )
    assert len(wait_item(wait)["pk"]["S"].encode()) <= 2_048
    stage.waits.put(wait)
    found = stage.waits.get(WaitKey(wait.env, name, wait.run_id, wait.step.hashed))
    assert found == wait
    assert [list(page) for page in stage.waits.waiting_for(wait.env, name)] == [[wait]]


# --- what is too long -----------------------------------------------------------------------------


TOO_LONG = {
    "id of a step": (
        lambda ctx: ctx.step.run("x" * (MAX_STEP_ID_LENGTH + 1), int),
        "its id has 1001 characters; at most 1000",
    ),
    "event waited for": (
        lambda ctx: ctx.step.wait_for_event(
            "w", event="x" * (MAX_NAME_LENGTH + 1), timeout=timedelta(1)
        ),
        "is no event's name: ",
    ),
    "match": (
        lambda ctx: ctx.step.wait_for_event(
            "w", event="app/b", match="data." + "x" * 1_000, timeout=timedelta(1)
        ),
        "match has 1005 characters; at most 1000",
    ),
}


@pytest.mark.parametrize("what", TOO_LONG)
def test_what_has_no_place_in_a_record_fails_the_run_and_says_so(stage: Stage, what: str) -> None:
    handler, fault = TOO_LONG[what]
    deployed = Deployed(stage, handler)
    message = deployed.send()
    assert deployed.handle(message) == []
    run = deployed.run_of(message)
    assert run.status == Status.FAILED
    failure = json.loads(run.output or "")
    assert failure["name"] == "StepUsageError"
    assert fault in failure["message"]


@pytest.mark.parametrize("length", [MAX_ENV_LENGTH + 1, 2_048 - len(PREFIX) + 1])
def test_an_environment_with_a_name_that_none_can_have_is_not_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    environments = Environments(stage.settings.keys_table, stage.clock)
    rest = Rest(load_handler(stage, monkeypatch))
    for act in ("archive", "unarchive"):
        with pytest.raises(NotFoundError, match="no branch key has opened"):
            getattr(environments, act)("x" * length)
        assert rest.post(f"/v1/environments/{'x' * length}/{act}").status == 404


# --- keys and values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pk", "sk", "fault"),
    [
        ("", "s", "empty string"),
        ("p", "", "empty string"),
        ("é" * 1_024 + "x", "s", "exceeded the maximum size limit of ?2048 bytes"),
        ("p", "é" * 512 + "x", "exceeded the size limit of 1024 bytes"),
    ],
    ids=["empty partition", "empty sort", "long partition", "long sort"],
)
def test_keys_that_cannot_be(stage: Stage, pk: str, sk: str, fault: str) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}}
    with pytest.raises(ClientError, match=fault):
        client("dynamodb").put_item(TableName=stage.settings.runs_table, Item=item)


def test_the_longest_keys_and_what_is_claimed_by_longer_ones(stage: Stage) -> None:
    item = {"pk": {"S": "é" * 1_024}, "sk": {"S": "é" * 512}}
    client("dynamodb").put_item(TableName=stage.settings.runs_table, Item=item)
    dedup, env = stage.admission.dedup, "~" * MAX_ENV_LENGTH
    for sender_id in ("é" * 128, "é" * 128 + "x", "é" * 200_000):
        for function_id in ("", "f" * 128):
            claims = [
                dedup.claim(env, sender_id, owner, "app/a", NOW_MS, function_id=function_id)
                for owner in ("first", "second")
            ]
            assert [claim.is_first for claim in claims] == [True, False]


def test_an_empty_text_is_a_value(stage: Stage) -> None:
    item = {**key(), "text": {"S": ""}, "list": {"L": [{"S": ""}]}}
    client("dynamodb").put_item(TableName=stage.settings.runs_table, Item=item)
    assert stored(stage, item) == item


def test_a_number_keeps_38_digits(stage: Stage) -> None:
    item = {**key(), "n": {"N": "12345678901234567890123456789012345678"}}
    client("dynamodb").put_item(TableName=stage.settings.runs_table, Item=item)
    assert stored(stage, item) == item


@pytest.mark.storage("server")
def test_a_number_has_no_more_than_38_digits(stage: Stage) -> None:
    with pytest.raises(ClientError, match="38 significant digits"):
        client("dynamodb").put_item(
            TableName=stage.settings.runs_table, Item={**key(), "n": {"N": "1" * 39}}
        )


def test_numbers_of_any_length_are_safe_in_events_and_outputs(stage: Stage) -> None:
    """They travel and are stored as texts."""
    deployed = Deployed(stage, lambda ctx: [ctx.event.data["n"], ctx.step.run("a", lambda: 7**99)])
    message = deployed.send(data={"n": 10**300 + 1})
    deployed.handle(message)
    assert json.loads(deployed.run_of(message).output or "") == [10**300 + 1, 7**99]


def stored(stage: Stage, item: dict[str, Any]) -> Any:
    return client("dynamodb").get_item(
        TableName=stage.settings.runs_table,
        Key={name: item[name] for name in ("pk", "sk")},
        ConsistentRead=True,
    )["Item"]
