"""In which language a request is to be answered: addresses of the API may name a locale of the shop."""

from typing import Any
from urllib.parse import quote

from chalice.app import Request

from chalicelib.domain.locales import root_asked_for


def root_asked(request: Request) -> str:
    """The root of the locale that the address names as `lang`; empty for the shop's first."""
    query: Any = request.query_params or {}
    return root_asked_for(query.get("lang", ""))


def link_address(request: Request, token: str) -> str:
    """Where a link of an email leads, whatever its language."""
    return f"/api{request.context['resourcePath']}?token={quote(token, safe='')}"
