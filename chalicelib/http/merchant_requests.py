"""Requests of the merchant's own systems: their keys, the events they send, and the answers they get.

The keys are a secret of their own: an inventory system that knows it can change the stock, and sign nothing
else. A stranger is answered 401 and never 403, for which the CDN would show a page of the shop.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from chalice.app import Request, Response

from chalicelib.domain.stock import AvailabilityEvent, EventResult, Outcome, Stock
from chalicelib.http.availability_body import availability_event, ignored_fields
from chalicelib.http.request import Body, FieldError, Problem
from chalicelib.http.responses import NO_STORE
from chalicelib.log import log

__all__ = ["event_by_key", "event_by_signature", "ignored_fields", "outcome_answer"]

SIGNATURE_HEADER = "spillway-signature"
BUSY_RETRY_AFTER_S = 1
SIGNATURE_TOLERANCE_S = 300
# A sender signs with the old key and the new one while it rotates them.
SIGNATURES_MAX = 8


class NotTheMerchant(Exception):
    """No key of ours, a signature that does not fit, or one from another time; the answer is the same."""


@dataclass(frozen=True, slots=True)
class MerchantKeys:
    """The merchant's keys, newest first, while a rotation lasts; any of them is good."""

    keys: tuple[str, ...]

    @classmethod
    def from_json(cls, text: str) -> "MerchantKeys":
        """Return the keys of a secret: {"key": TEXT}, and "older": [TEXT, ...] during a rotation."""
        document = json.loads(text)
        return cls((document["key"], *document.get("older", ())))

    def check_bearer(self, authorization: str) -> None:
        """Check that a header shows one of the keys (`Authorization: Bearer KEY`).

        Raises:
            NotTheMerchant: it does not.
        """
        scheme, _, shown = authorization.partition(" ")
        # Compare every key in constant time: the duration does not say which one fits.
        fits = [hmac.compare_digest(shown.strip().encode(), key.encode()) for key in self.keys]
        if scheme.lower() != "bearer" or not any(fits):
            raise NotTheMerchant

    def signed_at_s(self, signature: str, raw: bytes, *, now_s: int) -> int:
        """Return the time of a signature in seconds since the epoch.

        The signature is `t=SECONDS,v1=HEX`, the HMAC-SHA256 of "SECONDS.BODY" with the body's raw bytes. Any
        of several `v1` may fit, in upper or lower case.

        Raises:
            NotTheMerchant: none fits, or the signature is older or newer than five minutes.
        """
        parts = [part.strip().partition("=")[::2] for part in signature.split(",")]
        stamps = {value for name, value in parts if name == "t"}
        given = [value.lower() for name, value in parts if name == "v1"]
        stamp = stamps.pop() if len(stamps) == 1 else ""
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12 and len(given) <= SIGNATURES_MAX):
            raise NotTheMerchant
        # Compare every one in constant time: the duration does not say which one fits.
        wanted = [sign(key, int(stamp), raw).encode() for key in self.keys]
        fits = [hmac.compare_digest(hexadecimal.encode(), good) for hexadecimal in given for good in wanted]
        if not any(fits) or abs(now_s - int(stamp)) > SIGNATURE_TOLERANCE_S:
            raise NotTheMerchant
        return int(stamp)


def event_by_key(
    request: Request, body: Body, keys: MerchantKeys, clock_ms: Callable[[], int], new_id: Callable[[], str]
) -> AvailabilityEvent:
    """Return the event of a request that shows the merchant's key.

    Raises:
        Problem: 401 it does not; 400 or 413, as `availability_event`.
    """
    with _strangers_refused(request):
        keys.check_bearer(request.headers.get("authorization", ""))
    now_ms = clock_ms()
    return availability_event(body, default_id=new_id(), default_at_ms=now_ms, now_ms=now_ms)


def event_by_signature(
    request: Request, body: Body, keys: MerchantKeys, clock_ms: Callable[[], int]
) -> tuple[AvailabilityEvent, str]:
    """Return the event of a signed webhook, and a digest of its signed content.

    The same request sent again has the same event id and digest.

    Raises:
        Problem: as `event_by_key`.
    """
    now_ms = clock_ms()
    with _strangers_refused(request):
        signed_at_s = keys.signed_at_s(
            request.headers.get(SIGNATURE_HEADER, ""), body.raw, now_s=now_ms // 1000
        )
    digest = hashlib.sha256(f"{signed_at_s}.".encode() + body.raw).hexdigest()
    event = availability_event(body, default_id=digest[:32], default_at_ms=now_ms, now_ms=now_ms)
    return event, digest


def outcome_answer(event: AvailabilityEvent, result: EventResult, ignored: Sequence[str] = ()) -> Response:
    """Answer with the outcome of an event and the stock stored now; `ignored` names fields left out.

    Raises:
        Problem: 400, the SKU is unknown; 409, this request was applied before; 503, other events about
            the variant came first each time.
    """
    outcome = result.outcome
    log("availability_event", sku=event.sku, id=event.id, outcome=outcome)
    if outcome is Outcome.UNKNOWN_SKU:
        unknown = FieldError("sku", "This shop sells nothing under that name.")
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", (unknown,))
    if outcome is Outcome.REPLAYED:
        raise Problem(
            HTTPStatus.CONFLICT,
            "This very request was applied before. It changes nothing now.",
        )
    if outcome is Outcome.BUSY or result.stock is None:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many events about this SKU at once. Nothing of this one is stored; send it again.",
            retry_after_s=BUSY_RETRY_AFTER_S,
        )
    document: dict[str, object] = {
        "outcome": outcome.value,
        "sku": event.sku,
        "stock": _stock_document(result.stock),
    }
    if ignored:
        document["ignored"] = list(ignored)
    return Response(document, headers=NO_STORE, status_code=200)


def _stock_document(stock: Stock) -> dict[str, object]:
    observed_at = datetime.fromtimestamp(stock.observed_at_ms / 1000, UTC)
    return {
        "availability": stock.availability.value,
        "units": stock.units,
        "observed_at": observed_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "event_id": stock.event_id,
    }


@contextmanager
def _strangers_refused(request: Request) -> Iterator[None]:
    try:
        yield
    except NotTheMerchant:
        log("merchant_refused", path=request.context.get("resourcePath", ""))
        raise Problem(
            HTTPStatus.UNAUTHORIZED, "Show the merchant's key, or sign the request with it."
        ) from None


def sign(key: str, at_s: int, raw: bytes) -> str:
    """Return the `v1` of a signature."""
    return hmac.new(key.encode(), f"{at_s}.".encode() + raw, "sha256").hexdigest()
