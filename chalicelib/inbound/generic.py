"""Events of any system: Standard Webhooks, or the shop's own signature, around CloudEvents or a plain event.

A plain event is `{"sku", "units" or "availability", "observed_at", "event_id"}`. A CloudEvent has the same as
its data, its id and source name the event, and its time is that of the observation.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from chalicelib.domain.stock import Availability
from chalicelib.inbound.authenticity import (
    OWN_SIGNATURE_HEADER,
    check_own_signature,
    check_standard_webhook,
    standard_keys,
)
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Reading,
    Readings,
    ReadOutcome,
    Unread,
    WebhookRequest,
    availability_of,
    hashed_id,
    json_object,
    shown,
    sku_of,
    subject_of,
    time_ms,
    units_of,
)

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
SPEC_VERSION = "1.0"


def read(request: WebhookRequest, secrets: Sequence[str], *, now_ms: int) -> ReadOutcome:
    """Read the events of a signed request.

    Raises:
        Unauthentic: it is signed with none of the secrets.
        MalformedEvent: the body cannot be read.
    """
    message_id = _authenticate(request, secrets, now_ms)
    return read_body(request.headers, request.body, message_id)


def read_body(headers: Mapping[str, str], body: bytes, message_id: str) -> ReadOutcome:
    """Read the events of a body that is known to be authentic; a plain one is named by `message_id`.

    Raises:
        MalformedEvent: the body cannot be read.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == BATCH:
        return _batch(body)
    if media_type == STRUCTURED:
        return _alone(json_object(body))
    if "ce-specversion" in headers:
        # Section 3.1.3.2 of the binding: values are percent-encoded, spaces too.
        attributes = {name[3:]: unquote(text) for name, text in headers.items() if name[:3] == "ce-"}
        return _alone({**attributes, "data": json_object(body)})
    document = json_object(body)
    event_id = hashed_id(document.get("event_id"), "event_id") or message_id
    return Readings((_reading(document, event_id, time_ms(document.get("observed_at"))),))


def _authenticate(request: WebhookRequest, secrets: Sequence[str], now_ms: int) -> str:
    """Return an id of the message, the same for a repeat of it."""
    if "webhook-signature" in request.headers:
        return check_standard_webhook(request.headers, request.body, standard_keys(secrets), now_ms=now_ms)
    shown = request.headers.get(OWN_SIGNATURE_HEADER)
    at_s = check_own_signature(shown, request.body, secrets, now_ms=now_ms)
    return hashlib.sha256(f"{at_s}.".encode() + request.body).hexdigest()[:32]


def _batch(body: bytes) -> ReadOutcome:
    try:
        documents = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedEvent("the body is no JSON") from None
    if not isinstance(documents, list) or not all(isinstance(document, dict) for document in documents):
        raise MalformedEvent("the body is no list of CloudEvents")
    readings: list[Reading] = []
    unread: list[Unread] = []
    for document in documents:
        subject = subject_of("event", document.get("id"))
        try:
            outcome = _alone(document)
        except MalformedEvent as problem:
            unread.append(Unread(subject, str(problem)))
            continue
        if isinstance(outcome, Readings):
            readings += outcome.readings
        elif isinstance(outcome, IgnoredEvent):
            unread.append(Unread(subject, outcome.reason))
    return Readings(tuple(readings), (), tuple(unread))


def _alone(event: Mapping[str, Any]) -> ReadOutcome:
    if event.get("specversion") != SPEC_VERSION:
        raise MalformedEvent(f"specversion is {shown(event.get('specversion'))}; 1.0 is known")
    event_id, source = hashed_id(event.get("id"), "id"), hashed_id(event.get("source"), "source")
    if event_id is None or source is None:
        raise MalformedEvent("id or source is missing")
    data = event.get("data")
    if not isinstance(data, dict):
        raise MalformedEvent("data is no JSON object")
    if "units" not in data and "availability" not in data:
        return IgnoredEvent(f"the type {shown(event.get('type'))} says nothing about stock")
    # Source and id together identify a CloudEvent.
    named = hashlib.sha256(f"{source}\0{event_id}".encode()).hexdigest()[:32]
    at_ms = time_ms(data.get("observed_at"))
    return Readings(
        (
            _reading(
                {"sku": event.get("subject"), **data},
                named,
                at_ms if at_ms is not None else time_ms(event.get("time")),
            ),
        )
    )


def _reading(document: Mapping[str, Any], event_id: str, at_ms: int | None) -> Reading:
    sku = sku_of(document.get("sku"))
    if sku is None:
        raise MalformedEvent("sku is missing")
    units, availability = units_of(document.get("units")), availability_of(document.get("availability"))
    if units is None and availability is None:
        raise MalformedEvent("units and availability are missing: one of them has to say what there is")
    if units == 0 and availability is Availability.IN_STOCK:
        raise MalformedEvent("InStock and no units do not go together")
    return Reading(event_id, sku, None, units, availability, at_ms)
