"""The merchant's page: signing in and out, and what the page shows. Paths under /api/merchant."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.http.responses import json_answer
from chalicelib.http.routing import FORMS, POST, READ, Routes

if TYPE_CHECKING:
    from chalicelib.container import Container

AUDIT_ROWS_MAX = 50

routes = Routes("/merchant")
route = routes.route


@route("/sign-in", methods=POST, content_types=FORMS)
def request_sign_in(request: Request, container: "Container") -> Response:
    """Queue the email with a sign-in link, which only merchants get; the answer is the same to everybody."""
    from chalicelib.domain.ids import source_id
    from chalicelib.domain.merchant import merchant_id
    from chalicelib.http.link_forms import MERCHANT_PAGE, sign_in_address
    from chalicelib.http.merchant_session import own_body
    from chalicelib.http.request import requested_root, viewer_address
    from chalicelib.http.responses import accepted, see_page, wants_html

    address, identity = sign_in_address(own_body(request, container)), container.keys.identity
    source = source_id(viewer_address(request), identity)
    page = f"{requested_root(request)}{MERCHANT_PAGE}"
    container.confirmations_queue.put_sign_in(merchant_id(address, identity), page, source)
    if wants_html(request):
        return see_page(request, f"{MERCHANT_PAGE}sent", container.recent_themes.live)
    return accepted()


@route("/sign-in", methods=READ)
def show_sign_in(request: Request, container: "Container") -> Response:
    """Show the button of a sign-in link. Change nothing: scanners follow links."""
    from chalicelib.domain.tokens import LinkRefused
    from chalicelib.http.link_forms import link_token
    from chalicelib.http.merchant_session import link_over
    from chalicelib.http.request import link_address, requested_root
    from chalicelib.http.responses import html_page

    token = link_token(request)
    try:
        container.merchant_sessions.check_link(token)
    except LinkRefused:
        raise link_over() from None
    renderer = container.recent_themes.live().for_root(requested_root(request))
    page = renderer.page("merchant-sign-in.html", at=link_address(request, token), token=token)
    return html_page(page, language=renderer.language)


@route("/session", methods=POST, content_types=FORMS)
def sign_in(request: Request, container: "Container") -> Response:
    """Use a sign-in link up: begin a session in this browser, by a cookie."""
    from chalicelib.domain.tokens import LinkRefused
    from chalicelib.http.link_forms import posted_token
    from chalicelib.http.merchant_session import browser_of, link_over, own_body, set_cookie

    token = posted_token(own_body(request, container))
    try:
        cookie = container.merchant_sessions.sign_in(token, browser_of(request))
    except LinkRefused:
        raise link_over() from None
    return _to_merchant_page(request, container, "signed in", set_cookie(cookie))


@route("/sign-out", methods=POST, content_types=FORMS)
def sign_out(request: Request, container: "Container") -> Response:
    """End the session of this browser, and delete its cookie."""
    from chalicelib.http.merchant_session import end_cookie, own_body, session_cookie

    own_body(request, container).fields(frozenset())
    cookie = session_cookie(request)
    if cookie:
        container.merchant_sessions.sign_out(cookie)
    return _to_merchant_page(request, container, "signed out", end_cookie() if cookie else None)


@route("/session", methods=READ)
def show_session(request: Request, container: "Container") -> Response:
    """Return who is signed in, and their role."""
    from chalicelib.http.merchant_session import signed_in

    session = signed_in(request, container)
    return json_answer({"email": session.email, "role": session.role})


@route("/overview", methods=READ)
def show_overview(request: Request, container: "Container") -> Response:
    """Return the demand, the stock and the waves, as of some seconds ago; 304 to a poll that has them."""
    from chalicelib.domain.overview import OverviewNotReady
    from chalicelib.http.merchant_session import signed_in
    from chalicelib.http.overview import overview_answer, overview_not_ready, parse_overview_query

    session = signed_in(request, container)
    try:
        answer = container.overviews.answer(parse_overview_query(request))
    except OverviewNotReady:
        raise overview_not_ready() from None
    return overview_answer(
        request, answer.document, etag=answer.etag, made_at_ms=answer.made_at_ms, role=session.role
    )


@route("/audit", methods=READ)
def show_audit(request: Request, container: "Container") -> Response:
    """Return the newest actions of merchants, the newest first."""
    from chalicelib.http.merchant_session import signed_in

    signed_in(request, container)
    return json_answer({"actions": [asdict(row) for row in container.audit.recent(AUDIT_ROWS_MAX)]})


@route("/ordering", methods=READ)
def show_ordering(request: Request, container: "Container") -> Response:
    """Return how many units to order of each variant that people wait for, with the reasons."""
    from chalicelib.http.merchant_session import signed_in

    signed_in(request, container)
    return json_answer({"variants": [row.to_document() for row in container.ordering.rows()]})


@route("/reports", methods=READ)
def show_reports(request: Request, container: "Container") -> Response:
    """Return what became of the newest restocks, or of those of the SKU in the address."""
    from chalicelib.http.merchant_session import signed_in
    from chalicelib.http.reports import asked_sku, reports_answer

    signed_in(request, container)
    sku = asked_sku(request)
    reports = container.reports.newest() if sku is None else container.reports.of(sku)
    products = container.products.get_many(report.restock.slug for report in reports)
    return reports_answer(reports, products, container.recent_themes.live().theme.shop)


@route("/traffic", methods=READ)
def show_traffic(request: Request, container: "Container") -> Response:
    """Return the traffic of the last 24 hours; 304 to a poll that has it."""
    from chalicelib.http.merchant_session import signed_in
    from chalicelib.http.overview import tagged_answer
    from chalicelib.services.overview import digest

    signed_in(request, container)
    document = container.recent_traffic.document()
    return tagged_answer(request, document, tag=digest(document))


def _to_merchant_page(request: Request, container: "Container", status: str, cookie: str | None) -> Response:
    """Lead a person to the merchant's page, or answer a script; set or delete the session's cookie."""
    from chalicelib.http.link_forms import MERCHANT_PAGE
    from chalicelib.http.responses import see_page, wants_html

    answer = (
        see_page(request, MERCHANT_PAGE, container.recent_themes.live)
        if wants_html(request)
        else json_answer({"status": status})
    )
    if cookie:
        answer.headers["Set-Cookie"] = cookie
    return answer
