"""Thousands of events, sent and handled while calls of AWS fail at random.

    python -m tests.faults.chaos 10000 --seed 7

says what happened, and ends with 1 if a promise was broken. The same number and seed give the same
run again.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass

from tests.faults.plan import RandomFaults
from tests.faults.senders import Senders, Sent
from tests.faults.shop import Ledger, functions
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict, judge

RATE = 0.05
# In virtual time: all back-offs and visibility timeouts together take less.
LONGEST_S = 86_400


@dataclass(frozen=True)
class Chaos:
    """What came of a run.

    Attributes:
        sent: what was sent.
        verdict: whether what was promised has been kept.
        calls: how many attempts there were to call each operation.
        hits: how many of these were hit, by operation and kind of fault.
        crashed: by Lambda, how many of its invocations died.
        virtual_s: how long it took in its own time.
        real_s: how long it took on this machine.
    """

    sent: Sent
    verdict: Verdict
    calls: Counter[tuple[str, str]]
    hits: Counter[tuple[str, str, str]]
    crashed: dict[str, int]
    virtual_s: float
    real_s: float


def chaos(number: int, seed: int, rate: float = RATE) -> Chaos:
    """Send a number of events through faults, and let all that comes of them happen."""
    ledger = Ledger()
    lots = random.Random(seed)
    began_s = time.monotonic()
    with Stage(
        functions(ledger),
        RandomFaults(seed, rate),
        seed=seed,
        latency_s=lambda: lots.uniform(0.002, 0.02),
    ) as stage:
        stage.lost = lambda: lots.random() < rate
        first_s = stage.simulation.now_s
        senders = Senders(stage.simulation, ledger, number, seed)
        senders.start()
        last_s = first_s + LONGEST_S
        stage.simulation.run(
            until=lambda: (
                (senders.are_done() and stage.is_settled()) or stage.simulation.now_s > last_s
            )
        )
        virtual_s = stage.simulation.now_s - first_s
        faults = stage.faults
        calls, hits = Counter(faults.calls), Counter(faults.hits)
        faults.__exit__()
        verdict = judge(stage, senders.sent, ledger)
        if virtual_s > LONGEST_S:
            verdict.broken.append("after a day something is still under way")
    real_s = time.monotonic() - began_s
    return Chaos(senders.sent, verdict, calls, hits, stage.crashed, virtual_s, real_s)


def report(found: Chaos) -> str:
    """What happened, for people."""
    sent, verdict = found.sent, found.verdict
    acknowledged = sent.ids.keys()
    kinds: Counter[str] = Counter()
    for (_, _, kind), count in found.hits.items():
        kinds[kind] += count
    lines = [
        ("events sent", len(sent.names)),
        ("  with an id", len(sent.with_id)),
        ("  sent again by somebody else", sent.sent_twice),
        ("  acknowledged", len(acknowledged)),
        *((f"  not acknowledged, {what}", n) for what, n in sorted(verdict.unacknowledged.items())),
        ("requests", sum(sent.requests.values())),
        *((f"  {what}", count) for what, count in sorted(sent.requests.items())),
        ("runs", sum(verdict.runs.values())),
        *((f"  {status}", count) for status, count in sorted(verdict.statuses.items())),
        ("  with more than one attempt", verdict.retried),
        ("steps that ran again before they were stored", verdict.steps_repeated),
        ("attempts to call AWS", sum(found.calls.values())),
        ("  hit by a fault", sum(kinds.values())),
        *((f"    {kind}", count) for kind, count in kinds.most_common()),
        ("invocations that died", sum(found.crashed.values())),
        ("virtual time, minutes", round(found.virtual_s / 60)),
        ("promises broken", len(verdict.broken)),
    ]
    return "\n".join(f"{what:<48}{count:>9,}" for what, count in lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos")
    parser.add_argument("events", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--rate", type=float, default=RATE, help="of calls that fail, 0 to 1")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets is otherwise another one in each process, and so is that of the calls.
        os.environ["PYTHONHASHSEED"] = "0"
        module = ["-m", "tests.faults.chaos", str(asked.events)]
        options = ["--seed", str(asked.seed), "--rate", str(asked.rate)]
        os.execv(sys.executable, [sys.executable, *module, *options])  # noqa: S606
    print(f"{asked.events} events, faults at {asked.rate:.0%}, seed {asked.seed}", flush=True)
    found = chaos(asked.events, asked.seed, asked.rate)
    print(report(found))
    for broken in found.verdict.broken[:50]:
        print(f"BROKEN: {broken}")
    print(f"took {found.real_s:.0f} s", file=sys.stderr)
    return 1 if found.verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
