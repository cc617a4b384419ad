"""Every AWS call of a scenario: what it was, how much it carried, and what it waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from bench.dynamodb_units import Units, consumed, item_bytes, stored_bytes
from bench.prices import message_chunks
from tidegate.aws import client

_SERVICES: tuple[Any, ...] = ("dynamodb", "s3", "scheduler", "sns", "sqs")
_MINE = "tidegate_bench"


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        stage: where on an event's way it was made.
        service, operation: such as `dynamodb` and `PutItem`.
        table: a table's name without the stage's prefix; empty for other services.
        payload_bytes: the items, messages or objects that it carried, in either direction.
        units: what it consumed of DynamoDB.
        round_trips: how many calls were made one after the other up to this one, in its invocation.
    """

    stage: str
    service: str
    operation: str
    table: str
    payload_bytes: int
    units: Units
    round_trips: int

    @property
    def usage(self) -> dict[str, float]:
        """What AWS charges for, by its name in the price table."""
        if self.service == "dynamodb":
            used = {
                "DynamoDB write unit": self.units.write,
                "DynamoDB read unit": self.units.read,
            }
            return {what: count for what, count in used.items() if count}
        if self.service == "sns":
            return {"SNS publish": message_chunks(self.payload_bytes)}
        if self.service == "sqs":
            return {"SQS request": message_chunks(self.payload_bytes)}
        if self.service == "s3":
            return {"S3 put" if self.operation == "PutObject" else "S3 get": 1}
        return {}


class Recorder:
    """Records the calls of `tidegate.aws`'s clients while it is entered.

    What a call waited for is known from the threads: one that another thread was given before is
    behind whatever that thread had waited for, and whoever takes a result is behind all that led to
    it. No clock takes part in that, so it is the same on every machine.

    Attributes:
        calls: the calls, in the order in which they ended.
        stage: what to note of the calls from now on.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.stage = ""
        self._behind = threading.local()
        self._undo = ExitStack()

    def __enter__(self) -> Recorder:
        for service in _SERVICES:
            events = client(service).meta.events
            for name, handler in (
                ("provide-client-params", self._begin),
                ("after-call", self._end),
            ):
                events.register(name, handler)
                self._undo.callback(events.unregister, name, handler)
        submit, result, exception = ThreadPoolExecutor.submit, Future.result, Future.exception
        self._undo.enter_context(patch.object(ThreadPoolExecutor, "submit", self._given(submit)))
        self._undo.enter_context(patch.object(Future, "result", self._taken(result)))
        self._undo.enter_context(patch.object(Future, "exception", self._taken(exception)))
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        """Note a stage, and that what happens now waits for nothing that was before."""
        before, self.stage = self.stage, stage
        self._depth = 0
        try:
            yield
        finally:
            self.stage = before

    @property
    def _depth(self) -> int:
        """How many calls, one after the other, what this thread does now is behind of."""
        return getattr(self._behind, "calls", 0)

    @_depth.setter
    def _depth(self, calls: int) -> None:
        self._behind.calls = calls

    def _given(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        def submit_behind(
            pool: Any, call: Callable[..., Any], /, *args: Any, **options: Any
        ) -> Any:
            given = self._depth
            reached = [given]

            def run() -> Any:
                self._depth = given
                try:
                    return call(*args, **options)
                finally:
                    reached[0] = self._depth

            future = submit(pool, run)
            setattr(future, _MINE, reached)
            return future

        return submit_behind

    def _taken(self, take: Callable[..., Any]) -> Callable[..., Any]:
        def take_behind(future: Any, timeout: float | None = None) -> Any:
            try:
                return take(future, timeout)
            finally:
                self._depth = max(self._depth, getattr(future, _MINE, [0])[0])

        return take_behind

    def _begin(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        # The item before: of a write the larger one counts, and what was read may change.
        table = params.get("TableName", "")
        before_bytes = stored_bytes(table, params) if table else 0
        context[_MINE] = (dict(params), before_bytes, self._depth + 1)

    def _end(
        self, parsed: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> None:
        params, before_bytes, round_trips = context[_MINE]
        service, operation = model.service_model.service_name, model.name
        units, size_bytes = Units(), _payload_bytes(params, parsed)
        if service == "dynamodb":
            units = consumed(operation, params, parsed, before_bytes)
            size_bytes = max(size_bytes, before_bytes)
        self.calls.append(
            Call(
                self.stage,
                service,
                operation,
                _table_of(params),
                size_bytes,
                units,
                round_trips,
            )
        )
        self._depth = round_trips


def _table_of(params: Mapping[str, Any]) -> str:
    tables = [params["TableName"]] if "TableName" in params else params.get("RequestItems", ())
    return ",".join(name.rpartition("-")[2] for name in tables)


def _payload_bytes(params: Mapping[str, Any], answer: Mapping[str, Any]) -> int:
    """What a call carries, as far as that is charged for."""
    batches = params.get("RequestItems", {}).values()
    items = [one["PutRequest"]["Item"] for batch in batches for one in batch]
    items += [params["Item"]] if "Item" in params else []
    items += answer.get("Items", ())
    messages = [
        params,
        *params.get("PublishBatchRequestEntries", ()),
        *(params.get("Entries", ())),
        *answer.get("Messages", ()),
    ]
    size = sum(item_bytes(item) for item in items) + sum(_message_bytes(m) for m in messages)
    body = params.get("Body", b"")
    return size + len(body if isinstance(body, bytes) else body.encode())


def _message_bytes(message: Mapping[str, Any]) -> int:
    """The size of a message in a request or a response, its attributes included; 0 of none."""
    texts = [message[name] for name in ("Message", "MessageBody") if name in message]
    if "ReceiptHandle" in message and "Body" in message:
        texts.append(message["Body"])
    for name, value in message.get("MessageAttributes", {}).items():
        texts += [name, value["DataType"], value["StringValue"]]
    return sum(len(text.encode()) for text in texts)
