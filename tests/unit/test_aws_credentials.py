"""Credentials for calls to AWS: asked for where the environment says, kept, renewed."""

from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from chalicelib.aws import services as services_module
from chalicelib.aws.connections import (
    AwsUnreachable,
    Connections,
    NoCredentials,
)
from chalicelib.aws.services import (
    DYNAMODB,
    SECRETS_MANAGER,
    Aws,
)
from chalicelib.aws.signing import Credentials, CredentialSource, Signer

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
NO_KEYS = "no credentials from their endpoint: "


def test_keys_of_the_environment_are_taken_as_they_are() -> None:
    source = CredentialSource({**KEYS, "AWS_SESSION_TOKEN": "token"}, lambda: 0.0)
    assert source() == Credentials("AKID", "secret", "token")


@pytest.mark.parametrize("url", ["", "http://evil.example/keys"])
def test_credentials_are_not_asked_of_anybody_else(url: str) -> None:
    with pytest.raises(NoCredentials):
        CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, lambda: 0.0)()


class KeysHttp:
    """Takes the place of http.client's connections where credentials are asked for."""

    asked: list[tuple[Any, ...]]
    status = 200
    body = b'{"AccessKeyId": "A", "SecretAccessKey": "S"}'
    fails: Exception | None = None

    def __init__(self, host: str, timeout: float) -> None:
        self.asked.append((type(self).__name__, host, timeout))

    def request(self, *request: Any) -> None:
        self.asked.append(request)

    def getresponse(self) -> Any:
        if self.fails:
            raise self.fails
        return self

    def read(self, most: int) -> bytes:
        assert most == 65536
        return self.body

    def close(self) -> None:
        self.asked.append(("closed",))


class KeysHttps(KeysHttp):
    """The encrypted one."""


@pytest.fixture
def keys_http(monkeypatch: pytest.MonkeyPatch) -> type[KeysHttp]:
    monkeypatch.setattr(KeysHttp, "asked", [], raising=False)
    monkeypatch.setattr("http.client.HTTPConnection", KeysHttp)
    monkeypatch.setattr("http.client.HTTPSConnection", KeysHttps)
    return KeysHttp


@pytest.mark.parametrize(
    ("environment", "connected", "path", "authorization"),
    [
        (
            {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/keys?id=1", "AWS_ACCESS_KEY_ID": "A"},
            ("KeysHttp", "169.254.170.2", 2.0),
            "/v2/keys?id=1",
            None,
        ),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23:80",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
                "AWS_SECRET_ACCESS_KEY": "S",
            },
            ("KeysHttp", "169.254.170.23:80", 2.0),
            "/",
            "token",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://keys.example/a?"},
            ("KeysHttps", "keys.example", 2.0),
            "/a",
            None,
        ),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/a",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this one",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "token-file",
            },
            ("KeysHttp", "localhost", 2.0),
            "/a",
            "of the file",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/a"},
            ("KeysHttp", "127.0.0.1:9", 2.0),
            "/a",
            None,
        ),
    ],
)
def test_credentials_are_asked_for_where_the_environment_says_and_with_its_token(
    keys_http: type[KeysHttp],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    connected: tuple[Any, ...],
    path: str,
    authorization: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token-file").write_text("\n of the file \n", encoding="ascii")
    source = CredentialSource(environment, lambda: 0.0)
    assert source() == source() == Credentials("A", "S", "", None)
    headers = {"accept": "application/json"} | ({"authorization": authorization} if authorization else {})
    assert keys_http.asked == [connected, ("GET", path, None, headers), ("closed",)]


@pytest.mark.parametrize(
    ("status", "body", "fails", "message"),
    [
        (500, KeysHttp.body, None, "ValueError"),
        (200, b"{", None, "JSONDecodeError"),
        (200, b"{}", None, "KeyError"),
        (200, b"[]", None, "AttributeError"),
        (200, KeysHttp.body, HTTPException(), "OSError"),
        (200, KeysHttp.body, TimeoutError(), "TimeoutError"),
        (200, KeysHttp.body[:-1] + b', "Expiration": 1}', None, "TypeError"),
    ],
)
def test_an_endpoint_without_credentials_is_reported_by_the_kind_of_its_fault(
    keys_http: type[KeysHttp],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    fails: Exception | None,
    message: str,
) -> None:
    for name, value in {"status": status, "body": body, "fails": fails}.items():
        monkeypatch.setattr(KeysHttp, name, value)
    with pytest.raises(AwsUnreachable) as caught:
        CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost"}, lambda: 0.0)()
    assert str(caught.value) == NO_KEYS + message
    assert keys_http.asked[-1] == ("closed",)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "neither keys nor an endpoint for them in the environment"),
        ({"AWS_ACCESS_KEY_ID": "A"}, "neither keys nor an endpoint for them in the environment"),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example"},
            "the endpoint for credentials is neither encrypted nor on this machine",
        ),
    ],
)
def test_an_environment_without_credentials_is_reported_as_such(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(NoCredentials) as caught:
        CredentialSource(environment, lambda: 0.0)()
    assert str(caught.value) == message


def test_keys_without_a_session_are_taken_as_they_are() -> None:
    assert CredentialSource(KEYS, lambda: 0.0)() == Credentials("AKID", "secret", "", None)


def test_credentials_are_renewed_five_minutes_before_they_end(
    keys_http: type[KeysHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = KeysHttp.body[:-1] + b', "Token": "T", "Expiration": "1970-01-01T01:00:00Z"}'
    monkeypatch.setattr(KeysHttp, "body", ends)
    now_s = 0.0
    source = CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost"}, lambda: now_s)
    for at_s, asked in ((0.0, 1), (3299.9, 1), (3300.0, 2), (3300.0, 3)):
        now_s = at_s
        assert source() == Credentials("A", "S", "T", 3600.0)
        assert keys_http.asked.count(("closed",)) == asked


def test_clients_of_one_environment_share_its_region_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(services_module, "JsonApi", lambda *parts: made.append(parts))
    aws = Aws({**KEYS, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, lambda: 0.0)
    aws.dynamodb()
    aws.secrets_manager()
    assert [(service, region, connections.host) for service, region, connections, _ in made] == [
        (DYNAMODB, "eu-west-1", "dynamodb.eu-west-1.amazonaws.com"),
        (SECRETS_MANAGER, "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
    ]
    assert made[0][3] is made[1][3]
    assert made[0][3]() == Credentials("AKID", "secret", "")
    closed: list[Any] = []

    def close(connections: Connections) -> None:
        closed.append(connections)

    monkeypatch.setattr(Connections, "close", close)
    aws.close()
    assert closed == [made[0][2], made[1][2]]


def test_a_signer_that_signed_before_signs_as_a_new_one() -> None:
    def signed(signer: Signer, secret: str, token: str, at_s: float) -> dict[str, str]:
        return signer.sign(
            Credentials("AKID", secret, token),
            "GET",
            "/a b",
            {"host": "h", "x-a": "  one   two "},
            payload_sha256="0",
            at_s=at_s,
            query="b=2&a",
        )

    for service in ("s3", "dynamodb"):
        signer = Signer(service, "eu-west-1")
        for secret, token, at_s in (
            ("1", "", 0.0),
            ("2", "t", 0.0),
            ("2", "t", 86_400.0),
            ("2", "", 86_401.0),
        ):
            new = Signer(service, "eu-west-1")
            assert signed(signer, secret, token, at_s) == signed(new, secret, token, at_s)
