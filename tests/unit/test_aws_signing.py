"""Our signatures are those of botocore's own signer, for any request."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.aws.signing import Credentials, Signer

HOST = "service.eu-central-1.amazonaws.com"
NAMES = st.from_regex(r"x-[a-z0-9]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
SEGMENTS = st.text(min_size=1, max_size=12).filter(lambda text: text not in {".", ".."})
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="-._~")


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    segments = draw(st.lists(SEGMENTS.map(encoded), max_size=4))
    query = draw(st.lists(st.tuples(TEXTS.filter(bool).map(encoded), TEXTS.map(encoded)), max_size=4))
    return {
        "method": draw(st.sampled_from(["GET", "POST", "PUT", "DELETE"])),
        "path": "/" + "/".join(segments),
        "query": "&".join(f"{name}={value}" for name, value in query),
        "headers": {**draw(st.dictionaries(NAMES, VALUES, max_size=4)), "host": HOST},
        "payload_sha256": draw(st.binary(min_size=32, max_size=32)).hex(),
        "at_s": draw(st.integers(1_500_000_000, 4_000_000_000)),
    }


@pytest.mark.parametrize(("service", "theirs"), [("dynamodb", SigV4Auth), ("s3", S3SigV4Auth)])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    request=requests(), token=st.sampled_from(["", "a+session/token=="]), secret=st.text("aZ0+/", min_size=1)
)
def test_a_signature_is_botocores(
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    theirs: type[SigV4Auth],
    request: dict[str, Any],
    token: str,
    secret: str,
) -> None:
    request["headers"]["x-amz-content-sha256"] = request["payload_sha256"]
    moment = datetime.fromtimestamp(request["at_s"], UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    url = f"https://{HOST}{request['path']}{'?' * bool(request['query'])}{request['query']}"
    expected = AWSRequest(request["method"], url, headers=dict(request["headers"]))
    # The payload's hash is given: botocore takes it, and makes none of a body it does not have.
    monkeypatch.setattr(theirs, "payload", lambda _self, _request: request["payload_sha256"])
    signer = theirs(BotoCredentials("AKID", secret, token or None), service, "eu-central-1")
    signer.add_auth(expected)
    signed = Signer(service, "eu-central-1").sign(
        Credentials("AKID", secret, token),
        request["method"],
        request["path"],
        request["headers"],
        payload_sha256=request["payload_sha256"],
        at_s=request["at_s"],
        query=request["query"],
    )
    assert signed["authorization"].replace(", ", ",") == expected.headers["Authorization"].replace(", ", ",")
    assert signed.get("x-amz-security-token", "") == token


def test_the_days_key_follows_the_day_and_the_secret() -> None:
    def authorization(signer: Signer, secret: str, at_s: float) -> str:
        credentials = Credentials("AKID", secret)
        return signer.sign(credentials, "POST", "/", {"host": HOST}, payload_sha256="0", at_s=at_s)[
            "authorization"
        ]

    kept = Signer("dynamodb", "us-east-1")
    for secret, at_s in [("a", 0.0), ("a", 86_400.0), ("b", 86_400.0), ("a", 0.0)]:
        assert authorization(kept, secret, at_s) == authorization(
            Signer("dynamodb", "us-east-1"), secret, at_s
        )


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Credentials("AKID", "hidden", "hidden"))
