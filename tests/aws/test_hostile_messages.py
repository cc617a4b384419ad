"""Whatever lies in a queue: nothing crashes, the rest of a batch is handled, nothing is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.aws.conftest import ENV, Stage, batch
from tests.aws.deployed import TIMEOUT_MS, Deployed, bodies, waiting
from tidegate.bulk_job import BulkJob, JobKind, JobMessage
from tidegate.context import ContextSync
from tidegate.ids import ulid_at
from tidegate.look import LookMessage
from tidegate.message import EventMessage
from tidegate.run import Status
from tidegate.wait import WaitKey

QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# --- what lies there ----------------------------------------------------------------------------

TEXT = st.text(max_size=12)
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from([10**300, -1, 0, 2**53 + 1]) | st.floats()
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
STRANGE = st.sampled_from(
    [
        "",
        " ",
        "null",
        "[]",
        "0",
        '"x"',
        "{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"internal_id":' * 190 + "1" + "}" * 190,
        '{"look":' + "[" * 190 + "]" * 190 + "}",
        '{"look":[]}',
        '{"look":{"a":1}}',
        '{"look":[1,2,3,4]}',
        '{"look":["dev","a","b","c","d"]}',
        '{"job":',
        '{"job":}',
        '{"job":{}}',
        '{"job":[]}',
        '{"job":null}',
        '{"cron":1}',
        '{"cron":"* * * * *","env":"dev","scheduled_at":"0001-01-01T00:00:00+23:59"}',
        '{"cron":"* * * * *","env":"dev","scheduled_at":"2026-11-23T09:00:00"}',
        '{"cron":"* * * * *","env":"dev","scheduled_at":"9999-12-31T23:59:59Z"}',
        '"\\ud800"',
        '{"internal_id":"\\udfff"}',
        "NaN",
        "1" * 5_000,
        "\x00",
        "x" * 1_048_576,
    ]
)


def mutated(text: str) -> st.SearchStrategy[str]:
    """A message with a field, of it or of what is in it, that is missing or is anything else."""
    message = json.loads(text)
    places = [(key,) for key in message]
    places += [
        (key, inner) for key in message if isinstance(message[key], dict) for inner in message[key]
    ]

    @st.composite
    def change(draw: st.DrawFn) -> str:
        changed = json.loads(text)
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
            holder = changed
            for key in place[:-1]:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if not isinstance(holder, dict):
                continue
            if draw(st.booleans()):
                holder[place[-1]] = draw(VALUES)
            else:
                holder.pop(place[-1], None)
        return json.dumps(changed)

    return change()


def damaged(text: str) -> st.SearchStrategy[str]:
    """A message of which a part is missing or overwritten."""
    at = st.integers(0, len(text))
    return st.builds(lambda a, b, new: text[: min(a, b)] + new + text[max(a, b) :], at, at, TEXT)


# --- a worker's queue ---------------------------------------------------------------------------


@dataclass
class Running:
    """A function whose worker gets anything.

    Attributes:
        started: the events that its handler got, by internal id.
    """

    stage: Stage
    deployed: Deployed = field(init=False)
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deployed = Deployed(self.stage, lambda ctx: self.started.append(ctx.event.id))


@pytest.fixture
def running(stage: Stage) -> Running:
    return Running(stage)


MESSAGE = json.dumps(
    {
        "internal_id": ulid_at(1_800_000_000_000, bytes(10)),
        "env": ENV,
        "name": "app/a",
        "received_ms": 1_800_000_000_000,
        "ts": 1_800_000_000_000,
        "wakes": False,
        "resumes": False,
        "origin": {"request_id": "r1"},
        "rerun": {
            "run_id": ulid_at(1, bytes(10)),
            "original_run_id": ulid_at(2, bytes(10)),
            "replay_id": None,
        },
        "event": {"name": "app/a", "data": {}, "id": "x", "ts": 1_800_000_000_000, "user": {}},
    }
)
LARGE = json.dumps(
    {
        "internal_id": ulid_at(1_800_000_000_001, bytes(10)),
        "env": ENV,
        "name": "app/a",
        "received_ms": 1_800_000_000_000,
        "ts": 1_800_000_000_000,
        "body_key": "bodies/none",
        "about": None,
    }
)
TICK = '{"cron":"* * * * *","env":"dev","scheduled_at":"2026-11-23T09:00:00Z","resumes":false}'
OF_A_FUNCTION = st.one_of(
    STRANGE,
    VALUES.map(lambda value: json.dumps(value)),
    *(kind(text) for kind in (mutated, damaged) for text in (MESSAGE, LARGE, TICK)),
)


def record(number: int, text: str) -> dict[str, Any]:
    return {
        "messageId": f"m{number}",
        "receiptHandle": "none",
        "body": text,
        "attributes": {"ApproximateReceiveCount": "1"},
    }


@QUICK
@given(st.lists(OF_A_FUNCTION, min_size=1, max_size=3))
def test_what_is_no_message_of_a_function_is_dead_and_holds_up_nothing(
    running: Running, poison: list[str]
) -> None:
    running.stage.clock.ms += 1_000
    good = running.deployed.send()
    texts = [poison[0], good.encode(), *poison[1:]]
    records = [record(number, text) for number, text in enumerate(texts)]
    answer = running.deployed.worker.handle(batch(records), TIMEOUT_MS)
    assert running.deployed.run_of(good).status == Status.COMPLETED
    again = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert again == set(), "it would come again and again"
    waiting(running.stage, running.deployed.function)
    for dead in running.stage.dead(running.deployed.function):
        assert dead["body"] in poison
        assert dead["messageAttributes"]["reason"]["StringValue"].strip()


# --- the matcher's queue ------------------------------------------------------------------------

LOOK = LookMessage(WaitKey(ENV, "app/b", ulid_at(3, bytes(10)), "0" * 40)).encode()
JOB = JobMessage(
    BulkJob(
        id=ulid_at(4, bytes(10)),
        env=ENV,
        kind=JobKind.REPLAY,
        function_id="test-f",
        app_id=None,
        from_ms=0,
        until_ms=1,
        run_statuses=("Failed",),
        expression=None,
        created_ms=0,
    )
).encode()
OF_THE_MATCHER = st.one_of(
    STRANGE,
    VALUES.map(lambda value: json.dumps(value)),
    *(kind(text) for kind in (mutated, damaged) for text in (MESSAGE, LARGE, LOOK, JOB)),
)


def waits(ctx: ContextSync) -> bool:
    return ctx.step.wait_for_event("w", event="app/b", timeout=60_000) is not None


@QUICK
@given(OF_THE_MATCHER)
def test_what_is_no_message_of_the_matcher_holds_up_nothing(stage: Stage, poison: str) -> None:
    stage.clock.ms += 1_000
    woken: list[str] = []
    deployed = Deployed(
        stage,
        lambda ctx: woken.append(str(ctx.step.wait_for_event("w", event="app/b", timeout=60_000))),
    )
    first = deployed.send()
    assert deployed.handle(first) == []
    bodies(stage.cloud.matcher.queue_url)
    waiting(stage, deployed.function)
    stage.send({"name": "app/b"})
    [awaited] = bodies(stage.cloud.matcher.queue_url)
    stage.matcher.handle(batch([record(0, poison), record(1, awaited), record(2, poison)]))
    [message] = waiting(stage, deployed.function)
    assert message.wakes
    assert isinstance(message, EventMessage)
    assert deployed.handle(message) == []
    assert deployed.run_of(first).status == Status.COMPLETED
