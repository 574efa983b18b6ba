"""Signatures of outgoing events by Standard Webhooks 1.0, and the secrets that make them.

Each endpoint has secrets of its own. A rotation adds a new one and keeps the one before for a day: each
message then has both signatures, and the receiver may change over at any moment of that day.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.inbound.authenticity import STANDARD_SECRET, standard_key

SECRET_BYTES = 32
# The specification asks for 24 to 64 bytes.
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
ROTATION_MS = 24 * 3600 * 1000
# A second rotation within a day keeps both secrets before it; a third ends the oldest.
SECRETS_MAX = 3
CONTENT_TYPE = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class EndpointSecret:
    """A secret of an endpoint; it signs until `until_ms`, or for good where that is None."""

    text: str
    until_ms: int | None = None


def make_secret(key: bytes) -> str:
    """Return random bytes as a secret of Standard Webhooks.

    Raises:
        ValueError: they are fewer than 24 or more than 64.
    """
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(f"a key has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, this one {len(key)}")
    return STANDARD_SECRET + base64.b64encode(key).decode()


def signed_headers(message_id: str, body: bytes, secrets: Sequence[str], *, at_ms: int) -> dict[str, str]:
    """Return the headers of a message: its id, the time in seconds, one signature for each secret."""
    at = str(at_ms // 1000)
    signed = f"{message_id}.{at}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(standard_key(secret), signed, "sha256")).decode()
        for secret in secrets
    ]
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(signatures),
    }


def in_force(secrets: Sequence[EndpointSecret], *, at_ms: int) -> tuple[str, ...]:
    """Return the secrets that sign at a time, the newest first."""
    return tuple(secret.text for secret in secrets if secret.until_ms is None or secret.until_ms > at_ms)


def rotated(secrets: Sequence[EndpointSecret], new: str, *, at_ms: int) -> tuple[EndpointSecret, ...]:
    """Return an endpoint's secrets after a rotation: the new one, and the ones before for a day at most."""
    before = [
        EndpointSecret(secret.text, min(secret.until_ms or at_ms + ROTATION_MS, at_ms + ROTATION_MS))
        for secret in secrets
        if secret.text != new and (secret.until_ms is None or secret.until_ms > at_ms)
    ]
    return (EndpointSecret(new), *before)[:SECRETS_MAX]


def secrets_by_endpoint(text: str) -> dict[str, tuple[EndpointSecret, ...]]:
    """Return the secrets of a document: {"ENDPOINT": [{"secret": TEXT, "until_ms": N}, ...]}.

    "until_ms" is there for a secret that ends.
    """
    return {
        endpoint: tuple(EndpointSecret(secret["secret"], secret.get("until_ms")) for secret in secrets)
        for endpoint, secrets in json.loads(text).items()
    }


def secrets_document(secrets: Mapping[str, Sequence[EndpointSecret]]) -> str:
    """Return the document that `secrets_by_endpoint` reads."""
    document = {
        endpoint: [
            {"secret": secret.text} | ({} if secret.until_ms is None else {"until_ms": secret.until_ms})
            for secret in known
        ]
        for endpoint, known in secrets.items()
    }
    return json.dumps(document, sort_keys=True)
