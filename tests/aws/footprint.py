"""All that a stage has stored and sent, to be compared: what is refused must leave nothing."""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend

from tests.aws.conftest import Stage
from tidegate.local.cloud import BUCKET
from tidegate.local.lambda_function import ACCOUNT_ID, REGION

Footprint = dict[str, Any]


def footprint(stage: Stage) -> Footprint:
    """The items of each table, the objects of the bucket, the messages of each queue, schedules.

    Of what goes to the topic the queues that are subscribed to it tell.
    """
    tables = get_backend("dynamodb")[ACCOUNT_ID][REGION].tables
    found: Footprint = {
        f"table {what}": _items(tables[name]) for what, name in stage.cloud.tables.items()
    }
    bucket = get_backend("s3")[ACCOUNT_ID]["aws"].buckets[BUCKET]
    found["objects"] = {name: key.etag for name, key in bucket.keys.items()}
    for name, queue in get_backend("sqs")[ACCOUNT_ID][REGION].queues.items():
        found[f"queue {name}"] = sorted(queue.bodies())
    groups = get_backend("scheduler")[ACCOUNT_ID][REGION].schedule_groups
    found["schedules"] = sorted(name for group in groups.values() for name in group.schedules)
    return {what: held for what, held in found.items() if held}


def _items(table: Any) -> dict[str, Any]:
    items = [
        item
        for held in table.items.values()
        for item in (held.values() if isinstance(held, dict) else [held])
    ]
    return {repr((item.hash_key, item.range_key)): item.to_json() for item in items}


def changed(before: Footprint, after: Footprint) -> set[str]:
    """Where something is other than it was before."""
    return {what for what in before.keys() | after.keys() if before.get(what) != after.get(what)}
