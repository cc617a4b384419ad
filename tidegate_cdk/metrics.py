"""The metrics that alarms and the dashboard look at: those that AWS keeps, and Tidegate's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from tidegate.metrics import DIMENSIONS, NAMESPACE


def of_api(api_id: str, name: str, statistic: str = "Sum", minutes: int = 1) -> cloudwatch.Metric:
    """A metric of an HTTP API, over so many minutes."""
    return _metric("AWS/ApiGateway", name, statistic, {"ApiId": api_id}, minutes)


def of_all_lambdas(name: str, minutes: int = 1) -> cloudwatch.Metric:
    """A metric of all Lambdas of the account and region together, its sums over so many minutes."""
    return _metric("AWS/Lambda", name, "Sum", {}, minutes)


def of_function(stage: str, function_id: str, name: str, minutes: int) -> cloudwatch.Metric:
    """A metric that the worker of a function counts, its sums over so many minutes."""
    dimensions = dict(zip(DIMENSIONS, (stage, function_id), strict=True))
    return _metric(NAMESPACE, name, "Sum", dimensions, minutes)


def _metric(
    namespace: str, name: str, statistic: str, dimensions: Mapping[str, str], minutes: int
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        statistic=statistic,
        period=Duration.minutes(minutes),
        dimensions_map=dimensions,
    )


def percent(
    part: Sequence[str], whole: Sequence[str], minutes: int, **metrics: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """How much of a whole a part is.

    Args:
        part, whole: the names of the metrics of which each is the sum.
        minutes: over how many it is computed.
        metrics: those, by name.
    """
    return cloudwatch.MathExpression(
        expression=f"100 * ({_sum(part)}) / ({_sum(whole)})",
        label="%",
        period=Duration.minutes(minutes),
        using_metrics=metrics,
    )


def _sum(names: Sequence[str]) -> str:
    # One metric without data would make the sum none: a Lambda that is throttled each time has no
    # invocations.
    return " + ".join(f"FILL({name}, 0)" for name in names)
