"""DynamoDB tables that nobody filled: what is in a partition is computed when it is read.

Moto with a million items would measure moto. Here boto3's calls end in DynamoDB's protocol, the
JSON that would go through the network, and a query reads what a real one would read: whole items,
at most 1 MB of them, before anything is filtered. Of filters it knows the comparison with `:name`,
since nothing else in these tables is left out. Writes succeed and change nothing; there is no item
to get.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol

from botocore.awsrequest import AWSResponse

from bench.dynamodb_units import item_bytes
from tidegate.aws import client, forget_clients

# What a query goes through before it gives back what it has.
_PAGE_BYTES = 1024 * 1024
_READ_UNIT_BYTES = 4096

Item = dict[str, Any]


class Partition(Protocol):
    """The items of a partition, in the order of their sort keys.

    They are numbered from the first one on, and all about as large as the first.
    """

    def first_at(self, sort_key: str) -> int:
        """The number of the first item whose sort key is not less."""

    def item(self, number: int) -> Item:
        """An item."""

    def __len__(self) -> int: ...


@dataclass
class ComputedTables:
    """Answers the calls, and counts what they read.

    Attributes:
        partition: gives a partition of a table, by the table's name and the partition key.
        queries: how many queries there were.
        items: how many items they went through.
        read_units: what that consumes, by DynamoDB's rules.
        answering_s: the CPU time that making the answers took, in seconds.
        others: the other operations, in the order of their calls.
    """

    partition: Callable[[str, str], Partition | None]
    queries: int = 0
    items: int = 0
    read_units: float = 0.0
    answering_s: float = 0.0
    others: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Count anew."""
        self.queries, self.items, self.read_units, self.answering_s = 0, 0, 0.0, 0.0
        self.others.clear()

    @contextmanager
    def serving(self) -> Iterator[ComputedTables]:
        """While this runs, `tidegate.aws`'s client of DynamoDB calls here."""
        forget_clients()
        client("dynamodb").meta.events.register("before-send.dynamodb", self._answer)
        try:
            yield self
        finally:
            forget_clients()

    def _answer(self, request: Any, **_: Any) -> Any:
        # Calls come from several threads.
        with self._lock:
            return self._answered(request)

    def _answered(self, request: Any) -> AWSResponse:
        began = time.thread_time()
        operation = request.headers["X-Amz-Target"]
        operation = (operation if isinstance(operation, str) else operation.decode()).split(".")[1]
        answer: Mapping[str, Any] = {}
        if operation == "Query":
            answer = self._query(json.loads(request.body))
        else:
            self.others.append(operation)
        body = json.dumps(answer).encode()
        self.answering_s += time.thread_time() - began
        return AWSResponse(request.url, 200, {"content-length": str(len(body))}, _Raw(body))  # type: ignore[arg-type]

    def _query(self, call: Mapping[str, Any]) -> Item:
        values = {
            name: one["S"] for name, one in call["ExpressionAttributeValues"].items() if "S" in one
        }
        key = values[call["KeyConditionExpression"].split()[2]]
        partition = self.partition(call["TableName"], key)
        numbers = range(0) if partition is None else _asked(call, values, partition)
        read: list[Item] = []
        size = 0
        for number in numbers:
            assert partition is not None  # noqa: S101
            read.append(partition.item(number))
            size += item_bytes(read[-1])
            if size >= _PAGE_BYTES or len(read) == call.get("Limit"):
                break
        self.queries += 1
        self.items += len(read)
        units = max(1, math.ceil(size / _READ_UNIT_BYTES))
        self.read_units += units if call.get("ConsistentRead") else units / 2
        name = values.get(":name") if "#name" in call.get("FilterExpression", "") else None
        passed = [item for item in read if name is None or item["name"]["S"] == name]
        answer: Item = {"Items": passed, "Count": len(passed), "ScannedCount": len(read)}
        if len(read) < len(numbers) or len(read) == call.get("Limit"):
            answer["LastEvaluatedKey"] = {name: read[-1][name] for name in ("pk", "sk")}
        return answer


def _asked(call: Mapping[str, Any], values: Mapping[str, str], partition: Partition) -> range:
    """The numbers of the items that a query is about, in its order."""
    first, behind = 0, len(partition)
    if ":oldest" in values:
        first = partition.first_at(values[":oldest"])
        behind = partition.first_at(values[":newest"] + "\0")
    forward = call.get("ScanIndexForward", True)
    if "ExclusiveStartKey" in call:
        start = call["ExclusiveStartKey"]["sk"]["S"]
        if forward:
            first = partition.first_at(start + "\0")
        else:
            behind = partition.first_at(start)
    return range(first, behind) if forward else range(behind - 1, first - 1, -1)


class _Raw(BytesIO):
    """A body, as botocore reads it from a connection."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """The body, in one piece."""
        yield self.read()
