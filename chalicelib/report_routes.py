"""Routes about the outcome of emails: clicks of shoppers, and orders that the shop reports."""

from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.http.routing import POST, READ, Routes
from chalicelib.log import log

if TYPE_CHECKING:
    from chalicelib.container import Container

routes = Routes()
route = routes.route


@route("/click", methods=READ)
def follow_click(request: Request, container: "Container") -> Response:
    """Lead from an email's link to its product, and count that once. Nothing stops the way there."""
    from chalicelib.domain.tokens import LinkRefused
    from chalicelib.http.link_forms import link_token
    from chalicelib.http.order_requests import is_followed
    from chalicelib.http.responses import see_other, see_page

    try:
        click = container.links.read_click(link_token(request))
    except LinkRefused:
        return see_page(request, "/", container.recent_themes.live)
    if is_followed(request):
        try:
            container.clicks.count_click(click)
        except Exception as error:  # noqa: BLE001 - the shopper's way to the product comes first
            log("click_not_counted", error=type(error).__name__)
    return see_other(click.path)


@route("/orders", methods=POST)
def report_order(request: Request, container: "Container") -> Response:
    """Count an order that the shop's own checkout took, in a request signed with the shop's key."""
    from chalicelib.domain.emissions import order_event
    from chalicelib.http.merchant_requests import ignored_fields
    from chalicelib.http.order_requests import FIELDS, known_click, order_answer, order_by_signature
    from chalicelib.http.request import body_of

    body = body_of(request)
    line, token = order_by_signature(request, body, container.merchant_keys, container.clock_ms)
    click = known_click(token, container.links.read_click)
    ignored = ignored_fields(body, FIELDS)
    left_out = ("click",) if token and click is None else ()
    result = container.reports.take_order(line, click)
    # After the count: a report that comes again emits the same event.
    container.event_emitter.emit_or_keep([order_event(line, result, at_ms=container.clock_ms())])
    return order_answer(result, (*ignored, *left_out))
