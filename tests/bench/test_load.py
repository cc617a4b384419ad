"""Some who send at once to a dev server of its own: as `make bench ONLY=load`, in short."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.counted_app import FAILED, PLAIN, STEPS
from bench.load import Load, Outcome, counts_of, growth_percent, memory_of, run_load

SHORT = Load(senders=8, warm_up=40, seconds=2, most_requests=48, keep=10, looked_up=20)


def test_nothing_is_lost_and_nothing_runs_twice() -> None:
    outcome = run_load(SHORT)
    assert outcome.errors == []
    assert outcome.sent == len(outcome.acknowledged) >= 100
    assert outcome.requests > SHORT.senders
    assert len(outcome.acknowledged) > outcome.warmed_up >= 40
    expected = {
        (function, number) for number in outcome.acknowledged for function in (PLAIN, STEPS)
    }
    assert outcome.noted == Counter(dict.fromkeys(expected, 1))
    assert outcome.unfinished == []
    assert len(set(outcome.acknowledged.values())) == len(outcome.acknowledged)
    goals = [figure for figure in counts_of(SHORT, outcome) if figure.goal == 0]
    assert len(goals) == 5
    assert all(figure.met for figure in goals)


@pytest.mark.parametrize(
    ("outcome", "missed"),
    [
        (Outcome(errors=["503: …"]), "errors"),
        (Outcome(noted=Counter({(PLAIN, 1): 1})), "runs lost"),
        (Outcome(noted=Counter({(PLAIN, 1): 1, (STEPS, 1): 2})), "runs done twice"),
        (
            Outcome(noted=Counter({(PLAIN, 1): 1, (STEPS, 1): 1, (FAILED, 1): 1})),
            "runs that nobody expects",
        ),
        (
            Outcome(unfinished=["01M8T8Q064Y87J2TM0D4BKH1NX"]),
            "newest events with runs not completed",
        ),
    ],
)
def test_what_went_wrong_is_a_goal_that_is_missed(outcome: Outcome, missed: str) -> None:
    outcome.acknowledged = {1: "01M84T8Q064Y87J2TM0D4BKH1N"}
    outcome.noted = outcome.noted or Counter({(PLAIN, 1): 1, (STEPS, 1): 1})
    outcome.took_s = 1.0
    load = Load(seconds=2)
    unmet = [one.name for one in counts_of(load, outcome) if one.met is False]
    assert unmet == [f"dev server: 50 senders for 2 s: {missed}"]


def test_memory_is_told_as_it_was_meanwhile() -> None:
    memory = [(0.0, 200), (20.0, 210), (40.0, 220), (60.0, 230)]
    outcome = Outcome(memory=[(at, size * 1_000_000) for at, size in memory])
    first, last, growth = memory_of(Load(), outcome)
    assert (first.value, last.value) == (200, 230)
    assert growth.value == pytest.approx(15)
    assert growth.met is False


def test_growth_is_that_of_the_straight_line_through_all_samples() -> None:
    assert growth_percent([(0, 100), (10, 100), (20, 100)]) == 0
    assert growth_percent([(30, 200), (40, 210), (50, 220)]) == pytest.approx(10)
