"""What tells somebody that something is wrong: alarms, the dashboard, traces, access logs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from template_resources import properties

from tidegate.manifest import ROUTES
from tidegate.metrics import COUNTS, TIMES
from tidegate_cdk.config import Config

if TYPE_CHECKING:
    from tests.infra.conftest import Guarded, Synthesis

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def of_stage(synthesis: Synthesis) -> dict[str, dict[str, Any]]:
    """The alarms on what all functions share, by name."""
    return {
        name.removeprefix("StageAlarms")[:-8]: alarm
        for name, alarm in properties(synthesis.dev, "AWS::CloudWatch::Alarm").items()
        if name.startswith("StageAlarms")
    }


def metrics(alarm: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The namespace and the name of each metric of a formula, by its name in there."""
    return {
        one["Id"]: (
            one["MetricStat"]["Metric"]["Namespace"],
            one["MetricStat"]["Metric"]["MetricName"],
        )
        for one in alarm["Metrics"]
        if "MetricStat" in one
    }


def expression(alarm: dict[str, Any]) -> str:
    """The formula of an alarm."""
    [found] = [one["Expression"] for one in alarm["Metrics"] if "Expression" in one]
    return str(found)


def test_a_stage_has_four_alarms(of_stage: dict[str, Any]) -> None:
    assert set(of_stage) == {"ServerErrors", "Latency", "Errors", "Throttles"}
    for alarm in of_stage.values():
        assert alarm["TreatMissingData"] == "notBreaching", "no traffic is no fault"
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_server_errors_are_a_part_of_the_requests(of_stage: dict[str, Any]) -> None:
    alarm = of_stage["ServerErrors"]
    assert metrics(alarm) == {
        "errors": ("AWS/ApiGateway", "5xx"),
        "requests": ("AWS/ApiGateway", "Count"),
    }
    assert expression(alarm) == "100 * (FILL(errors, 0)) / (FILL(requests, 0))"
    assert alarm["Threshold"] == 1


@pytest.mark.parametrize("name", ["ServerErrors", "Errors"])
def test_shares_are_of_sums_that_a_request_now_and_then_is_in(
    of_stage: dict[str, Any], name: str
) -> None:
    alarm = of_stage[name]
    stats = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert {(one["Stat"], one["Period"]) for one in stats} == {("Sum", 300)}
    assert alarm["EvaluationPeriods"] == 1, "not five minutes in a row"


def test_a_lambda_that_is_throttled_each_time_is_failing(guarded: Guarded) -> None:
    failing = [
        alarm["Properties"]
        for alarm in guarded.resources("AWS::CloudWatch::Alarm")
        if "are throttled" in alarm["Properties"]["AlarmDescription"]
        and "Metrics" in alarm["Properties"]
    ]
    assert len(failing) == 7, "ingest, api, matcher, and functions, a removed one, too"
    for alarm in failing:
        # Then there is no invocation, and so no error either: without FILL, no share.
        assert expression(alarm) == (
            "100 * (FILL(errors, 0) + FILL(throttles, 0)) / "
            "(FILL(invocations, 0) + FILL(throttles, 0))"
        )
        assert {one["MetricStat"]["Period"] for one in alarm["Metrics"] if "MetricStat" in one} == {
            300
        }


def test_latency_is_that_of_the_slowest_hundredth(of_stage: dict[str, Any]) -> None:
    alarm = of_stage["Latency"]
    assert (alarm["MetricName"], alarm["ExtendedStatistic"]) == ("Latency", "p99")
    assert alarm["Threshold"] == 3000


def test_errors_and_throttles_are_those_of_all_lambdas(of_stage: dict[str, Any]) -> None:
    assert metrics(of_stage["Errors"]) == {
        "errors": ("AWS/Lambda", "Errors"),
        "invocations": ("AWS/Lambda", "Invocations"),
    }
    assert of_stage["Throttles"]["MetricName"] == "Throttles"
    assert "Dimensions" not in of_stage["Throttles"]


def test_alarms_notify_nobody_unless_told(synthesis: Synthesis) -> None:
    for alarm in properties(synthesis.dev, "AWS::CloudWatch::Alarm").values():
        assert "AlarmActions" not in alarm
    assert len(properties(synthesis.dev, "AWS::SNS::Topic")) == 1


def test_every_alarm_notifies_the_address_when_it_starts_and_ends(guarded: Guarded) -> None:
    alarms = guarded.resources("AWS::CloudWatch::Alarm")
    for alarm in alarms:
        [action], [ok] = alarm["Properties"]["AlarmActions"], alarm["Properties"]["OKActions"]
        assert "AlarmTopic" in action["Ref"]
        assert action == ok
    [address] = [
        subscription["Properties"]
        for subscription in guarded.resources("AWS::SNS::Subscription")
        if subscription["Properties"]["Protocol"] == "email"
    ]
    assert address["Endpoint"] == "on-call@example.com"
    # Of the stage, of the queues of four functions and the matcher, of seven Lambdas.
    # And of the runs of three functions: those of a removed one do not fail.
    assert len(alarms) == 4 + 2 * 5 + 7 + 3


def test_alarms_may_publish_to_their_topic(guarded: Guarded) -> None:
    [policy] = [
        policy["Properties"]["PolicyDocument"]
        for policy in guarded.resources("AWS::SNS::TopicPolicy")
        if "AlarmTopic" in json.dumps(policy["Properties"]["Topics"])
    ]
    [allowed] = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Action"] == "sns:Publish"
    account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert allowed["Condition"] == {"StringEquals": account}


def test_of_each_functions_runs_the_share_that_failed_is_watched(
    synthesis: Synthesis, guarded: Guarded
) -> None:
    assert not [
        name for name in properties(synthesis.dev, "AWS::CloudWatch::Alarm") if "Runs" in name
    ]
    found = [
        alarm["Properties"]
        for alarm in guarded.resources("AWS::CloudWatch::Alarm")
        if "failed for good" in alarm["Properties"]["AlarmDescription"]
    ]
    watched = set()
    for alarm in found:
        assert metrics(alarm) == {
            "completed": ("Tidegate", "RunsCompleted"),
            "failed": ("Tidegate", "RunsFailed"),
        }
        [stats] = [one["MetricStat"] for one in alarm["Metrics"] if one["Id"] == "failed"]
        dimensions = {one["Name"]: one["Value"] for one in stats["Metric"]["Dimensions"]}
        assert (dimensions["stage"], stats["Period"]) == ("production", 900)
        watched.add(dimensions["function"])
    assert watched == {"warehouse-reserve", "warehouse-audit.all", "warehouse-count"}


def alarms_of(tmp_path: Path, **choices: str) -> list[dict[str, Any]]:
    """The alarms of a queue and of a stage with these choices."""
    from aws_cdk import App, Stack
    from aws_cdk.assertions import Template

    from tidegate_cdk.alarm_topic import alarm_topic
    from tidegate_cdk.alarms import Alarms
    from tidegate_cdk.queues import queues

    stack = Stack(App(outdir=str(tmp_path)), "Other")
    config = Config(**choices)
    alarms = Alarms(config, alarm_topic(stack, config, None))
    queue, dead_letters = queues(
        stack, config=config, visibility_timeout_s=60, max_receives=3, key=None
    )
    alarms.of_queue(
        stack, name="f", visibility_timeout_s=60, queue=queue, dead_letters=dead_letters
    )
    alarms.of_stage(stack, api_id="api")
    return list(properties(Template.from_stack(stack), "AWS::CloudWatch::Alarm").values())


def test_a_stage_may_have_no_alarms(tmp_path: Path) -> None:
    assert alarms_of(tmp_path, alarms="none") == []


def test_alarms_notify_a_topic_that_is_there(tmp_path: Path) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:on-call"
    found = alarms_of(tmp_path, alarms_to=arn)
    assert [alarm["AlarmActions"] for alarm in found] == [[arn]] * 6


def test_production_has_a_dashboard_that_finds_what_the_stack_has(
    synthesis: Synthesis, guarded: Guarded
) -> None:
    assert not properties(synthesis.dev, "AWS::CloudWatch::Dashboard")
    [dashboard] = guarded.resources("AWS::CloudWatch::Dashboard")
    body = dashboard["Properties"]["DashboardBody"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "…" for part in body)
    widgets = json.loads(text)["widgets"]
    titles = {widget["properties"]["title"] for widget in widgets}
    assert {"Requests", "Latency, ms", "Dead letters", "Oldest message, s", "Throttles"} <= titles
    searches = re.findall(r"SEARCH\('([^']*)'", text)
    counted = [search.replace('\\"', '"') for search in searches if search.startswith("{Tidegate,")]
    assert len(searches) == 8 + len(counted)
    for search in searches:
        assert "Tidegate production" in search or search.replace('\\"', '"') in counted
    found = re.compile(r'\{Tidegate,stage,function\} MetricName="(\w+)" stage="production"')
    shown = {found.fullmatch(search)[1] for search in counted}  # type: ignore[index]
    assert shown == {*COUNTS, *TIMES}


def test_a_stage_that_counts_nothing_has_no_graphs_of_it(tmp_path: Path) -> None:
    from aws_cdk import App, Stack
    from aws_cdk.assertions import Template

    from tidegate_cdk.dashboard import dashboard

    stack = Stack(App(outdir=str(tmp_path)), "Other")
    dashboard(stack, name="Tidegate-dev", counted=None, api_id="api")
    text = json.dumps(properties(Template.from_stack(stack), "AWS::CloudWatch::Dashboard"))
    assert "Dead letters" in text
    assert "{Tidegate" not in text


@pytest.mark.parametrize(
    ("choice", "stage", "has"),
    [
        ("production", "production", True),
        ("production", "dev", False),
        ("yes", "dev", True),
        ("no", "production", False),
    ],
)
def test_who_has_a_dashboard(choice: str, stage: str, has: bool) -> None:
    assert Config(dashboard=choice, stage=stage).has_dashboard is has


def test_lambdas_are_traced_where_a_stage_wants_it(synthesis: Synthesis, guarded: Guarded) -> None:
    for function in properties(synthesis.dev, "AWS::Lambda::Function").values():
        assert "TracingConfig" not in function
    for function in guarded.resources("AWS::Lambda::Function"):
        assert function["Properties"]["TracingConfig"] == {"Mode": "Active"}
    granted = [
        statement
        for role in guarded.resources("AWS::IAM::Role")
        for policy in role["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if "xray:PutTraceSegments" in statement["Action"]
    ]
    assert len(granted) == len(guarded.resources("AWS::Lambda::Function"))
    # Besides this, no statement of any role has a wildcard for its resource.
    others = [
        statement
        for role in guarded.resources("AWS::IAM::Role")
        for policy in role["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*" and statement not in granted
    ]
    assert others == []


def test_topics_are_traced_and_may_tell_x_ray(synthesis: Synthesis, guarded: Guarded) -> None:
    for topic in properties(synthesis.dev, "AWS::SNS::Topic").values():
        assert "TracingConfig" not in topic
    assert not properties(synthesis.dev, "AWS::XRay::ResourcePolicy")
    modes = [
        topic["Properties"].get("TracingConfig") for topic in guarded.resources("AWS::SNS::Topic")
    ]
    # Those of two shards; nobody traces the one of the alarms.
    assert sorted(modes, key=str) == ["Active", "Active", None]
    [policy] = guarded.resources("AWS::XRay::ResourcePolicy")
    [statement] = json.loads(joined(policy["Properties"]["PolicyDocument"]))["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert "xray:PutTraceSegments" in statement["Action"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "AWS::AccountId"},
        "StringLike": {
            "aws:SourceArn": "arn:AWS::Partition:sns:AWS::Region:AWS::AccountId:"
            "Tidegate-production-*"
        },
    }


def test_workers_tell_x_ray_of_runs_where_a_stage_wants_it(guarded: Guarded) -> None:
    told = [
        variables.get("TIDEGATE_TRACING")
        for function in guarded.resources("AWS::Lambda::Function")
        if "TIDEGATE_FUNCTION" in (variables := function["Properties"]["Environment"]["Variables"])
    ]
    assert told == ["on"] * 4


def joined(text: Any) -> str:
    """A text of a template, with references as the names of what they refer to."""
    parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
    return "".join(part if isinstance(part, str) else part["Ref"] for part in parts)


# --- requests -------------------------------------------------------------------------------------


def test_requests_are_throttled(synthesis: Synthesis) -> None:
    [stage] = properties(synthesis.dev, "AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": Config().requests_per_second,
        "ThrottlingBurstLimit": 2 * Config().requests_per_second,
    }
    assert "RouteSettings" not in stage, "no route is an exception"


def test_requests_are_logged_without_what_may_hold_a_key(synthesis: Synthesis) -> None:
    [stage] = properties(synthesis.dev, "AWS::ApiGatewayV2::Stage").values()
    line = json.loads(stage["AccessLogSettings"]["Format"])
    told = set(line.values())
    assert {"$context.requestId", "$context.status", "$context.identity.sourceIp"} <= told
    # An event key is part of the path `/e/<key>`. A route has no part that a client chooses.
    assert not {one for one in told if re.search(r"(?i)path|query|header|authorizer", one)}
    assert {path for path, _ in ROUTES} == {"/", "/dashboard/{proxy+}", "/v1/{proxy+}", "$default"}
