"""The calls on a shopper's way to the list, named and shaped as boto3 has them.

A table or a reader is handed one of these or boto3's own client, and cannot tell.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.aws.connections import Connections
from chalicelib.aws.credentials import CredentialSource
from chalicelib.aws.json_api import DYNAMODB, SECRETS_MANAGER, JsonApi, Service


class DynamoDb:
    """Reads and conditional writes of single items."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    def update_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's UpdateItem."""
        return self._api.call("UpdateItem", request)

    def get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's GetItem."""
        return self._api.call("GetItem", request)


class SecretsManager:
    """Reads of secrets."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        """Secrets Manager's GetSecretValue."""
        return self._api.call("GetSecretValue", request)


class Aws:
    """AWS as `environment` describes it: region, endpoints, credentials."""

    def __init__(self, environment: Mapping[str, str], clock_s: Callable[[], float] = time.time) -> None:
        self._environment = environment
        self._credentials = CredentialSource(environment, clock_s)
        self._connections: list[Connections] = []

    def dynamodb(self) -> DynamoDb:
        """DynamoDB of the environment's region."""
        return DynamoDb(self._api(DYNAMODB))

    def secrets_manager(self) -> SecretsManager:
        """Secrets Manager of the environment's region."""
        return SecretsManager(self._api(SECRETS_MANAGER))

    def endpoint(self, service: Service) -> str:
        """The origin a service answers at; the variables that the SDKs know replace AWS's own."""
        for name in (f"AWS_ENDPOINT_URL_{service.variable}", "AWS_ENDPOINT_URL"):
            if self._environment.get(name):
                return self._environment[name].rstrip("/")
        return aws_origin(service.name, self._region())

    def close(self) -> None:
        """Hang up everywhere; a later call opens what it needs."""
        for connections in self._connections:
            connections.close()

    def _region(self) -> str:
        environment = self._environment
        return environment.get("AWS_REGION") or environment["AWS_DEFAULT_REGION"]

    def _api(self, service: Service) -> JsonApi:
        connections = Connections(self.endpoint(service))
        self._connections.append(connections)
        return JsonApi(service, self._region(), connections, self._credentials)


def aws_origin(name: str, region: str) -> str:
    """Where AWS answers in a region: for a service by its name, for a bucket by "BUCKET.s3"."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{name}.{region}.{suffix}"
