"""The session of a merchant: its cookie, and the 401 of a request without the right to what it asks for.

The prefix `__Host-` holds the cookie to HTTPS, to this host and to the whole of it; SameSite=Strict keeps it
out of requests that other sites start.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes

A refusal is 401, also for a merchant who may only see: for a 403 the CDN shows a page of the shop. Programs
tell the two by the problem's type.
"""

import hashlib
from http import HTTPStatus
from typing import Any

from chalice.app import Request

from chalicelib.domain.merchant import SESSION_S, Role, Session
from chalicelib.http.link_forms import MERCHANT_PAGE
from chalicelib.http.request import Problem, RequestBody, body_of, refuse_foreign

COOKIE = "__Host-spillway-merchant"
COOKIE_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"
COOKIE_CHARS_MAX = 1_000
BROWSER_DIGITS = 16
NOT_SIGNED_IN = "urn:spillway:problem:not-signed-in"
MAY_NOT_ACT = "urn:spillway:problem:may-not-act"
READING = frozenset({"GET", "HEAD"})
# `container` below is chalicelib.container's, which no module of http may import.


def own_body(request: Request, container: Any) -> RequestBody:
    """Return the body of a request.

    Raises:
        Problem: 400 another site's page sent it.
    """
    _refuse_foreign(request, container)
    return body_of(request)


def signed_in(request: Request, container: Any) -> Session:
    """Return the session of a request, with the merchant's role of now.

    Raises:
        Problem: 400 another site's page sent a form, 401 nobody is signed in.
    """
    if request.method not in READING:
        _refuse_foreign(request, container)
    cookie = session_cookie(request)
    session: Session | None = None
    if cookie:
        session = container.merchant_sessions.of(cookie, browser_of(request))
    if session is None:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "You are not signed in, or your session is over. Sign in again.",
            back_path=MERCHANT_PAGE,
            kind=NOT_SIGNED_IN,
        )
    return session


def may_act(request: Request, container: Any) -> Session:
    """Return the session of a request whose merchant may act.

    Raises:
        Problem: 400 another site's page sent a form, 401 nobody is signed in, or one who may only see.
    """
    session = signed_in(request, container)
    if session.role is not Role.ACT:
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "You may see this page, but not act on it. Ask the shop's owner for the role act.",
            back_path=MERCHANT_PAGE,
            kind=MAY_NOT_ACT,
        )
    return session


def link_over() -> Problem:
    """Return the problem of a sign-in link that signs nobody in; it is the same for each reason."""
    return Problem(
        HTTPStatus.GONE,
        "This sign-in link no longer works: it is older than 15 minutes, or was used. Ask for a new one.",
        back_path=MERCHANT_PAGE,
    )


def session_cookie(request: Request) -> str | None:
    """Return the value of the session's cookie; None without one, or with several."""
    pairs = (pair.strip().partition("=") for pair in request.headers.get("cookie", "").split(";"))
    values = [value for name, _, value in pairs if name == COOKIE]
    return values[0] if len(values) == 1 and 0 < len(values[0]) <= COOKIE_CHARS_MAX else None


def _refuse_foreign(request: Request, container: Any) -> None:
    origin = container.settings.shop_origin
    refuse_foreign(request, origin, lambda: container.recent_themes.live().theme.shop.base_url)


def set_cookie(value: str) -> str:
    """Return the Set-Cookie header of a session that begins."""
    return f"{COOKIE}={value}; Max-Age={SESSION_S}; {COOKIE_ATTRIBUTES}"


def end_cookie() -> str:
    """Return the Set-Cookie header that deletes the session's cookie."""
    return f"{COOKIE}=; Max-Age=0; {COOKIE_ATTRIBUTES}"


def browser_of(request: Request) -> str:
    """Return a digest of the browser's name (User-Agent), by which a session knows its browser again."""
    agent = request.headers.get("user-agent", "")
    return hashlib.sha256(agent.encode()).hexdigest()[:BROWSER_DIGITS]
