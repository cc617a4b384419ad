"""What is counted does not depend on the machine: calls, units and dollars keep to their goals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench import bill
from bench.bill_page import pages
from bench.figure import Figure
from bench.scenarios import Bill, billed, function, wait

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bills() -> dict[str, Bill]:
    return {name: make() for name, make in bill.COUNTED.items()}


@pytest.fixture(scope="module")
def all_bills(bills: dict[str, Bill]) -> dict[str, Bill]:
    return bills | {name: make() for name, make in bill.OTHERS.items()}


@pytest.fixture(scope="module")
def counted(bills: dict[str, Bill]) -> dict[str, Figure]:
    return {figure.name: figure for figure in bill.counted(bills)}


def test_what_is_counted_keeps_to_its_goal(counted: dict[str, Figure]) -> None:
    exceeded = {
        figure.name: (figure.value, figure.goal)
        for figure in counted.values()
        if figure.goal is not None and figure.value > figure.goal + 0.001
    }
    assert exceeded == {}


def test_events_are_of_one_kilobyte(bills: dict[str, Bill]) -> None:
    for name in (bill.PLAIN, bill.WITH_ID):
        [stored] = {call.payload_bytes for call in bills[name].matching(table="events")}
        assert 950 <= stored <= 1024


def test_all_calls_of_an_event_are_on_the_bill(bills: dict[str, Bill]) -> None:
    made = Counter((call.stage, call.operation, call.table) for call in bills[bill.PLAIN].calls)
    # Ten requests of an event, and a batch of ten of the queue.
    assert made == {
        ("ingest", "Query", "waits"): 10,
        ("ingest", "BatchWriteItem", "events"): 10,
        ("ingest", "PublishBatch", ""): 10,
        ("worker's queue", "ReceiveMessage", ""): 1,
        ("worker", "PutItem", "runs"): 10,
        ("worker", "UpdateItem", "runs"): 10,
        ("worker's queue", "DeleteMessageBatch", ""): 1,
    }


def test_a_new_process_asks_for_the_key_and_its_environment_once(bills: dict[str, Bill]) -> None:
    made = [call.operation for call in bills[bill.PLAIN].first_calls if call.table == "keys"]
    # And notes the day, which nobody does again before tomorrow.
    assert made == ["GetItem", "UpdateItem", "GetItem"]
    assert bills[bill.PLAIN].matching(table="keys") == []


def test_short_steps_do_not_ask_whether_their_run_is_cancelled(bills: dict[str, Bill]) -> None:
    assert bills[bill.THREE_STEPS].read_units(stage="worker") == 0


def test_functions_that_do_not_want_an_event_cost_nothing(all_bills: dict[str, Bill]) -> None:
    costs = {one.dollars_per_million() for name, one in all_bills.items() if "fan-out" in name}
    assert costs == {all_bills[bill.PLAIN].dollars_per_million()}


def test_the_page_shows_what_is_counted(all_bills: dict[str, Bill]) -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for what, table in pages(all_bills).items():
        assert table in page, f"{what}: run python -m bench.bill_page and paste it"


def test_a_wait_is_met_before_it_times_out() -> None:
    paid = billed([function(wait)], events=1, then="bench/approved")
    ended = paid.matching(stage="worker", operation="DeleteItem", table="waits")
    woken = paid.matching(stage="matcher", operation="PublishBatch")
    assert (len(ended), len(woken)) == (0, 1)


def test_what_an_idle_queue_has_is_what_is_deployed() -> None:
    snapshot = json.loads((ROOT / "tests" / "infra" / "snapshot.json").read_text())
    kinds = Counter(resource["Type"] for resource in snapshot["Resources"].values())
    polled = kinds["AWS::Lambda::EventSourceMapping"]
    assert kinds["AWS::CloudWatch::Alarm"] == bill.ALARMS_A_STAGE + bill.ALARMS_A_QUEUE * polled
    alarms = [r for r in snapshot["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = [
        sum("MetricStat" in metric for metric in alarm["Properties"].get("Metrics", ())) or 1
        for alarm in alarms
    ]
    assert sum(metrics) == bill.ALARM_METRICS_A_STAGE + bill.ALARMS_A_QUEUE * polled
    # A queue for each function and the matcher's, each with its dead letters, which nobody polls.
    assert kinds["AWS::SQS::Queue"] == 2 * polled
