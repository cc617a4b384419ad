"""The faults of AWS, as data: what each one is, and which calls it can happen to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One attempt of a call to AWS.

    Attributes:
        service, operation: such as `dynamodb` and `PutItem`.
        params: its parameters.
        caller: which Lambda makes it; empty when that is not known.
        attempt: 1, and 2 or 3 when botocore repeats it.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    caller: str = ""
    attempt: int = 1

    @property
    def name(self) -> tuple[str, str]:
        """The service and the operation."""
        return self.service, self.operation

    @property
    def resource(self) -> str:
        """The table, queue, topic, bucket or group of schedules."""
        if "RequestItems" in self.params:
            return next(iter(self.params["RequestItems"]))
        for name in ("TableName", "TopicArn", "QueueUrl", "Bucket", "GroupName"):
            if name in self.params:
                return str(self.params[name]).rpartition("/")[2].rpartition(":")[2]
        return ""

    @property
    def entries(self) -> list[Any]:
        """What a batch consists of; nothing for what is no batch."""
        if self.name == ("dynamodb", "BatchWriteItem"):
            return list(self.params["RequestItems"][self.resource])
        if self.name == ("dynamodb", "BatchGetItem"):
            return list(self.params["RequestItems"][self.resource]["Keys"])
        name = _ENTRIES.get(self.name)
        return list(self.params[name]) if name else []

    def with_entries(self, entries: list[Any]) -> dict[str, Any]:
        """The parameters of the same batch with other entries."""
        if self.name == ("dynamodb", "BatchWriteItem"):
            return {**self.params, "RequestItems": {self.resource: entries}}
        if self.name == ("dynamodb", "BatchGetItem"):
            keys = {**self.params["RequestItems"][self.resource], "Keys": entries}
            return {**self.params, "RequestItems": {self.resource: keys}}
        return {**self.params, _ENTRIES[self.name]: entries}


# The batches of which a successful answer may say that some were not done.
_ENTRIES = {
    ("sns", "PublishBatch"): "PublishBatchRequestEntries",
    ("sqs", "DeleteMessageBatch"): "Entries",
    ("sqs", "SendMessageBatch"): "Entries",
}


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a call."""

    def can_happen_to(self, call: Call) -> bool:
        """Whether AWS fails a call in this way."""
        return True


@dataclass(frozen=True)
class Throttled(Fault):
    """It is refused since there are too many; nothing has happened.

    Attributes:
        variant: which of the service's errors, counted from 0 and round again.
    """

    variant: int = 0


@dataclass(frozen=True)
class ServerError(Fault):
    """A 500 or 503.

    Attributes:
        variant: as of `Throttled`.
        is_done: whether it was done all the same.
    """

    variant: int = 0
    is_done: bool = False


@dataclass(frozen=True)
class Unreachable(Fault):
    """No connection could be made in time."""


@dataclass(frozen=True)
class TimedOut(Fault):
    """The request never arrived, and so no answer comes."""


@dataclass(frozen=True)
class AnswerLost(Fault):
    """It was done, and its answer never comes."""


@dataclass(frozen=True)
class Disconnected(Fault):
    """It was done, and the connection is closed before the answer comes."""


@dataclass(frozen=True)
class Slow(Fault):
    """It is done after a while.

    Attributes:
        seconds: how long that takes, less than the time-out.
    """

    seconds: float = 3.0


@dataclass(frozen=True)
class DoneInPart(Fault):
    """Of a batch some are done; the answer says which are not.

    Attributes:
        variant: which of them are done: the even ones, or the odd ones.
    """

    variant: int = 0

    def can_happen_to(self, call: Call) -> bool:
        # Where it can do nothing at all DynamoDB says that it throttles.
        least = 2 if call.service == "dynamodb" else 1
        return call.attempt == 1 and len(call.entries) >= least


@dataclass(frozen=True)
class CutOff(Fault):
    """The answer begins, and breaks off."""

    def can_happen_to(self, call: Call) -> bool:
        return call.name == ("s3", "GetObject")


@dataclass(frozen=True)
class Crash(Fault):
    """The caller's process dies, just before the call is done or just after.

    Attributes:
        is_done: whether the call was done.
    """

    is_done: bool = True

    def can_happen_to(self, call: Call) -> bool:
        return call.caller != ""


# One of each kind.
KINDS: tuple[Fault, ...] = (
    Throttled(),
    ServerError(),
    ServerError(is_done=True),
    Unreachable(),
    TimedOut(),
    AnswerLost(),
    Disconnected(),
    Slow(),
    DoneInPart(),
    CutOff(),
    Crash(is_done=False),
    Crash(is_done=True),
)


def name_of(fault: Fault) -> str:
    """What a report calls a fault's kind."""
    if isinstance(fault, ServerError) and fault.is_done:
        return "server error after it"
    if isinstance(fault, Crash):
        return "crash after it" if fault.is_done else "crash before it"
    return _NAMES[type(fault)]


_NAMES: dict[type[Fault], str] = {
    Throttled: "throttled",
    ServerError: "server error",
    Unreachable: "unreachable",
    TimedOut: "timed out",
    AnswerLost: "answer lost",
    Disconnected: "disconnected",
    Slow: "slow",
    DoneInPart: "done in part",
    CutOff: "cut off",
}
