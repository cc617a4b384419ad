"""What each store must hold to, on AWS and in memory alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.kit.backends import LISTENER, SUBJECT, Backend
from tidegate.attempt import Attempt
from tidegate.errors import DeadLetterError
from tidegate.event import AcceptedEvent, event_body
from tidegate.ids import random_ulid
from tidegate.message import EventMessage
from tidegate.run import Failure, Run, Status, failure_of
from tidegate.step import Op, StepId, StepRecord, StepState, data_memo
from tidegate.stores import Claim

NOW_MS = 1_760_000_000_000
LARGE = '"' + "x" * 100_000 + '"'
_numbers = itertools.count()


def leased(**changes: Any) -> Run:
    """A run of its own that somebody drives."""
    run = Run(
        id=random_ulid(NOW_MS),
        env="dev",
        function_id="f",
        event_id=random_ulid(NOW_MS),
        status=Status.RUNNING,
        attempt=0,
        queued_ms=NOW_MS,
        started_ms=NOW_MS,
        lease="mine",
        lease_until_ms=NOW_MS + 1_000,
    )
    return replace(run, **changes)


def created(backend: Backend, **changes: Any) -> Run:
    run = leased(**changes)
    assert backend.runs.create(run) is None
    return run


def ended(run: Run, output: str = '"done"', status: Status = Status.COMPLETED) -> Run:
    return replace(run, status=status, output=output, ended_ms=NOW_MS + 5)


def record(**changes: Any) -> StepRecord:
    done = StepRecord(
        StepId("a"), Op.RUN, StepState.COMPLETED, NOW_MS, NOW_MS + 1, memo=data_memo("1")
    )
    return replace(done, **changes)


def loaded(backend: Backend, run: Run) -> dict[str, StepRecord]:
    """A run's steps, but for how long they are kept."""
    return {key: plain(step) for key, step in backend.steps.load(run).items()}


def plain(step: StepRecord) -> StepRecord:
    return replace(step, kept_ms=0)


def race(call: Callable[[int], Any]) -> list[Any]:
    """What 16 threads get that call at once."""
    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(call, range(16)))


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_is_recorded_once(backend: Backend) -> None:
    run = leased()
    assert backend.runs.get(run.env, run.id) is None
    assert backend.runs.create(run) is None
    assert backend.runs.create(replace(run, attempt=3, lease="other")) == run
    assert backend.runs.get(run.env, run.id) == run
    assert backend.runs.get("other", run.id) is None, "an environment is a world of its own"


def test_a_scheduled_run_is_recorded_as_it_is(backend: Backend) -> None:
    run = leased(
        status=Status.SCHEDULED,
        started_ms=None,
        due_ms=NOW_MS + 9,
        lease="",
        lease_until_ms=0,
        cancels=("app/b", "app/c"),
    )
    backend.runs.create(run)
    assert backend.runs.get(run.env, run.id) == run


def test_what_started_a_run_is_recorded_with_it(backend: Backend) -> None:
    run = leased(event_name="inngest/scheduled.timer", cron="0 9 * * *")
    backend.runs.create(run)
    assert backend.runs.get(run.env, run.id) == run


def test_one_of_many_records_a_run(backend: Backend) -> None:
    run = leased()
    found = race(lambda n: backend.runs.create(replace(run, lease=f"lease {n}")))
    [winner] = {old.lease for old in found if old is not None}
    assert found.count(None) == 1
    assert found[int(winner.split()[1])] is None


def test_release_and_take(backend: Backend) -> None:
    run = replace(created(backend, counted_ms=NOW_MS), counted_ms=NOW_MS + 400)
    assert backend.runs.release(run, NOW_MS + 500, attempt=1, failure=Failure("E", "no", "at"))
    waiting = backend.runs.get(run.env, run.id)
    assert waiting == replace(
        run,
        attempt=1,
        lease="",
        lease_until_ms=0,
        due_ms=NOW_MS + 500,
        output=waiting.output,
        backs_off=True,
    )
    assert failure_of(waiting.output) == Failure("E", "no", "at")
    changes = {"lease_until_ms": NOW_MS + 9_000, "counted_ms": NOW_MS + 600}
    mine = replace(waiting, lease="next", due_ms=None, **changes)
    assert backend.runs.take(waiting, mine)
    assert backend.runs.get(run.env, run.id) == mine


def test_a_release_without_a_failure_keeps_the_last_one(backend: Backend) -> None:
    run = created(backend)
    backend.runs.release(run, NOW_MS, attempt=1, failure=Failure("E", "no"))
    waiting = backend.runs.get(run.env, run.id)
    mine = replace(waiting, lease="next", due_ms=None)
    backend.runs.take(waiting, mine)
    assert backend.runs.release(mine, NOW_MS, attempt=0)
    suspended = backend.runs.get(run.env, run.id)
    assert suspended.output == waiting.output
    assert (waiting.backs_off, suspended.backs_off) == (True, False)


TRIED = (Attempt(0, NOW_MS, NOW_MS + 1, "ValueError", "no"), Attempt(1, NOW_MS + 2, NOW_MS + 3))


def test_attempts_of_a_run_are_kept_whenever_it_changes_hands(backend: Backend) -> None:
    run = created(backend, leased_ms=NOW_MS)
    tried = replace(run, attempts=TRIED[:1])
    assert backend.runs.release(tried, NOW_MS, attempt=1, failure=Failure("ValueError", "no"))
    waiting = backend.runs.get(run.env, run.id)
    assert waiting.attempts == TRIED[:1]
    mine = replace(waiting, lease="next", due_ms=None, leased_ms=NOW_MS + 2, attempts=TRIED)
    assert backend.runs.take(waiting, mine)
    assert backend.runs.get(run.env, run.id) == mine
    assert backend.runs.end(mine, replace(ended(mine), attempts=(*TRIED, *TRIED)))
    assert backend.runs.get(run.env, run.id).attempts == (*TRIED, *TRIED)


@pytest.mark.parametrize(
    "seen", [{"lease": "other"}, {"attempt": 1}, {"status": Status.SCHEDULED}], ids=str
)
def test_only_what_is_as_it_was_seen_is_taken(backend: Backend, seen: dict[str, Any]) -> None:
    run = created(backend)
    mine = replace(run, lease="next", attempt=7)
    assert backend.runs.take(replace(run, **seen), mine) is False
    assert backend.runs.get(run.env, run.id) == run


def test_one_of_many_takes_a_run(backend: Backend) -> None:
    run = created(backend)
    won = race(lambda n: backend.runs.take(run, replace(run, lease=f"lease {n}")))
    assert won.count(True) == 1
    assert backend.runs.get(run.env, run.id).lease == f"lease {won.index(True)}"


def test_who_lost_the_lease_changes_nothing(backend: Backend) -> None:
    run = created(backend)
    taken = replace(run, lease="other")
    assert backend.runs.take(run, taken)
    assert backend.runs.release(run, NOW_MS, attempt=5) is False
    assert backend.runs.end(run, ended(run)) is False
    assert backend.runs.get(run.env, run.id) == taken


def test_a_run_that_is_not_recorded_cannot_change(backend: Backend) -> None:
    run = leased()
    assert backend.runs.take(run, run) is False
    assert backend.runs.release(run, NOW_MS, attempt=0) is False
    assert backend.runs.end(run, ended(run)) is False
    assert backend.runs.get(run.env, run.id) is None


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_an_ended_run_stays_as_it_is(backend: Backend, status: Status) -> None:
    run = created(backend)
    assert backend.runs.end(run, ended(run, status=status))
    found = backend.runs.get(run.env, run.id)
    assert found == replace(
        run, status=status, output='"done"', ended_ms=NOW_MS + 5, lease_until_ms=0
    )
    assert backend.runs.output_of(found) == '"done"'
    other = Status.FAILED if status == Status.COMPLETED else Status.COMPLETED
    assert backend.runs.end(run, ended(run, '"again"', other)) is False
    late = replace(run, lease="late")
    assert backend.runs.end(late, ended(late, '"again"')) is False
    assert backend.runs.release(run, NOW_MS, attempt=1) is False
    assert backend.runs.create(late) == found
    assert backend.runs.get(run.env, run.id) == found


def test_a_write_that_is_repeated_since_its_answer_was_lost_has_succeeded(
    backend: Backend,
) -> None:
    run = created(backend)
    assert backend.runs.create(run) is None
    for _ in range(2):
        assert backend.runs.release(run, NOW_MS + 9, attempt=1)
    waiting = backend.runs.get(run.env, run.id)
    assert backend.runs.release(run, NOW_MS + 8, attempt=1) is False, "another due time"
    mine = replace(waiting, lease="next", due_ms=None)
    for _ in range(2):
        assert backend.runs.take(waiting, mine)
    for output in ('"first"', '"second"'):
        assert backend.runs.end(mine, ended(mine, output))
    assert backend.runs.get(run.env, run.id).output == '"first"'


def test_one_of_many_ends_a_run(backend: Backend) -> None:
    leases = [created(backend)]
    for n in range(15):
        leases.append(replace(leases[0], lease=f"lease {n}"))
        assert backend.runs.take(leases[-2], leases[-1])
    won = race(lambda n: backend.runs.end(leases[n], ended(leases[n], str(n))))
    assert won == [False] * 15 + [True], "the one that has the lease"
    assert backend.runs.get(leases[0].env, leases[0].id).output == "15"


def test_a_large_output_lies_elsewhere(backend: Backend) -> None:
    run = created(backend)
    backend.runs.end(run, ended(run, LARGE))
    found = backend.runs.get(run.env, run.id)
    assert found.output is None
    assert found.output_key is not None
    assert backend.runs.output_of(found) == LARGE


def test_no_output_is_null(backend: Backend) -> None:
    run = created(backend)
    backend.runs.end(run, replace(ended(run), output=None))
    assert backend.runs.get(run.env, run.id).output == "null"


# --- steps --------------------------------------------------------------------------------------


def test_steps_are_recorded_by_run(backend: Backend) -> None:
    run, other = leased(), leased()
    assert loaded(backend, run) == {}
    sleep = StepRecord(StepId("a", 1), Op.SLEEP, StepState.WAITING, NOW_MS, due_ms=NOW_MS + 9)
    for put in (record(), sleep):
        assert plain(backend.steps.put(run, put)) == put
    assert loaded(backend, run) == {StepId("a").hashed: record(), StepId("a", 1).hashed: sleep}
    assert loaded(backend, other) == {}
    assert backend.steps.load(replace(run, env="other")) == {}


def test_first_output_wins(backend: Backend) -> None:
    run = leased()
    backend.steps.put(run, record())
    for late in (
        record(memo=data_memo("2"), ended_ms=NOW_MS + 9),
        record(state=StepState.FAILED, memo='{"error":{}}'),
        record(state=StepState.WAITING, memo=None, ended_ms=None, due_ms=NOW_MS),
    ):
        assert plain(backend.steps.put(run, late)) == record()
    assert loaded(backend, run) == {StepId("a").hashed: record()}


def test_what_waits_is_replaced(backend: Backend) -> None:
    run = leased()
    waiting = record(state=StepState.WAITING, memo=None, ended_ms=None, attempt=1, due_ms=NOW_MS)
    for put in (waiting, replace(waiting, attempt=2), record(attempt=2)):
        assert plain(backend.steps.put(run, put)) == put
    assert loaded(backend, run) == {StepId("a").hashed: record(attempt=2)}


def test_attempts_of_a_step_are_kept(backend: Backend) -> None:
    run = leased()
    waiting = record(
        state=StepState.WAITING, memo=None, ended_ms=None, attempt=1, attempts=TRIED[:1]
    )
    for put in (waiting, record(attempt=1, attempts=TRIED)):
        assert plain(backend.steps.put(run, put)) == put
        assert loaded(backend, run) == {StepId("a").hashed: put}


def test_one_of_many_outputs_is_kept(backend: Backend) -> None:
    run = leased()
    found = race(lambda n: backend.steps.put(run, record(memo=data_memo(str(n)))))
    assert len({step.memo for step in found}) == 1
    assert backend.steps.load(run)[StepId("a").hashed] == found[0]


def test_steps_put_at_once_are_all_kept(backend: Backend) -> None:
    run = leased()
    race(lambda n: backend.steps.put(run, record(step=StepId("a", n))))
    assert len(backend.steps.load(run)) == 16


def test_large_memos_come_back_whole(backend: Backend) -> None:
    run = leased()
    put = plain(backend.steps.put(run, record(memo=LARGE)))
    assert put.memo == LARGE
    assert put.memo_key is not None
    assert loaded(backend, run) == {StepId("a").hashed: put}
    for second in (record(), record(memo=LARGE + " ")):
        assert plain(backend.steps.put(run, second)) == put, "the first one wins here, too"
    assert loaded(backend, run) == {StepId("a").hashed: put}


def test_what_was_loaded_is_a_copy(backend: Backend) -> None:
    run = leased()
    backend.steps.put(run, record())
    backend.steps.load(run).clear()
    assert loaded(backend, run) == {StepId("a").hashed: record()}
    later = backend.steps.load(run)
    backend.steps.put(run, record(step=StepId("b")))
    assert len(later) == 1


# --- events -------------------------------------------------------------------------------------


def event(body: str | None = None, **changes: Any) -> AcceptedEvent:
    internal_id = random_ulid(NOW_MS)
    text = event_body(name="app/b", data={"x": body}, event_id=internal_id, ts=NOW_MS)
    accepted = AcceptedEvent(internal_id, "dev", "app/b", NOW_MS, NOW_MS, text)
    return replace(accepted, **changes)


def test_the_first_claim_of_an_id_wins_for_24_hours(backend: Backend) -> None:
    name, day_ms = f"id {next(_numbers)}", 86_400_000
    claims = [
        backend.dedup.claim("dev", name, "first", "app/a", NOW_MS),
        backend.dedup.claim("dev", name, "second", "app/b", NOW_MS + day_ms - 1_000),
        backend.dedup.claim("dev", name, "first", "app/a", NOW_MS + 1_000),
        backend.dedup.claim("other", name, "third", "app/a", NOW_MS),
        backend.dedup.claim("dev", name, "fourth", "app/b", NOW_MS + day_ms),
        backend.dedup.claim("dev", name, "fifth", "app/a", NOW_MS + day_ms + 1_000),
    ]
    assert claims == [
        Claim("first", True, "app/a", NOW_MS),
        Claim("first", False, "app/a", NOW_MS),
        Claim("first", True, "app/a", NOW_MS),
        Claim("third", True, "app/a", NOW_MS),
        Claim("fourth", True, "app/b", NOW_MS + day_ms),
        Claim("fourth", False, "app/b", NOW_MS + day_ms),
    ]


def test_claims_of_functions_are_their_own(backend: Backend) -> None:
    name = f"id {next(_numbers)}"
    spaces = ({}, {"function_id": "test-f"}, {"function_id": "test-g"})
    for key in (name, name * 300):
        for first in ("first", "second"):
            claims = [
                backend.dedup.claim("dev", key, f"{first} {n}", "app/a", NOW_MS, **space)
                for n, space in enumerate(spaces)
            ]
            assert [claim.internal_id for claim in claims] == ["first 0", "first 1", "first 2"]
            assert all(claim.is_first for claim in claims) == (first == "first")


def test_one_of_many_claims_an_id(backend: Backend) -> None:
    name = f"id {next(_numbers)}"
    claims = race(lambda n: backend.dedup.claim("dev", name, str(n), "app/a", NOW_MS))
    [owner] = {claim.internal_id for claim in claims}
    assert [claim.is_first for claim in claims].count(True) == 1
    assert claims[int(owner)].is_first


def test_stored_events_are_known(backend: Backend) -> None:
    stored = event()
    assert not backend.events.contains("dev", stored.internal_id)
    for _ in range(2):
        backend.events.put([stored])
    assert backend.events.contains("dev", stored.internal_id)
    assert not backend.events.contains("other", stored.internal_id)


def test_large_bodies_reach_the_functions(backend: Backend) -> None:
    large = event("x" * 100_000)
    backend.events.put_payloads([large])
    backend.topic.publish([large])
    [message] = backend.take(LISTENER)
    assert message.event.body == ""
    assert message.with_body(backend.runs.payloads) == large


def test_a_payload_that_is_gone_is_an_error(backend: Backend) -> None:
    with pytest.raises(DeadLetterError, match="payload nowhere is gone"):
        backend.runs.payloads.get("nowhere")


def test_events_reach_the_functions_that_they_trigger(backend: Backend) -> None:
    published = [event(), event(), event(name="app/unheard")]
    backend.topic.publish(published)
    got = {message.event.internal_id for message in backend.take(LISTENER)}
    assert got == {one.internal_id for one in published[:2]}
    assert backend.take(SUBJECT) == []


def test_what_is_to_come_much_later_can_be_told(backend: Backend) -> None:
    message, due_ms = EventMessage.of(event()), backend.clock.ms + 3 * 86_400_000
    name, queue = f"n{next(_numbers)}", backend.queue()
    assert queue.arranged(due_ms, name) is None
    queue.at(due_ms, message.encode(), name)
    found = queue.arranged(due_ms, name)
    assert found is not None
    assert EventMessage.decode(found) == message
    assert queue.arranged(due_ms + 1, name) is None
    assert queue.arranged(due_ms, f"{name}x") is None
    assert backend.take(SUBJECT) == [message]
    assert queue.arranged(due_ms, name) is None


@pytest.mark.parametrize("delay_ms", [-5_000, 60_000, 3 * 86_400_000])
def test_messages_of_later_reach_the_queue(backend: Backend, delay_ms: int) -> None:
    message = EventMessage.of(event())
    backend.queue().at(backend.clock.ms + delay_ms, message.encode(), f"n{next(_numbers)}")
    assert backend.take(SUBJECT) == [message]
    assert backend.take(SUBJECT) == []
