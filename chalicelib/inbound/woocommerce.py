"""WooCommerce's webhook `product.updated`, which comes once for a product and once for each variation.

Its ping, sent when a webhook is saved, is an unsigned form and gets 200: more than five other answers disable
the webhook. Its delivery id is the same for products saved within one second, so it identifies no event.

https://woocommerce.com/document/webhooks/
https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.domain.stock import Availability
from chalicelib.inbound.authenticity import check_base64_hmac
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Ping,
    Reading,
    Readings,
    ReadOutcome,
    VariantLink,
    WebhookRequest,
    json_object,
    key_id,
    shown,
    sku_of,
    time_ms,
    units_of,
)

TOPICS = frozenset({"product.created", "product.updated", "product.restored"})
PING = re.compile(rb"webhook_id=[0-9]{1,20}")
# Types of products whose variations have the stock, and of those without any.
# Tuples: a set does not take each value of JSON.
VARIABLE = ("variable", "variable-subscription")
WITHOUT_STOCK = ("grouped", "external")
STATUSES = {
    "instock": Availability.IN_STOCK,
    "outofstock": Availability.OUT_OF_STOCK,
    "onbackorder": Availability.BACK_ORDER,
}


def read(request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
    """Read a webhook of WooCommerce.

    Raises:
        Unauthentic: the signature is of none of the secrets, and it is no ping.
        MalformedEvent: the body cannot be read.
    """
    signature = request.headers.get("x-wc-webhook-signature")
    if signature is None and PING.fullmatch(request.body):
        return Ping()
    check_base64_hmac(signature, request.body, secrets)
    return read_body(request.headers, request.body)


def read_body(headers: Mapping[str, str], body: bytes, message_id: str | None = None) -> ReadOutcome:
    """Read a webhook that is known to be authentic. Its body identifies it, so `message_id` is not needed.

    Raises:
        MalformedEvent: the body cannot be read.
    """
    topic = headers.get("x-wc-webhook-topic", "")
    if topic not in TOPICS:
        return IgnoredEvent(f"the topic {shown(topic)} says nothing about stock")
    return _product(json_object(body), body)


def _product(document: dict[str, Any], body: bytes) -> ReadOutcome:
    product = key_id(document.get("id"), "id")
    if product is None:
        raise MalformedEvent("id is missing")
    if document.get("type") in VARIABLE:
        return IgnoredEvent(f"product {product} has no stock of its own: its variations send theirs")
    if document.get("type") in WITHOUT_STOCK:
        return IgnoredEvent(f"product {product} has no stock of its own")
    sku = sku_of(document.get("sku"))
    units, availability = stock_of(document)
    reading = Reading(
        f"{hashlib.sha256(body).hexdigest()[:32]}",
        sku,
        f"product:{product}",
        units,
        availability,
        # WooCommerce writes UTC without an offset here.
        time_ms(document.get("date_modified_gmt"), offset="Z"),
    )
    return Readings((reading,), (VariantLink(f"product:{product}", sku),) if sku else ())


def stock_of(document: Mapping[str, Any]) -> tuple[int | None, Availability | None]:
    """Return the units and the availability; None where the other one decides.

    `manage_stock` is "parent" for a variation that shares the units of its product. Versions 1 and 2 of the
    API, which a webhook may be set to, have `in_stock` and `backordered` in place of a status.
    """
    status, in_stock = document.get("stock_status"), document.get("in_stock")
    if status is None and isinstance(in_stock, bool):
        on_order = document.get("backordered") is True
        status = "onbackorder" if on_order else "instock" if in_stock else "outofstock"
    named = STATUSES.get(status) if isinstance(status, str) else None
    if document.get("manage_stock") in (True, "parent") and document.get("stock_quantity") is not None:
        units = units_of(document["stock_quantity"])
        return units, Availability.BACK_ORDER if units == 0 and named is Availability.BACK_ORDER else None
    if named is None:
        raise MalformedEvent(f"stock_status is {shown(status)}, none of {', '.join(STATUSES)}")
    return None, named
