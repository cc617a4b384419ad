"""The HTTP API: one stage at the host's root, each of the manifest's routes to its Lambda."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from tidegate.manifest import ROUTES
from tidegate_cdk.config import Config
from tidegate_cdk.handler_lambda import LOG_RETENTION
from tidegate_cdk.storage import removal_policy

CATCH_ALL = "$default"

# What each line of the access log tells. Neither path nor query is in it: event keys are sent
# there. See https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
ACCESS_LOG = {
    "request_id": "requestId",
    "time": "requestTime",
    "source_ip": "identity.sourceIp",
    "user_agent": "identity.userAgent",
    "method": "httpMethod",
    "route": "routeKey",
    "status": "status",
    "latency_ms": "responseLatency",
    "integration_status": "integrationStatus",
    "error": "error.message",
    "bytes": "responseLength",
}


class HttpApi(Construct):
    """The HTTP API on the `$default` stage.

    The gateway has no CORS configuration: with one it answers preflights itself, for every path
    alike, and the handlers' own answers would never be seen.

    Attributes:
        api_id: its id.
        url: where events are sent, `https://<id>.execute-api.<region>.amazonaws.com`.

    Args:
        name: what the console shows.
        config: the choices for the stage.
        key: what the access logs are encrypted with, if with a customer's key.
        handlers: the Lambda of each handler that a route names.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        config: Config,
        key: kms.IKey | None,
        handlers: Mapping[str, lambda_.Function],
    ) -> None:
        super().__init__(scope, construct_id)
        api = apigateway.HttpApi(self, "Api", api_name=name)
        access_logs = logs.LogGroup(
            self,
            "AccessLogs",
            encryption_key=key,
            retention=LOG_RETENTION,
            removal_policy=removal_policy(config),
        )
        self._configure_stage(api, config, access_logs)
        stack = Stack.of(self)
        self.api_id = api.api_id
        self.url = f"https://{api.api_id}.execute-api.{stack.region}.{stack.url_suffix}"
        for path, handler in ROUTES:
            apigateway.HttpRoute(
                self,
                _construct_id(path, handler),
                http_api=api,
                route_key=_route_key(path),
                integration=HttpLambdaIntegration(
                    f"{handler.capitalize()}Integration",
                    handlers[handler],
                    payload_format_version=apigateway.PayloadFormatVersion.VERSION_2_0,
                ),
            )

    def _configure_stage(
        self, api: apigateway.HttpApi, config: Config, access_logs: logs.LogGroup
    ) -> None:
        stage = api.default_stage.node.default_child if api.default_stage else None
        assert isinstance(stage, apigateway.CfnStage)  # noqa: S101 - for the type checker
        stage.default_route_settings = apigateway.CfnStage.RouteSettingsProperty(
            throttling_rate_limit=config.requests_per_second,
            # How many may come at once after a quiet time.
            throttling_burst_limit=2 * config.requests_per_second,
        )
        stage.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=access_logs.log_group_arn,
            format=json.dumps({name: f"$context.{value}" for name, value in ACCESS_LOG.items()}),
        )


def _construct_id(path: str, handler: str) -> str:
    """Never to be changed: a route that is renamed collides with itself in a deployment."""
    names = {"/": "Page", "/dashboard/{proxy+}": "Dashboard"}
    return f"{names.get(path, handler.capitalize())}Route"


def _route_key(path: str) -> apigateway.HttpRouteKey:
    if path == CATCH_ALL:
        return apigateway.HttpRouteKey.DEFAULT
    return apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod.ANY)
