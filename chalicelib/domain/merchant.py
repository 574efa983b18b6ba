"""Merchants: the people who may see the merchant's page and act on it, their sessions and sign-in links.

A merchant is known by an id, a keyed hash of the address, as a shopper is; the two never mix. A token names
ids alone. It is good only with rows of the merchant table, which `chalicelib.services.merchants` reads.
"""

import hmac
from base64 import b32encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NewType

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.tokens import CLOCK_SKEW_S, LinkRefused, dated_serializer

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

MerchantId = NewType("MerchantId", str)
"""A keyed hash of a merchant's address."""

MERCHANT_ID_BYTES = 16
SIGN_IN_WITHIN_S = 15 * 60
SESSION_S = 12 * 3600


class Role(StrEnum):
    """The rights of a merchant: to see the page, or to act on it too."""

    SEE = "see"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Merchant:
    """A person who may sign in. `email` is the mailbox that gets the link."""

    id: MerchantId
    email: str
    role: Role


@dataclass(frozen=True, slots=True)
class Session:
    """A merchant who is signed in, with the role of this moment."""

    merchant: MerchantId
    role: Role
    email: str


def merchant_id(address: Address, identity_key: bytes) -> MerchantId:
    """Return the id of the merchant with this address."""
    # An address has no space in it: no shopper's id is made of this text.
    digest = hmac.digest(identity_key, f"merchant {address.key}".encode("ascii"), "sha256")
    return MerchantId(b32encode(digest[:MERCHANT_ID_BYTES]).decode("ascii").rstrip("=").lower())


def first_merchants(addresses: str | None, identity_key: bytes) -> Mapping[MerchantId, Merchant]:
    """Return the merchants of the stack's parameter, who may act.

    Args:
        addresses: addresses with commas between them; None for nobody.
        identity_key: the key of ids.

    Returns:
        The merchants by id. A text that is no address is left out: `spillway deploy` refuses it before.
    """
    found = {}
    for text in (addresses or "").split(","):
        try:
            address = Address.parse(text.strip())
        except AddressRefused:
            continue
        known = Merchant(merchant_id(address, identity_key), address.mailbox, Role.ACT)
        found[known.id] = known
    return found


@dataclass(frozen=True, slots=True)
class SignInLink:
    """The subject of an emailed link: the merchant, an id to use the link up by, and the epoch it is of."""

    merchant: MerchantId
    id: str
    epoch: int


class MerchantTokens:
    """Signs sign-in links and session cookies, and reads them back. `signing_keys` are newest first."""

    def __init__(self, signing_keys: Sequence[str], clock_ms: Callable[[], int]) -> None:
        self._oldest_first = list(reversed(signing_keys))
        self._clock_ms = clock_ms

    def link(self, link: SignInLink) -> str:
        """Return the token of a sign-in link, dated now."""
        return self._sign("sign-in", [link.merchant, link.id, link.epoch])

    def read_link(self, token: str) -> SignInLink:
        """Return the subject of a sign-in link.

        Raises:
            LinkRefused: the token is not ours, not for this, or older than `SIGN_IN_WITHIN_S`.
        """
        merchant, link_id, epoch = self._read("sign-in", token, SIGN_IN_WITHIN_S)
        return SignInLink(merchant, link_id, epoch)

    def session(self, merchant: MerchantId, session_id: str) -> str:
        """Return the value of a session's cookie, dated now."""
        return self._sign("session", [merchant, session_id])

    def read_session(self, token: str) -> tuple[MerchantId, str]:
        """Return the merchant and the session's id that a cookie names.

        Raises:
            LinkRefused: the token is not ours, not for this, or older than `SESSION_S`.
        """
        merchant, session_id = self._read("session", token, SESSION_S)
        return merchant, session_id

    def _sign(self, purpose: str, values: list[str | int]) -> str:
        return str(self._serializer(purpose).dumps(values))

    def _read(self, purpose: str, token: str, within_s: int) -> Any:
        from itsdangerous import BadData

        try:
            serializer = self._serializer(purpose, ahead_s=CLOCK_SKEW_S)
            return serializer.loads(token, max_age=within_s + CLOCK_SKEW_S)
        except (BadData, ValueError):
            raise LinkRefused from None

    def _serializer(self, purpose: str, *, ahead_s: int = 0) -> "URLSafeTimedSerializer":
        now_s = self._clock_ms() // 1000 + ahead_s
        return dated_serializer(self._oldest_first, f"spillway.merchant.{purpose}", now_s=now_s)
