"""DynamoDB and Secrets Manager for a signup's calls, with methods named and shaped as boto3's.

A table takes one of these clients or boto3's own. Both services speak JSON over POST.
"""

import json
import random
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from chalicelib.aws.connections import AwsError, AwsRefused, AwsUnreachable, Connections, passes
from chalicelib.aws.response import Response
from chalicelib.aws.signing import Credentials, CredentialSource, Signer

ATTEMPTS_MAX = 4
BACKOFF_S = 0.05
BACKOFF_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """The names of a service.

    One stands in endpoints and signatures, one in the variables with its address, one before its operations.
    """

    name: str
    variable: str
    target_prefix: str
    json_version: str


DYNAMODB = Service("dynamodb", "DYNAMODB", "DynamoDB_20120810", "1.0")
SECRETS_MANAGER = Service("secretsmanager", "SECRETS_MANAGER", "secretsmanager", "1.1")


class JsonApi:
    """Calls one service. Every error that may pass is tried again, after a pause of random length.

    `sleep` and `random_share` (between 0 and 1) are what a test replaces to wait for nothing.
    """

    def __init__(
        self,
        service: Service,
        region: str,
        connections: Connections,
        credentials: Callable[[], Credentials],
        *,
        clock_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        self._service = service
        self._signer = Signer(service.name, region)
        self._connections = connections
        self._credentials = credentials
        self._clock_s = clock_s
        self._sleep = sleep
        self._random_share = random_share
        self._content_type = f"application/x-amz-json-{service.json_version}"

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one operation.

        Raises:
            AwsRefused: AWS said no; `code` says why.
            AwsUnreachable: no answer, however often it was tried.
            NoCredentials: there is nobody to call as.
        """
        body = json.dumps(request, separators=(",", ":")).encode()
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self._attempt(operation, body)
            except AwsError as error:
                if attempt == ATTEMPTS_MAX or not passes(error):
                    raise
            # Full jitter: clients that failed together do not come back together.
            self._sleep(self._random_share() * min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt))
        raise AssertionError("the last attempt answers or raises")

    def _attempt(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = {
            "content-type": self._content_type,
            "host": self._connections.host,
            "x-amz-target": f"{self._service.target_prefix}.{operation}",
        }
        signed = self._signer.sign(
            self._credentials(),
            "POST",
            "/",
            headers,
            payload_sha256=sha256(body).hexdigest(),
            at_s=self._clock_s(),
        )
        answer = self._connections.send("POST", "/", signed, body)
        if answer.status != HTTPStatus.OK:
            raise AwsRefused(_code(answer), answer.status)
        return _document(answer)


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
        """Return DynamoDB of the environment's region."""
        return DynamoDb(self._api(DYNAMODB))

    def secrets_manager(self) -> SecretsManager:
        """Return Secrets Manager of the environment's region."""
        return SecretsManager(self._api(SECRETS_MANAGER))

    def endpoint(self, service: Service) -> str:
        """Return the origin of a service; the SDKs' variables replace AWS's own."""
        for name in (f"AWS_ENDPOINT_URL_{service.variable}", "AWS_ENDPOINT_URL"):
            if self._environment.get(name):
                return self._environment[name].rstrip("/")
        return aws_origin(service.name, self._region())

    def close(self) -> None:
        """Close each connection; a later call opens what it needs."""
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
    """Return AWS's origin in a region: for a service by its name, for a bucket by "BUCKET.s3"."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{name}.{region}.{suffix}"


def _document(answer: Response) -> dict[str, Any]:
    checksum = answer.headers.get("x-amz-crc32")
    if checksum is not None and checksum != str(zlib.crc32(answer.body)):
        raise AwsUnreachable("the answer was damaged on its way")
    try:
        document: dict[str, Any] = json.loads(answer.body or b"{}")
    except ValueError:
        raise AwsUnreachable("the answer is not JSON") from None
    return document


def _code(answer: Response) -> str:
    """Return the code: "com.amazonaws.dynamodb.v20120810#ThrottlingException" is the last part."""
    try:
        named = json.loads(answer.body)["__type"]
    except (ValueError, KeyError, TypeError):
        named = answer.headers.get("x-amzn-errortype", "")
    return str(named).rpartition("#")[2].partition(":")[0] or f"Status{answer.status}"
