"""Signature Version 4 and the credentials for it: proves the sender and the content of a request to AWS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from chalicelib.aws.connections import AwsUnreachable, NoCredentials

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of an AWS identity. Temporary ones have a `session_token` and end at `expires_at_s`."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    expires_at_s: float | None = None


class Signer:
    """Signs requests to one service in one region, with a key that it derives once a day."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._key_of: tuple[str, str] = ("", "")
        self._key = b""

    def sign(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        payload_sha256: str,
        at_s: float,
        query: str = "",
    ) -> dict[str, str]:
        """Return the headers to send: the given ones and their signature.

        `path` and `query` are as they go over the wire, `path` without "." and ".." and doubled
        slashes. Names of `headers` are in lower case and `host` is among them; all are signed.
        """
        amz_date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
        signed = {**headers, "x-amz-date": amz_date}
        if credentials.session_token:
            signed["x-amz-security-token"] = credentials.session_token
        names = sorted(signed)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        signed_names = ";".join(names)
        request = (
            f"{method}\n{self._encoded(path)}\n{_sorted(query)}\n{lines}\n{signed_names}\n{payload_sha256}"
        )
        signed["authorization"] = self.authorization(credentials, amz_date, signed_names, request)
        return signed

    def authorization(
        self, credentials: Credentials, amz_date: str, names: str, canonical_request: str
    ) -> str:
        """Return the authorization header of a request in its canonical form.

        `amz_date` is what x-amz-date says, `names` those of the headers that are signed.
        """
        scope = f"{amz_date[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{amz_date}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"
        key = self._day_key(credentials.secret_key, amz_date[:8])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope},"
            f" SignedHeaders={names}, Signature={signature}"
        )

    def _encoded(self, path: str) -> str:
        # S3 takes the path as it is sent; every other service takes it encoded once more.
        return path if self._service == "s3" else quote(path, safe="/~")

    def _day_key(self, secret_key: str, day: str) -> bytes:
        if self._key_of != (secret_key, day):
            key = f"AWS4{secret_key}".encode()
            for word in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, word.encode(), "sha256")
            self._key_of, self._key = (secret_key, day), key
        return self._key


def _sorted(query: str) -> str:
    if not query:
        return ""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, value in pairs)


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
        """Return credentials that are valid now.

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
