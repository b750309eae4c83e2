"""The HTTP API: where trackers and ESPs post, mirror pages are read, and people and CI keep definitions."""

from __future__ import annotations

import json
from typing import cast

from aws_cdk import Stack
from aws_cdk import aws_apigatewayv2 as api
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from constructs import Construct

from infra.function import Function
from infra.log_group import log_group
from infra.nag import accept
from infra.settings import Environment

# No path and no address: a path holds a mirror page's signature, and an address is a person's.
_LOGGED = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "routeKey": "$context.routeKey",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}


class Api(Construct):
    """Public routes are verified by their functions, by signature. `/v1/admin/…` wants AWS credentials, or a JWT."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "api")
        self.api = api.HttpApi(self, "http", api_name=environment.prefix, create_default_stage=False)
        self._stage(environment)
        self._authorizer = _authorizer(environment)
        default = f"https://{self.api.api_id}.execute-api.{Stack.of(self).region}.{Stack.of(self).url_suffix}"
        self.url = environment.public_url.replace("{api_id}", self.api.api_id) if environment.public_url else default
        """Without a slash at its end."""

    def public(self, method: str, path: str, function: Function) -> None:
        """A route for everybody; the function checks the signature."""
        for route in self._add(method, path, function, api.HttpNoneAuthorizer()):
            accept(route, "APIG4", "The function verifies the caller's signature, which no API Gateway authorizer can do.")

    def restricted(self, method: str, path: str, function: Function) -> None:
        """A route for those whom the deployment lets in."""
        self._add(method, path, function, self._authorizer)

    def _add(self, method: str, path: str, function: Function, authorizer: api.IHttpRouteAuthorizer) -> list[api.HttpRoute]:
        integration = integrations.HttpLambdaIntegration(function.name, function.function)
        return self.api.add_routes(path=path, methods=[api.HttpMethod[method]], integration=integration, authorizer=authorizer)

    def _stage(self, environment: Environment) -> None:
        logs = log_group(self, "logs", "api", environment)
        stage = api.HttpStage(
            self,
            "stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=api.ThrottleSettings(rate_limit=environment.requests_per_second, burst_limit=environment.burst),
            detailed_metrics_enabled=True,
        )
        cast(api.CfnStage, stage.node.default_child).access_log_settings = api.CfnStage.AccessLogSettingsProperty(
            destination_arn=logs.log_group_arn, format=json.dumps(_LOGGED)
        )


def _authorizer(environment: Environment) -> api.IHttpRouteAuthorizer:
    if environment.jwt is None:
        return authorizers.HttpIamAuthorizer()
    return authorizers.HttpJwtAuthorizer("jwt", environment.jwt.issuer, jwt_audience=environment.jwt.audience)
