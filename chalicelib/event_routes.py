"""Routes for stock events: of the merchant's own programs, and of other systems (/api/events/SOURCE)."""

from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.http.routing import ANY_TYPE, POST, Routes

if TYPE_CHECKING:
    from chalicelib.container import Container

routes = Routes()
route = routes.route


@route("/availability", methods=POST)
def post_availability(request: Request, container: "Container") -> Response:
    """Apply an availability event of the merchant's own systems, which show the shop's key."""
    from chalicelib.http.merchant_requests import event_by_key, ignored_fields, outcome_answer
    from chalicelib.http.request import body_of

    body = body_of(request)
    event = event_by_key(request, body, container.merchant_keys, container.clock_ms, container.new_id)
    return outcome_answer(event, container.availabilities.apply(event), ignored_fields(body))


@route("/availability/webhook", methods=POST)
def availability_webhook(request: Request, container: "Container") -> Response:
    """Apply an availability event whose raw body is signed with the shop's key."""
    from chalicelib.http.merchant_requests import event_by_signature, ignored_fields, outcome_answer
    from chalicelib.http.request import body_of

    body = body_of(request)
    event, digest = event_by_signature(request, body, container.merchant_keys, container.clock_ms)
    return outcome_answer(event, container.webhooks.apply(event, digest), ignored_fields(body))


@route("/events/shopify", methods=POST, content_types=ANY_TYPE)
def receive_event_shopify(request: Request, container: "Container") -> Response:
    """Apply a stock event of Shopify, whose signature proves it."""
    return _receive("shopify", request, container)


@route("/events/woocommerce", methods=POST, content_types=ANY_TYPE)
def receive_event_woocommerce(request: Request, container: "Container") -> Response:
    """Apply a stock event of WooCommerce, whose signature proves it."""
    return _receive("woocommerce", request, container)


@route("/events/square", methods=POST, content_types=ANY_TYPE)
def receive_event_square(request: Request, container: "Container") -> Response:
    """Apply a stock event of Square, whose signature proves it."""
    return _receive("square", request, container)


@route("/events/bigcommerce", methods=POST, content_types=ANY_TYPE)
def receive_event_bigcommerce(request: Request, container: "Container") -> Response:
    """Apply a stock event of BigCommerce, whose signature proves it."""
    return _receive("bigcommerce", request, container)


@route("/events/generic", methods=POST, content_types=ANY_TYPE)
def receive_event_generic(request: Request, container: "Container") -> Response:
    """Apply a stock event of any other system, whose signature proves it."""
    return _receive("generic", request, container)


def _receive(source: str, request: Request, container: "Container") -> Response:
    from chalicelib.http.inbound_requests import read_request, received_answer, too_busy
    from chalicelib.inbound.readings import MalformedEvent
    from chalicelib.services.inbound import TooBusy

    shop_url = container.settings.shop_origin or container.recent_themes.live().theme.shop.base_url
    now_ms = container.clock_ms()
    secrets = container.source_secrets.of(source)
    try:
        read = read_request(request, source, secrets, shop_url=shop_url.rstrip("/"), now_ms=now_ms)
        return received_answer(container.inbound_events.receive(source, read))
    except MalformedEvent as problem:
        return received_answer(container.inbound_events.refuse(source, str(problem)))
    except TooBusy:
        raise too_busy() from None
