"""In which language a request is to be answered: addresses of the API may name a locale of the shop."""

from typing import Any

from chalice.app import Request

from chalicelib.domain.locales import root_asked_for


def root_asked(request: Request) -> str:
    """The root of the locale that the address names as `lang`; empty for the shop's first."""
    query: Any = request.query_params or {}
    return root_asked_for(query.get("lang", ""))


def onward(request: Request, path: str) -> str:
    """The path of one of the shop's pages in the language of the request."""
    return f"{root_asked(request)}{path}"
