"""Events sent and handled while calls of AWS fail at random: what was promised is kept.

The same with ten times as many is `make chaos`. Both run in a process of their own, as the order of
the calls, and so what the seed stands for, is only then the same each time.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.fault import KINDS, CutOff, name_of
from tests.faults.senders import URL, Sent
from tests.faults.shop import PLACED, RETURNED, Ledger, functions
from tests.faults.stage import Stage
from tests.faults.verdict import judge
from tidegate import Client, Event

ROOT = Path(__file__).parents[2]
EVENTS, SEED = 1_000, 7


def chaos(events: int, seed: int) -> tuple[int, str]:
    """The exit code and the output of the command."""
    command = [sys.executable, "-m", "tests.faults.chaos", str(events), "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + (done.stderr if done.returncode > 1 else "")


def numbers(report: str) -> dict[str, int]:
    """What a report says, line by line."""
    lines = re.findall(r"^ *(\S.*?) +([\d,]+)$", report, re.MULTILINE)
    return {what: int(number.replace(",", "")) for what, number in lines}


def test_every_acknowledged_event_runs_exactly_once_through_faults() -> None:
    code, report = chaos(EVENTS, SEED)
    print(report)
    assert code == 0, report
    found = numbers(report)
    assert found["promises broken"] == 0
    assert found["events sent"] >= EVENTS
    assert found["runs"] == found["Completed"] >= 2 * found["acknowledged"] * 0.9
    # There was something to withstand.
    assert found["hit by a fault"] > 0.03 * found["attempts to call AWS"]
    kinds = {name_of(kind) for kind in KINDS if not isinstance(kind, CutOff)}
    assert {kind for kind in kinds if found.get(kind, 0) > 0} == kinds
    assert min(found["not acknowledged, ran once"], found["given up at once"]) > 0
    assert min(found["sent again by somebody else"], found["invocations that died"]) > 0
    assert found["with more than one attempt"] > 0


def test_the_same_seed_gives_the_same_run() -> None:
    assert chaos(50, 1) == chaos(50, 1)


# --- the verdict ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged() -> Iterator[Callable[[Callable[[Sent, Ledger], object]], list[str]]]:
    """Judges what came of two orders, after something was changed about what is known of them."""
    ledger = Ledger()
    with Stage(functions(ledger)) as stage:
        sent = Sent()

        def send() -> None:
            events = [Event(name=PLACED, data={"order": order}) for order in ("1", "2")]
            client = Client(app_id="shop", base_url=URL, event_key="key")
            sent.names.update({"1": PLACED, "2": PLACED})
            sent.note(events, client.send_sync(events))

        stage.do(send)
        stage.settle()
        stage.faults.__exit__()

        def judge_after(change: Callable[[Sent, Ledger], object]) -> list[str]:
            changed = copy.deepcopy((sent, ledger))
            change(*changed)
            return judge(stage, *changed).broken

        yield judge_after


BROKEN: dict[str, Callable[[Sent, Ledger], object]] = {
    "was acknowledged and is not stored": lambda sent, ledger: sent.ids.update({"1": {"none"}}),
    "was acknowledged under 2 ids": lambda sent, ledger: sent.ids["1"].add("other"),
    "(shop/order.returned) ran": lambda sent, ledger: sent.names.update({"1": RETURNED}),
    "returned {'order': '2'": lambda sent, ledger: sent.ids.update({"1": sent.ids["2"]}),
    "shop-charge ran 2 times": lambda sent, ledger: ledger.runs["shop-charge", "1"].add("other"),
    "was seen and": lambda sent, ledger: next(iter(ledger.seen.values())).add("other"),
}


def test_what_is_kept_is_not_called_broken(
    judged: Callable[[Callable[[Sent, Ledger], object]], list[str]],
) -> None:
    assert judged(lambda sent, ledger: None) == []


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_said(
    judged: Callable[[Callable[[Sent, Ledger], object]], list[str]], what: str
) -> None:
    broken = judged(BROKEN[what])
    assert any(what in one for one in broken), broken
