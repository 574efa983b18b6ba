"""Links of emails: a GET shows, a POST acts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from chalice.app import Request

from chalicelib.domain.links import LinkRefused
from chalicelib.http.forms import BODY_BYTES_MAX, Body
from chalicelib.http.problem import Problem

# A link that names as many variants as it has room for, in base64, and its signature.
TOKEN_CHARS_MAX = 2_000
FIELDS = frozenset({"token"})
# RFC 8058: the whole body of a one-click request, urlencoded or as the one part of a multipart form.
ONE_CLICK = ("List-Unsubscribe=One-Click", 'name="List-Unsubscribe"')
# A field named token, urlencoded, in JSON, or as a part of a multipart form; its value as we sign them.
POSTED_TOKEN = re.compile(
    r"""(?<![\w-])token(?:=|"\s*:\s*"|"?\s*\r?\n(?:[^\r\n]+\r?\n)*\r?\n)([^&\s"]*)""", re.ASCII
)


def link_token(request: Request) -> str:
    """The token in a link's address; empty when there is none, which no purpose accepts."""
    query: Any = request.query_params or {}
    return bounded(query.get("token", ""))


def posted_token(body: Body) -> str:
    """The token a page's button posted.

    Raises:
        Problem: 400 no token in the form, and what `Body.fields` raises.
    """
    tokens = body.fields(FIELDS).get("token", ())
    if len(tokens) != 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form must have one token.")
    return bounded(tokens[0])


@dataclass(frozen=True, slots=True)
class UnsubscribeTokens:
    """The tokens of a request to leave. `by_button`: the address has none, as with the form of our page."""

    tokens: tuple[str, ...]
    by_button: bool


def unsubscribe_tokens(request: Request, body: Body) -> UnsubscribeTokens:
    """Return every token that a POST to the leave link may hold: in its address, or in its body.

    RFC 8058 has mail programs post "List-Unsubscribe=One-Click", urlencoded or multipart. Real ones also
    send text/plain, percent-encoded names, JSON, or nothing. So a body's type is not asked for, and one
    that is too large is left unread where the address has a token.

    Raises:
        Problem: 413 too large and without a token in the address, 400 no token anywhere.
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


def unsubscribe_by_any(tokens: Sequence[str], leave: Callable[[str], None]) -> None:
    """Call `leave` with each token that is one of ours.

    Raises:
        LinkRefused: none of them is.
    """
    refused = 0
    for token in tokens:
        try:
            leave(token)
        except LinkRefused:
            refused += 1
    if refused == len(tokens):
        raise LinkRefused


def bounded(token: str) -> str:
    """A token as it is; one too long to be ours as the empty one, which no purpose accepts."""
    return token if len(token) <= TOKEN_CHARS_MAX else ""
