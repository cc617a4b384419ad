"""The pump between a queue and a function: what is invoked, deleted, repeated and given up."""

import json
import threading
import time

import pytest

from tests.local.conftest import arn_of
from tidegate.aws import client
from tidegate.local.event_source import EventSourceMapping, failed_ids


@pytest.fixture
def pump():
    """Starts mappings, and stops them in the end."""
    started = []

    def start(url, invoke, *, batch_size=10, max_concurrency=50):
        mapping = EventSourceMapping(
            "shop-hello",
            url,
            arn_of(url),
            invoke,
            batch_size=batch_size,
            max_concurrency=max_concurrency,
        )
        mapping.start()
        started.append(mapping)
        return mapping

    yield start
    for mapping in started:
        mapping.stop()
    for mapping in started:
        mapping.drain(5)


def send(url, *bodies):
    for start in range(0, len(bodies), 10):
        client("sqs").send_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(i), "MessageBody": body}
                for i, body in enumerate(bodies[start : start + 10])
            ],
        )


def held(url):
    """How many messages the queue holds, visible or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_the_event_is_the_one_that_lambda_gets(queue, pump, eventually):
    url = queue()
    client("sqs").send_message(
        QueueUrl=url,
        MessageBody="hello",
        MessageAttributes={
            "name": {"DataType": "String", "StringValue": "app/hello"},
            "blob": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )
    events = []
    pump(url, events.append)
    eventually(lambda: events)
    (record,) = events[0]["Records"]
    sent_ms = int(record["attributes"]["SentTimestamp"])
    assert abs(sent_ms - time.time() * 1000) < 60_000
    assert record.pop("messageId")
    assert record.pop("receiptHandle")
    assert record.pop("md5OfMessageAttributes")
    assert all(isinstance(value, str) for value in record["attributes"].values())
    assert record == {
        "body": "hello",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": record["attributes"][
                "ApproximateFirstReceiveTimestamp"
            ],
            "SenderId": record["attributes"]["SenderId"],
            "SentTimestamp": str(sent_ms),
        },
        "messageAttributes": {
            "name": {
                "stringValue": "app/hello",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "blob": {
                "binaryValue": "AAE=",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
            },
        },
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": arn_of(url),
        "awsRegion": "us-east-1",
    }


def test_messages_come_in_batches_and_are_deleted(queue, pump, eventually):
    url = queue()
    send(url, *(str(i) for i in range(25)))
    sizes = []
    pump(url, lambda event: sizes.append(len(event["Records"])))
    eventually(lambda: sum(sizes) == 25 and held(url) == 0)
    assert sorted(sizes) == [5, 10, 10]


def test_the_batch_size_is_kept(queue, pump, eventually):
    url = queue()
    send(url, *"abc")
    sizes = []
    pump(url, lambda event: sizes.append(len(event["Records"])), batch_size=1)
    eventually(lambda: len(sizes) == 3)
    assert sizes == [1, 1, 1]


def test_only_what_failed_stays(queue, pump, eventually):
    url = queue(VisibilityTimeout="600")
    send(url, "good", "bad", "good")
    done = threading.Event()

    def invoke(event):
        done.set()
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in bad]}

    pump(url, invoke)
    assert done.wait(30)
    eventually(lambda: held(url) == 1)


@pytest.mark.parametrize(
    "invoke",
    [
        lambda event: 1 / 0,
        lambda event: (_ for _ in ()).throw(SystemExit(1)),
        lambda event: "what is this",
        lambda event: {"batchItemFailures": [{"itemIdentifier": "not in the batch"}]},
    ],
    ids=["crash", "exit", "no mapping", "unknown id"],
)
def test_a_failed_batch_comes_again_until_it_is_dead(queue, pump, eventually, invoke):
    dead = queue()
    policy = json.dumps({"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 3})
    url = queue(VisibilityTimeout="0", RedrivePolicy=policy)
    counts = []

    def failing(event):
        counts.append(event["Records"][0]["attributes"]["ApproximateReceiveCount"])
        return invoke(event)

    # One at a time: without a visibility timeout the message is there again at once.
    pump(url, failing, max_concurrency=1)
    send(url, "poison")
    eventually(lambda: held(dead) == 1)
    assert counts == ["1", "2", "3"]
    assert held(url) == 0


def test_a_message_that_failed_comes_again_when_its_visibility_timeout_ends(
    queue, pump, eventually
):
    url = queue(VisibilityTimeout="1")
    times = []

    def invoke(event):
        times.append(time.monotonic())
        if len(times) == 1:
            raise ValueError

    pump(url, invoke)
    send(url, "once more")
    eventually(lambda: len(times) == 2 and held(url) == 0)
    assert times[1] - times[0] > 0.9


def test_a_slow_function_delays_no_other(queue, pump):
    slow, fast = queue(), queue()
    release, started, done = threading.Event(), threading.Event(), threading.Event()

    def wait(event):
        started.set()
        assert release.wait(60)

    pump(slow, wait, max_concurrency=1)
    pump(fast, lambda event: done.set())
    send(slow, "a", "b")
    assert started.wait(30)
    send(fast, "c")
    assert done.wait(30), "it waited for the slow one"
    release.set()


def test_no_more_invocations_than_allowed(queue, pump, eventually):
    url = queue()
    release = threading.Event()
    running, most, ended = [], [], []

    def invoke(event):
        running.append(1)
        most.append(len(running))
        if len(running) == 2:
            release.set()
        assert release.wait(30), "two at once were never reached"
        running.pop()
        ended.append(1)

    pump(url, invoke, batch_size=1, max_concurrency=2)
    send(url, *"abcdef")
    eventually(lambda: len(ended) == 6)
    assert max(most) == 2


def test_later_batches_go_where_invoke_points_to(queue, pump, eventually):
    url = queue()
    old, new = [], []
    mapping = pump(url, old.append)
    send(url, "a")
    eventually(lambda: old)
    mapping.invoke = new.append
    send(url, "b")
    eventually(lambda: new)
    assert len(old) == 1


def test_stopping_waits_for_what_is_under_way(queue, pump, eventually):
    url = queue()
    started, release = threading.Event(), threading.Event()

    def invoke(event):
        started.set()
        assert release.wait(60)

    mapping = pump(url, invoke)
    send(url, "a")
    assert started.wait(30)
    mapping.stop()
    assert not mapping.drain(0.05), "it must not wait for ever"
    release.set()
    assert mapping.drain(15)
    assert held(url) == 0
    send(url, "too late")
    assert held(url) == 1


def test_stopping_an_idle_mapping_does_not_wait_for_its_poll(queue, pump):
    mapping = pump(queue(), lambda event: None)
    mapping.stop()
    assert mapping.drain(15), "a poll takes 20 s"


@pytest.mark.parametrize("response", [None, {}, [], "", {"batchItemFailures": None}])
def test_empty_responses_mean_success(response):
    assert failed_ids(response, {"a"}) == set()


@pytest.mark.parametrize(
    "response",
    [
        "text",
        ["a"],
        {"batchItemFailures": "a"},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"item": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "z"}]},
    ],
)
def test_malformed_responses_fail_the_whole_batch(response):
    assert failed_ids(response, {"a"}) is None
