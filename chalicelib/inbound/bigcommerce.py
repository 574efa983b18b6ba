"""BigCommerce's webhook `store/sku/inventory/updated`: the units of a variant, by its id.

It is signed as Standard Webhooks with the client secret of the API account as the key. A webhook that was
made with headers of its own may show a secret as `X-Spillway-Secret` instead. A relative change cannot be
applied twice without harm, so it is ignored: `spillway stock` reports the total.

https://developer.bigcommerce.com/docs/integrations/webhooks
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.inbound.authenticity import check_shared, check_standard_webhook
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Reading,
    Readings,
    ReadOutcome,
    WebhookRequest,
    hashed_id,
    json_object,
    key_id,
    shown,
    units_of,
)

SCOPE = "store/sku/inventory/updated"
# The end of the year 9999.
SECONDS_MAX = 253_402_300_799
SECRET_HEADER = "x-spillway-secret"  # noqa: S105 - the name of a header


def read(request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
    """Read a webhook of BigCommerce.

    Raises:
        Unauthentic: it is signed with none of the secrets, and shows none.
        MalformedEvent: the body cannot be read.
    """
    if "webhook-signature" in request.headers:
        keys = [secret.encode() for secret in secrets]
        check_standard_webhook(request.headers, request.body, keys, now_ms=now_ms)
    else:
        check_shared(request.headers.get(SECRET_HEADER), secrets)
    return read_body(request.headers, request.body)


def read_body(headers: Mapping[str, str], body: bytes, message_id: str | None = None) -> ReadOutcome:
    """Read a webhook that is known to be authentic. Its body alone says everything.

    Raises:
        MalformedEvent: the body cannot be read.
    """
    document = json_object(body)
    if document.get("scope") != SCOPE:
        return IgnoredEvent(f"the scope {shown(document.get('scope'))} says nothing about a variant's stock")
    return _inventory(document)


def _inventory(document: dict[str, Any]) -> ReadOutcome:
    data = document.get("data")
    inventory = data.get("inventory") if isinstance(data, dict) else None
    if not isinstance(inventory, dict):
        raise MalformedEvent("data.inventory is missing")
    variant = key_id(inventory.get("variant_id"), "data.inventory.variant_id")
    if variant is None:
        raise MalformedEvent("data.inventory.variant_id is missing")
    if inventory.get("method") != "absolute":
        return IgnoredEvent(f"variant {variant} changed by a number of units: their total is not known")
    made_at = document.get("created_at")
    if not isinstance(made_at, int) or isinstance(made_at, bool) or not 0 <= made_at <= SECONDS_MAX:
        raise MalformedEvent(f"created_at is {shown(made_at)}, not a number of seconds")
    units = units_of(inventory.get("value"))
    if units is None:
        raise MalformedEvent("data.inventory.value is missing")
    # The hash is of the data alone: the same units some time later have the same one.
    event_id = f"{hashed_id(document.get('hash'), 'hash')}:{made_at}"
    return Readings((Reading(event_id, None, f"variant:{variant}", units, None, made_at * 1000),))
