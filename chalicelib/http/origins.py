"""Forms of our own pages only: what another site's page makes a browser send is refused.

Nothing here goes by a cookie, so a forged form could do no more than its author could do without one;
but nobody should be made to sign up by a page they only looked at.
"""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from chalice.app import Request

from chalicelib.http.problem import Problem

# What a browser says of a form of the very page's own origin, and of one a person brought about.
OWN_SITES = frozenset({"same-origin", "none"})


# A shop without a domain is served under its distribution's name, which the API's function cannot know: the
# distribution is made from it. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/LinkFormat.html
DISTRIBUTIONS = ".cloudfront.net"


def refuse_foreign(request: Request, shop_origin: str, base_url: Callable[[], str]) -> None:
    """Let a request pass that a page of ours made, or no browser at all.

    Browsers say where a request comes from in Sec-Fetch-Site, older ones only in Origin. "null" there is a
    page without an origin, a sandboxed frame for one: none of ours is. `shop_origin` is empty where the shop
    has no domain; then the origins of the live release's `base_url` and of a distribution count.

    Raises:
        Problem: 400 another site's page made it. Not 403, which the CDN takes for a missing page.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site:
        own = site in OWN_SITES
    elif origin is None:
        own = True
    elif shop_origin:
        own = origin == shop_origin
    else:
        own = _of_a_distribution(origin) or origin == base_url()
    if not own:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "This form was sent from another site. Send it from the shop's own page."
        )


def _of_a_distribution(origin: str) -> bool:
    try:
        address = urlsplit(origin)
    except ValueError:
        return False
    return origin == f"https://{address.hostname}" and str(address.hostname).endswith(DISTRIBUTIONS)
