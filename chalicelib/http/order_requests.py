"""Requests about the outcome of emails: a click on the link of an email, and an order that a shop reports.

A click is answered by a redirect to a page of this shop and nothing else. The address is in the signed token,
so no table has to be read, and it is a path, so no token leads to another site.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from chalice.app import Request, Response

from chalicelib.domain.reports import Click, OrderLine, OrderResult
from chalicelib.domain.stock import AHEAD_MS_MAX, UNITS_MAX, whole_number
from chalicelib.http.merchant_requests import (
    MerchantKeys,
    read_sku,
    read_time_ms,
    signed_at_s,
    wrong_field,
)
from chalicelib.http.request import FieldError, Problem, RequestBody
from chalicelib.http.responses import json_answer
from chalicelib.inbound.readings import id_text

FIELDS = frozenset({"order_id", "sku", "quantity", "amount_minor", "currency", "click", "ordered_at"})
ORDER_ID = re.compile(r"[!-~]{1,100}", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
MINOR = re.compile(r"[0-9]{1,13}", re.ASCII)
AMOUNT_MINOR_MAX = 10**12
# Browsers and mail programs that load a page before anybody asks for it say so.
# https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Purpose
PREFETCHING = ("sec-purpose", "purpose", "x-moz", "x-purpose")


def is_followed(request: Request) -> bool:
    """Return whether a request for a link looks like a person's: a GET that is no prefetch.

    A scanner that plays a browser looks the same.
    """
    hints = " ".join(request.headers.get(name, "") for name in PREFETCHING).lower()
    return request.method == "GET" and "prefetch" not in hints and "preview" not in hints


def order_by_signature(
    request: Request, body: RequestBody, keys: MerchantKeys, clock_ms: Callable[[], int]
) -> tuple[OrderLine, str]:
    """Return the order line of a signed request, and the token of the click that it names, or "".

    Raises:
        Problem: 401 it is not signed by the shop, 400 or 413 as `order_line`.
    """
    now_ms = clock_ms()
    signed_at_s(request, body, keys, now_ms=now_ms)
    return order_line(body, now_ms=now_ms)


def order_line(body: RequestBody, *, now_ms: int) -> tuple[OrderLine, str]:
    """Return the order line of a body, and the token of the click that it names, or "".

    Without `quantity` it is one unit, without `ordered_at` it counts as of its arrival.

    Raises:
        Problem: 413 too large, 400 naming every field that is wrong.
    """
    document = body.json_object()
    errors: list[FieldError] = []
    sku = read_sku(document, errors)
    order_id = _text(document, "order_id", ORDER_ID, "An id of 1 to 100 letters, digits and signs", errors)
    quantity = 1
    if document.get("quantity") is not None:
        quantity = _number(document, "quantity", 1, UNITS_MAX, errors)
    amount_minor = _amount_minor(document, errors)
    currency = _text(document, "currency", CURRENCY, "A currency as EUR", errors)
    ordered_at_ms = read_time_ms(document, errors, name="ordered_at")
    if ordered_at_ms is not None and ordered_at_ms > now_ms + AHEAD_MS_MAX:
        errors.append(wrong_field("ordered_at", "This time is still to come", document))
    click = document.get("click")
    if click is not None and not isinstance(click, str):
        errors.append(wrong_field("click", "The token of a click, as a text", document))
    if errors or sku is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The order is not complete.", tuple(errors))
    at_ms = now_ms if ordered_at_ms is None else ordered_at_ms
    return OrderLine(order_id, sku, quantity, amount_minor, currency, at_ms), click or ""


def order_answer(result: OrderResult, ignored: tuple[str, ...]) -> Response:
    """Answer with the outcome of an order line and its restock; `ignored` names fields left out."""
    document: dict[str, object] = {
        "outcome": result.outcome.value,
        "restock": result.restock.id if result.restock else None,
    }
    return json_answer({**document, "ignored": list(ignored)} if ignored else document)


def known_click(token: str, read: Callable[[str], Click]) -> Click | None:
    """Return the click of a token; None for a token that is not ours: an order counts without it."""
    from chalicelib.domain.tokens import LinkRefused

    try:
        return read(token) if token else None
    except LinkRefused:
        return None


def _text(
    document: dict[str, Any], name: str, form: re.Pattern[str], expected: str, errors: list[FieldError]
) -> str:
    value = id_text(document.get(name))
    if value is None or not form.fullmatch(value):
        errors.append(wrong_field(name, expected, document))
        return ""
    return value


def _amount_minor(document: dict[str, Any], errors: list[FieldError]) -> int:
    """Return the amount; one with a point is refused, since it is meant in the currency's own unit."""
    text = id_text(document.get("amount_minor"))
    if text is not None and MINOR.fullmatch(text) and int(text) <= AMOUNT_MINOR_MAX:
        return int(text)
    words = f"A whole number from 0 to {AMOUNT_MINOR_MAX} of minor units: 14800 for 148.00"
    errors.append(wrong_field("amount_minor", words, document))
    return 0


def _number(document: dict[str, Any], name: str, low: int, high: int, errors: list[FieldError]) -> int:
    number = whole_number(document.get(name))
    if number is None or not low <= number <= high:
        errors.append(wrong_field(name, f"A whole number from {low} to {high}", document))
        return low
    return number
