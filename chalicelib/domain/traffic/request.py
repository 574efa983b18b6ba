"""The kind of a logged request (a page, the page of a product, a signup), and the site that led to it.

Few different requests make most lines of a log, so each is read once: see `lines.py`.
"""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, unquote_to_bytes

SIGNUP_PATH = "/api/waitlist"
PATH_CHARS_MAX = 200
REFERRER_CHARS_MAX = 2_048
HOST_CHARS_MAX = 100
NOT_A_SITE = "not a site"
OWN_SITE = "the shop itself"
OTHER = "other"
# Apps name themselves in place of a site: "android-app://com.google.android.gm/".
_SCHEMES = ("http", "https", "android-app", "ios-app")
_API = "/api/"
_PRODUCT = re.compile(r"(?:/[a-z]{2,3}(?:-[a-z0-9]{2,8})*)?/products/([^/]+)", re.ASCII)
_SHOWN = frozenset({b"200", b"304"})
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
_RESULTS = frozenset(
    (
        *("Hit", "RefreshHit", "OriginShieldHit", "Miss", "Error", "Redirect"),
        *("LimitExceeded", "CapacityExceeded"),
        *("LambdaGeneratedResponse", "FunctionGeneratedResponse"),
        *("LambdaExecutionError", "FunctionExecutionError"),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class LoggedRequest:
    """A request without its time and its sender. It is equal to itself alone, which makes it a fast key.

    Attributes:
        path: the path, decoded, of at most `PATH_CHARS_MAX` characters.
        status: the status of the answer.
        result: what the edge did; `OTHER` for a value that CloudFront does not document.
        slug: the product whose page it asks for.
        is_page: it asks for an address without a file extension and outside /api/, or is a signup.
        is_view: it is a GET of a page that was shown.
        is_signup: it is a signup.
    """

    path: str
    status: str
    result: str
    slug: str | None
    is_page: bool
    is_view: bool
    is_signup: bool

    @classmethod
    def of(cls, method: bytes, stem: bytes, status: bytes, result: bytes) -> Self:
        """Return the request that a line's values describe."""
        path, text = path_of(stem), result.decode("latin-1")
        is_page = path.startswith("/") and not path.startswith(_API) and "." not in path.rpartition("/")[2]
        product = _PRODUCT.fullmatch(path) if is_page else None
        return cls(
            path,
            status.decode("ascii"),
            text if text in _RESULTS else OTHER,
            product[1] if product else None,
            is_page or path == SIGNUP_PATH,
            is_page and method == b"GET" and status in _SHOWN,
            method == b"POST" and stem == SIGNUP_PATH.encode("ascii"),
        )


def path_of(stem: bytes) -> str:
    """Return the path that a logged one names; one way to write it, and of bounded length."""
    return unquote_to_bytes(stem[: 3 * PATH_CHARS_MAX]).decode("utf-8", "replace")[:PATH_CHARS_MAX]


def referring_host(logged: bytes, own_hosts: frozenset[str]) -> str | None:
    """Return the host of a logged referrer, `OWN_SITE` for a page of the shop, None where none is logged.

    The path and the query of a referrer are dropped: they may hold what a person searched for.
    """
    if logged in {b"-", b""}:
        return None
    text = unquote(logged[:REFERRER_CHARS_MAX].decode("utf-8", "replace"))
    scheme, found, rest = text.partition("://")
    host = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2].lower()
    if host in own_hosts:
        return OWN_SITE
    named = host.partition(":")[0].removeprefix("www.")
    plain = named.replace(".", "").replace("-", "").replace("_", "").isalnum()
    if not found or scheme.lower() not in _SCHEMES or not plain or len(named) > HOST_CHARS_MAX:
        return NOT_A_SITE
    return named
