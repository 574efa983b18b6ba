"""A form's stamp proves that one of our pages had the form: about when, for which variants, on which terms.

Pages are static and the same for every visitor, so a stamp says nothing about the sender: it makes a robot
fetch the page first, and lets a signup know without a read that the shop sells the variant. Stamps of one
period have the date of its first day, so a page that is rendered again within it has the same bytes.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from chalicelib.domain.entry import OptIn
from chalicelib.domain.ids import sku_id

DAY_MS = 24 * 3600 * 1000
PERIOD_DAYS = 30
# From the first day of its period: a page that nobody touches is good for two months at the least.
VALID_DAYS = 90
# Clocks differ, and one of two may already have its next day.
AHEAD_DAYS_MAX = 1
STAMP_CHARS_MAX = 5000
MAC_BYTES = 15


class StampRefused(Exception):
    """No stamp of ours: missing, cut short, altered, or made with another key."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The variants that a page has a waitlist for, and its terms.

    `sku_ids` name the variants as `sku_id` does: a stamp must be short, and needs no SKU read back.
    `refused_domains` names the list of domains that the shop refuses; empty for none.
    """

    sku_ids: tuple[str, ...]
    opt_in: OptIn = OptIn.DOUBLE
    refused_domains: str = ""

    @classmethod
    def of(cls, skus: Iterable[str], opt_in: OptIn = OptIn.DOUBLE, refused_domains: str = "") -> "Offer":
        """Return the offer of variants by their SKUs."""
        return cls(tuple(sku_id(sku) for sku in skus), opt_in, refused_domains)

    def has(self, sku: str) -> bool:
        """Return whether the page offers this SKU."""
        return sku_id(sku) in self.sku_ids

    @property
    def terms(self) -> str:
        """The terms in a stamp: "double", "single-3fa9c1d2e07b"."""
        return f"{self.opt_in}-{self.refused_domains}" if self.refused_domains else self.opt_in


class StampOld(Exception):
    """A stamp of ours on a page from long ago, with its `offer`."""

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self.offer = offer


@dataclass(frozen=True, slots=True)
class FormStamps:
    """Makes stamps on one `day` (since the epoch), and reads stamps of any day."""

    key: bytes = field(repr=False)
    day: int

    @classmethod
    def of(cls, identity_key: bytes, *, at_ms: int) -> "FormStamps":
        """Return the stamps of a shop at one moment.

        The identity key never changes: pages outlast a rotation of the signing keys.
        """
        return cls(_key_of(identity_key), at_ms // DAY_MS)

    @property
    def series(self) -> str:
        """A text that changes exactly when new stamps do."""
        return self._mac(f"series {self._period}")

    def stamp(self, offer: Offer) -> str:
        """Return the stamp of a form on a page that is made now: "DAY.TERMS.ID.ID.MAC"."""
        text = ".".join((str(self._period), offer.terms, *offer.sku_ids))
        return f"{text}.{self._mac(text)}"

    def read(self, stamp: str) -> Offer:
        """Return the offer of the page with that stamp.

        Raises:
            StampRefused: not ours.
            StampOld: ours, from more than `VALID_DAYS` ago.
        """
        text, _, mac = stamp.rpartition(".")
        if len(stamp) > STAMP_CHARS_MAX or not stamp.isascii():
            raise StampRefused
        if not hmac.compare_digest(mac, self._mac(text)):
            raise StampRefused
        day, terms, *sku_ids = text.split(".")
        age_days = self.day - int(day)
        if age_days < -AHEAD_DAYS_MAX:
            raise StampRefused
        opt_in, _, refused_domains = terms.partition("-")
        offer = Offer(tuple(sku_ids), OptIn(opt_in), refused_domains)
        if age_days > VALID_DAYS:
            raise StampOld(offer)
        return offer

    @property
    def _period(self) -> int:
        return self.day - self.day % PERIOD_DAYS

    def _mac(self, text: str) -> str:
        digest = hmac.digest(self.key, text.encode("ascii"), "sha256")
        return urlsafe_b64encode(digest[:MAC_BYTES]).decode("ascii")


@cache
def _key_of(identity_key: bytes) -> bytes:
    # An address has an @ in it: no shopper's id is made of this text.
    return hmac.digest(identity_key, b"form stamp", "sha256")
