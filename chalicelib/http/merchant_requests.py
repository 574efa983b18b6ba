"""Requests of the merchant's own systems: who they are from, and what they say of the stock.

A stranger is answered 401 and never 403, which the CDN would make a page of the shop.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus

from chalice.app import Request, Response

from chalicelib.domain.availability import AvailabilityEvent, Outcome, TakenIn
from chalicelib.domain.stock import Stock
from chalicelib.http.availability_body import availability_event, ignored_fields
from chalicelib.http.forms import Body
from chalicelib.http.merchant_keys import MerchantKeys, NotTheMerchant
from chalicelib.http.problem import FieldError, Problem
from chalicelib.http.responses import NO_STORE
from chalicelib.log import log

__all__ = ["event_by_key", "event_by_signature", "ignored_fields", "outcome_answer"]

SIGNATURE_HEADER = "spillway-signature"
BUSY_RETRY_AFTER_S = 1


def event_by_key(
    request: Request, body: Body, keys: MerchantKeys, clock_ms: Callable[[], int], new_id: Callable[[], str]
) -> AvailabilityEvent:
    """The event of a request that shows the merchant's key.

    Raises:
        Problem: 401 it does not; 400, 413 there is something wrong with the event.
    """
    with _strangers_refused(request):
        keys.check_bearer(request.headers.get("authorization", ""))
    now_ms = clock_ms()
    return availability_event(body, default_id=new_id(), default_at_ms=now_ms, now_ms=now_ms)


def event_by_signature(
    request: Request, body: Body, keys: MerchantKeys, clock_ms: Callable[[], int]
) -> tuple[AvailabilityEvent, str]:
    """The event of a signed webhook, and a digest of all that was signed, the same for the same request.

    Sent again, it has the same id.

    Raises: as `event_by_key`.
    """
    now_ms = clock_ms()
    with _strangers_refused(request):
        signed_at_s = keys.signed_at_s(
            request.headers.get(SIGNATURE_HEADER, ""), body.raw, now_s=now_ms // 1000
        )
    digest = hashlib.sha256(f"{signed_at_s}.".encode() + body.raw).hexdigest()
    event = availability_event(body, default_id=digest[:32], default_at_ms=now_ms, now_ms=now_ms)
    return event, digest


def outcome_answer(event: AvailabilityEvent, taken: TakenIn, ignored: Sequence[str] = ()) -> Response:
    """Answer what became of an event and what is stored now; `ignored` names fields that were left out.

    Raises:
        Problem: 400, the SKU is unknown; 409, this very request was taken in before; 503, others about the
            same variant came first each time.
    """
    outcome = taken.outcome
    log("availability_event", sku=event.sku, id=event.id, outcome=outcome)
    if outcome is Outcome.UNKNOWN_SKU:
        unknown = FieldError("sku", "This shop sells nothing under that name.")
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", (unknown,))
    if outcome is Outcome.REPLAYED:
        raise Problem(
            HTTPStatus.CONFLICT,
            "This very request was taken in before. It changes nothing now.",
        )
    if outcome is Outcome.BUSY or taken.stock is None:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Too many events about this SKU at once. Nothing of this one is stored; send it again.",
            retry_after_s=BUSY_RETRY_AFTER_S,
        )
    document: dict[str, object] = {
        "outcome": outcome.value,
        "sku": event.sku,
        "stock": _stock_document(taken.stock),
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
