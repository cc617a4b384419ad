"""16 threads at one row: one of them wins, and all others see what the winner wrote.

What the engine stores is raced in `tests/kit/test_store_contract.py` as well, in memory, too.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tests.clock import FakeClock
from tidegate.aws import client
from tidegate.bulk_job import BulkJob, JobKind, JobStatus, Progress
from tidegate.environments import Environments
from tidegate.errors import RequestError
from tidegate.ids import random_ulid, run_id_of
from tidegate.key import StoredKeys
from tidegate.key_records import KeyRecords
from tidegate.partition import item_key
from tidegate.rerun_notes import MAX_RERUNS, RerunNotes
from tidegate.run import Run, Status
from tidegate.step import Op, StepId, StepRecord, StepState, data_memo

pytestmark = pytest.mark.storage

RACERS = 16
NOW_MS = 1_760_000_000_000
DAY_MS = 86_400_000
_numbers = itertools.count()


def race(call: Callable[[int], Any]) -> list[Any]:
    """What each of the threads gets that call at the same moment."""
    start = threading.Barrier(RACERS)

    def run(number: int) -> Any:
        start.wait()
        return call(number)

    with ThreadPoolExecutor(RACERS) as threads:
        return list(threads.map(run, range(RACERS)))


def created(stage: Stage, **changes: Any) -> Run:
    event_id = random_ulid(NOW_MS)
    run = Run(
        id=run_id_of(ENV, "f", event_id),
        env=ENV,
        function_id="f",
        event_id=event_id,
        status=Status.RUNNING,
        attempt=0,
        queued_ms=NOW_MS,
        started_ms=NOW_MS,
        lease="mine",
        lease_until_ms=NOW_MS + 1_000,
    )
    run = replace(run, **changes)
    assert stage.runs.create(run) is None
    return run


def job(stage: Stage) -> BulkJob:
    new = BulkJob(
        id=random_ulid(NOW_MS),
        env=ENV,
        kind=JobKind.REPLAY,
        function_id="f",
        app_id=None,
        from_ms=0,
        until_ms=NOW_MS,
        run_statuses=("Failed",),
        expression=None,
        created_ms=NOW_MS,
    )
    return stage.jobs.jobs.create(new)


@pytest.mark.parametrize("expired", [False, True], ids=["new", "expired"])
def test_one_claims_an_id(stage: Stage, expired: bool) -> None:
    dedup, name, now_ms = stage.admission.dedup, f"id {next(_numbers)}", NOW_MS
    if expired:
        dedup.claim(ENV, name, "long ago", "app/old", NOW_MS)
        now_ms += DAY_MS
    claims = race(lambda n: dedup.claim(ENV, name, f"owner {n}", f"app/{n}", now_ms))
    [winner] = [n for n, claim in enumerate(claims) if claim.is_first]
    seen = {(claim.internal_id, claim.event_name, claim.first_ms) for claim in claims}
    assert seen == {(f"owner {winner}", f"app/{winner}", now_ms)}


def test_one_claims_a_functions_key(stage: Stage) -> None:
    dedup, key = stage.admission.dedup, f"key {next(_numbers)}"
    claims = race(lambda n: dedup.claim(ENV, key, str(n), "app/a", NOW_MS, function_id=f"f{n % 2}"))
    for function in (claims[::2], claims[1::2]):
        [owner] = {claim.internal_id for claim in function}
        assert [claim.internal_id for claim in function if claim.is_first] == [owner]


def test_one_records_a_run(stage: Stage) -> None:
    event_id = random_ulid(NOW_MS)
    run = replace(created(stage), id=run_id_of(ENV, "f", event_id), event_id=event_id)
    found = race(lambda n: stage.runs.create(replace(run, lease=f"lease {n}")))
    [winner] = [n for n, old in enumerate(found) if old is None]
    assert {old.lease for old in found if old is not None} == {f"lease {winner}"}


def test_one_takes_a_lease_and_the_one_before_has_lost_it(stage: Stage) -> None:
    run = created(stage)
    won = race(
        lambda n: (
            stage.runs.release(run, NOW_MS, attempt=1)
            if n == 0
            else stage.runs.take(run, replace(run, lease=f"lease {n}"))
        )
    )
    assert won.count(True) == 1
    now = stage.runs.get(ENV, run.id)
    assert now is not None
    assert now.lease == ("" if won[0] else f"lease {won.index(True)}")


def test_a_run_is_cancelled_for_one_reason_or_ends(stage: Stage) -> None:
    run = created(stage)
    ended = replace(run, status=Status.COMPLETED, output="1", ended_ms=NOW_MS)
    found = race(
        lambda n: (
            stage.runs.end(run, ended) if n == 0 else stage.runs.cancel(ENV, run.id, f"by {n}")
        )
    )
    now = stage.runs.get(ENV, run.id)
    assert now is not None
    assert (now.cancel_reason is None) == found[0] == (now.status == Status.COMPLETED)
    assert {one.cancel_reason for one in found[1:]} == {now.cancel_reason}


def test_the_first_output_of_a_step_wins(stage: Stage) -> None:
    run = created(stage)
    done = StepRecord(StepId("a"), Op.RUN, StepState.COMPLETED, NOW_MS, NOW_MS + 1)
    # Whoever wins, and whoever comes to wait for its retry: the output stays.
    found = race(
        lambda n: stage.steps.put(
            run,
            replace(done, state=StepState.WAITING, ended_ms=None, attempt=n)
            if n % 4 == 3
            else replace(done, memo=data_memo(str(n))),
        )
    )
    [stored] = stage.steps.load(run).values()
    assert stored.state == StepState.COMPLETED
    assert {step.memo for n, step in enumerate(found) if n % 4 != 3} == {stored.memo}


def test_one_asks_for_a_job(stage: Stage) -> None:
    first = job(stage)
    asked = race(lambda n: stage.jobs.jobs.create(replace(first, function_id=f"f{n}")))
    assert asked == [first] * RACERS


def test_a_job_advances_once_from_where_it_was(stage: Stage) -> None:
    before = job(stage)
    after = race(
        lambda n: stage.jobs.jobs.advance(before, Progress(f"cursor {n}", n + 3, 3, note=f"{n}"))
    )
    [winner] = [n for n, one in enumerate(after) if one is not None]
    now = stage.jobs.jobs.get(ENV, before.kind, before.id, NOW_MS)
    assert now == after[winner]
    assert now is not None
    assert (now.cursor, now.found, now.done, now.skipped) == (
        f"cursor {winner}", winner + 3, 3, winner,
    )  # fmt: skip


def test_a_job_ends_once(stage: Stage) -> None:
    running = job(stage)
    ends = (JobStatus.COMPLETED, JobStatus.STOPPED)
    ended = race(
        lambda n: stage.jobs.jobs.end(ENV, running.kind, running.id, ends[n % 2], NOW_MS + n)
    )
    assert len({(one.status, one.ended_ms) for one in ended}) == 1


def test_every_rerun_is_noted_up_to_the_most(stage: Stage) -> None:
    run, notes = created(stage), RerunNotes(stage.settings.runs_table)
    client("dynamodb").update_item(
        TableName=notes.table,
        Key=item_key(ENV, run.id),
        UpdateExpression="ADD reruns :before",
        ExpressionAttributeValues={
            ":before": {"SS": [f"rerun {n:020}" for n in range(MAX_RERUNS - RACERS // 2)]}
        },
    )

    def add(number: int) -> bool:
        try:
            notes.add(run, f"last {number}")
        except RequestError:
            return False
        return True

    added = race(add)
    assert added.count(True) == RACERS // 2
    now = stage.runs.get(ENV, run.id)
    assert now is not None
    assert len(now.reruns) == MAX_RERUNS
    assert {f"last {n}" for n in range(RACERS) if added[n]} < set(now.reruns)


def test_an_environment_is_opened_once(stage: Stage) -> None:
    environments = Environments(stage.settings.keys_table, stage.clock)
    name = f"pr-{next(_numbers)}"

    def open_it(number: int) -> Any:
        return Environments(environments.table, FakeClock(NOW_MS + number)).open(name)

    [opened] = set(race(open_it))
    assert [one for one in environments.all() if one.name == name] == [opened]


def test_a_key_is_revoked_once(stage: Stage) -> None:
    keys = StoredKeys(stage.settings.keys_table, stage.clock)
    key = KeyRecords(keys).of_secret("event", keys.create("event", ENV))

    def revoke(number: int) -> int | None:
        clock = FakeClock(NOW_MS + number)
        return KeyRecords(StoredKeys(keys.table, clock)).revoke(key.id).revoked_ms

    assert len(set(race(revoke))) == 1
