"""The resources of a stage: what production has, and what a reload changes."""

import json

import pytest

from tidegate.aws import client
from tidegate.local.wiring import PREFIX, queue_name
from tidegate.manifest import BATCH_SIZE, MAX_CONCURRENCY, TABLES, Manifest
from tidegate.settings import Settings


def attributes(url):
    return client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def publish(cloud, name):
    client("sns").publish(
        TopicArn=cloud.topic_arns[0],
        Message=name,
        MessageAttributes={"name": {"DataType": "String", "StringValue": name}},
    )


def bodies(url):
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [message["Body"] for message in found.get("Messages", [])]


@pytest.fixture(autouse=True)
def nothing_provisioned(cloud):
    yield
    cloud.provision(Manifest(functions=()))


def test_tables_are_those_of_the_manifest(cloud):
    for table in TABLES:
        described = client("dynamodb").describe_table(TableName=f"tidegate-{table.name}")["Table"]
        keys = [table.partition_key] + ([table.sort_key] if table.sort_key else [])
        assert [key["AttributeName"] for key in described["KeySchema"]] == keys
        assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        ttl = client("dynamodb").describe_time_to_live(TableName=f"tidegate-{table.name}")
        assert ttl["TimeToLiveDescription"]["AttributeName"] == "expires_at"


def test_a_function_has_a_queue_and_a_dead_letter_queue(cloud, function, manifest):
    cloud.provision(manifest(function("shop-hello", retries=2, timeout_s=100)))
    wiring = cloud.wiring["shop-hello"]
    assert (wiring.batch_size, wiring.max_concurrency) == (BATCH_SIZE, MAX_CONCURRENCY)
    found = attributes(wiring.queue_url)
    assert found["QueueArn"] == wiring.queue_arn
    assert found["VisibilityTimeout"] == "600"
    assert json.loads(found["RedrivePolicy"]) == {
        "deadLetterTargetArn": wiring.dead_letter_arn,
        "maxReceiveCount": 12,
    }
    dead = attributes(wiring.dead_letter_url)
    assert dead["QueueArn"] == wiring.dead_letter_arn
    assert dead["MessageRetentionPeriod"] == "1209600"


def test_a_functions_queue_gets_its_events_raw_and_no_others(cloud, function, manifest):
    cloud.provision(manifest(function("a", "app/hello", "app/user.*"), function("b", "app/bye")))
    for name in ("app/hello", "app/user.created", "app/other", "app/bye"):
        publish(cloud, name)
    assert sorted(bodies(cloud.wiring["a"].queue_url)) == ["app/hello", "app/user.created"]
    assert bodies(cloud.wiring["b"].queue_url) == ["app/bye"]
    found = client("sns").get_subscription_attributes(
        SubscriptionArn=cloud.wiring["a"].subscription_arn
    )["Attributes"]
    assert found["RawMessageDelivery"] == "true"
    assert json.loads(found["FilterPolicy"]) == cloud.wiring["a"].function.filter_policy


def test_provisioning_again_changes_what_changed(cloud, function, manifest):
    cloud.provision(manifest(function("stays"), function("changes"), function("goes")))
    for name in ("stays", "changes", "goes"):
        assert cloud.wiring[name].function.id == name
    gone = cloud.wiring["goes"]
    publish(cloud, "app/hello")
    cloud.provision(
        manifest(function("stays"), function("changes", "app/new", timeout_s=10), function("comes"))
    )
    assert set(cloud.wiring) == {"stays", "changes", "comes"}
    publish(cloud, "app/hello")
    publish(cloud, "app/new")
    assert bodies(cloud.wiring["stays"].queue_url) == ["app/hello", "app/hello"]
    assert bodies(cloud.wiring["changes"].queue_url) == ["app/hello", "app/new"]
    assert bodies(cloud.wiring["comes"].queue_url) == ["app/hello"]
    assert attributes(cloud.wiring["changes"].queue_url)["VisibilityTimeout"] == "60"
    assert bodies(gone.queue_url) == ["app/hello"], "what it had before it went"
    topic = client("sns").list_subscriptions_by_topic(TopicArn=cloud.topic_arns[0])["Subscriptions"]
    assert len(topic) == 4, "one more for the matcher"


def test_a_function_that_comes_back_finds_its_messages(cloud, function, manifest):
    cloud.provision(manifest(function("hello")))
    publish(cloud, "app/hello")
    cloud.provision(manifest())
    cloud.provision(manifest(function("hello")))
    assert bodies(cloud.wiring["hello"].queue_url) == ["app/hello"]


def test_the_lambdas_are_told_where_everything_is(cloud, function, manifest):
    cloud.provision(manifest(function("shop-hello")))
    wiring = cloud.wiring["shop-hello"]
    worker = Settings.read(
        cloud.worker_environment("shop-hello"), "dedup_table", "events_table", "runs_table",
        "topic_arns", "bucket", "schedule_group", "schedule_role_arn",
    )  # fmt: skip
    assert worker.function == "shop-hello"
    assert (worker.queue_url, worker.queue_arn) == (wiring.queue_url, wiring.queue_arn)
    assert (worker.dead_letter_url, worker.dead_letter_arn) == (
        wiring.dead_letter_url,
        wiring.dead_letter_arn,
    )
    assert Manifest.read(worker.manifest).function("shop-hello") == wiring.function
    ingest = Settings.read(cloud.ingest_environment(), "dedup_table", "events_table", "keys_table")
    assert (ingest.auth, ingest.default_env) == ("open", "dev")
    api = Settings.read(cloud.api_environment(), "events_table", "runs_table", "keys_table")
    assert (api.auth, api.default_env, api.manifest) == ("open", "dev", worker.manifest)


@pytest.mark.parametrize(
    "function_id", ["shop-hello", "shop.eu-hello.v2", "x" * 257, "x" * 60, "x" * 61]
)
def test_every_function_id_gives_a_name_that_sqs_takes(cloud, function, manifest, function_id):
    cloud.provision(manifest(function(function_id)))
    assert function_id in cloud.wiring


def test_different_functions_have_different_queues():
    ids = ["a.b", "a-b", "a_b", "x" * 100 + "1", "x" * 100 + "2"]
    assert len({queue_name(function_id) for function_id in ids}) == len(ids)


# --- crons ----------------------------------------------------------------------------------------


def cron_schedules():
    """Every schedule there is, by its time zone, expression and target."""
    scheduler = client("scheduler")
    found = [
        scheduler.get_schedule(GroupName=PREFIX, Name=schedule["Name"])
        for schedule in scheduler.list_schedules(GroupName=PREFIX)["Schedules"]
    ]
    return {
        (s["ScheduleExpressionTimezone"], s["ScheduleExpression"], s["Target"]["Arn"]): s
        for s in found
    }


def test_a_cron_has_a_schedule_that_sends_its_ticks(cloud, function, manifest):
    cloud.provision(manifest(function("shop-report", crons=["TZ=Asia/Tokyo 0 9 13 * FRI"])))
    wiring = cloud.wiring["shop-report"]
    schedules = cron_schedules()
    assert set(schedules) == {
        ("Asia/Tokyo", "cron(0 9 13 * ? *)", wiring.queue_arn),
        ("Asia/Tokyo", "cron(0 9 ? * FRI *)", wiring.queue_arn),
    }
    for schedule in schedules.values():
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
        assert schedule["State"] == "ENABLED"
        assert schedule["Target"]["DeadLetterConfig"] == {"Arn": wiring.dead_letter_arn}
        assert json.loads(schedule["Target"]["Input"]) == {
            "cron": "TZ=Asia/Tokyo 0 9 13 * FRI",
            "env": "dev",
            "scheduled_at": "<aws.scheduler.scheduled-time>",
        }


def test_schedules_follow_their_functions(cloud, function, manifest):
    client("scheduler").create_schedule(
        GroupName=PREFIX,
        Name="a-delay",
        ScheduleExpression="at(2030-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": "arn:aws:sqs:::q", "RoleArn": "arn:aws:iam::1:role/r"},
    )
    cloud.provision(
        manifest(
            function("stays", crons=["0 1 * * *"]),
            function("changes", crons=["0 2 * * *", "0 3 * * *"]),
            function("goes", crons=["0 4 * * *"]),
        )
    )
    assert len(cron_schedules()) == 5
    created = {key: s["CreationDate"] for key, s in cron_schedules().items()}
    cloud.provision(
        manifest(
            function("stays", crons=["0 1 * * *"]),
            function("changes", crons=["0 3 * * *", "TZ=Europe/Berlin 0 3 * * *"]),
            function("comes", crons=["0 1 * * *"]),
        )
    )
    queues = {name: wiring.queue_arn for name, wiring in cloud.wiring.items()}
    after = cron_schedules()
    assert set(after) == {
        ("UTC", "at(2030-01-01T00:00:00)", "arn:aws:sqs:::q"),
        ("UTC", "cron(0 1 * * ? *)", queues["stays"]),
        ("UTC", "cron(0 3 * * ? *)", queues["changes"]),
        ("Europe/Berlin", "cron(0 3 * * ? *)", queues["changes"]),
        ("UTC", "cron(0 1 * * ? *)", queues["comes"]),
    }
    kept = ("UTC", "cron(0 1 * * ? *)", queues["stays"])
    assert after[kept]["CreationDate"] == created[kept]
    client("scheduler").delete_schedule(GroupName=PREFIX, Name="a-delay")


def test_a_function_gets_and_loses_its_triggers(cloud, function, manifest):
    cloud.provision(manifest(function("a", crons=["0 1 * * *"])))
    publish(cloud, "app/hello")
    assert bodies(cloud.wiring["a"].queue_url) == []
    cloud.provision(manifest(function("a", "app/hello", crons=["0 1 * * *"])))
    publish(cloud, "app/hello")
    assert bodies(cloud.wiring["a"].queue_url) == ["app/hello"]
    cloud.provision(manifest(function("a", crons=["0 1 * * *"])))
    publish(cloud, "app/hello")
    assert bodies(cloud.wiring["a"].queue_url) == []
    cloud.provision(manifest())
    assert cloud.wiring == {}
