"""Whatever has passed through the AWS in memory leaves nothing there."""

import gc
import subprocess
import sys
import tracemalloc
from types import ModuleType

from moto.core.common_models import BaseModel
from moto.sns.models import Topic
from moto.sqs.models import Message

from tests.local.conftest import arn_of
from tidegate.aws import client
from tidegate.local import moto_memory
from tidegate.local.cloud import BUCKET
from tidegate.local.sqs_speed import MOST_DELETED
from tidegate.local.wiring import PREFIX

A_BATCH = 10
TEXT = "of test_moto_memory ".ljust(2_000, "x")


def pass_through(topic, url, batches, text=TEXT):
    """Have messages published, delivered and deleted."""
    for _ in range(batches):
        entries = [{"Id": str(number), "Message": text} for number in range(A_BATCH)]
        client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        received = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=A_BATCH)
        handles = [message["ReceiptHandle"] for message in received["Messages"]]
        client("sqs").delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles)],
        )


def test_messages_that_were_delivered_are_gone(queue):
    # As long as a handler in the dev server may take.
    url = queue(VisibilityTimeout="43200")
    topic = client("sns").create_topic(Name="memory")["TopicArn"]
    client("sns").subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn_of(url),
        Attributes={"RawMessageDelivery": "true"},
    )
    # As many as are remembered of those that were deleted; from then on nothing more is kept.
    pass_through(topic, url, MOST_DELETED // A_BATCH, "x")
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pass_through(topic, url, 50)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 100_000, "the messages alone had a million bytes"
    assert not [one for one in gc.get_objects() if isinstance(one, Message) and one.body == TEXT]
    assert Topic.sent_notifications == []


def test_no_object_is_kept_for_its_own_sake(cloud):
    for number in range(3):
        key = {"pk": {"S": "memory"}, "sk": {"S": str(number)}}
        client("dynamodb").put_item(TableName=f"{PREFIX}-runs", Item=key)
        client("s3").put_object(Bucket=BUCKET, Key="memory", Body=b"x")
    kinds = [BaseModel]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert not vars(kind).get("instances_tracked"), kind


def test_what_is_known_of_machines_is_not_loaded():
    program = """
import sys
from tidegate.aws import client
from tidegate.local.cloud import Cloud
from tidegate.manifest import Manifest

cloud = Cloud()
cloud.start()
cloud.provision(Manifest(functions=()))
assert client("ssm").get_parameters_by_path(Path="/tidegate", Recursive=True)["Parameters"]
assert "moto.ec2" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_is_known_of_machines_is_loaded_when_somebody_asks_for_it(monkeypatch):
    asked = ModuleType("moto.ec2")
    asked.ec2_backends = {"123456789012": "the backends"}
    monkeypatch.setitem(sys.modules, "moto.ec2", asked)
    assert moto_memory._Later()["123456789012"] == "the backends"
