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


# A path each, so that the description of the API names them; `ADAPTERS` has the same names.
@route("/events/shopify", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
@route("/events/woocommerce", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
@route("/events/square", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
@route("/events/bigcommerce", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
@route("/events/generic", methods=("POST",), content_types=ANY_TYPE, routes=ROUTES)
def receive_event(request: Request, container: "Container") -> Response:
    """Apply a stock event of another system, whose request its own signature proves."""
    from chalicelib.http.inbound_requests import read_request, received_answer, source_of, too_busy
    from chalicelib.inbound.readings import Malformed
    from chalicelib.services.inbound import TooBusy

    source = source_of(request)
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
