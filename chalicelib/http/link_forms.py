"""Requests with the token of an email's link: a GET shows, a POST acts.

The forms that request a link to all of a shopper's waitlists, or to sign in as a merchant, are here too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from chalice.app import Request

from chalicelib.domain.address import Address
from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.tokens import LinkRefused
from chalicelib.http.request import BODY_BYTES_MAX, FieldError, Fields, Problem, RequestBody
from chalicelib.http.signup import HONEYPOT, HONEYPOT_BEFORE, parse_address

# The longest link names as many variants as it has room for, in base64, and has a signature.
TOKEN_CHARS_MAX = 2_000
FIELDS = frozenset({"token"})
# RFC 8058: the whole body of a one-click request, urlencoded or as the one part of a multipart form.
ONE_CLICK = ("List-Unsubscribe=One-Click", 'name="List-Unsubscribe"')
# A field named token, urlencoded, in JSON, or as a part of a multipart form; its value as we sign them.
POSTED_TOKEN = re.compile(
    r"""(?<![\w-])token(?:=|"\s*:\s*"|"?\s*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)([^&\s"]*)""", re.ASCII
)


def link_token(request: Request) -> str:
    """Return the token in a link's address; empty when there is none, which no purpose accepts."""
    query: Any = request.query_params or {}
    return bounded(query.get("token", ""))


def posted_token(body: RequestBody) -> str:
    """Return the token that a page's button posted.

    Raises:
        Problem: 400 no token in the form, and as `RequestBody.fields`.
    """
    tokens = body.fields(FIELDS).get("token", ())
    if len(tokens) != 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form must have one token.")
    return bounded(tokens[0])


@dataclass(frozen=True, slots=True)
class UnsubscribeTokens:
    """The tokens of an unsubscribe request. `by_button`: the address has none, as with our page's form."""

    tokens: tuple[str, ...]
    by_button: bool


def unsubscribe_tokens(request: Request, body: RequestBody) -> UnsubscribeTokens:
    """Return every token that a POST to the unsubscribe link has, in its address or in its body.

    RFC 8058 has mail programs post "List-Unsubscribe=One-Click", urlencoded or multipart. Real ones also
    send text/plain, percent-encoded names, JSON, or nothing. So the body may have any type, and a body that
    is too large stays unread where the address has a token.

    Raises:
        Problem: 413 too large and no token in the address, 400 no token anywhere.
    """
    query: Any = request.query_params or {}
    given = query.getlist("token") if "token" in query else []
    in_address = tuple(bounded(token) for token in given if token)
    if len(body.raw) > BODY_BYTES_MAX:
        if in_address:
            return UnsubscribeTokens(in_address, by_button=False)
        body.refuse_large()
    text = unquote(body.raw.decode("latin-1"))
    posted = tuple(bounded(token) for token in POSTED_TOKEN.findall(text))
    if in_address or any(mark in text for mark in ONE_CLICK):
        return UnsubscribeTokens((*in_address, *posted) or ("",), by_button=False)
    if not posted:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form must have one token.")
    return UnsubscribeTokens(posted, by_button=True)


def unsubscribe_by_any(tokens: Sequence[str], unsubscribe: Callable[[str], None]) -> None:
    """Call `unsubscribe` with each token that is one of ours.

    Raises:
        LinkRefused: none of them is.
    """
    refused = 0
    for token in tokens:
        try:
            unsubscribe(token)
        except LinkRefused:
            refused += 1
    if refused == len(tokens):
        raise LinkRefused


def bounded(token: str) -> str:
    """Return a token unchanged; one too long to be ours as the empty one, which no purpose accepts."""
    return token if len(token) <= TOKEN_CHARS_MAX else ""


SIGN_IN_FIELDS = frozenset({"email"})
MERCHANT_PAGE = "/merchant/"
ASKING_FIELDS = frozenset({"email", HONEYPOT, HONEYPOT_BEFORE})
CHOICE_FIELDS = frozenset({"token", "sku"})


def asking_address(body: RequestBody) -> tuple[Address, bool]:
    """Return the address to send the link to, and whether the honeypot was filled in.

    Raises:
        Problem: 400 no address, and as `RequestBody.fields`.
    """
    fields = body.fields(ASKING_FIELDS)
    return _address(fields, "/waitlist/my-waitlists"), any(fields.get(HONEYPOT, ()))


def sign_in_address(body: RequestBody) -> Address:
    """Return the address that asks for a merchant's sign-in link.

    Raises:
        Problem: 400 no address, and as `RequestBody.fields`.
    """
    return _address(body.fields(SIGN_IN_FIELDS), MERCHANT_PAGE)


def _address(fields: Fields, back_path: str) -> Address:
    errors: list[FieldError] = []
    address = parse_address(fields, errors)
    if address is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", tuple(errors), back_path=back_path)
    return address


def unsubscribe_choice(body: RequestBody) -> tuple[str, Sku | None]:
    """Return the link's token and the SKU to unsubscribe from; None for every one.

    Raises:
        Problem: 400 no token or no SKU, and as `RequestBody.fields`.
    """
    fields = body.fields(CHOICE_FIELDS)
    tokens, skus = fields.get("token", ()), fields.get("sku", ())
    if len(tokens) != 1 or len(skus) > 1:
        raise _no_choice()
    try:
        return bounded(tokens[0]), parse_sku(skus[0]) if skus else None
    except SkuRefused as refused:
        raise _no_choice(
            FieldError("sku", "This shop sells nothing under that name.", particulars=refused.reason)
        ) from None


def _no_choice(*errors: FieldError) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "The form must have one token, and at most one SKU.", errors)
