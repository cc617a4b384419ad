"""Queues whose cost does not grow, and which any number of threads may use."""

import inspect
import json
import sys
import threading
import time
from collections import Counter
from importlib.metadata import version

import pytest
from botocore.exceptions import ClientError
from moto.sqs import models

from tests.local.conftest import arn_of
from tidegate.aws import client
from tidegate.local import (
    dynamodb_speed,
    moto_gaps,
    moto_memory,
    moto_shortcut,
    moto_speed,
    query_speed,
    sqs_speed,
)


def send(url, bodies, **options):
    for start in range(0, len(bodies), 10):
        client("sqs").send_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(i), "MessageBody": body, **options}
                for i, body in enumerate(bodies[start : start + 10])
            ],
        )


def receive(url, **options):
    return client("sqs").receive_message(QueueUrl=url, **options).get("Messages", [])


def delete(url, message):
    client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def counts(url):
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return tuple(int(found[name]) for name in names)


def test_moto_is_the_one_that_this_was_made_for():
    modules = (
        dynamodb_speed,
        moto_gaps,
        moto_memory,
        moto_shortcut,
        moto_speed,
        query_speed,
        sqs_speed,
    )
    made_for = {module.MOTO_VERSION for module in modules}
    assert made_for == {version("moto")}, (
        "compare what these modules override with what moto has now"
    )


def test_what_is_overridden_is_still_there_in_moto():
    queue = sqs_speed._MotoQueue
    for name in ("add_message", "delete_message", "messages", "wait_for_messages", "attributes"):
        assert name in vars(queue), f"moto's Queue has no {name} any more"
    assert list(inspect.signature(sqs_speed._moto_receive).parameters) == [
        "self",
        "queue_name",
        "count",
        "wait_seconds_timeout",
        "visibility_timeout",
        "message_attribute_names",
    ]
    assert list(inspect.signature(sqs_speed._moto_change_visibility).parameters) == [
        "self",
        "queue_name",
        "receipt_handle",
        "visibility_timeout",
    ]
    assert list(inspect.signature(sqs_speed._moto_purge).parameters) == ["self", "queue_name"]


def test_a_backlog_costs_nothing(queue, monkeypatch):
    url = queue()
    looks = Counter()
    for name in ("visible", "delayed"):
        moto_property = vars(models.Message)[name]

        def count(message, name=name, moto_property=moto_property):
            looks[name] += 1
            return moto_property.fget(message)

        monkeypatch.setattr(models.Message, name, property(count))
    send(url, [str(i) for i in range(2_000)])
    drained = 0
    while messages := receive(url, MaxNumberOfMessages=10):
        for message in messages:
            delete(url, message)
        drained += len(messages)
    assert drained == 2_000
    # Moto looks at every message each time: millions of times for this.
    assert sum(looks.values()) <= 3 * 2_000


def test_those_that_are_hidden_come_back_however_many_were_deleted_meanwhile(queue):
    url = queue(VisibilityTimeout="43200")
    send(url, ["kept"])
    (kept,) = receive(url)
    for _ in range(8):
        send(url, [str(i) for i in range(10)])
        for message in receive(url, MaxNumberOfMessages=10):
            delete(url, message)
            delete(url, message)
    assert counts(url) == (0, 0, 1)
    client("sqs").change_message_visibility(
        QueueUrl=url, ReceiptHandle=kept["ReceiptHandle"], VisibilityTimeout=1
    )
    (again,) = receive(url, WaitTimeSeconds=5)
    assert again["MessageId"] == kept["MessageId"]


def test_messages_are_received_in_order_and_once(queue):
    url = queue()
    send(url, ["a", "b", "c"])
    assert [m["Body"] for m in receive(url, MaxNumberOfMessages=10)] == ["a", "b", "c"]
    assert receive(url, MaxNumberOfMessages=10) == []
    assert counts(url) == (0, 0, 3)


def test_a_message_that_is_not_deleted_is_received_again(queue):
    url = queue(VisibilityTimeout="1")
    send(url, ["a"])
    (first,) = receive(url)
    (second,) = receive(url, WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    # The older handle is good too, and so is deleting twice.
    delete(url, first)
    delete(url, second)
    assert counts(url) == (0, 0, 0)


def test_a_delayed_message_is_counted_and_comes_when_its_delay_ends(queue):
    url = queue()
    send(url, ["later"], DelaySeconds=1)
    assert receive(url) == []
    assert counts(url) == (0, 1, 0)
    started = time.monotonic()
    assert [m["Body"] for m in receive(url, WaitTimeSeconds=20)] == ["later"]
    assert time.monotonic() - started < 15


def test_visibility_can_be_ended_early_and_made_longer(queue):
    url = queue(VisibilityTimeout="0")
    send(url, ["a"])
    (message,) = receive(url, VisibilityTimeout=600)
    handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
    client("sqs").change_message_visibility(**handle, VisibilityTimeout=0)
    (message,) = receive(url, VisibilityTimeout=0)
    assert receive(url, VisibilityTimeout=600)
    assert receive(url) == []


def test_a_long_poll_ends_when_a_message_comes(queue):
    url = queue()
    got = []
    poll = threading.Thread(target=lambda: got.extend(receive(url, WaitTimeSeconds=20)))
    poll.start()
    send(url, ["now"])
    poll.join(15)
    assert [m["Body"] for m in got] == ["now"]


def test_a_long_poll_ends_when_visibility_is_given_back(queue):
    url = queue(VisibilityTimeout="600")
    send(url, ["again"])
    (message,) = receive(url)
    got = []
    poll = threading.Thread(target=lambda: got.extend(receive(url, WaitTimeSeconds=20)))
    poll.start()
    client("sqs").change_message_visibility(
        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    poll.join(15)
    assert [m["Body"] for m in got] == ["again"]


def test_all_long_polls_can_be_ended(queue):
    url = queue()
    poll = threading.Thread(target=receive, args=[url], kwargs={"WaitTimeSeconds": 20})
    poll.start()
    while poll.is_alive():
        sqs_speed.wake_receivers()
        poll.join(0.01)


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(queue):
    dead = queue()
    policy = {"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 2}
    url = queue(RedrivePolicy=json.dumps(policy))
    send(url, ["poison"])
    assert receive(url, VisibilityTimeout=0)
    assert receive(url, VisibilityTimeout=0)
    assert receive(url, VisibilityTimeout=0) == []
    assert counts(url) == (0, 0, 0)
    assert [m["Body"] for m in receive(dead)] == ["poison"]


def test_purging_leaves_nothing(queue):
    url = queue()
    send(url, ["a", "b"])
    send(url, ["c"], DelaySeconds=9)
    receive(url)
    client("sqs").purge_queue(QueueUrl=url)
    assert counts(url) == (0, 0, 0)
    assert receive(url) == []


def test_an_unknown_receipt_handle_is_refused(queue):
    with pytest.raises(ClientError, match="ReceiptHandleIsInvalid"):
        client("sqs").delete_message(QueueUrl=queue(), ReceiptHandle="no such handle")


def test_attributes_are_filtered_for_the_receiver_only(queue):
    url = queue(VisibilityTimeout="0")
    attributes = {"name": {"DataType": "String", "StringValue": "x"}}
    client("sqs").send_message(QueueUrl=url, MessageBody="a", MessageAttributes=attributes)
    assert "MessageAttributes" not in receive(url)[0]
    assert receive(url, MessageAttributeNames=["All"])[0]["MessageAttributes"] == attributes


def test_fifo_queues_are_still_motos(queue):
    url = queue(".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("a", "b"):
        client("sqs").send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    assert [m["Body"] for m in receive(url)] == ["a"]
    assert receive(url) == [], "the group is blocked until its first message is deleted"


def together(count, call):
    """Run a call in that many threads that start together; gives what they returned."""
    barrier = threading.Barrier(count)
    results = []

    def run(number):
        barrier.wait()
        results.append(call(number))

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count, "a thread failed"
    return results


def test_no_message_is_lost_or_given_to_two(queue):
    url = queue(VisibilityTimeout="600")
    got = []

    def work(number):
        if number < 4:
            send(url, [f"{number}-{i}" for i in range(100)])
            return True
        mine = 0
        while len(got) < 400:
            for message in receive(url, MaxNumberOfMessages=10, WaitTimeSeconds=1):
                got.append(message["Body"])
                delete(url, message)
                mine += 1
        return mine

    together(8, work)
    assert sorted(got) == sorted(f"{n}-{i}" for n in range(4) for i in range(100))


@pytest.fixture
def impatient_threads():
    """Let threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_conditional_put_has_one_winner(cloud, impatient_threads):
    def put(number, key):
        try:
            client("dynamodb").put_item(
                TableName="tidegate-dedup",
                Item={"pk": {"S": key}, "winner": {"N": str(number)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError:
            return 0
        return 1

    for key in "abcdefghij":
        assert sum(together(8, lambda number, key=key: put(number, key))) == 1


def test_reading_is_not_disturbed_by_writing(cloud, impatient_threads):
    def work(number):
        for i in range(20):
            key = {"pk": {"S": "day"}, "sk": {"S": f"{number}-{i}"}}
            client("dynamodb").put_item(TableName="tidegate-events", Item=key)
            client("dynamodb").query(
                TableName="tidegate-events",
                KeyConditionExpression="pk = :day",
                ExpressionAttributeValues={":day": {"S": "day"}},
            )
        return True

    together(4, work)
    items = client("dynamodb").scan(TableName="tidegate-events")["Items"]
    assert len(items) == 80


def test_a_topic_publishes_to_more_than_a_hundred_queues(cloud, queue):
    urls = [queue() for _ in range(101)]
    for url in urls:
        client("sns").subscribe(
            TopicArn=cloud.topic_arns[0],
            Protocol="sqs",
            Endpoint=arn_of(url),
            Attributes={"RawMessageDelivery": "true"},
        )
    client("sns").publish(TopicArn=cloud.topic_arns[0], Message="to all")
    assert len(receive(urls[-1])) == 1
