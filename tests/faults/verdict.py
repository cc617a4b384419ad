"""Whether what was promised has been kept: what was sent is held against what was stored."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.senders import Sent
from tests.faults.shop import ASKED, STARTED, Ledger
from tests.faults.stage import Stage
from tidegate.aws import client
from tidegate.local.wiring import PREFIX

Item = dict[str, Any]


@dataclass
class Verdict:
    """What was found.

    Attributes:
        runs: how many runs there are of each function.
        statuses: how many of them ended how.
        retried: how many of them had more than one attempt.
        steps_repeated: how many steps ran again, since their process died before they were stored.
        unacknowledged: how many events were not acknowledged and ran, or did not.
        broken: each promise that was not kept.
    """

    runs: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    steps_repeated: int = 0
    unacknowledged: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def judge(stage: Stage, sent: Sent, ledger: Ledger) -> Verdict:
    """Hold what was sent against the tables of a stage that has come to rest."""
    verdict = Verdict()
    runs = _runs(verdict)
    _judge_acknowledged(verdict, sent, runs)
    _judge_unacknowledged(verdict, sent, ledger)
    _judge_sent_by_runs(verdict, runs)
    _judge_steps(verdict, ledger)
    for (function_id, order), ids in ledger.runs.items():
        if len(ids) > 1:
            verdict.broken.append(f"{function_id} ran {len(ids)} times for order {order}")
    verdict.broken += [f"dead letter: {body[:200]}" for body in stage.dead_letters()]
    verdict.broken += [f"a thread ended with {error!r}" for error in stage.simulation.errors]
    return verdict


def _runs(verdict: Verdict) -> dict[str, list[Item]]:
    """The runs of each event, by its internal id, once all have been counted."""
    by_event: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items("runs"):
        status = item["status"]["S"]
        function_id = item["function_id"]["S"]
        verdict.runs[function_id] += 1
        verdict.statuses[status] += 1
        verdict.retried += "attempts" in item
        by_event[item["event_id"]["S"]].append(item)
        if status != "Completed":
            output = item.get("output", {}).get("S", "")
            verdict.broken.append(
                f"run {item['sk']['S']} of {function_id}: {status} {output[:200]}"
            )
    return by_event


def _judge_acknowledged(verdict: Verdict, sent: Sent, runs: dict[str, list[Item]]) -> None:
    """Each ran exactly once for each of its functions, and is stored."""
    stored = {item["sk"]["S"]: item for item in items("events")}
    for order, ids in sent.ids.items():
        if len(ids) > 1:
            verdict.broken.append(f"order {order} was acknowledged under {len(ids)} ids")
        for internal_id in ids:
            if internal_id not in stored:
                verdict.broken.append(f"order {order} was acknowledged and is not stored")
            _judge_runs(verdict, order, sent.names[order], runs[internal_id])


def _judge_runs(verdict: Verdict, order: str, name: str, runs: list[Item]) -> None:
    ran = sorted(item["function_id"]["S"] for item in runs)
    if ran != sorted(STARTED[name]):
        verdict.broken.append(f"order {order} ({name}) ran {ran}")
    for item in runs:
        output = json.loads(item["output"]["S"]) if "output" in item else None
        if not isinstance(output, dict) or output.get("order") != order:
            verdict.broken.append(f"order {order}: {item['function_id']['S']} returned {output}")
        elif output.get("inspected", order) != order:
            verdict.broken.append(f"order {order} was inspected as {output['inspected']}")


def _judge_unacknowledged(verdict: Verdict, sent: Sent, ledger: Ledger) -> None:
    """Count them; that none ran twice is found with all others."""
    for order in sent.names.keys() - sent.ids.keys():
        ran = [name for name in STARTED[sent.names[order]] if ledger.runs.get((name, order))]
        verdict.unacknowledged["ran once" if ran else "did not run"] += 1


def _judge_sent_by_runs(verdict: Verdict, runs: dict[str, list[Item]]) -> None:
    """What runs sent and invoked ran exactly once, too."""
    for items in list(runs.values()):
        for item in items:
            output = json.loads(item["output"]["S"]) if "output" in item else {}
            if item["function_id"]["S"] == "shop-ask":
                [internal_id] = output.get("sent", [""])
                order = f"mail for {output.get('order')}"
                _judge_runs(verdict, order, ASKED, runs.get(internal_id, []))
            if item["function_id"]["S"] == "shop-refund":
                expected = {"order": f"refund of {output.get('order')}"}
                if output.get("told") != expected:
                    verdict.broken.append(f"order {output.get('order')}: told {output.get('told')}")


def _judge_steps(verdict: Verdict, ledger: Ledger) -> None:
    """Of each step there is one value, however often it ran: the first that was stored."""
    recorded = {
        (item["pk"]["S"].rpartition("#")[2], item["name"]["S"]): item.get("memo", {}).get("S")
        for item in items("steps")
    }
    for (run_id, name), values in ledger.seen.items():
        memo = recorded.get((run_id, name))
        kept = json.loads(memo)["data"] if memo else None
        if values != {kept}:
            verdict.broken.append(f"step {name} of {run_id}: {values} was seen and {kept} is kept")
    verdict.steps_repeated = sum(count - 1 for count in ledger.steps.values())


def items(table: str) -> Iterator[Item]:
    for page in client("dynamodb").get_paginator("scan").paginate(TableName=f"{PREFIX}-{table}"):
        yield from page["Items"]
