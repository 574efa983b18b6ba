"""Shopify's webhooks about stock.

`products/update` names SKUs, and the units of all locations together. `inventory_levels/update` names an
inventory item and one location, and no SKU: it counts where the item's SKU is known from a product.

https://shopify.dev/docs/apps/build/webhooks/delivery-structure
https://shopify.dev/docs/apps/build/webhooks/verify-deliveries
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.stock import Availability
from chalicelib.inbound.authenticity import check_base64_hmac
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Reading,
    Readings,
    ReadOutcome,
    Unread,
    VariantLink,
    WebhookRequest,
    hashed_id,
    json_object,
    key_id,
    objects,
    shown,
    sku_of,
    subject_of,
    time_ms,
    units_of,
)

PRODUCT_TOPICS = frozenset({"products/create", "products/update"})
LEVEL_TOPICS = frozenset({"inventory_levels/update", "inventory_levels/connect"})


def read(request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
    """Read a webhook of Shopify; `secrets` are client secrets of the app, or of the shop's notifications.

    Raises:
        Unauthentic: the signature is of none of the secrets.
        MalformedEvent: the body cannot be read.
    """
    check_base64_hmac(request.headers.get("x-shopify-hmac-sha256"), request.body, secrets)
    return read_body(request.headers, request.body)


def read_body(headers: Mapping[str, str], body: bytes, message_id: str | None = None) -> ReadOutcome:
    """Read a webhook that is known to be authentic; one without an id is named by `message_id`.

    Raises:
        MalformedEvent: the body cannot be read.
    """
    topic = headers.get("x-shopify-topic", "")
    if topic not in PRODUCT_TOPICS | LEVEL_TOPICS:
        return IgnoredEvent(f"the topic {shown(topic)} says nothing about stock")
    document = json_object(body)
    # Shopify may deliver several webhooks about one event; a repeat of a webhook has the event's id again.
    event_id = hashed_id(headers.get("x-shopify-event-id"), "x-shopify-event-id")
    event = event_id or message_id or hashlib.sha256(body).hexdigest()[:32]
    triggered_at_ms = time_ms(headers.get("x-shopify-triggered-at"))
    if topic in LEVEL_TOPICS:
        return _level(document, event, triggered_at_ms)
    return _product(document, event, triggered_at_ms)


def _product(document: dict[str, Any], event: str, triggered_at_ms: int | None) -> ReadOutcome:
    variants = objects(document, "variants")
    if not variants:
        return IgnoredEvent("the product has no variants")
    at_ms = triggered_at_ms if triggered_at_ms is not None else time_ms(document.get("updated_at"))
    readings: list[Reading] = []
    links: list[VariantLink] = []
    unread: list[Unread] = []
    for variant in variants:
        try:
            reading = _variant(variant, event, at_ms)
            item = key_id(variant.get("inventory_item_id"), "inventory_item_id")
        except MalformedEvent as problem:
            unread.append(Unread(subject_of("variant", variant.get("id")), str(problem)))
            continue
        readings.append(reading)
        if reading.sku:
            links += [VariantLink(reading.foreign_id, reading.sku)] if reading.foreign_id else []
            links += [VariantLink(f"item:{item}", reading.sku)] if item else []
    # Shopify sends the first 100 variants, and the ids of all of them.
    ids = document.get("variant_gids")
    left_out = len(ids) - len(variants) if isinstance(ids, list) else 0
    if left_out > 0:
        reason = f"{left_out} of its variants are not in the webhook: `spillway reconcile shopify` reads them"
        unread.append(Unread(subject_of("product", document.get("id")), reason))
    return Readings(tuple(readings), tuple(links), tuple(unread))


def _variant(variant: dict[str, Any], event: str, at_ms: int | None) -> Reading:
    variant_id = key_id(variant.get("id"), "id")
    # Newer versions of the API leave `inventory_management` out; null says that nobody counts.
    is_counted = variant.get("inventory_management", "shopify") is not None
    units = units_of(variant.get("inventory_quantity")) if is_counted else None
    if is_counted and units is None:
        raise MalformedEvent("inventory_quantity is missing")
    availability = Availability.IN_STOCK if units is None else None
    if units == 0 and variant.get("inventory_policy") == "continue":
        availability = Availability.BACK_ORDER
    # Variants without an id are not one variant: none is linked.
    foreign_id = f"variant:{variant_id}" if variant_id else None
    event_id, sku = f"{event}:{variant_id}", sku_of(variant.get("sku"))
    return Reading(event_id, sku, foreign_id, units, availability, at_ms)


def _level(document: dict[str, Any], event: str, triggered_at_ms: int | None) -> ReadOutcome:
    item = key_id(document.get("inventory_item_id"), "inventory_item_id")
    location = key_id(document.get("location_id"), "location_id")
    if item is None or location is None:
        raise MalformedEvent("inventory_item_id or location_id is missing")
    if document.get("available") is None:
        return IgnoredEvent(f"nobody counts the inventory item {item} at location {location}")
    at_ms = triggered_at_ms if triggered_at_ms is not None else time_ms(document.get("updated_at"))
    units = units_of(document["available"])
    return Readings((Reading(f"{event}:{item}", None, f"item:{item}", units, None, at_ms, location),))
