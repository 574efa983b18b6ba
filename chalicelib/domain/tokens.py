"""Signed tokens: of forms, and of links in emails.

A form's token proves that a page of the shop had the form: about when, for which variants, on which terms.
Pages are static and the same for every visitor, so it says nothing about the sender: it makes a robot fetch
the page first, and lets a signup know without a read that the shop sells the variant. Tokens of one period
have the date of its first day, so a page that is rendered again within it has the same bytes.

A link's token lets a shopper act without an account. It names the shopper by id and variants by the tags of
their SKUs, never an address. Each purpose has a salt of its own: a confirm token never unsubscribes. Keys are
a rotating list, newest first; each of them verifies.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import DAY_MS, OptIn
from chalicelib.domain.ids import ShopperId, Sku, sku_id, sku_of_tag, sku_tag

if TYPE_CHECKING:
    from itsdangerous import TimestampSigner, URLSafeTimedSerializer

    from chalicelib.domain.reports import Click

PERIOD_DAYS = 30
# From the first day of its period: a page that nobody touches is good for two months at the least.
VALID_DAYS = 90
# Clocks differ, and one of two may already have its next day.
AHEAD_DAYS_MAX = 1
FORM_TOKEN_CHARS_MAX = 5000
MAC_BYTES = 15


class FormTokenRefused(Exception):
    """No form token of ours: missing, cut short, altered, or made with another key."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The variants that a page has a waitlist for, and its terms.

    `sku_ids` name the variants as `sku_id` does: a token must be short, and needs no SKU read back.
    `refused_domains` names the list of domains that the shop refuses; None for none.
    """

    sku_ids: tuple[str, ...]
    opt_in: OptIn = OptIn.DOUBLE
    refused_domains: str | None = None

    @classmethod
    def of(
        cls, skus: Iterable[Sku], opt_in: OptIn = OptIn.DOUBLE, refused_domains: str | None = None
    ) -> "Offer":
        """Return the offer of variants by their SKUs."""
        return cls(tuple(sku_id(sku) for sku in skus), opt_in, refused_domains)

    def has(self, sku: Sku) -> bool:
        """Return whether the page offers this SKU."""
        return sku_id(sku) in self.sku_ids

    @property
    def terms(self) -> str:
        """The terms in a form token: "double", "single-3fa9c1d2e07b"."""
        return f"{self.opt_in}-{self.refused_domains}" if self.refused_domains else self.opt_in


class FormTokenOld(Exception):
    """A form token of ours on a page from long ago, with its `offer`."""

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self.offer = offer


@dataclass(frozen=True, slots=True)
class FormTokens:
    """Signs form tokens on one `day` (since the epoch), and reads those of any day."""

    key: bytes = field(repr=False)
    day: int

    @classmethod
    def of(cls, identity_key: bytes, *, at_ms: int) -> "FormTokens":
        """Return what signs the form tokens of a shop at one moment.

        The identity key never changes: pages outlast a rotation of the signing keys.
        """
        return cls(_key_of(identity_key), at_ms // DAY_MS)

    @property
    def series(self) -> str:
        """A text that changes exactly when new tokens do."""
        return self._mac(f"series {self._period}")

    def sign(self, offer: Offer) -> str:
        """Return the token of a form on a page that is made now: "DAY.TERMS.ID.ID.MAC"."""
        text = ".".join((str(self._period), offer.terms, *offer.sku_ids))
        return f"{text}.{self._mac(text)}"

    def read(self, form_token: str) -> Offer:
        """Return the offer of the page with that token.

        Raises:
            FormTokenRefused: not ours.
            FormTokenOld: ours, from more than `VALID_DAYS` ago.
        """
        text, _, mac = form_token.rpartition(".")
        if len(form_token) > FORM_TOKEN_CHARS_MAX or not form_token.isascii():
            raise FormTokenRefused
        if not hmac.compare_digest(mac, self._mac(text)):
            raise FormTokenRefused
        day, terms, *sku_ids = text.split(".")
        age_days = self.day - int(day)
        if age_days < -AHEAD_DAYS_MAX:
            raise FormTokenRefused
        opt_in, _, refused_domains = terms.partition("-")
        offer = Offer(tuple(sku_ids), OptIn(opt_in), refused_domains or None)
        if age_days > VALID_DAYS:
            raise FormTokenOld(offer)
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
    return hmac.digest(identity_key, b"form token", "sha256")


class Purpose(StrEnum):
    """The action that a link allows."""

    CONFIRM = "confirm"
    UNSUBSCRIBE = "unsubscribe"
    MY_WAITLISTS = "my-waitlists"
    CLICK = "click"


# Two machines' clocks may be this far apart; itsdangerous refuses a signature from the future.
CLOCK_SKEW_S = 300
VALID_FOR_S = {
    Purpose.CONFIRM: 72 * 3600,
    Purpose.UNSUBSCRIBE: 5 * 365 * 24 * 3600,
    Purpose.MY_WAITLISTS: 24 * 3600,
    # It leads to a page and does nothing: as long as emails are kept.
    Purpose.CLICK: 5 * 365 * 24 * 3600,
}


# Tags of the SKUs that one link names: mail programs and servers pass on links of 2,000 characters whole.
LINK_TAGS_CHARS_MAX = 1_200

UNDO_WITHIN_S = 30 * 60
UNDO_MAC_BYTES = 15
UNDO_TOKEN_CHARS_MAX = 64


def fits_a_link(skus: Sequence[Sku]) -> bool:
    """Return whether one link has room for the names of `skus`."""
    return sum(len(sku_tag(sku)) + 3 for sku in skus) <= LINK_TAGS_CHARS_MAX


class LinkRefused(Exception):
    """Forged, cut short, made for another purpose, or too old; the answer is the same."""


@dataclass(frozen=True, slots=True)
class LinkSubject:
    """The shopper and the variants that a link refers to: `sku` and `more`, each of theirs without `sku`."""

    shopper: ShopperId
    sku: Sku | None = None
    more: tuple[Sku, ...] = ()

    @classmethod
    def of(cls, shopper: ShopperId, skus: Sequence[Sku]) -> "LinkSubject":
        """Return the subject of a link about `skus`, at least one."""
        first, *more = skus
        return cls(shopper, first, tuple(more))

    @property
    def skus(self) -> tuple[Sku, ...]:
        """The SKUs that the link names."""
        return (self.sku, *self.more) if self.sku else ()


class LinkTokens:
    """Signs subjects into tokens and reads them back.

    `signing_keys` are newest first.
    """

    def __init__(self, signing_keys: Sequence[str], clock_ms: Callable[[], int]) -> None:
        self._signing_keys = list(reversed(signing_keys))
        self._clock_ms = clock_ms

    def sign(self, purpose: Purpose, subject: LinkSubject) -> str:
        """Return a URL-safe token for `subject`, dated now."""
        # An empty tag for no SKU, as in the links that were sent already.
        tags = [sku_tag(sku) for sku in subject.skus] or [""]
        return str(self._serializer(purpose).dumps([subject.shopper, *tags]))

    def read(self, purpose: Purpose, token: str) -> LinkSubject:
        """Return the subject of a token made for `purpose`.

        Raises:
            LinkRefused: the token is not ours, not for this, or no longer valid.
        """
        from itsdangerous import BadData

        try:
            serializer = self._serializer(purpose, ahead_s=CLOCK_SKEW_S)
            shopper, first, *more = serializer.loads(token, max_age=VALID_FOR_S[purpose] + CLOCK_SKEW_S)
            return LinkSubject(shopper, sku_of_tag(first) or None, tuple(sku_of_tag(tag) for tag in more))
        except (BadData, ValueError):
            raise LinkRefused from None

    def sign_click(self, click: "Click") -> str:
        """Return a URL-safe token for the link of an email, dated now."""
        subject = [click.shopper, sku_tag(click.sku), click.restock_tag, click.path]
        return str(self._serializer(Purpose.CLICK).dumps(subject))

    def read_click(self, token: str) -> "Click":
        """Return the link of an email from its token.

        Raises:
            LinkRefused: the token is not ours, not of such a link, or leads to no page of this shop.
        """
        from itsdangerous import BadData

        from chalicelib.domain.reports import Click

        try:
            serializer = self._serializer(Purpose.CLICK, ahead_s=CLOCK_SKEW_S)
            subject, signed_at = serializer.loads(
                token, max_age=VALID_FOR_S[Purpose.CLICK] + CLOCK_SKEW_S, return_timestamp=True
            )
            shopper, tag, restock_tag, path = subject
            if not path.startswith("/") or path.startswith(("//", "/\\")):
                raise LinkRefused
            sent_at_ms = int(signed_at.timestamp() * 1000)
            return Click(shopper, sku_of_tag(tag), restock_tag, path, sent_at_ms)
        except (BadData, ValueError):
            raise LinkRefused from None

    def undo_token(self, shopper: ShopperId, at_ms: int) -> str:
        """Return a token that undoes the signup of `shopper` at `at_ms`, and nothing else: "AT.MAC".

        Made by hand, with one HMAC: a signup is too frequent to import a serializer for it.
        """
        return f"{at_ms}.{_undo_mac(self._signing_keys[-1], shopper, at_ms)}"

    def read_undo(self, token: str, shopper: ShopperId) -> int:
        """Return when the signup was made that a token of `shopper` undoes, in milliseconds.

        Raises:
            LinkRefused: the token is not ours, not for this shopper, or older than `UNDO_WITHIN_S`.
        """
        digits, _, mac = token.partition(".")
        if not (
            digits.isascii() and digits.isdigit() and mac.isascii() and len(token) <= UNDO_TOKEN_CHARS_MAX
        ):
            raise LinkRefused
        at_ms = int(digits)
        good = [hmac.compare_digest(mac, _undo_mac(key, shopper, at_ms)) for key in self._signing_keys]
        age_ms = self._clock_ms() - at_ms
        if not any(good) or not -CLOCK_SKEW_S * 1000 <= age_ms <= UNDO_WITHIN_S * 1000:
            raise LinkRefused
        return at_ms

    def _serializer(self, purpose: Purpose, *, ahead_s: int = 0) -> "URLSafeTimedSerializer":
        now_s = self._clock_ms() // 1000 + ahead_s
        return dated_serializer(self._signing_keys, f"spillway.link.{purpose}", now_s=now_s)


def dated_serializer(oldest_first: Sequence[str], salt: str, *, now_s: int) -> "URLSafeTimedSerializer":
    """Return what signs values into tokens dated `now_s`, and reads them as of then.

    Args:
        oldest_first: the keys; the last one signs, each of them verifies.
        salt: the purpose of the tokens; another purpose refuses them.
        now_s: the time in seconds since the epoch.
    """
    # Not at the top: a signup has no link yet, and should not pay for reading them.
    from itsdangerous import URLSafeTimedSerializer

    return URLSafeTimedSerializer(
        list(oldest_first), salt=salt, signer=_clocked_signer(), signer_kwargs={"now_s": now_s}
    )


def _undo_mac(key: str, shopper: ShopperId, at_ms: int) -> str:
    # itsdangerous signs with keys it derives, never with this text under the key itself.
    digest = hmac.digest(key.encode(), f"spillway.undo.{shopper}.{at_ms}".encode(), "sha256")
    return urlsafe_b64encode(digest[:UNDO_MAC_BYTES]).decode("ascii")


@cache
def _clocked_signer() -> "type[TimestampSigner]":
    """Return itsdangerous's signer of dated tokens, with the clock passed in."""
    from itsdangerous import TimestampSigner

    class ClockedSigner(TimestampSigner):
        """Dates its tokens `now_s`, in seconds since the epoch."""

        def __init__(self, *args: Any, now_s: int, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._now_s = now_s

        def get_timestamp(self) -> int:
            """Return the time that a token is dated, and compared with."""
            return self._now_s

    return ClockedSigner
