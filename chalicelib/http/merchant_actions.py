"""Requests of the merchant's page: JSON or CSV into values, values into documents.

An action has two headers. `Idempotency-Key` is a random id that the page makes for each dialog: the same
request again is answered as the first one was, and changes nothing. `Spillway-Preview` is the token of the
preview that the merchant agreed to.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from chalice.app import Request, Response

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.ids import Sku, SkuRefused, Slug, parse_sku
from chalicelib.domain.previews import ActionPreview, PreviewRefused, PreviewTokens
from chalicelib.domain.sending_limits import PAUSE_REASON_CHARS_MAX
from chalicelib.domain.stock import UNITS_MAX
from chalicelib.domain.wave import EMAILS_PER_UNIT_MAX, UNITS_MIN_MAX, WAVE_PAUSE_MIN_MAX, WavePolicy
from chalicelib.http.request import UNFIT, FieldError, Problem, body_of
from chalicelib.http.responses import json_answer
from chalicelib.http.signup import ADDRESS_ERRORS

if TYPE_CHECKING:
    from chalicelib.domain.merchant import MerchantId

KEY_HEADER = "idempotency-key"
PREVIEW_HEADER = "spillway-preview"
KEY = re.compile(r"[A-Za-z0-9-]{16,64}", re.ASCII)
SLUG_CHARS_MAX = 100
PREVIEW_CHANGED = "urn:spillway:problem:preview-changed"
PREVIEW_NEEDED = "urn:spillway:problem:preview-needed"
INCOMPLETE = "Some fields are not right."


class Fields:
    """The fields of a JSON object; each read collects its error.

    Args:
        document: the object.
        known: the names that it may have.
    """

    def __init__(self, document: Mapping[str, Any], known: frozenset[str]) -> None:
        self._document = document
        self.errors = [FieldError(name, "Unknown field.") for name in sorted(document.keys() - known)]

    @classmethod
    def of(cls, request: Request, *known: str) -> "Fields":
        """Return the fields of a request's body.

        Raises:
            Problem: 400 no JSON object, 413 too large.
        """
        return cls(body_of(request).json_object(), frozenset(known))

    def text(self, name: str, *, chars_max: int, needed: str) -> str:
        """Return a text of one line; `needed` is the error where it is absent or empty."""
        value = self._document.get(name)
        text = value.strip() if isinstance(value, str) else ""
        if not text:
            self.errors.append(FieldError(name, needed))
        elif len(text) > chars_max:
            self.errors.append(
                FieldError(name, "Use at most %(most)s characters.", values={"most": chars_max})
            )
        elif UNFIT.search(text):
            self.errors.append(FieldError(name, "Has a control character or half a character in it."))
        return text

    def number(self, name: str, least: int, most: int, *, default: int | None = None) -> int | None:
        """Return a whole number from `least` to `most`; `default` where it is absent or null."""
        value = self._document.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.errors.append(
                FieldError(
                    name,
                    "Use a whole number from %(least)s to %(most)s.",
                    values={"least": least, "most": most},
                )
            )
            return default
        return value

    def flag(self, name: str) -> bool:
        """Return a yes or no; absent is no."""
        value = self._document.get(name, False)
        if not isinstance(value, bool):
            self.errors.append(FieldError(name, "Use true or false."))
        return value is True

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of `choices`."""
        value = self._document.get(name)
        if value not in choices:
            names = ", ".join(choices)
            self.errors.append(FieldError(name, "Use one of: %(names)s.", values={"names": names}))
        return str(value)

    def sku(self, name: str = "sku") -> Sku:
        """Return an SKU."""
        value = self._document.get(name)
        try:
            return parse_sku(value if isinstance(value, str) else "")
        except SkuRefused as refused:
            self.errors.append(FieldError(name, "Name an SKU.", particulars=refused.reason))
            return Sku("")

    def address(self, name: str = "email") -> Address | None:
        """Return an email address; None where there is none, and an error says so."""
        value = self._document.get(name)
        try:
            return Address.parse(value.strip() if isinstance(value, str) else "")
        except AddressRefused as refused:
            self.errors.append(replace(ADDRESS_ERRORS[refused.fault], name=name))
            return None

    def slug(self, name: str = "product") -> Slug | None:
        """Return a product's slug; None for the shop, where it is absent or null."""
        if self._document.get(name) is None:
            return None
        return Slug(self.text(name, chars_max=SLUG_CHARS_MAX, needed="Name a product."))

    def add(self, name: str, words: str) -> None:
        """Add the error of a field."""
        self.errors.append(FieldError(name, words))

    def check(self) -> None:
        """Raise all errors at once.

        Raises:
            Problem: 400, some fields are wrong.
        """
        if self.errors:
            raise Problem(HTTPStatus.BAD_REQUEST, INCOMPLETE, tuple(self.errors))


def units_field(fields: Fields) -> int | None:
    """Return a number of units; None where the shop does not count."""
    return fields.number("units", 0, UNITS_MAX)


def pause_reason(request: Request) -> str:
    """Return the reason of a pause.

    Raises:
        Problem: 400, there is none, or it is too long.
    """
    fields = Fields.of(request, "reason")
    reason = fields.text("reason", chars_max=PAUSE_REASON_CHARS_MAX, needed="Say why sending is paused.")
    fields.check()
    return reason


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A wave policy for a product, or for the shop (`slug` None); without a policy, the shop's counts."""

    slug: Slug | None
    policy: WavePolicy | None


def policy_change(request: Request) -> PolicyChange:
    """Return the wave policy of a request.

    Raises:
        Problem: 400, some fields are wrong.
    """
    names = ("product", "follow_shop", "emails_per_unit", "next_after_min", "units_min")
    fields = Fields.of(request, *names)
    slug, follow_shop = fields.slug(), fields.flag("follow_shop")
    everyone = WavePolicy()
    policy = WavePolicy(
        fields.number("emails_per_unit", 1, EMAILS_PER_UNIT_MAX),
        fields.number("next_after_min", 1, WAVE_PAUSE_MIN_MAX) or everyone.next_after_min,
        fields.number("units_min", 1, UNITS_MIN_MAX) or everyone.units_min,
    )
    if follow_shop and slug is None:
        fields.add("follow_shop", "Name the product that follows the shop.")
    fields.check()
    return PolicyChange(slug, None if follow_shop else policy)


def requested_product(request: Request) -> Slug | None:
    """Return the product that the query names, held to the limits of a body; None for the shop.

    Raises:
        Problem: 400, no slug is so long, or has such a character in it.
    """
    query: Any = request.query_params or {}
    fields = Fields({"product": query.get("product") or None}, frozenset({"product"}))
    slug = fields.slug()
    fields.check()
    return slug


def policy_document(policy: WavePolicy | None) -> dict[str, Any] | None:
    """Return a wave policy as JSON values; None without one."""
    return asdict(policy) if policy else None


def idempotency_key(request: Request) -> str:
    """Return the id of a dialog, which makes an action happen once.

    Raises:
        Problem: 400, it is absent or no such id.
    """
    key = str(request.headers.get(KEY_HEADER, ""))
    if not KEY.fullmatch(key):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "Send a header Idempotency-Key: 16 to 64 letters, digits and hyphens, new for each action.",
        )
    return key


def digest_of(request: Request) -> str:
    """Return a digest of a request's path and body, by which a key that is used twice is noticed."""
    path = str(request.context.get("resourcePath", ""))
    return hashlib.sha256(path.encode() + b"\0" + body_of(request).raw).hexdigest()


class ActionStore(Protocol):
    """Keeps the answers of actions by the key of their dialog."""

    def begin(self, merchant: "MerchantId", key: str, digest: str, *, at_ms: int) -> Mapping[str, Any] | None:
        """Take a key, or return the answer that it had."""

    def finish(self, merchant: "MerchantId", key: str, answer: Mapping[str, Any]) -> None:
        """Store the answer of a key."""

    def forget(self, merchant: "MerchantId", key: str) -> None:
        """Give a key back."""


def answer_once(
    request: Request,
    store: ActionStore,
    merchant: "MerchantId",
    at_ms: int,
    act: Callable[[str], Mapping[str, Any]],
) -> Response:
    """Answer an action, or return the answer that its key had before.

    Args:
        request: the request.
        store: keeps the answers.
        merchant: the merchant who acts.
        at_ms: the time of now.
        act: acts with the key, and returns the answer; an error says that nothing was done.

    Raises:
        Problem: 400 without a key.
    """
    key = idempotency_key(request)
    earlier = store.begin(merchant, key, digest_of(request), at_ms=at_ms)
    if earlier is not None:
        return json_answer(earlier)
    try:
        answer = act(key)
    except Exception:
        store.forget(merchant, key)
        raise
    store.finish(merchant, key, answer)
    return json_answer(answer)


def require_agreed(
    request: Request,
    tokens: PreviewTokens,
    merchant: "MerchantId",
    now: ActionPreview,
    document: Mapping[str, Any],
) -> None:
    """Check that a merchant agreed to a preview as it is now.

    Args:
        request: the request, with the token of the preview.
        tokens: reads it.
        merchant: the merchant who acts.
        now: the preview of now.
        document: the same for the page, with its token.

    Raises:
        Problem: 409 with the preview of now: the merchant saw none, an old one, or other figures.
    """
    members = {"preview": document}
    token = request.headers.get(PREVIEW_HEADER, "")
    if not token:
        raise Problem(
            HTTPStatus.CONFLICT,
            "Look at the preview first, then send its token.",
            kind=PREVIEW_NEEDED,
            members=members,
        )
    try:
        as_agreed = now.is_as_agreed(tokens.read(token, merchant))
    except PreviewRefused:
        raise Problem(
            HTTPStatus.CONFLICT,
            "This preview is too old. Look at the figures again.",
            kind=PREVIEW_CHANGED,
            members=members,
        ) from None
    if not as_agreed:
        raise Problem(
            HTTPStatus.CONFLICT,
            "The figures have changed. Look at them again.",
            kind=PREVIEW_CHANGED,
            members=members,
        )
