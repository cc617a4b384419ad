"""The metrics that alarms and the dashboard look at: those that AWS keeps, and Tidegate's own."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from tidegate.metrics import DIMENSIONS, NAMESPACE


def of_api(api_id: str, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
    """A metric of an HTTP API."""
    return _metric("AWS/ApiGateway", name, statistic, {"ApiId": api_id})


def of_all_lambdas(name: str) -> cloudwatch.Metric:
    """A metric of all Lambdas of the account and region together."""
    return _metric("AWS/Lambda", name, "Sum", {})


def of_function(stage: str, function_id: str, name: str, minutes: int) -> cloudwatch.Metric:
    """A metric that the worker of a function counts, its sums over so many minutes."""
    dimensions = dict(zip(DIMENSIONS, (stage, function_id), strict=True))
    return _metric(NAMESPACE, name, "Sum", dimensions, minutes)


def _metric(
    namespace: str, name: str, statistic: str, dimensions: Mapping[str, str], minutes: int = 1
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        statistic=statistic,
        period=Duration.minutes(minutes),
        dimensions_map=dimensions,
    )


def percent(
    part: str, whole: str, minutes: int = 1, **metrics: cloudwatch.IMetric
) -> cloudwatch.MathExpression:
    """How much of a whole a part is; both are sums of the metrics, by their names."""
    return cloudwatch.MathExpression(
        expression=f"100 * ({part}) / ({whole})",
        label="%",
        period=Duration.minutes(minutes),
        using_metrics=metrics,
    )
