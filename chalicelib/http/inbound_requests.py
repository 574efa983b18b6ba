"""Requests of other systems about their stock: read by the adapter of the source, and answered.

An authentic request is answered 200, whatever it says: a sender takes any other status for a failure, sends
again and gives up on the shop in the end. A stranger is answered 401, a body that is too large 413.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chalice.app import Request, Response

from chalicelib.http.request import Problem, body_of
from chalicelib.http.responses import json_answer
from chalicelib.inbound.readings import BODY_BYTES_MAX, ReadOutcome, Unauthentic, WebhookRequest
from chalicelib.inbound.sources import ADAPTERS
from chalicelib.log import log

if TYPE_CHECKING:
    from chalicelib.inbound.readings import ReceivedEvent


def read_request(
    request: Request, source: str, secrets: Sequence[str], *, shop_url: str, now_ms: int
) -> ReadOutcome:
    """Read a request by the adapter of its source; `shop_url` is the shop's address, without a slash.

    Raises:
        Problem: 413 too large, 401 not of the source.
        MalformedEvent: it is authentic, and cannot be read.
    """
    raw = body_of(request).raw
    if len(raw) > BODY_BYTES_MAX:
        words = f"An event has at most {BODY_BYTES_MAX} bytes."
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
    headers = {name.lower(): value for name, value in request.headers.items()}
    webhook = WebhookRequest(headers, raw, f"{shop_url}/api/events/{source}")
    try:
        return ADAPTERS[source].read(webhook, secrets, now_ms=now_ms)
    except Unauthentic:
        log("source_refused", source=source)
        raise Problem(HTTPStatus.UNAUTHORIZED, "Sign the request with the secret of its source.") from None


def received_answer(event: "ReceivedEvent") -> Response:
    """Answer with what came of an event."""
    document: dict[str, Any] = {"outcome": event.outcome, "id": event.id}
    if event.results:
        document["results"] = [dict(result) for result in event.results]
    return json_answer(document)


def too_busy() -> Problem:
    """Return the problem of variants that others wrote at the same time, each time."""
    words = "Too many events about the same variants at once. Send it again: nothing counts twice."
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, words, retry_after_s=1)
