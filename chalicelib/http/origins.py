"""Forms of our own pages only: what another site's page makes a browser send is refused.

Nothing here goes by a cookie, so a forged form could do no more than its author could do without one;
but nobody should be made to sign up by a page they only looked at.
"""

from http import HTTPStatus

from chalice.app import Request

from chalicelib.http.problem import Problem

# What a browser says of a form of the very page's own origin, and of one a person brought about.
OWN_SITES = frozenset({"same-origin", "none"})


def refuse_foreign(request: Request, shop_origin: str) -> None:
    """Let a request pass that a page of ours made, or no browser at all.

    Browsers say where a request comes from in Sec-Fetch-Site, older ones only in Origin; a page that
    asks for no referrer sends "null" there. `shop_origin` is empty where the shop has no name of its own.

    Raises:
        Problem: 400 another site's page made it. Not 403, which the CDN takes for a missing page.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    foreign = site not in OWN_SITES if site else bool(shop_origin) and origin not in {"null", shop_origin}
    if foreign:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "This form was sent from another site. Send it from the shop's own page."
        )
