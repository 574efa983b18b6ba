"""Requests of the merchant's own systems: who they are from, and what they say of the stock.

A stranger is answered 401 and never 403, which the CDN would make a page of the shop.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from chalice.app import Request, Response

from chalicelib.domain.availability import AvailabilityEvent, Outcome
from chalicelib.http.answers import NO_STORE
from chalicelib.http.availability_body import availability_event
from chalicelib.http.forms import Body
from chalicelib.http.merchant_keys import MerchantKeys, NotTheMerchant
from chalicelib.http.problem import FieldError, Problem
from chalicelib.log import log

SIGNATURE_HEADER = "spillway-signature"


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

    Sent again, it has the same id and time, and changes nothing.

    Raises: as `event_by_key`.
    """
    now_ms = clock_ms()
    with _strangers_refused(request):
        signed_at_s = keys.signed_at_s(
            request.headers.get(SIGNATURE_HEADER, ""), body.raw, now_s=now_ms // 1000
        )
    digest = hashlib.sha256(f"{signed_at_s}.".encode() + body.raw).hexdigest()
    event = availability_event(body, default_id=digest[:32], default_at_ms=signed_at_s * 1000, now_ms=now_ms)
    return event, digest


def outcome_answer(event: AvailabilityEvent, outcome: Outcome) -> Response:
    """What became of an event; the sender of one about nothing we sell is told so.

    Raises:
        Problem: 400, the SKU is unknown; 409, this very request was taken in before.
    """
    log("availability_event", sku=event.sku, id=event.id, outcome=outcome)
    if outcome is Outcome.UNKNOWN_SKU:
        unknown = FieldError("sku", "This shop sells nothing under that name.")
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", (unknown,))
    if outcome is Outcome.REPLAYED:
        raise Problem(
            HTTPStatus.CONFLICT,
            "This very request was taken in before. It changes nothing now.",
        )
    return Response({"outcome": outcome.value}, headers=NO_STORE, status_code=200)


@contextmanager
def _strangers_refused(request: Request) -> Iterator[None]:
    try:
        yield
    except NotTheMerchant:
        log("merchant_refused", path=request.context.get("resourcePath", ""))
        raise Problem(
            HTTPStatus.UNAUTHORIZED, "Show the merchant's key, or sign the request with it."
        ) from None
