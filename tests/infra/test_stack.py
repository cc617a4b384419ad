"""What the stack consists of, read from its template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from template_resources import properties

from tidegate.manifest import BATCH_SIZE, HANDLERS, ROUTES, FunctionManifest, Manifest
from tidegate.wait import LOOK_AGAIN_S
from tidegate_cdk.placement import FUNCTION_RESOURCES, MOST_RESOURCES

if TYPE_CHECKING:
    from aws_cdk.assertions import Template

    from tests.infra.conftest import Synthesis


@pytest.fixture(scope="module")
def dev(synthesis: Synthesis) -> Template:
    return synthesis.dev


def lambdas(template: Template) -> dict[str, Any]:
    """The Lambdas by what they are for: their handler, or the function that they run."""
    found = {}
    for function in properties(template, "AWS::Lambda::Function").values():
        environment = function["Environment"]["Variables"]
        found[environment.get("TIDEGATE_FUNCTION", function["Handler"])] = function
    return found


def queue_of(template: Template, function: FunctionManifest) -> tuple[str, Any]:
    """A function's queue, by way of its worker's event source mapping."""
    [(worker, _)] = (
        (name, properties)
        for name, properties in properties(template, "AWS::Lambda::Function").items()
        if properties["Environment"]["Variables"].get("TIDEGATE_FUNCTION") == function.id
    )
    [mapping] = (
        mapping
        for mapping in properties(template, "AWS::Lambda::EventSourceMapping").values()
        if mapping["FunctionName"] == {"Ref": worker}
    )
    name = mapping["EventSourceArn"]["Fn::GetAtt"][0]
    return name, properties(template, "AWS::SQS::Queue")[name]


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


# --- functions ------------------------------------------------------------------------------------


def test_each_function_has_a_mapping_with_partial_batch_responses(
    dev: Template, manifest: Manifest
) -> None:
    mappings = properties(dev, "AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == len(manifest.deployed) + 1, "one more for the matcher"
    for mapping in mappings:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BatchSize"] == BATCH_SIZE


def test_concurrency_is_limited_on_the_mapping_and_never_reserved(dev: Template) -> None:
    for mapping in properties(dev, "AWS::Lambda::EventSourceMapping").values():
        assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 1000
    for function in properties(dev, "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function


def test_a_message_stays_invisible_for_six_timeouts_of_its_worker(
    dev: Template, manifest: Manifest
) -> None:
    for function in manifest.deployed:
        _, queue = queue_of(dev, function)
        assert queue["VisibilityTimeout"] >= 6 * lambdas(dev)[function.id]["Timeout"]


def test_a_worker_may_run_as_long_as_its_function(dev: Template, manifest: Manifest) -> None:
    assert {f.id: lambdas(dev)[f.id]["Timeout"] for f in manifest.deployed} == {
        "warehouse-audit.all": 900,
        "warehouse-count": 120,
        "warehouse-reserve": 120,
        "warehouse-restock": 120,
    }


def test_dead_letters_are_kept_as_long_as_possible(dev: Template, manifest: Manifest) -> None:
    queues = properties(dev, "AWS::SQS::Queue")
    for function in manifest.deployed:
        _, queue = queue_of(dev, function)
        redrive = queue["RedrivePolicy"]
        assert redrive["maxReceiveCount"] == function.max_receive_count > function.retries + 1
        dead_letters = queues.pop(redrive["deadLetterTargetArn"]["Fn::GetAtt"][0])
        assert dead_letters["MessageRetentionPeriod"] == 14 * 86_400
        assert "RedrivePolicy" not in dead_letters
    assert len(queues) == len(manifest.deployed) + 2, "each function has its own dead-letter queue"


def test_all_queues_are_encrypted(dev: Template) -> None:
    for queue in properties(dev, "AWS::SQS::Queue").values():
        assert queue["SqsManagedSseEnabled"] is True


def test_subscriptions_filter_as_the_manifest_says(dev: Template, manifest: Manifest) -> None:
    [topic] = properties(dev, "AWS::SNS::Topic")
    by_queue = {
        subscription["Endpoint"]["Fn::GetAtt"][0]: subscription
        for subscription in properties(dev, "AWS::SNS::Subscription").values()
    }
    for function in manifest.deployed:
        queue, _ = queue_of(dev, function)
        subscription = by_queue.pop(queue)
        assert subscription["FilterPolicy"] == function.filter_policy
        assert subscription.get("FilterPolicyScope", "MessageAttributes") == "MessageAttributes"
        assert subscription["RawMessageDelivery"] is True
        assert subscription["Protocol"] == "sqs"
        assert subscription["TopicArn"] == {"Ref": topic}
    [matcher] = by_queue.values()
    assert matcher["FilterPolicy"] == {"waited": [{"exists": True}]}
    assert matcher["RawMessageDelivery"] is True
    assert matcher["TopicArn"] == {"Ref": topic}


def test_a_filter_with_wildcards_becomes_prefixes(dev: Template) -> None:
    policies = [s["FilterPolicy"] for s in properties(dev, "AWS::SNS::Subscription").values()]
    by_name = [policy["name"] for policy in policies if "name" in policy]
    assert ["@warehouse-reserve", "shop/order.placed"] in by_name
    prefixes = [{"prefix": "billing/invoice."}, {"prefix": "shop/"}]
    assert ["@warehouse-audit.all", "user/created", *prefixes] in by_name


def test_each_cron_has_its_schedules(dev: Template, manifest: Manifest) -> None:
    found = properties(dev, "AWS::Scheduler::Schedule").values()
    by_times = {(s["ScheduleExpressionTimezone"], s["ScheduleExpression"]): s for s in found}
    assert len(by_times) == len(found)
    [group] = properties(dev, "AWS::Scheduler::ScheduleGroup")
    for function in manifest.deployed:
        name, queue = queue_of(dev, function)
        for cron in function.crons:
            for expression in cron.schedules:
                schedule = by_times.pop((cron.timezone, expression))
                assert schedule["GroupName"] == {"Ref": group}
                assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
                target = schedule["Target"]
                assert target["Arn"] == arn(name)
                assert target["RoleArn"]["Fn::GetAtt"][0].startswith("SchedulesRole")
                dead_letters = queue["RedrivePolicy"]["deadLetterTargetArn"]
                assert target["DeadLetterConfig"] == {"Arn": dead_letters}
                assert json.loads(target["Input"]) == {
                    "cron": cron.cron,
                    "env": "production",
                    "scheduled_at": "<aws.scheduler.scheduled-time>",
                }
    assert not by_times


def test_a_cron_in_a_time_zone_and_one_of_two_day_fields(dev: Template) -> None:
    schedules = properties(dev, "AWS::Scheduler::Schedule").values()
    assert sorted(
        (s["ScheduleExpressionTimezone"], s["ScheduleExpression"]) for s in schedules
    ) == [
        ("Europe/Berlin", "cron(0 5 ? * MON-SAT *)"),
        ("UTC", "cron(30 23 1 * ? *)"),
        ("UTC", "cron(30 23 ? * SUN *)"),
    ]


def test_schedules_wait_for_what_their_role_may(template: dict[str, Any]) -> None:
    [policy] = (
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Policy" and name.startswith("SchedulesRole")
    )
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Scheduler::Schedule":
            assert policy in resource["DependsOn"]


def test_what_is_sent_to_a_function_alone_reaches_it(dev: Template, manifest: Manifest) -> None:
    policies = [s["FilterPolicy"] for s in properties(dev, "AWS::SNS::Subscription").values()]
    names = [name for policy in policies for name in policy.get("name", [])]
    alone = sorted(name for name in names if isinstance(name, str) and name.startswith("@"))
    assert alone == sorted(f"@{function.id}" for function in manifest.deployed)


def test_only_the_topic_may_send_to_a_queue_from_outside(dev: Template, manifest: Manifest) -> None:
    [topic] = properties(dev, "AWS::SNS::Topic")
    policies = {
        policy["Queues"][0]["Ref"]: policy["PolicyDocument"]["Statement"]
        for policy in properties(dev, "AWS::SQS::QueuePolicy").values()
    }
    for queue, statements in policies.items():
        allowed = [s for s in statements if s["Effect"] == "Allow"]
        # Roles of the stage may, too: tests/infra/test_permissions.py.
        assert [one for one in allowed if "AWS" not in one["Principal"]] == [
            {
                "Action": "sqs:SendMessage",
                "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": topic}}},
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Resource": arn(queue),
            }
        ]
    assert len(policies) == 2 * len(manifest.deployed) + 2, "the matcher's two queues, too"


def test_what_cannot_be_delivered_is_left_in_the_dead_letter_queue(
    dev: Template, manifest: Manifest
) -> None:
    """And no event comes before its queue lets the topic send."""
    subscriptions = dev.find_resources("AWS::SNS::Subscription").values()
    assert len(subscriptions) == len(manifest.deployed) + 1
    for subscription in subscriptions:
        target = subscription["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]
        assert "DeadLetters" in target["Fn::GetAtt"][0]
        assert any("QueuePolicy" in name for name in subscription["DependsOn"])


def test_only_who_reads_a_queue_may_send_itself_messages_without_end(dev: Template) -> None:
    reads_a_queue = ("tidegate.handlers.worker", "tidegate.handlers.matcher")
    for function in properties(dev, "AWS::Lambda::Function").values():
        may = function["Handler"].startswith(reads_a_queue)
        assert function["RecursiveLoop"] == ("Allow" if may else "Terminate")


def test_alarms_watch_dead_letters_and_age(dev: Template, manifest: Manifest) -> None:
    watched = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"]["Fn::GetAtt"][0]): alarm
        for name, alarm in properties(dev, "AWS::CloudWatch::Alarm").items()
        if not name.startswith("StageAlarms")
    }
    assert len(watched) == 2 * len(manifest.deployed) + 2, "two more for the matcher"
    for function in manifest.deployed:
        name, queue = queue_of(dev, function)
        dead_letters = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        depth = watched["ApproximateNumberOfMessagesVisible", dead_letters]
        assert (depth["ComparisonOperator"], depth["Threshold"]) == ("GreaterThanThreshold", 0)
        age = watched["ApproximateAgeOfOldestMessage", name]
        assert age["ComparisonOperator"] == "GreaterThanThreshold"
        # A delay and a redelivery are no reason to be woken.
        assert age["Threshold"] >= 900 + function.visibility_timeout_s
        for alarm in (depth, age):
            assert function.id in alarm["AlarmDescription"]
            assert alarm["TreatMissingData"] == "notBreaching"


# --- Lambdas --------------------------------------------------------------------------------------


def test_all_lambdas_run_the_same_code_on_arm64(dev: Template) -> None:
    functions = properties(dev, "AWS::Lambda::Function").values()
    assert len({f["Code"]["S3Key"] for f in functions}) == 1
    for function in functions:
        assert function["Architectures"] == ["arm64"]
        assert function["Runtime"] == "python3.14"
        assert function["MemorySize"] == 512


def test_each_handler_of_the_manifest_runs_somewhere(dev: Template) -> None:
    handlers = {f["Handler"] for f in properties(dev, "AWS::Lambda::Function").values()}
    assert handlers == {f"{module}.handler" for module in HANDLERS.values()}


def test_requests_end_before_the_gateway_gives_up(dev: Template) -> None:
    for handler in ("ingest", "api"):
        assert lambdas(dev)[f"{HANDLERS[handler]}.handler"]["Timeout"] < 30


def test_logs_have_a_retention(dev: Template) -> None:
    groups = properties(dev, "AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == 30 for group in groups.values())
    used = {
        function["LoggingConfig"]["LogGroup"]["Ref"]
        for function in properties(dev, "AWS::Lambda::Function").values()
    }
    [stage] = properties(dev, "AWS::ApiGatewayV2::Stage").values()
    used.add(stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0])
    assert used == set(groups)


def test_ingest_is_told_where_things_are(dev: Template) -> None:
    environment = lambdas(dev)["tidegate.handlers.ingest.handler"]["Environment"]["Variables"]
    assert plain(environment) == {
        "TIDEGATE_AUTH": "keys",
        "TIDEGATE_BUCKET": "StoragePayloads",
        "TIDEGATE_DEDUP_TABLE": "StorageDedup",
        "TIDEGATE_EVENTS_TABLE": "StorageEvents",
        "TIDEGATE_KEYS_TABLE": "StorageKeys",
        "TIDEGATE_LOG_LEVEL": "INFO",
        "TIDEGATE_MANIFEST": "/var/task/manifest.json",
        "TIDEGATE_MAX_REQUEST_BYTES": "524288",
        "TIDEGATE_METRICS": "on",
        "TIDEGATE_RETENTION_DAYS": "7",
        "TIDEGATE_STAGE": "dev",
        "TIDEGATE_TOPIC_ARNS": "Events",
        "TIDEGATE_WAITS_TABLE": "StorageWaits",
    }


def test_the_matcher_is_told_where_things_are(dev: Template) -> None:
    environment = lambdas(dev)["tidegate.handlers.matcher.handler"]["Environment"]["Variables"]
    assert plain(environment) == {
        "TIDEGATE_BUCKET": "StoragePayloads",
        "TIDEGATE_EVENTS_TABLE": "StorageEvents",
        "TIDEGATE_JOBS_TABLE": "StorageJobs",
        "TIDEGATE_LOG_LEVEL": "INFO",
        "TIDEGATE_MANIFEST": "/var/task/manifest.json",
        "TIDEGATE_MATCHER_QUEUE_URL": "WaitsQueue",
        "TIDEGATE_QUEUES_PATH": "/tidegate/Tidegate-dev/queues",
        "TIDEGATE_METRICS": "on",
        "TIDEGATE_RETENTION_DAYS": "7",
        "TIDEGATE_RUNS_TABLE": "StorageRuns",
        "TIDEGATE_SCHEDULE_GROUP": "SchedulesGroup",
        "TIDEGATE_STAGE": "dev",
        "TIDEGATE_STEPS_TABLE": "StorageSteps",
        "TIDEGATE_TOPIC_ARNS": "Events",
        "TIDEGATE_WAITS_TABLE": "StorageWaits",
    }


def test_the_matcher_looks_again_when_no_request_can_be_under_way(dev: Template) -> None:
    assert lambdas(dev)["tidegate.handlers.ingest.handler"]["Timeout"] < LOOK_AGAIN_S


def test_the_rest_api_is_told_where_things_are(dev: Template) -> None:
    environment = lambdas(dev)["tidegate.handlers.api.handler"]["Environment"]["Variables"]
    assert plain(environment) == {
        "TIDEGATE_AUTH": "keys",
        "TIDEGATE_BUCKET": "StoragePayloads",
        "TIDEGATE_DEDUP_TABLE": "StorageDedup",
        "TIDEGATE_EVENTS_TABLE": "StorageEvents",
        "TIDEGATE_JOBS_TABLE": "StorageJobs",
        "TIDEGATE_KEYS_TABLE": "StorageKeys",
        "TIDEGATE_LOG_LEVEL": "INFO",
        "TIDEGATE_MANIFEST": "/var/task/manifest.json",
        "TIDEGATE_MATCHER_QUEUE_URL": "WaitsQueue",
        "TIDEGATE_MAX_REQUEST_BYTES": "524288",
        "TIDEGATE_METRICS": "on",
        "TIDEGATE_QUEUES_PATH": "/tidegate/Tidegate-dev/queues",
        "TIDEGATE_RETENTION_DAYS": "7",
        "TIDEGATE_RUNS_TABLE": "StorageRuns",
        "TIDEGATE_STAGE": "dev",
        "TIDEGATE_STEPS_TABLE": "StorageSteps",
        "TIDEGATE_TOPIC_ARNS": "Events",
        "TIDEGATE_WAITS_TABLE": "StorageWaits",
    }


def test_a_worker_is_told_its_function_and_its_queues(dev: Template) -> None:
    environment = lambdas(dev)["warehouse-reserve"]["Environment"]["Variables"]
    assert plain(environment) == {
        "TIDEGATE_BUCKET": "StoragePayloads",
        "TIDEGATE_DEAD_LETTER_ARN": "FunctionwarehousereserveDeadLetters.Arn",
        "TIDEGATE_DEAD_LETTER_URL": "FunctionwarehousereserveDeadLetters",
        "TIDEGATE_DEDUP_TABLE": "StorageDedup",
        "TIDEGATE_EVENTS_TABLE": "StorageEvents",
        "TIDEGATE_FUNCTION": "warehouse-reserve",
        "TIDEGATE_LOG_LEVEL": "INFO",
        "TIDEGATE_MANIFEST": "/var/task/manifest.json",
        "TIDEGATE_MATCHER_QUEUE_URL": "WaitsQueue",
        "TIDEGATE_METRICS": "on",
        "TIDEGATE_QUEUE_ARN": "FunctionwarehousereserveQueue.Arn",
        "TIDEGATE_QUEUE_URL": "FunctionwarehousereserveQueue",
        "TIDEGATE_RETENTION_DAYS": "7",
        "TIDEGATE_RUNS_TABLE": "StorageRuns",
        "TIDEGATE_SCHEDULE_GROUP": "SchedulesGroup",
        "TIDEGATE_SCHEDULE_ROLE_ARN": "SchedulesRole.Arn",
        "TIDEGATE_STAGE": "dev",
        "TIDEGATE_STEPS_TABLE": "StorageSteps",
        "TIDEGATE_TOPIC_ARNS": "Events",
        "TIDEGATE_TRACING": "off",
        "TIDEGATE_WAITS_TABLE": "StorageWaits",
    }


def plain(environment: dict[str, Any]) -> dict[str, str]:
    """An environment with references to resources as their names, without the CDK's suffix."""

    def value(given: Any) -> str:
        if isinstance(given, str):
            return given
        if "Ref" in given:
            return str(given["Ref"])[:-8]
        name, attribute = given["Fn::GetAtt"]
        return f"{name[:-8]}.{attribute}"

    return {name: value(given) for name, given in environment.items()}


# --- HTTP -----------------------------------------------------------------------------------------


def test_routes_lead_to_the_handlers_of_the_manifest(dev: Template) -> None:
    integrations = properties(dev, "AWS::ApiGatewayV2::Integration")
    functions = properties(dev, "AWS::Lambda::Function")
    routes = {}
    for route in properties(dev, "AWS::ApiGatewayV2::Route").values():
        integration = integrations[route["Target"]["Fn::Join"][1][1]["Ref"]]
        assert integration["PayloadFormatVersion"] == "2.0"
        handler = functions[integration["IntegrationUri"]["Fn::GetAtt"][0]]["Handler"]
        routes[route["RouteKey"].removeprefix("ANY ")] = handler
    assert routes == {path: f"{HANDLERS[name]}.handler" for path, name in ROUTES}


def test_the_api_is_at_the_root_of_its_host(dev: Template) -> None:
    [stage] = properties(dev, "AWS::ApiGatewayV2::Stage").values()
    assert stage["StageName"] == "$default"
    assert stage["AutoDeploy"] is True


def test_preflights_reach_the_handlers(dev: Template) -> None:
    [api] = properties(dev, "AWS::ApiGatewayV2::Api").values()
    assert "CorsConfiguration" not in api
    assert api["ProtocolType"] == "HTTP"


def test_the_url_is_an_output(dev: Template) -> None:
    [api] = properties(dev, "AWS::ApiGatewayV2::Api")
    [output] = dev.find_outputs("Url").values()
    assert output["Value"]["Fn::Join"] == [
        "",
        [
            "https://",
            {"Ref": api},
            ".execute-api.",
            {"Ref": "AWS::Region"},
            ".",
            {"Ref": "AWS::URLSuffix"},
        ],
    ]


# --- limits ---------------------------------------------------------------------------------------


def test_as_many_functions_as_are_allowed_fit_into_a_stack(
    template: dict[str, Any], manifest: Manifest
) -> None:
    names = list(template["Resources"])
    per_function = sum(name.startswith("Functionwarehousereserve") for name in names)
    rest = sum(not name.startswith("Functionwarehouse") for name in names)
    assert per_function == FUNCTION_RESOURCES
    assert rest + MOST_RESOURCES <= 500
    size = len(json.dumps(template, indent=1))
    shared = {k: v for k, v in template["Resources"].items() if not k.startswith("Function")}
    shared_size = len(json.dumps(template | {"Resources": shared}, indent=1))
    size_per_function = (size - shared_size) / len(manifest.deployed)
    assert shared_size + MOST_RESOURCES / FUNCTION_RESOURCES * size_per_function <= 1_000_000


# --- stages ---------------------------------------------------------------------------------------

NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
}


def test_two_stages_share_no_name(synthesis: Synthesis) -> None:
    assert set(synthesis.templates) == {"Tidegate-dev", "Tidegate-production"}
    for template in (synthesis.dev, synthesis.production):
        for kind, name in NAMES.items():
            found = properties(template, kind)
            assert found
            assert not [r for r in found.values() if name in r], f"CloudFormation names {kind}"
        for output in template.find_outputs("*").values():
            assert "Export" not in output
    [dev] = properties(synthesis.dev, "AWS::ApiGatewayV2::Api").values()
    [production] = properties(synthesis.production, "AWS::ApiGatewayV2::Api").values()
    assert dev["Name"] != production["Name"]
