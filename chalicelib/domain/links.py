"""Signed links: what a letter carries so that a shopper can act without an account.

A token names a shopper by id and a variant by the tag of its SKU, never an address. Each purpose has a
salt of its own: a confirm token never unsubscribes. Keys are a rotating list, newest first; all of them
verify.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.domain.sku import sku_of_tag, sku_tag

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer


class Purpose(StrEnum):
    """What a link is good for."""

    CONFIRM = "confirm"
    LEAVE = "leave"
    YOURS = "yours"


# Two machines' clocks may be this far apart; itsdangerous refuses what seems to be signed in the future.
CLOCK_SKEW_S = 300
VALID_FOR_S = {Purpose.CONFIRM: 72 * 3600, Purpose.LEAVE: 5 * 365 * 24 * 3600, Purpose.YOURS: 24 * 3600}


class LinkRefused(Exception):
    """Forged, cut short, made for something else, or too old. One answer for all of them."""


@dataclass(frozen=True, slots=True)
class LinkSubject:
    """Whom a link speaks for, and about which variant; about all of theirs when `sku` is empty."""

    shopper: str
    sku: str = ""


class Links:
    """Signs subjects into tokens and reads them back.

    `signing_keys` are newest first.
    """

    def __init__(self, signing_keys: Sequence[str], clock_ms: Callable[[], int]) -> None:
        self._signing_keys = list(reversed(signing_keys))
        self._clock_ms = clock_ms

    def sign(self, purpose: Purpose, subject: LinkSubject) -> str:
        """A URL-safe token for `subject`, dated now."""
        return str(self._serializer(purpose).dumps([subject.shopper, sku_tag(subject.sku)]))

    def read(self, purpose: Purpose, token: str) -> LinkSubject:
        """The subject of a token made for `purpose`.

        Raises:
            LinkRefused: the token is not ours, not for this, or no longer valid.
        """
        from itsdangerous import BadData

        try:
            serializer = self._serializer(purpose, ahead_s=CLOCK_SKEW_S)
            shopper, tag = serializer.loads(token, max_age=VALID_FOR_S[purpose] + CLOCK_SKEW_S)
            return LinkSubject(shopper, sku_of_tag(tag))
        except (BadData, ValueError):
            raise LinkRefused from None

    def _serializer(self, purpose: Purpose, *, ahead_s: int = 0) -> "URLSafeTimedSerializer":
        # Not at the top: a signup has no link yet, and should not pay for reading them.
        from itsdangerous import URLSafeTimedSerializer

        from chalicelib.domain.clocked_signer import ClockedSigner

        return URLSafeTimedSerializer(
            self._signing_keys,
            salt=f"spillway.link.{purpose}",
            signer=ClockedSigner,
            signer_kwargs={"now_s": self._clock_ms() // 1000 + ahead_s},
        )
