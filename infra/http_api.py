"""The HTTP API: one stage at the host's root, each of the manifest's routes to its Lambda."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

from tidegate.manifest import ROUTES

CATCH_ALL = "$default"


class HttpApi(Construct):
    """The HTTP API on the `$default` stage.

    The gateway has no CORS configuration: with one it answers preflights itself, for every path
    alike, and the handlers' own answers would never be seen.

    Attributes:
        url: where events are sent, `https://<id>.execute-api.<region>.amazonaws.com`.

    Args:
        name: what the console shows.
        handlers: the Lambda of each handler that a route names.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        handlers: Mapping[str, lambda_.Function],
    ) -> None:
        super().__init__(scope, construct_id)
        api = apigateway.HttpApi(self, "Api", api_name=name)
        stack = Stack.of(self)
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


def _construct_id(path: str, handler: str) -> str:
    """Never to be changed: a route that is renamed collides with itself in a deployment."""
    names = {"/": "Page", "/dashboard/{proxy+}": "Dashboard"}
    return f"{names.get(path, handler.capitalize())}Route"


def _route_key(path: str) -> apigateway.HttpRouteKey:
    if path == CATCH_ALL:
        return apigateway.HttpRouteKey.DEFAULT
    return apigateway.HttpRouteKey.with_(path, apigateway.HttpMethod.ANY)
