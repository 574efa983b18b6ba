"""Proofs that a request comes from its source: signatures of its raw body.

Each secret of a source is tried, in constant time: two are good while a rotation lasts.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from chalicelib.inbound.readings import Unauthentic

# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
STANDARD_SECRET = "whsec_"  # noqa: S105 - the prefix of secrets
STANDARD_TOLERANCE_S = 5 * 60
SIGNATURES_MAX = 16
OWN_SIGNATURE_HEADER = "spillway-signature"
OWN_TOLERANCE_S = 5 * 60
# A sender signs with the old key and the new one while it rotates them.
OWN_SIGNATURES_MAX = 8


def check_base64_hmac(shown: str | None, signed: bytes, secrets: Sequence[str]) -> None:
    """Check a header that is the base64 of HMAC-SHA256 over `signed`.

    Raises:
        Unauthentic: no secret makes it.
    """
    _check([shown] if shown else [], (_digest(secret.encode(), signed) for secret in secrets))


def check_standard_webhook(
    headers: Mapping[str, str], body: bytes, keys: Sequence[bytes], *, now_ms: int
) -> str:
    """Check a signature of Standard Webhooks 1.0 and return the message's id.

    It signs `ID.SECONDS.BODY`; one header may have several signatures, each as `v1,BASE64`.

    Raises:
        Unauthentic: no key makes one of them, or the time is more than five minutes off.
    """
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (at.isascii() and at.isdigit() and len(at) < 12):
        raise Unauthentic
    given = headers.get("webhook-signature", "").split(" ")
    shown = [text.removeprefix("v1,") for text in given if text.startswith("v1,")]
    signed = f"{message_id}.{at}.".encode() + body
    _check(shown, (_digest(key, signed) for key in keys))
    if abs(now_ms // 1000 - int(at)) > STANDARD_TOLERANCE_S:
        raise Unauthentic
    return message_id


def standard_key(secret: str) -> bytes:
    """Return the key of a secret of Standard Webhooks: the base64 after `whsec_`.

    Raises:
        ValueError: it has no such prefix, or is no base64.
    """
    if not secret.startswith(STANDARD_SECRET):
        raise ValueError(f"a secret of Standard Webhooks begins with {STANDARD_SECRET}")
    try:
        return base64.b64decode(secret.removeprefix(STANDARD_SECRET), validate=True)
    except binascii.Error:
        raise ValueError("the part after whsec_ is no base64") from None


def standard_keys(secrets: Iterable[str]) -> list[bytes]:
    """Return the keys of those secrets that are secrets of Standard Webhooks."""
    keys = []
    for secret in secrets:
        with suppress(ValueError):
            keys.append(standard_key(secret))
    return keys


def check_shared(shown: str | None, secrets: Sequence[str]) -> None:
    """Check a header that shows a secret itself.

    Raises:
        Unauthentic: it is none of them.
    """
    _check([shown] if shown else [], iter(secrets))


def check_own_signature(shown: str | None, body: bytes, keys: Sequence[str], *, now_ms: int) -> int:
    """Check a signature of the shop's own form and return its time in seconds since the epoch.

    The signature is `t=SECONDS,v1=HEX`, the HMAC-SHA256 of "SECONDS.BODY" with the body's raw bytes. Any of
    several `v1` may fit, in upper or lower case.

    Raises:
        Unauthentic: none fits, or the signature is older or newer than five minutes.
    """
    parts = [part.strip().partition("=")[::2] for part in (shown or "").split(",")]
    times = {value for name, value in parts if name == "t"}
    given = [value.lower() for name, value in parts if name == "v1"]
    signed_at = times.pop() if len(times) == 1 else ""
    is_time = signed_at.isascii() and signed_at.isdigit() and len(signed_at) < 12
    if not is_time or len(given) > OWN_SIGNATURES_MAX:
        raise Unauthentic
    _check(given, (own_signature(key, int(signed_at), body) for key in keys))
    if abs(now_ms // 1000 - int(signed_at)) > OWN_TOLERANCE_S:
        raise Unauthentic
    return int(signed_at)


def own_signature(key: str, at_s: int, body: bytes) -> str:
    """Return the `v1` of a signature of the shop's own form."""
    return hmac.new(key.encode(), f"{at_s}.".encode() + body, "sha256").hexdigest()


def _digest(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def _check(shown: Sequence[str], good: Iterable[str]) -> None:
    if len(shown) > SIGNATURES_MAX:
        raise Unauthentic
    wanted = [text.encode() for text in good]
    # Every pair is compared: the duration does not say which one fits.
    fits = [hmac.compare_digest(text.strip().encode(), known) for text in shown for known in wanted]
    if not any(fits):
        raise Unauthentic
