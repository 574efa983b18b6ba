"""Answers: for a script that asked for JSON, or for a person whose browser sent a plain form."""

from http import HTTPStatus
from pathlib import Path

from chalice.app import Request, Response

from chalicelib.http.forms import JSON_TYPE

# Nothing the API says may be kept by a cache, ours or theirs.
NO_STORE: dict[str, str | list[str]] = {"Cache-Control": "no-store"}
HTML_TYPE = "text/html; charset=utf-8"


def wants_html(request: Request) -> bool:
    """Whether the answer is to be read by a person: browsers name text/html when they navigate."""
    return "text/html" in request.headers.get("accept", "")


def accepted(suggestion: str | None = None, undo: str = "") -> Response:
    """The one answer to every signup by script: what was known before does not show.

    `suggestion` is an address that the one typed looks like a slip of; `undo` is a token, where it was asked
    for.
    """
    document = {"status": "accepted"} | ({"suggestion": suggestion} if suggestion else {})
    document |= {"undo": undo} if undo else {}
    return Response(document, headers={**NO_STORE, "Content-Type": JSON_TYPE}, status_code=202)


def see_other(path: str) -> Response:
    """On to a page of the shop (303: whatever was posted is not posted again)."""
    return Response("", headers={**NO_STORE, "Location": path, "Content-Type": HTML_TYPE}, status_code=303)


def html_page(html: str, *, language: str, status: int = 200) -> Response:
    """A page made for this request alone, in `language`."""
    # A token stands in its address, which no other page gets to know; its origin is what forms are told by.
    headers: dict[str, str | list[str]] = {
        **NO_STORE,
        "Content-Type": HTML_TYPE,
        "Content-Language": language,
        "Referrer-Policy": "strict-origin",
    }
    return Response(html, headers=headers, status_code=status)


def undone() -> Response:
    """Say that a signup was undone, if it had put anything down."""
    return Response(
        {"status": "undone"}, headers={**NO_STORE, "Content-Type": JSON_TYPE}, status_code=HTTPStatus.OK.value
    )


def json_file(document: object, *, name: str) -> Response:
    """A document to keep, under a name of its own."""
    headers: dict[str, str | list[str]] = {
        **NO_STORE,
        "Content-Type": JSON_TYPE,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(document, headers=headers, status_code=200)


def description() -> Response:
    """The API's own description (OpenAPI 3.1). A test holds it to the routes and to what they answer."""
    document = Path(__file__).with_name("openapi.json").read_text(encoding="utf-8")
    headers: dict[str, str | list[str]] = {
        "Cache-Control": "public, max-age=300",
        "Content-Type": JSON_TYPE,
    }
    return Response(document, headers=headers, status_code=200)


def done() -> Response:
    """The answer to a one-click request: no page, no redirect (RFC 8058, section 3.1)."""
    return Response("", headers={**NO_STORE, "Content-Type": "text/plain"}, status_code=200)
