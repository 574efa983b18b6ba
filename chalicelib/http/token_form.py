"""Links of letters: a GET shows, a POST acts."""

from http import HTTPStatus
from typing import Any

from chalice.app import Request

from chalicelib.http.forms import Body
from chalicelib.http.problem import Problem

TOKEN_CHARS_MAX = 512
FIELDS = frozenset({"token"})
# RFC 8058: the whole body of a one-click request, urlencoded or as the one part of a multipart form.
ONE_CLICK = (b"List-Unsubscribe=One-Click", b'name="List-Unsubscribe"')


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


def is_one_click(body: Body) -> bool:
    """Whether a mail client posted on the shopper's behalf, rather than a page's button.

    Raises:
        Problem: 413 too large.
    """
    body.refuse_large()
    return any(mark in body.raw for mark in ONE_CLICK)


def bounded(token: str) -> str:
    """A token as it is; one too long to be ours as the empty one, which no purpose accepts."""
    return token if len(token) <= TOKEN_CHARS_MAX else ""
