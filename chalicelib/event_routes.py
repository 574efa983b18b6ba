"""Routes for the stock events of other systems: /api/events/SOURCE. A part of app.py.

A view imports what it needs when it is called: a signup pays for none of it.
"""

from typing import TYPE_CHECKING

from chalice.app import Chalice, Request, Response

from chalicelib.merchant_routes import Route, register_routes, route

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.container import Container
    from chalicelib.merchant_routes import Answering

ROUTES: list[Route] = []
ANY_TYPE = ("*/*",)


def register(app: Chalice, answering: "Answering", container: "Callable[[], Container]") -> None:
    """Register each route with the app, see `merchant_routes.register`."""
    register_routes(app, answering, container, ROUTES, prefix="")


@route("/events/shopify", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event_shopify(request: Request, container: "Container") -> Response:
    """Apply a stock event of Shopify, whose signature proves it."""
    return _receive("shopify", request, container)


@route("/events/woocommerce", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event_woocommerce(request: Request, container: "Container") -> Response:
    """Apply a stock event of WooCommerce, whose signature proves it."""
    return _receive("woocommerce", request, container)


@route("/events/square", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event_square(request: Request, container: "Container") -> Response:
    """Apply a stock event of Square, whose signature proves it."""
    return _receive("square", request, container)


@route("/events/bigcommerce", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event_bigcommerce(request: Request, container: "Container") -> Response:
    """Apply a stock event of BigCommerce, whose signature proves it."""
    return _receive("bigcommerce", request, container)


@route("/events/generic", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event_generic(request: Request, container: "Container") -> Response:
    """Apply a stock event of any other system, whose signature proves it."""
    return _receive("generic", request, container)


def _receive(source: str, request: Request, container: "Container") -> Response:
    from chalicelib.http.inbound_requests import read_request, received_answer, too_busy
    from chalicelib.inbound.readings import Malformed
    from chalicelib.services.inbound import TooBusy

    shop_url = container.settings.shop_origin or container.recent_themes.live().theme.shop.base_url
    now_ms = container.clock_ms()
    secrets = container.source_secrets.of(source)
    try:
        read = read_request(request, source, secrets, shop_url=shop_url.rstrip("/"), now_ms=now_ms)
        return received_answer(container.inbound_events.receive(source, read))
    except Malformed as problem:
        return received_answer(container.inbound_events.refuse(source, str(problem)))
    except TooBusy:
        raise too_busy() from None
