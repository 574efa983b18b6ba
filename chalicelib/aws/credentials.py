"""Where Lambda keeps a function's credentials: its environment, or, under SnapStart, an endpoint beside it.

Credentials of a snapshot would have ended long before it is restored, so a restored function asks:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from chalicelib.aws.errors import AwsUnreachable, NoCredentials
from chalicelib.aws.signing import Credentials

CONTAINER_HOST = "169.254.170.2"
# Plain HTTP goes to this machine and to the two addresses that containers are given, nowhere else.
PLAIN_HOSTS = frozenset({CONTAINER_HOST, "169.254.170.23", "127.0.0.1", "localhost"})
TIMEOUT_S = 2.0
RENEWED_BEFORE_S = 5 * 60
ANSWER_BYTES_MAX = 64 * 1024


class CredentialSource:
    """The credentials of `environment`, renewed before they end. `clock_s` is in seconds."""

    def __init__(self, environment: Mapping[str, str], clock_s: Callable[[], float]) -> None:
        self._environment = environment
        self._clock_s = clock_s
        self._fetched: Credentials | None = None

    def __call__(self) -> Credentials:
        """Credentials that are good now.

        Raises:
            NoCredentials: the environment names none.
            AwsUnreachable: the endpoint it names does not answer.
        """
        environment = self._environment
        if "AWS_ACCESS_KEY_ID" in environment and "AWS_SECRET_ACCESS_KEY" in environment:
            return Credentials(
                environment["AWS_ACCESS_KEY_ID"],
                environment["AWS_SECRET_ACCESS_KEY"],
                environment.get("AWS_SESSION_TOKEN", ""),
            )
        if self._fetched is None or self._ends_soon(self._fetched):
            self._fetched = self._fetch()
        return self._fetched

    def _ends_soon(self, credentials: Credentials) -> bool:
        ends_at_s = credentials.expires_at_s
        return ends_at_s is not None and ends_at_s - RENEWED_BEFORE_S <= self._clock_s()

    def _fetch(self) -> Credentials:
        url = self._url()
        headers = {"accept": "application/json"}
        token = self._token()
        if token:
            headers["authorization"] = token
        try:
            document = json.loads(_get(url, headers))
            expiration = document.get("Expiration")
            return Credentials(
                document["AccessKeyId"],
                document["SecretAccessKey"],
                document.get("Token", ""),
                datetime.fromisoformat(expiration).timestamp() if expiration else None,
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise AwsUnreachable(f"no credentials from their endpoint: {type(error).__name__}") from None

    def _url(self) -> str:
        relative = self._environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        url = (
            f"http://{CONTAINER_HOST}{relative}"
            if relative
            else self._environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        )
        if not url:
            raise NoCredentials("neither keys nor an endpoint for them in the environment")
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in PLAIN_HOSTS:
            raise NoCredentials("the endpoint for credentials is neither encrypted nor on this machine")
        return url

    def _token(self) -> str:
        file = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        # Read each time: the file is replaced when the token is.
        return (
            Path(file).read_text(encoding="ascii").strip()
            if file
            else self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        )


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}", None, headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    except HTTPException as error:
        raise OSError(type(error).__name__) from None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise ValueError(answer.status)
    return body
