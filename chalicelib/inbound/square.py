"""Square's webhook `inventory.count.updated`: the units of item variations, location by location.

It names no SKU: a variation counts where its id is linked to one. A change of state comes as two counts, of
the state before and of the one after; only goods in stock are counted.

https://developer.squareup.com/docs/inventory-api/webhooks
https://developer.squareup.com/docs/webhooks/step3validate
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.inbound.authenticity import check_base64_hmac
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Reading,
    Readings,
    ReadOutcome,
    Unread,
    WebhookRequest,
    hashed_id,
    json_object,
    key_id,
    objects,
    shown,
    subject_of,
    time_ms,
    units_of,
)

COUNTED_TYPE = "inventory.count.updated"
IN_STOCK = "IN_STOCK"


def read(request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
    """Read a webhook of Square, which signs the address it is sent to and the body.

    Raises:
        Unauthentic: the signature is of none of the secrets, or for another address.
        MalformedEvent: the body cannot be read.
    """
    signature = request.headers.get("x-square-hmacsha256-signature")
    check_base64_hmac(signature, request.url.encode() + request.body, secrets)
    return read_body(request.headers, request.body)


def read_body(headers: Mapping[str, str], body: bytes, message_id: str | None = None) -> ReadOutcome:
    """Read a webhook that is known to be authentic. Its body alone says everything.

    Raises:
        MalformedEvent: the body cannot be read.
    """
    document = json_object(body)
    if document.get("type") != COUNTED_TYPE:
        return IgnoredEvent(f"the type {shown(document.get('type'))} says nothing about stock")
    event = hashed_id(document.get("event_id"), "event_id")
    if event is None:
        raise MalformedEvent("event_id is missing")
    return _counts(_inside(document, "data", "object"), event)


def _inside(document: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        document = document.get(name) or {}
        if not isinstance(document, dict):
            raise MalformedEvent(f"{name} is no JSON object")
    return document


def _counts(document: dict[str, Any], event: str) -> ReadOutcome:
    readings: list[Reading] = []
    unread: list[Unread] = []
    for count in objects(document, "inventory_counts"):
        if count.get("state") != IN_STOCK:
            continue
        try:
            readings.append(_count(count, event))
        except MalformedEvent as problem:
            unread.append(Unread(subject_of("variation", count.get("catalog_object_id")), str(problem)))
    return (
        Readings(tuple(readings), (), tuple(unread))
        if readings or unread
        else IgnoredEvent("no count in stock")
    )


def _count(count: dict[str, Any], event: str) -> Reading:
    variation = key_id(count.get("catalog_object_id"), "catalog_object_id")
    location = key_id(count.get("location_id"), "location_id")
    if variation is None or location is None:
        raise MalformedEvent("catalog_object_id or location_id is missing")
    units = units_of(count.get("quantity"))
    if units is None:
        raise MalformedEvent("quantity is missing")
    return Reading(
        f"{event}:{variation}:{location}",
        None,
        f"variation:{variation}",
        units,
        None,
        time_ms(count.get("calculated_at")),
        location,
    )
