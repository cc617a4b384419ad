"""The short way to moto's services gives what the long way gives."""

import itertools
import threading
from enum import StrEnum

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tidegate.aws import client
from tidegate.local.lambda_function import REGION

RUNS = "tidegate-runs"
_numbers = itertools.count()


class Status(StrEnum):
    RUNNING = "RUNNING"


@pytest.fixture
def long_way(cloud):
    """Makes clients that do not take the short way."""
    return lambda service: boto3.client(service, region_name=REGION, config=Config())


@pytest.fixture
def sent(cloud):
    """The names of what was sent as a request, on the long way."""
    found = []

    def note(request, event_name, **_):
        found.append(event_name.rpartition(".")[2])

    services = ("dynamodb", "sns", "sqs")
    for service in services:
        client(service).meta.events.register_first("before-send", note)
    yield found
    for service in services:
        client(service).meta.events.unregister("before-send", note)


def said(answer):
    """What an answer says, as a client sees it."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def key(partition, sort="s"):
    return {"pk": {"S": partition}, "sk": {"S": sort}}


ITEM = {
    "text": {"S": "é"},
    "status": {"S": Status.RUNNING},
    "number": {"N": "1.50"},
    "yes": {"BOOL": True},
    "none": {"NULL": True},
    "bytes": {"B": b"\x00\xff"},
    "texts": {"SS": ["a", "b"]},
    "list": {"L": [{"S": "a"}, {"M": {"x": {"N": "1"}}}]},
    "map": {"M": {"y": {"L": []}}},
}
CALLS = {
    "put_item": lambda p: {"Item": key(p, "new") | ITEM},
    "put_item if": lambda p: {
        "Item": key(p, "new"),
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    },
    "put_item over": lambda p: {"Item": key(p), "ReturnValues": "ALL_OLD"},
    "get_item": lambda p: {"Key": key(p)},
    "get_item some": lambda p: {
        "Key": key(p),
        "ProjectionExpression": "#text",
        "ExpressionAttributeNames": {"#text": "text"},
    },
    "get_item none": lambda p: {"Key": key(p, "none"), "ConsistentRead": True},
    "delete_item": lambda p: {"Key": key(p), "ReturnValues": "ALL_OLD"},
    "update_item": lambda p: {
        "Key": key(p),
        "UpdateExpression": "SET a = :a REMOVE yes",
        "ExpressionAttributeValues": {":a": {"S": "b"}},
        "ReturnValues": "ALL_NEW",
    },
    "query": lambda p: {
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": p}},
        "Limit": 1,
    },
    "query filtered": lambda p: {
        "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :z",
        "FilterExpression": "attribute_exists(nothing)",
        "ExpressionAttributeValues": {":p": {"S": p}, ":a": {"S": "a"}, ":z": {"S": "z"}},
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_dynamodb_answers_and_keeps_the_same(cloud, long_way, sent, name):
    operation, seen = name.partition(" ")[0], []
    partition = f"same-{next(_numbers)}"
    for dynamodb in (client("dynamodb"), long_way("dynamodb")):
        for sort in ("s", "t"):
            dynamodb.put_item(TableName=RUNS, Item=key(partition, sort) | ITEM)
        answer = getattr(dynamodb, operation)(TableName=RUNS, **CALLS[name](partition))
        kept = long_way("dynamodb").query(
            TableName=RUNS,
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": partition}},
        )["Items"]
        seen.append((said(answer), kept))
        for item in kept:
            dynamodb.delete_item(TableName=RUNS, Key=key(partition, item["sk"]["S"]))
    assert seen[0] == seen[1]
    assert sent == []


def test_batches_answer_and_keep_the_same(cloud, long_way, sent):
    partition = f"batch-{next(_numbers)}"
    puts = [{"PutRequest": {"Item": key(partition, str(n)) | ITEM}} for n in range(3)]
    keys = [key(partition, str(n)) for n in range(4)]
    seen = []
    for dynamodb in (client("dynamodb"), long_way("dynamodb")):
        answers = [
            dynamodb.batch_write_item(RequestItems={RUNS: puts}),
            dynamodb.batch_get_item(RequestItems={RUNS: {"Keys": keys}}),
            dynamodb.batch_write_item(
                RequestItems={RUNS: [{"DeleteRequest": {"Key": one}} for one in keys]}
            ),
            dynamodb.batch_get_item(RequestItems={RUNS: {"Keys": keys}}),
        ]
        seen.append([said(answer) for answer in answers])
    assert seen[0] == seen[1]
    assert sent == []


def test_tables_are_made_the_same(cloud, long_way, sent):
    seen = []
    for dynamodb in (client("dynamodb"), long_way("dynamodb")):
        name = f"table-{next(_numbers)}"
        made = dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )["TableDescription"]
        timed = dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
        )
        look = long_way("dynamodb")
        described = look.describe_table(TableName=name)["Table"]
        for table in (made, described):
            assert table.pop("TableName") == name
            assert table.pop("TableArn").endswith(f":table/{name}")
            assert table.pop("CreationDateTime")
            table.pop("TableId", None)
        ttl = look.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        seen.append((made, described, said(timed), ttl))
        look.delete_table(TableName=name)
    assert seen[0] == seen[1]
    assert sent == []


def test_messages_arrive_as_on_the_long_way(cloud, long_way, queue, sent):
    seen = []
    for ways in ((client("sns"), client("sqs")), (long_way("sns"), long_way("sqs"))):
        sns, sqs = ways
        url = queue()
        topic = client("sns").create_topic(Name=f"t-{next(_numbers)}")["TopicArn"]
        client("sns").subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=f"arn:aws:sqs:{REGION}:123456789012:{url.rpartition('/')[2]}",
            Attributes={"RawMessageDelivery": "true"},
        )
        del sent[:]
        attributes = {"name": {"DataType": "String", "StringValue": "é"}}
        entry = {"Id": "0", "Message": "hello", "MessageAttributes": attributes}
        published = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[entry])
        sqs.send_message(QueueUrl=url, MessageBody="later", MessageAttributes=attributes)
        received = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        first, second = received["Messages"]
        hidden = sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0
        )
        deleted = sqs.delete_message_batch(
            QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": second["ReceiptHandle"]}]
        )
        again = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
        nothing = sqs.receive_message(QueueUrl=url)
        assert entry["MessageAttributes"] == {"name": {"DataType": "String", "StringValue": "é"}}
        seen.append(
            (
                [one["Id"] for one in published["Successful"]],
                sorted(published.keys() - {"ResponseMetadata"}),
                [
                    {name: value for name, value in one.items() if name not in _OWN}
                    | {"Attributes": one["Attributes"].keys()}
                    for one in (first, second)
                ],
                [one["Body"] for one in again],
                [said(answer) for answer in (hidden, deleted, nothing)],
            )
        )
    assert seen[0] == seen[1]
    assert sent == []


_OWN = ("MessageId", "ReceiptHandle", "Attributes")


def test_errors_are_those_of_the_long_way(cloud, long_way):
    partition = f"error-{next(_numbers)}"
    client("dynamodb").put_item(TableName=RUNS, Item=key(partition) | ITEM)
    calls = [
        lambda dynamodb: dynamodb.get_item(TableName="none", Key=key("a")),
        lambda dynamodb: dynamodb.put_item(
            TableName=RUNS,
            Item=key(partition),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        ),
        lambda dynamodb: dynamodb.put_item(TableName=RUNS, Item={"pk": {"S": "a"}}),
    ]
    for call in calls:
        found = []
        for dynamodb in (client("dynamodb"), long_way("dynamodb")):
            with pytest.raises(ClientError) as caught:
                call(dynamodb)
            response = caught.value.response
            found.append((type(caught.value).__name__, response["Error"], response.get("Item")))
        assert found[0] == found[1]
    assert found[0][1]["Code"] == "ValidationException"


def test_what_the_caller_keeps_is_not_what_is_stored(cloud):
    partition = f"copied-{next(_numbers)}"
    item = key(partition) | {"list": {"L": [{"S": "a"}]}, "texts": {"SS": ["a"]}}
    client("dynamodb").put_item(TableName=RUNS, Item=item)
    item["list"]["L"].append({"S": "b"})
    item["texts"]["SS"].append("b")
    found = client("dynamodb").get_item(TableName=RUNS, Key=key(partition))["Item"]
    assert (found["list"], found["texts"]) == ({"L": [{"S": "a"}]}, {"SS": ["a"]})
    found["list"]["L"].append({"S": "c"})
    again = client("dynamodb").get_item(TableName=RUNS, Key=key(partition))["Item"]
    assert again["list"] == {"L": [{"S": "a"}]}


def test_of_two_conditional_writes_one_wins(cloud):
    wins, barrier = [], threading.Barrier(8)

    def write(partition):
        barrier.wait(10)
        try:
            client("dynamodb").put_item(
                TableName=RUNS, Item=key(partition), ConditionExpression="attribute_not_exists(pk)"
            )
            wins.append(partition)
        except ClientError:
            pass

    for _ in range(20):
        partition = f"race-{next(_numbers)}"
        threads = [threading.Thread(target=write, args=[partition]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(wins) == len(set(wins)) == 20


def test_who_listens_to_calls_hears_of_them(cloud):
    heard = []

    def note(event_name, **_):
        heard.append(event_name)

    events = client("dynamodb").meta.events
    names = [f"{what}.dynamodb.GetItem" for what in ("before-call", "after-call")]
    for name in names:
        events.register(name, note)
    try:
        client("dynamodb").get_item(TableName=RUNS, Key=key("a"))
    finally:
        for name in names:
            events.unregister(name, note)
    assert heard == names
