"""What the dev server makes of a manifest is what the stack makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from template_resources import properties

from tests.e2e.serving import serving
from tidegate.aws import client
from tidegate.local import server as dev_server
from tidegate.local.wiring import PREFIX, queue_name
from tidegate.manifest import HANDLERS, Manifest

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

    from tests.infra.conftest import Synthesis

APP = Path(__file__).parent / "apps" / "warehouse.py"

# Only a deployed Lambda is told how much to log and to count: the dev server's console takes what
# there is, and nobody would read its metrics.
DEPLOYED_ONLY = {
    "TIDEGATE_LOG_LEVEL",
    "TIDEGATE_METRICS",
    "TIDEGATE_STAGE",
    "TIDEGATE_TRACING",
}
# Only where any key will do must an environment be named for the requests that name none.
LOCAL_ONLY = {"TIDEGATE_DEFAULT_ENV"}


@pytest.fixture(scope="module")
def made(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """What the dev server gave its Lambdas, its event source mappings and its HTTP front.

    It serves the app of the synthesised stack from the very same manifest, with all its parts;
    that it is looked over the shoulder of is the one difference.
    """
    seen: dict[str, Any] = {"lambdas": {}, "mappings": {}, "routes": []}

    class LambdaFunction(dev_server.LambdaFunction):
        def __init__(self, name: str, handler: str, variables: Mapping[str, str]) -> None:
            seen["lambdas"][name] = {"handler": f"{handler}.handler", "variables": variables}
            super().__init__(name, handler, variables)

    class EventSourceMapping(dev_server.EventSourceMapping):
        def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
            seen["mappings"][name] = options
            super().__init__(name, *arguments, **options)

    class HttpFront(dev_server.HttpFront):
        def __init__(self, routes: Any, invoke: Any) -> None:
            seen["routes"] = list(routes)
            super().__init__(routes, invoke)

    with pytest.MonkeyPatch.context() as patch:
        for part in (LambdaFunction, EventSourceMapping, HttpFront):
            patch.setattr(dev_server, part.__name__, part)
        patch.setattr(Manifest, "of", lambda _: manifest)
        with serving(str(APP)):
            yield seen


@pytest.fixture(scope="module")
def dev(synthesis: Synthesis) -> Template:
    return synthesis.dev


@pytest.fixture(scope="module")
def deployed(dev: Template) -> dict[str, dict[str, Any]]:
    """By function, and for the matcher, its Lambda, queues, subscription and schedules there."""
    queues = properties(dev, "AWS::SQS::Queue")
    subscriptions = properties(dev, "AWS::SNS::Subscription").values()
    mappings = properties(dev, "AWS::Lambda::EventSourceMapping").values()
    schedules = properties(dev, "AWS::Scheduler::Schedule").values()
    found = {}
    for name, worker in properties(dev, "AWS::Lambda::Function").items():
        function = worker["Environment"]["Variables"].get("TIDEGATE_FUNCTION")
        if worker["Handler"] == f"{HANDLERS['matcher']}.handler":
            function = "matcher"
        if function is None:
            continue
        [mapping] = [m for m in mappings if m["FunctionName"] == {"Ref": name}]
        queue = queues[target(mapping["EventSourceArn"])]
        arn = mapping["EventSourceArn"]
        found[function] = {
            "worker": worker,
            "mapping": mapping,
            "queue": queue,
            "dead_letters": queues[target(queue["RedrivePolicy"]["deadLetterTargetArn"])],
            "subscriptions": [s for s in subscriptions if s["Endpoint"] == arn],
            "schedules": [s for s in schedules if s["Target"]["Arn"] == arn],
        }
    return found


def target(arn: Mapping[str, Any]) -> str:
    """The resource whose ARN this is."""
    name, attribute = arn["Fn::GetAtt"]
    assert attribute == "Arn"
    return name


@pytest.fixture(
    params=[
        "warehouse-audit.all",
        "warehouse-count",
        "warehouse-reserve",
        "warehouse-restock",
        "matcher",
    ]
)
def function(request: pytest.FixtureRequest) -> str:
    return request.param


def queue_attributes(name: str) -> dict[str, str]:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def test_both_have_the_functions_of_the_manifest(
    made: Any, deployed: Any, manifest: Manifest
) -> None:
    ids = {function.id for function in manifest.deployed}
    assert made["mappings"].keys() == deployed.keys() == ids | {"matcher"}
    assert len(client("sqs").list_queues()["QueueUrls"]) == 2 * len(ids) + 2


def test_the_queues_are_alike(made: Any, deployed: Any, function: str) -> None:
    stack, name = deployed[function], queue_name(function)
    here, dead = queue_attributes(name), queue_attributes(f"{name}-dead")
    assert int(here["VisibilityTimeout"]) == stack["queue"]["VisibilityTimeout"]
    redrive = json.loads(here["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == stack["queue"]["RedrivePolicy"]["maxReceiveCount"]
    retention = int(dead["MessageRetentionPeriod"])
    assert retention == stack["dead_letters"]["MessageRetentionPeriod"]
    # What the stack does not say is SQS's default, and so it must be here.
    for attribute in ("DelaySeconds", "ReceiveMessageWaitTimeSeconds"):
        assert attribute not in stack["queue"]
    assert here["DelaySeconds"] == "0"
    assert int(here["MessageRetentionPeriod"]) == stack["queue"]["MessageRetentionPeriod"]


def test_the_subscriptions_are_alike(made: Any, deployed: Any, function: str) -> None:
    queue_arn = queue_attributes(queue_name(function))["QueueArn"]
    sns = client("sns")
    arns = [
        subscription["SubscriptionArn"]
        for subscription in sns.list_subscriptions()["Subscriptions"]
        if subscription["Endpoint"] == queue_arn
    ]
    [arn], [stack] = arns, deployed[function]["subscriptions"]
    here = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert json.loads(here["FilterPolicy"]) == stack["FilterPolicy"]
    assert here.get("FilterPolicyScope", "MessageAttributes") == "MessageAttributes"
    assert "FilterPolicyScope" not in stack
    assert (here["RawMessageDelivery"] == "true") is stack["RawMessageDelivery"] is True


def test_the_schedules_are_alike(made: Any, deployed: Any, function: str) -> None:
    scheduler = client("scheduler")
    queue_arn = queue_attributes(queue_name(function))["QueueArn"]
    found = [
        scheduler.get_schedule(Name=schedule["Name"], GroupName=schedule["GroupName"])
        for schedule in scheduler.list_schedules(GroupName=PREFIX)["Schedules"]
    ]
    here = [schedule for schedule in found if schedule["Target"]["Arn"] == queue_arn]
    assert bool(here) is (function == "warehouse-count")
    assert sorted(map(times, here)) == sorted(map(times, deployed[function]["schedules"]))


def times(schedule: Mapping[str, Any]) -> tuple[str, str, str]:
    """When a schedule fires, and the cron that it tells."""
    cron = json.loads(schedule["Target"]["Input"])["cron"]
    return schedule["ScheduleExpression"], schedule["ScheduleExpressionTimezone"], cron


def test_the_event_source_mappings_are_alike(made: Any, deployed: Any, function: str) -> None:
    stack = deployed[function]["mapping"]
    assert made["mappings"][function] == {
        "batch_size": stack["BatchSize"],
        "max_concurrency": stack["ScalingConfig"]["MaximumConcurrency"],
    }
    # A batch is invoked at once here; so it must be there.
    assert "MaximumBatchingWindowInSeconds" not in stack


def test_the_workers_are_alike(made: Any, deployed: Any, function: str) -> None:
    name = function if function == "matcher" else f"worker-{function}"
    stack, here = deployed[function]["worker"], made["lambdas"][name]
    assert here["handler"] == stack["Handler"]
    variables = stack["Environment"]["Variables"]
    assert here["variables"].keys() - LOCAL_ONLY == variables.keys() - DEPLOYED_ONLY
    if function != "matcher":
        assert here["variables"]["TIDEGATE_FUNCTION"] == variables["TIDEGATE_FUNCTION"] == function


def test_the_names_of_the_queues_are_written_down(made: Any, dev: Template) -> None:
    written: dict[str, list[str]] = {}
    for page in (
        client("ssm")
        .get_paginator("get_parameters_by_path")
        .paginate(Path=made["lambdas"]["api"]["variables"]["TIDEGATE_QUEUES_PATH"], Recursive=True)
    ):
        for parameter in page["Parameters"]:
            written |= json.loads(parameter["Value"])
    here = {one: queue_name(one) for one in written if one != "matcher"}
    here["matcher"] = f"{PREFIX}-matcher"
    assert written == {one: [name, f"{name}-dead"] for one, name in here.items()}
    [parameter] = properties(dev, "AWS::SSM::Parameter").values()
    value = "".join(
        part if isinstance(part, str) else part["Fn::GetAtt"][0]
        for part in parameter["Value"]["Fn::Join"][1]
    )
    deployed_ones = json.loads(value)
    assert deployed_ones.keys() == written.keys()
    for queue, dead_letters in deployed_ones.values():
        policy = properties(dev, "AWS::SQS::Queue")[queue]["RedrivePolicy"]
        assert target(policy["deadLetterTargetArn"]) == dead_letters


@pytest.mark.parametrize("name", ["ingest", "api"])
def test_the_lambdas_of_the_http_api_are_alike(made: Any, dev: Template, name: str) -> None:
    here = made["lambdas"][name]
    [stack] = [
        function
        for function in properties(dev, "AWS::Lambda::Function").values()
        if function["Handler"] == here["handler"]
    ]
    variables = stack["Environment"]["Variables"]
    assert here["variables"].keys() - LOCAL_ONLY == variables.keys() - DEPLOYED_ONLY
    assert here["variables"]["TIDEGATE_AUTH"] == "open"
    assert variables["TIDEGATE_AUTH"] == "keys"
    for limit in variables.keys() & {"TIDEGATE_MAX_REQUEST_BYTES"}:
        assert here["variables"][limit] == variables[limit]


def test_there_are_no_more_lambdas(made: Any, dev: Template) -> None:
    here = [function["handler"] for function in made["lambdas"].values()]
    stack = [f["Handler"] for f in properties(dev, "AWS::Lambda::Function").values()]
    assert sorted(here) == sorted(stack)


def test_the_routes_lead_to_the_same_lambdas(made: Any, dev: Template) -> None:
    lambdas = properties(dev, "AWS::Lambda::Function")
    integrations = properties(dev, "AWS::ApiGatewayV2::Integration")
    stack = {}
    for route in properties(dev, "AWS::ApiGatewayV2::Route").values():
        [_, [prefix, reference]] = route["Target"]["Fn::Join"]
        assert prefix == "integrations/"
        integration = integrations[reference["Ref"]]
        assert integration["PayloadFormatVersion"] == "2.0"
        handler = lambdas[target(integration["IntegrationUri"])]["Handler"]
        stack[route["RouteKey"].removeprefix("ANY ")] = handler
    assert stack == {path: made["lambdas"][name]["handler"] for path, name in made["routes"]}


def test_the_tables_are_alike(made: Any, dev: Template) -> None:
    dynamodb = client("dynamodb")
    stack = [
        [table["KeySchema"], table["AttributeDefinitions"], table["TimeToLiveSpecification"]]
        for table in properties(dev, "AWS::DynamoDB::Table").values()
    ]
    here = []
    for name in dynamodb.list_tables()["TableNames"]:
        table = dynamodb.describe_table(TableName=name)["Table"]
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        expiry = {
            "AttributeName": ttl["AttributeName"],
            "Enabled": ttl["TimeToLiveStatus"] == "ENABLED",
        }
        here.append([table["KeySchema"], table["AttributeDefinitions"], expiry])
    assert sorted(map(in_order, here)) == sorted(map(in_order, stack))


def in_order(value: Any) -> str:
    """The value as text that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True)


def test_both_have_a_schedule_group_and_a_bucket(made: Any, dev: Template) -> None:
    assert len(properties(dev, "AWS::Scheduler::ScheduleGroup")) == 1
    assert client("scheduler").get_schedule_group(Name=PREFIX)["State"] == "ACTIVE"
    assert len(properties(dev, "AWS::S3::Bucket")) == 1
    assert len(client("s3").list_buckets()["Buckets"]) == 1
