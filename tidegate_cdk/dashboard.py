"""The dashboard of a stage: what comes in, what happens to it, what went wrong."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from tidegate.metrics import DIMENSIONS, NAMESPACE
from tidegate_cdk.metrics import of_api

_WIDTH = 12
_PERIOD_S = 300

# What Lambdas count, see `tidegate.metrics`: title, metric, statistic.
_COUNTED = (
    (("Events received", "EventsReceived", "Sum"), ("Duplicates", "EventsDuplicate", "Sum")),
    (("Events sent by runs", "EventsSent", "Sum"), ("Runs started", "RunsStarted", "Sum")),
    (("Runs completed", "RunsCompleted", "Sum"), ("Runs cancelled", "RunsCancelled", "Sum")),
    (("Runs failed", "RunsFailed", "Sum"), ("Retries of functions and steps", "Retries", "Sum")),
    (
        ("From an event to its run, p95, ms", "QueueAge", "p95"),
        ("Steps, p95, ms", "StepDuration", "p95"),
    ),
)


def dashboard(scope: Construct, *, name: str, counted: str | None, api_id: str) -> None:
    """A dashboard that finds queues and Lambdas by the stack's name, however many there are.

    Args:
        scope: where it belongs.
        name: the stack's, with which CloudFormation begins the names of its resources.
        counted: the stage, by which its own metrics are found; None if it has none.
        api_id: the HTTP API.
    """
    cloudwatch.Dashboard(
        scope,
        "Dashboard",
        widgets=[
            [
                _graph(
                    "Requests",
                    of_api(api_id, "Count"),
                    of_api(api_id, "4xx"),
                    of_api(api_id, "5xx"),
                ),
                _graph(
                    "Latency, ms",
                    *(of_api(api_id, "Latency", statistic) for statistic in ("p50", "p95", "p99")),
                ),
            ],
            *([_counted(*one, counted) for one in row] for row in _COUNTED if counted),
            [
                _found("Invocations", name, "AWS/Lambda", "FunctionName", "Invocations", "Sum"),
                _found("Duration, p99, ms", name, "AWS/Lambda", "FunctionName", "Duration", "p99"),
            ],
            [
                _found("Errors", name, "AWS/Lambda", "FunctionName", "Errors", "Sum"),
                _found("Throttles", name, "AWS/Lambda", "FunctionName", "Throttles", "Sum"),
            ],
            [
                _found(
                    "Messages that wait",
                    name,
                    "AWS/SQS",
                    "QueueName",
                    "ApproximateNumberOfMessagesVisible",
                    "Maximum",
                    "NOT DeadLetters",
                ),
                _found(
                    "Oldest message, s",
                    name,
                    "AWS/SQS",
                    "QueueName",
                    "ApproximateAgeOfOldestMessage",
                    "Maximum",
                    "NOT DeadLetters",
                ),
            ],
            [
                _found(
                    "Dead letters",
                    name,
                    "AWS/SQS",
                    "QueueName",
                    "ApproximateNumberOfMessagesVisible",
                    "Maximum",
                    "DeadLetters",
                ),
                _found(
                    "DynamoDB: throttled requests",
                    name,
                    "AWS/DynamoDB",
                    "Operation,TableName",
                    "ThrottledRequests",
                    "Sum",
                ),
            ],
        ],
    )


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_WIDTH)


def _counted(title: str, metric: str, statistic: str, stage: str) -> cloudwatch.GraphWidget:
    """A graph with a line for each function that counts something."""
    wanted = (
        f'{{{NAMESPACE},{",".join(DIMENSIONS)}}} MetricName="{metric}" {DIMENSIONS[0]}="{stage}"'
    )
    return _graph(title, _search(wanted, statistic))


def _found(
    title: str,
    stack: str,
    namespace: str,
    dimensions: str,
    metric: str,
    statistic: str,
    more: str = "",
) -> cloudwatch.GraphWidget:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html
    # In quotes a term must be the whole name; its words find what begins with it, too.
    words = stack.replace("-", " ")
    wanted = f'{{{namespace},{dimensions}}} MetricName="{metric}" {words} {more}'.strip()
    return _graph(title, _search(wanted, statistic))


def _search(wanted: str, statistic: str) -> cloudwatch.SearchExpression:
    return cloudwatch.SearchExpression(
        expression=f"SEARCH('{wanted}', '{statistic}', {_PERIOD_S})",
        label="",
        period=Duration.seconds(_PERIOD_S),
    )
