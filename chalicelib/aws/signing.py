"""Signature Version 4: proves to AWS who sent a request, and that nobody changed it on its way.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. `session_token` goes with credentials that end; `expires_at_s` is when they do."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    expires_at_s: float | None = None


class Signer:
    """Signs requests to one service in one region. The day's key is made once a day."""

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
        """The headers to send: those given, and what proves them.

        `path` and `query` are as they go over the wire, `path` without "." and ".." and doubled
        slashes. Names of `headers` are in lower case and `host` is among them; all are signed.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at_s))
        signed = {**headers, "x-amz-date": stamp}
        if credentials.session_token:
            signed["x-amz-security-token"] = credentials.session_token
        names = sorted(signed)
        lines = "".join([f"{name}:{' '.join(signed[name].split())}\n" for name in names])
        signed_names = ";".join(names)
        request = (
            f"{method}\n{self._encoded(path)}\n{_sorted(query)}\n{lines}\n{signed_names}\n{payload_sha256}"
        )
        signed["authorization"] = self.authorization(credentials, stamp, signed_names, request)
        return signed

    def authorization(self, credentials: Credentials, stamp: str, names: str, canonical_request: str) -> str:
        """The header that proves a request which is in its canonical form already.

        `stamp` is what x-amz-date says, `names` those of the headers that are signed.
        """
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical_request.encode()).hexdigest()}"
        key = self._day_key(credentials.secret_key, stamp[:8])
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
