"""Faults look as those of AWS do: botocore repeats what it would repeat, and says what it would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    IncompleteReadError,
    ReadTimeoutError,
)

from tests.faults.error_answer import SERVER_ERRORS, THROTTLING
from tests.faults.fault import (
    KINDS,
    AnswerLost,
    Crash,
    CutOff,
    Disconnected,
    DoneInPart,
    Fault,
    ServerError,
    Slow,
    Throttled,
    TimedOut,
    Unreachable,
    name_of,
)
from tests.faults.layer import FaultLayer
from tests.faults.plan import InTurn
from tidegate.aws import client, error_code, is_throttled
from tidegate.local.cloud import Cloud
from tidegate.local.wiring import PREFIX
from tidegate.manifest import Manifest

TABLE = f"{PREFIX}-runs"
BUCKET = f"{PREFIX}-payloads"
ATTEMPTS = 3


@dataclass
class Time:
    """Notes how long something lasted, and lets no time pass.

    Attributes:
        slept_s: the seconds of slow answers and time-outs.
        backed_off_s: those that botocore waited between its attempts.
    """

    slept_s: list[float] = field(default_factory=list)
    backed_off_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.slept_s.append(seconds)

    def die(self) -> NoReturn:
        raise SystemExit


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    started = Cloud()
    started.start()
    started.provision(Manifest(functions=()))
    yield started
    started.stop()


@pytest.fixture
def time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    # This is the one place where botocore waits before it tries again.
    botocore_time = SimpleNamespace(sleep=time.backed_off_s.append)
    monkeypatch.setattr("botocore.endpoint.time", botocore_time)
    return time


@pytest.fixture
def fail(time: Time) -> Callable[..., FaultLayer]:
    """Lets the next attempts of calls fail; what is called from now on is a Lambda's."""
    return lambda *faults: FaultLayer(InTurn(faults), time, caller=lambda: "ingest")


def put(number: int = 0) -> Any:
    item = {"pk": {"S": "layer"}, "sk": {"S": str(number)}}
    return client("dynamodb").put_item(TableName=TABLE, Item=item)


def is_there(number: int = 0) -> bool:
    key = {"pk": {"S": "layer"}, "sk": {"S": str(number)}}
    found = client("dynamodb").get_item(TableName=TABLE, Key=key)
    client("dynamodb").delete_item(TableName=TABLE, Key=key)
    return "Item" in found


# By kind: what is raised when all attempts end so, whether it was done, and how long an attempt is.
ENDS: dict[str, tuple[Fault, type[BaseException], bool, float]] = {
    name_of(fault): (fault, error, is_done, seconds)
    for fault, error, is_done, seconds in (
        (Throttled(), ClientError, False, 0),
        (ServerError(), ClientError, False, 0),
        (ServerError(is_done=True), ClientError, True, 0),
        (Unreachable(), ConnectTimeoutError, False, 1),
        (TimedOut(), ReadTimeoutError, False, 4),
        (AnswerLost(), ReadTimeoutError, True, 4),
        (Disconnected(), ConnectionClosedError, True, 0),
    )
}


@pytest.mark.parametrize("kind", ENDS)
def test_what_passes_within_three_attempts_is_not_noticed(
    fail: Callable[..., FaultLayer], time: Time, kind: str
) -> None:
    fault, *_ = ENDS[kind]
    with fail(fault, fault) as layer:
        answer = put()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2
    assert layer.calls.total() == ATTEMPTS
    assert layer.hits == {("dynamodb", "PutItem", kind): 2}
    assert len(time.backed_off_s) == 2
    assert is_there()


@pytest.mark.parametrize("kind", ENDS)
def test_a_third_fault_is_an_error(fail: Callable[..., FaultLayer], time: Time, kind: str) -> None:
    fault, error, is_done, seconds = ENDS[kind]
    with fail(*[fault] * ATTEMPTS, Crash()) as layer, pytest.raises(error):
        put()
    assert layer.calls.total() == ATTEMPTS, "there is no fourth attempt"
    assert time.slept_s == [seconds] * ATTEMPTS if seconds else time.slept_s == []
    assert is_there() == is_done


@pytest.mark.parametrize(
    ("service", "error"), [(name, one) for name, all_ in THROTTLING.items() for one in all_]
)
def test_each_service_says_in_its_own_way_that_it_throttles(
    fail: Callable[..., FaultLayer], cloud: Cloud, service: str, error: tuple[int, str, str]
) -> None:
    variant = THROTTLING[service].index(error)
    raised = _raised(fail, cloud, service, Throttled(variant))
    assert raised.response["ResponseMetadata"]["HTTPStatusCode"] == error[0]
    assert error_code(raised) == error[1]
    assert raised.response["Error"]["Message"] == error[2]
    assert is_throttled(raised)


@pytest.mark.parametrize(
    ("service", "error"), [(name, one) for name, all_ in SERVER_ERRORS.items() for one in all_]
)
def test_each_service_says_in_its_own_way_that_it_failed(
    fail: Callable[..., FaultLayer], cloud: Cloud, service: str, error: tuple[int, str, str]
) -> None:
    variant = SERVER_ERRORS[service].index(error)
    raised = _raised(fail, cloud, service, ServerError(variant))
    assert raised.response["ResponseMetadata"]["HTTPStatusCode"] == error[0]
    assert error_code(raised) == (error[1] or str(error[0]))
    assert not is_throttled(raised)


def _raised(
    fail: Callable[..., FaultLayer], cloud: Cloud, service: str, fault: Fault
) -> ClientError:
    """What a call of a service raises that always ends so."""
    calls: dict[str, Callable[[], Any]] = {
        "dynamodb": put,
        "s3": lambda: client("s3").put_object(Bucket=BUCKET, Key="layer", Body=b"a"),
        "scheduler": lambda: client("scheduler").get_schedule(GroupName=PREFIX, Name="layer"),
        "sns": lambda: client("sns").publish_batch(
            TopicArn=cloud.topic_arns[0], PublishBatchRequestEntries=[{"Id": "1", "Message": "a"}]
        ),
        "sqs": lambda: client("sqs").send_message(
            QueueUrl=cloud.matcher.queue_url, MessageBody="a"
        ),
        "ssm": lambda: client("ssm").get_parameters_by_path(Path="/layer"),
    }
    with fail(*[fault] * ATTEMPTS), pytest.raises(ClientError) as caught:
        calls[service]()
    return caught.value


def test_a_slow_answer_is_an_answer(fail: Callable[..., FaultLayer], time: Time) -> None:
    with fail(Slow(2.5)):
        assert put()["ResponseMetadata"]["RetryAttempts"] == 0
    assert time.slept_s == [2.5]
    assert is_there()


@pytest.mark.parametrize("is_done", [False, True])
def test_a_crash_ends_its_process(fail: Callable[..., FaultLayer], is_done: bool) -> None:
    with fail(Crash(is_done)), pytest.raises(SystemExit):
        put()
    assert is_there() == is_done


@pytest.mark.parametrize("variant", [0, 1])
def test_of_a_batch_some_are_done(fail: Callable[..., FaultLayer], variant: int) -> None:
    items = [{"pk": {"S": "layer"}, "sk": {"S": str(number)}} for number in range(4)]
    requests: Any = [{"PutRequest": {"Item": item}} for item in items]
    with fail(DoneInPart(variant)):
        answer: Any = client("dynamodb").batch_write_item(RequestItems={TABLE: requests})
    left = answer["UnprocessedItems"][TABLE]
    assert left == requests[1 - variant :: 2]
    assert [is_there(number) for number in range(4)] == [
        request not in left for request in requests
    ]


def test_of_what_is_asked_for_some_is_read(fail: Callable[..., FaultLayer]) -> None:
    for number in range(3):
        put(number)
    keys = [{"pk": {"S": "layer"}, "sk": {"S": str(number)}} for number in range(3)]
    with fail(DoneInPart()):
        answer: Any = client("dynamodb").batch_get_item(
            RequestItems={TABLE: {"Keys": keys, "ConsistentRead": True}}
        )
    assert len(answer["Responses"][TABLE]) == 2
    assert answer["UnprocessedKeys"] == {TABLE: {"Keys": [keys[1]], "ConsistentRead": True}}
    assert all(is_there(number) for number in range(3))


@pytest.mark.parametrize("count", [1, 3])
def test_of_messages_some_are_taken(
    fail: Callable[..., FaultLayer], cloud: Cloud, count: int
) -> None:
    url = cloud.matcher.queue_url
    client("sqs").purge_queue(QueueUrl=url)
    entries: Any = [{"Id": str(number), "MessageBody": str(number)} for number in range(count)]
    with fail(DoneInPart(1)):
        answer = client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
    failed = [failure["Id"] for failure in answer["Failed"]]
    assert failed == [str(number) for number in range(count) if number % 2 == 0]
    received = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    bodies = {message["Body"] for message in received.get("Messages", [])}
    assert bodies == {str(number) for number in range(count) if number % 2}


def test_an_answer_breaks_off(fail: Callable[..., FaultLayer]) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="layer", Body=b"0123456789")
    with fail(CutOff()):
        body = client("s3").get_object(Bucket=BUCKET, Key="layer")["Body"]
        with pytest.raises(IncompleteReadError):
            body.read()


def test_without_faults_nothing_is_changed(fail: Callable[..., FaultLayer], time: Time) -> None:
    with fail() as layer:
        put()
    assert is_there()
    assert (layer.hits, time.slept_s, time.backed_off_s) == ({}, [], [])


def test_every_kind_is_looked_at_here() -> None:
    others = {name_of(fault) for fault in (Slow(), DoneInPart(), CutOff())}
    others |= {name_of(Crash(is_done)) for is_done in (False, True)}
    assert {name_of(kind) for kind in KINDS} == ENDS.keys() | others
