"""The kind of a logged request: a page, the page of a product, a signup.

Few different requests make most lines of a log, so each is read once: see `lines.py`.
"""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_to_bytes

SIGNUP_PATH = "/api/waitlist"
PATH_CHARS_MAX = 200
OTHER = "other"
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
class Request:
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
