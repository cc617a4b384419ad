"""Queries as the stores make them: ranges, order and pages, those that a megabyte ends included."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.aws.conftest import ENV, Stage
from tidegate.aws import client
from tidegate.batch_put import put_items
from tidegate.bulk_job import BulkJob, JobKind
from tidegate.expression import Expression
from tidegate.ids import ulid_at
from tidegate.listing import Filter, Span, newest_items
from tidegate.partition import item_key
from tidegate.rest_cancellations import MAX_EXPRESSION_LENGTH
from tidegate.run import Run, Status
from tidegate.step import Op, StepId, StepRecord, StepState, data_memo
from tidegate.wait import Condition, Wait

pytestmark = pytest.mark.storage

NOW_MS = 1_760_000_000_000
_numbers = itertools.count()


class Partition:
    """Rows of one partition of the runs table: `00` to `19`, of which every other one is even."""

    def __init__(self, stage: Stage, text: str = "", rows: int = 20) -> None:
        self.table = stage.settings.runs_table
        self.pk = {"S": f"partition {next(_numbers)}"}
        items: list[dict[str, Any]] = []
        for number in range(rows):
            item: dict[str, Any] = {"pk": self.pk, "sk": {"S": f"{number:02}"}, "text": {"S": text}}
            items.append(item | ({"even": {"BOOL": True}} if number % 2 == 0 else {}))
        put_items(self.table, items[::-1], stage.clock, "no")

    def pages(self, range_: str = "", *bounds: str, **options: Any) -> list[list[str]]:
        """The sort keys of each page of a query."""
        values = {f":v{number}": {"S": bound} for number, bound in enumerate(bounds)}
        condition = "pk = :pk" + (f" AND {range_}" if range_ else "")
        found: list[list[str]] = []
        start: dict[str, Any] = {}
        while True:
            page = client("dynamodb").query(
                TableName=self.table,
                KeyConditionExpression=condition,
                ExpressionAttributeValues={":pk": self.pk, **values},
                ConsistentRead=True,
                **options,
                **start,
            )
            found.append([item["sk"]["S"] for item in page["Items"]])
            if not page.get("LastEvaluatedKey"):
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


ROWS = [f"{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    ("range_", "bounds", "found"),
    [
        ("", (), ROWS),
        ("sk BETWEEN :v0 AND :v1", ("03", "11"), ROWS[3:12]),
        ("sk BETWEEN :v0 AND :v1", ("03", "03"), ROWS[3:4]),
        ("sk BETWEEN :v0 AND :v1", ("x", "y"), []),
        ("sk < :v0", ("07",), ROWS[:7]),
        ("sk < :v0", ("07x",), ROWS[:8]),
    ],
)
def test_ranges_come_in_order_and_backwards(
    stage: Stage, range_: str, bounds: tuple[str, ...], found: list[str]
) -> None:
    partition = Partition(stage)
    assert partition.pages(range_, *bounds) == [found]
    assert partition.pages(range_, *bounds, ScanIndexForward=False) == [found[::-1]]


@pytest.mark.parametrize("limit", [1, 7, 20, 21])
@pytest.mark.parametrize("forward", [True, False])
def test_pages_together_have_every_row_once(stage: Stage, limit: int, forward: bool) -> None:
    pages = Partition(stage).pages(Limit=limit, ScanIndexForward=forward)
    # A page that is full may have another one behind it, which is empty.
    assert [len(page) for page in pages if page] == [
        min(limit, 20 - n) for n in range(0, 20, limit)
    ]
    assert list(itertools.chain(*pages)) == ROWS[:: 1 if forward else -1]


def test_a_limit_counts_what_a_filter_leaves_out(stage: Stage) -> None:
    pages = Partition(stage).pages(Limit=3, FilterExpression="attribute_exists(even)")
    assert [page for page in pages if page] == [
        ["00", "02"], ["04"], ["06", "08"], ["10"], ["12", "14"], ["16"], ["18"],
    ]  # fmt: skip


def test_a_page_has_no_more_than_a_megabyte(stage: Stage) -> None:
    large = Partition(stage, "x" * 300_000, rows=8)
    for options in ({}, {"ProjectionExpression": "sk"}, {"Limit": 7}):
        pages = large.pages(**options)
        assert list(itertools.chain(*pages)) == ROWS[:8]
        # AWS ends a page with the row that comes to a megabyte, or before it.
        assert max(map(len, pages)) in (3, 4)


def test_every_key_of_a_table_larger_than_a_page_is_scanned(stage: Stage) -> None:
    table = stage.settings.keys_table
    items: list[Any] = [{"pk": {"S": f"{n}"}, "text": {"S": "x" * 300_000}} for n in range(8)]
    put_items(table, items, stage.clock, "no")
    pages = list(
        client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    )
    assert len(pages) > 1
    scanned = sorted(item["pk"]["S"] for page in pages for item in page["Items"])
    assert scanned == [str(n) for n in range(8)]


# --- what the stores make of it -------------------------------------------------------------------


RUN = Run(
    id=ulid_at(NOW_MS, b"0123456789"),
    env=ENV,
    function_id="f",
    event_id=ulid_at(NOW_MS, b"0123456789"),
    status=Status.RUNNING,
    attempt=0,
    queued_ms=NOW_MS,
)


def test_steps_of_more_than_a_page_are_all_loaded(stage: Stage) -> None:
    memo = data_memo(f'"{"x" * 60_000}"')
    done = StepRecord(StepId("a"), Op.RUN, StepState.COMPLETED, NOW_MS, NOW_MS, memo=memo)
    records = [replace(done, step=StepId("a", number)) for number in range(40)]
    stage.steps.copy(records, RUN, NOW_MS)
    loaded = stage.steps.load(RUN)
    assert {record.step.index for record in loaded.values()} == set(range(40))
    assert {record.memo for record in loaded.values()} == {memo}


def test_waits_of_more_than_a_page_are_all_found(stage: Stage) -> None:
    wait = Wait(
        env=ENV,
        run_id="",
        function_id="f",
        step=StepId("w"),
        op=Op.WAIT_FOR_EVENT,
        since_ms=NOW_MS,
        due_ms=NOW_MS + 1,
        message="x" * 60_000,
        event_id=RUN.event_id,
        event_name="app/awaited",
        condition=Condition(),
        stored_ms=NOW_MS,
        cancels=False,
    )
    assert not stage.waits.is_awaited(ENV, "app/awaited")
    for number in range(40):
        stage.waits.put(replace(wait, run_id=f"run {number}"))
    assert stage.waits.is_awaited(ENV, "app/awaited")
    pages = list(stage.waits.waiting_for(ENV, "app/awaited"))
    assert len(pages) > 1
    assert {one.run_id for page in pages for one in page} == {f"run {n}" for n in range(40)}


def test_jobs_of_more_than_a_page_are_listed_to_the_end(stage: Stage) -> None:
    text = "x" * MAX_EXPRESSION_LENGTH
    job = BulkJob(
        id="",
        env=ENV,
        kind=JobKind.CANCELLATION,
        function_id="f",
        app_id=None,
        from_ms=0,
        until_ms=NOW_MS,
        run_statuses=(),
        expression=Expression(text, text),
        created_ms=NOW_MS,
    )
    ids = [ulid_at(NOW_MS + number, bytes(10)) for number in range(80)]
    for job_id in ids:
        stage.jobs.jobs.create(replace(job, id=job_id))
    newest = stage.jobs.jobs.newest
    listed, has_more = newest(ENV, job.kind, 100, None, NOW_MS)
    assert ([one.id for one in listed], has_more) == (ids[::-1], False)
    listed, has_more = newest(ENV, job.kind, 79, None, NOW_MS)
    assert ([one.id for one in listed], has_more) == (ids[:0:-1], True)
    listed, has_more = newest(ENV, job.kind, 79, listed[-1].id, NOW_MS)
    assert ([one.id for one in listed], has_more) == (ids[:1], False)


def test_a_list_has_every_item_once_whatever_its_pages(stage: Stage) -> None:
    """Over two days and all their shards, with rows so large that a megabyte ends some queries."""
    env, day_ms = "listed", 86_400_000
    ids = [ulid_at(NOW_MS - n * day_ms // 40, bytes([n] * 10)) for n in range(80)]
    items: list[Any] = [
        {**item_key(env, one), "name": {"S": "a"}, "text": {"S": "x" * 60_000}} for one in ids
    ]
    put_items(stage.settings.events_table, items, stage.clock, "no")
    only = Filter("#name = :name", {"#name": "name"}, {":name": {"S": "a"}}, selective=True)
    for limit in (7, 79, 80, 100):
        cursor, listed = None, []
        while True:
            span = Span.of(NOW_MS - 3 * day_ms, NOW_MS, cursor)
            assert span is not None
            page = newest_items(stage.settings.events_table, env, span, limit, only)
            assert len(page.items) <= limit
            listed += [item["sk"]["S"] for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert listed == sorted(ids, reverse=True)
