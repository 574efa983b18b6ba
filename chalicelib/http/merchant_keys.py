"""The keys of whoever tells the shop what is in stock, from AWS Secrets Manager.

One secret of its own: an inventory system that knows it can say what is sold out, and sign nothing else.
"""

import hmac
import json
from dataclasses import dataclass

SIGNATURE_TOLERANCE_S = 300
# A sender signs with the old key and the new one while it rotates them.
SIGNATURES_MAX = 8


class NotTheMerchant(Exception):
    """No key of ours, a signature that does not fit, or one from another time. One answer for all."""


@dataclass(frozen=True, slots=True)
class MerchantKeys:
    """A rotating list, newest first; all of them are good."""

    keys: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> "MerchantKeys":
        """Keys of a secret: {"key": TEXT} as the stack generates it, with "older": [TEXT, ...] for as
        long as a rotation takes."""
        document = json.loads(text)
        return cls((document["key"], *document.get("older", ())))

    def check_bearer(self, authorization: str) -> None:
        """Let who shows one of the keys pass (`Authorization: Bearer KEY`).

        Raises:
            NotTheMerchant
        """
        scheme, _, shown = authorization.partition(" ")
        # Every key is compared, and each in constant time: how long it takes says nothing.
        fits = [hmac.compare_digest(shown.strip().encode(), key.encode()) for key in self.keys]
        if scheme.lower() != "bearer" or not any(fits):
            raise NotTheMerchant

    def signed_at_s(self, signature: str, raw: bytes, *, now_s: int) -> int:
        """When a body was signed (`t=SECONDS,v1=HEX`; HMAC-SHA256 of "SECONDS.BODY", the body as it came).

        Any of several `v1` may fit, each in hexadecimal of either case.

        Raises:
            NotTheMerchant: also for a signature that is older or newer than five minutes.
        """
        parts = [part.strip().partition("=")[::2] for part in signature.split(",")]
        stamps = {value for name, value in parts if name == "t"}
        given = [value.lower() for name, value in parts if name == "v1"]
        stamp = stamps.pop() if len(stamps) == 1 else ""
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12 and len(given) <= SIGNATURES_MAX):
            raise NotTheMerchant
        # Compare every one in constant time: the duration does not say which one fits.
        wanted = [sign(key, int(stamp), raw).encode() for key in self.keys]
        fits = [hmac.compare_digest(each.encode(), good) for each in given for good in wanted]
        if not any(fits) or abs(now_s - int(stamp)) > SIGNATURE_TOLERANCE_S:
            raise NotTheMerchant
        return int(stamp)


def sign(key: str, at_s: int, raw: bytes) -> str:
    """The `v1` of a signature."""
    return hmac.new(key.encode(), f"{at_s}.".encode() + raw, "sha256").hexdigest()
