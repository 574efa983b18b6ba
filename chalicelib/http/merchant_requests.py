"""Requests of the merchant's own systems: their keys, the events they send, and the answers they get.

The keys are a secret of their own: an inventory system that knows it can change the stock, and sign nothing
else. A stranger is answered 401 and never 403, for which the CDN would show a page of the shop.

An event is a JSON object, read as inventory systems write it. A value counts that can mean one thing only:
`-1`, `"0"` and `5.0` are numbers of units. Any other is refused with the name of its field. Fields that
nothing here knows are left out, and the answer names them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

from chalice.app import Request, Response

from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.stock import (
    AHEAD_MS_MAX,
    EVENT_ID_CHARS_MAX,
    SCHEMA_ORG_WORDS,
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    EventOutcome,
    EventResult,
    Stock,
    availability_of_units,
    named_availability,
)
from chalicelib.http.request import FieldError, Problem, RequestBody
from chalicelib.http.responses import NO_STORE
from chalicelib.inbound.authenticity import OWN_SIGNATURE_HEADER, check_own_signature, check_shared
from chalicelib.inbound.readings import MalformedEvent, Unauthentic, id_text, iso_ms, units_of
from chalicelib.log import log

FIELDS = frozenset({"event_id", "sku", "availability", "units", "observed_at"})
IGNORED_SHOWN_MAX = 20
VALUE_CHARS_SHOWN_MAX = 60
EVENT_ID = re.compile(rf"[!-~]{{1,{EVENT_ID_CHARS_MAX}}}", re.ASCII)


def availability_event(
    body: RequestBody, *, default_id: str, default_at_ms: int, now_ms: int
) -> AvailabilityEvent:
    """Return the event of a body: {"sku", "availability" or "units" or both, "event_id", "observed_at"}.

    Without an `event_id` the default counts. Without a time of observation (ISO 8601, with its offset) the
    event counts as of its arrival.

    Raises:
        Problem: 413 too large, 400 naming every field that is wrong.
    """
    document = body.json_object()
    errors: list[FieldError] = []
    sku = read_sku(document, errors)
    event_id = _event_id(document, default_id, errors)
    units = _units(document, errors)
    availability = _availability(document, units, errors)
    observed_at_ms = read_time_ms(document, errors)
    if observed_at_ms is not None and observed_at_ms > now_ms + AHEAD_MS_MAX:
        errors.append(wrong_field("observed_at", "This time is still to come", document))
    if errors or sku is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", tuple(errors))
    return AvailabilityEvent(
        event_id,
        sku,
        availability,
        units,
        default_at_ms if observed_at_ms is None else observed_at_ms,
        by_arrival=observed_at_ms is None,
        by_units=document.get("availability") is None,
    )


def ignored_fields(body: RequestBody, known: Set[str] = FIELDS) -> tuple[str, ...]:
    """Return the names of fields that are not `known`, at most 20 of them."""
    unknown = (name for name in body.json_object() if name not in known)
    return tuple(name[:VALUE_CHARS_SHOWN_MAX] for name in islice(unknown, IGNORED_SHOWN_MAX))


def wrong_field(name: str, words: str, document: dict[str, Any]) -> FieldError:
    """Return the error of a field, with the value it has."""
    value = json.dumps(document.get(name), ensure_ascii=True)
    if len(value) > VALUE_CHARS_SHOWN_MAX:
        value = value[:VALUE_CHARS_SHOWN_MAX] + "..."
    return FieldError(name, f"{words}.", particulars=f"{words}, not {value}.")


def read_sku(document: dict[str, Any], errors: list[FieldError]) -> Sku | None:
    """Return the field `sku`; None where it is wrong, and add to `errors`."""
    value = document.get("sku", "")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        # Some systems write SKUs of digits as numbers; those have no leading zeros to lose.
        value = f"{value:d}"
    if not isinstance(value, str):
        errors.append(FieldError("sku", "Write the SKU as a text, in quotes."))
        return None
    try:
        return parse_sku(value)
    except SkuRefused as refused:
        errors.append(FieldError("sku", "Name an SKU.", particulars=refused.reason))
        return None


def _event_id(document: dict[str, Any], default: str, errors: list[FieldError]) -> str:
    value = document.get("event_id")
    if value is None:
        return default
    event_id = id_text(value)
    if event_id is None or not EVENT_ID.fullmatch(event_id):
        expected = f"An id of 1 to {EVENT_ID_CHARS_MAX} letters, digits and signs without spaces"
        errors.append(wrong_field("event_id", expected, document))
        return ""
    return event_id


def _units(document: dict[str, Any], errors: list[FieldError]) -> int | None:
    try:
        return units_of(document.get("units"))
    except MalformedEvent:
        errors.append(wrong_field("units", f"A whole number up to {UNITS_MAX}", document))
        return None


def _availability(document: dict[str, Any], units: int | None, errors: list[FieldError]) -> Availability:
    value = document.get("availability")
    if value is None:
        if units is None and document.get("units") is None:
            errors.append(FieldError("availability", "Say what is available, or how many units there are."))
        return availability_of_units(units)
    availability = named_availability(value)
    if availability is None:
        errors.append(wrong_field("availability", f"One of {', '.join(SCHEMA_ORG_WORDS)}", document))
        return Availability.OUT_OF_STOCK
    if availability is Availability.IN_STOCK and units == 0:
        errors.append(FieldError("units", "InStock and no units do not go together."))
    return availability


def read_time_ms(
    document: dict[str, Any], errors: list[FieldError], *, name: str = "observed_at"
) -> int | None:
    """Return the time in the field `name` in milliseconds; None without one, or for a wrong one."""
    value = document.get(name)
    if value is None:
        return None
    at_ms = iso_ms(value)
    if at_ms is None:
        errors.append(wrong_field(name, "A time with its offset as 2026-11-23T17:00:00Z", document))
    return at_ms


BUSY_RETRY_AFTER_S = 1


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
            Unauthentic: it does not.
        """
        scheme, _, shown = authorization.partition(" ")
        check_shared(shown if scheme.lower() == "bearer" else None, self.keys)


def signed_at_s(request: Request, body: RequestBody, keys: MerchantKeys, *, now_ms: int) -> int:
    """Return the time of a request's signature in seconds since the epoch, see `check_own_signature`.

    Raises:
        Problem: 401 it is not signed with one of the keys, or at another time.
    """
    with merchant_required(request):
        return check_own_signature(
            request.headers.get(OWN_SIGNATURE_HEADER), body.raw, keys.keys, now_ms=now_ms
        )


def event_by_key(
    request: Request,
    body: RequestBody,
    keys: MerchantKeys,
    clock_ms: Callable[[], int],
    new_id: Callable[[], str],
) -> AvailabilityEvent:
    """Return the event of a request that shows the merchant's key.

    Raises:
        Problem: 401 it does not; 400 or 413, as `availability_event`.
    """
    with merchant_required(request):
        keys.check_bearer(request.headers.get("authorization", ""))
    now_ms = clock_ms()
    return availability_event(body, default_id=new_id(), default_at_ms=now_ms, now_ms=now_ms)


def event_by_signature(
    request: Request, body: RequestBody, keys: MerchantKeys, clock_ms: Callable[[], int]
) -> tuple[AvailabilityEvent, str]:
    """Return the event of a signed webhook, and a digest of its signed content.

    The same request sent again has the same event id and digest.

    Raises:
        Problem: as `event_by_key`.
    """
    now_ms = clock_ms()
    at_s = signed_at_s(request, body, keys, now_ms=now_ms)
    digest = hashlib.sha256(f"{at_s}.".encode() + body.raw).hexdigest()
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
    if outcome is EventOutcome.UNKNOWN_SKU:
        unknown = FieldError("sku", "This shop sells nothing under that name.")
        raise Problem(HTTPStatus.BAD_REQUEST, "The event is not complete.", (unknown,))
    if outcome is EventOutcome.REPLAYED:
        raise Problem(
            HTTPStatus.CONFLICT,
            "This very request was applied before. It changes nothing now.",
        )
    if outcome is EventOutcome.BUSY or result.stock is None:
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
def merchant_required(request: Request) -> Iterator[None]:
    """Answer 401 where the block finds no key of the merchant."""
    try:
        yield
    except Unauthentic:
        log("merchant_refused", path=request.context.get("resourcePath", ""))
        raise Problem(
            HTTPStatus.UNAUTHORIZED, "Show the merchant's key, or sign the request with it."
        ) from None
