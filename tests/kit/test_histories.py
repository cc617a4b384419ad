"""Runs that earlier code recorded go on with the code of today."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.aws.deployed import function_of
from tests.clock import FakeClock
from tests.histories.functions import FUNCTIONS
from tidegate.admission import Admission
from tidegate.engine import Engine
from tidegate.event import AcceptedEvent
from tidegate.host import PythonHost
from tidegate.manifest import Manifest
from tidegate.message import EventMessage
from tidegate.run import Run, Status
from tidegate.step import Op, StepId, StepRecord, StepState
from tidegate.testing.memory import (
    MemoryDedup,
    MemoryEvents,
    MemoryPayloads,
    MemoryRuns,
    MemorySteps,
    MemoryWaits,
)
from tidegate.testing.timeline import MemoryLooks, MemoryTopic, Timeline
from tidegate.waiting import Waiting
from tidegate.wake import Waker

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))


def test_every_function_has_a_history() -> None:
    assert {path.stem for path in HISTORIES} == set(FUNCTIONS)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_run_gives_its_output_again(path: Path) -> None:
    history = json.loads(path.read_text())
    run = run_of(history["run"])
    runs, steps = MemoryRuns(MemoryPayloads()), MemorySteps()
    due = replace(run, status=Status.RUNNING, due_ms=run.ended_ms, lease="", ended_ms=None)
    runs.create(due)
    for record in history["steps"]:
        steps.put(run, record_of(record))
    before = steps.load(run)
    executed: list[str] = []
    sent: list[Any] = []
    engine_of(history["function"], run, runs, steps, executed, sent).handle(
        EventMessage(AcceptedEvent(**history["event"])), (run.ended_ms or 0) + 120_000
    )
    again = runs.get(run.env, run.id)
    assert again is not None
    assert (again.status, again.output) == (run.status, run.output)
    assert executed == [], "no step runs again"
    assert sent == []
    assert steps.load(run) == before


def engine_of(
    name: str,
    run: Run,
    runs: MemoryRuns,
    steps: MemorySteps,
    executed: list[str],
    sent: list[Any],
) -> Engine:
    """The function of a history, at the moment at which its run ended."""

    def execute(step: str) -> int:
        executed.append(step)
        return len(executed)

    class NoQueue:
        def at(self, due_ms: int, text: str, name: str) -> None:
            raise AssertionError("it has nothing to wait for")

    function = function_of(FUNCTIONS[name](execute))
    clock, manifest, timeline = FakeClock(run.ended_ms or 0), Manifest.of([function]), Timeline()
    topic, waits = MemoryTopic(timeline, [function], clock), MemoryWaits()
    admission = Admission(MemoryDedup(), MemoryEvents(MemoryPayloads()), topic, waits, clock)
    waker = Waker(runs, steps, waits, topic, clock)
    return Engine(
        function=function,
        host=PythonHost(function, lambda env, events, seed: sent.append(events) or []),
        runs=runs,
        steps=steps,
        waiting=Waiting(waker, admission, manifest, MemoryLooks(timeline, clock)),
        dedup=admission.dedup,
        delivery=NoQueue(),
        announce=sent.append,
        store=sent.append,
        manifest=manifest,
        clock=clock,
    )


def run_of(fields: dict[str, Any]) -> Run:
    return Run(**{**fields, "status": Status(fields["status"])})


def record_of(fields: dict[str, Any]) -> StepRecord:
    own = {
        "step": StepId(**fields["step"]),
        "op": Op(fields["op"]),
        "state": StepState(fields["state"]),
    }
    return StepRecord(**{**fields, **own})
