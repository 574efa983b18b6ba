"""The request for the merchant's overview, and its answer with an ETag.

    GET /api/merchant/overview?q=field+jacket&filter=sold_out&rows=200

A poll that names the ETag it has gets 304 while nothing changed, so that a page costs no bytes.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalice.app import Request, Response

from chalicelib.domain.overview import PAGE_ROWS, QUERY_CHARS_MAX, ROWS_MAX, Filter, OverviewQuery
from chalicelib.http.request import JSON_TYPE, UNFIT, FieldError, Problem
from chalicelib.http.responses import NO_STORE

KNOWN = frozenset({"q", "filter", "rows"})


def parse_overview_query(request: Request) -> OverviewQuery:
    """Return the search, the filter and the number of rows that the address names.

    Raises:
        Problem: 400 a value that nothing here knows.
    """
    query: Mapping[str, str] = request.query_params or {}
    errors = [FieldError(name, "Unknown field.") for name in sorted(query.keys() - KNOWN)]
    words, wanted, rows = query.get("q", ""), query.get("filter", ""), query.get("rows", str(PAGE_ROWS))
    if len(words) > QUERY_CHARS_MAX or UNFIT.search(words):
        errors.append(FieldError("q", "At most %(most)s characters.", {"most": QUERY_CHARS_MAX}))
    if wanted and wanted not in set(Filter):
        errors.append(FieldError("filter", "One of %(names)s.", {"names": ", ".join(Filter)}))
    if not (rows.isascii() and rows.isdecimal() and len(rows) <= len(str(ROWS_MAX))) or not (
        1 <= int(rows) <= ROWS_MAX
    ):
        errors.append(FieldError("rows", "A number from 1 to %(most)s.", {"most": ROWS_MAX}))
    if errors:
        raise Problem(HTTPStatus.BAD_REQUEST, "This overview does not exist.", tuple(errors))
    return OverviewQuery(" ".join(words.split()), Filter(wanted) if wanted else None, int(rows))


def overview_answer(
    request: Request, document: Mapping[str, Any], *, etag: str, made_at_ms: int, role: str
) -> Response:
    """Return the overview for a merchant of this role; 304 for a poll that has it already."""
    shown = {"made_at_ms": made_at_ms, "role": role, **document}
    return tagged_answer(request, shown, tag=f"{etag}-{role}")


def tagged_answer(request: Request, document: Mapping[str, Any], *, tag: str) -> Response:
    """Return a document under an ETag; 304 for a poll that has it already."""
    tag = f'"{tag}"'
    headers: dict[str, str | list[str]] = {**NO_STORE, "ETag": tag}
    known = [name.strip().removeprefix("W/") for name in request.headers.get("if-none-match", "").split(",")]
    if tag in known or known == ["*"]:
        return Response("", headers=headers, status_code=HTTPStatus.NOT_MODIFIED.value)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(body, headers={**headers, "Content-Type": JSON_TYPE}, status_code=HTTPStatus.OK.value)


def overview_not_ready() -> Problem:
    """Return the answer to a poll that comes while another one makes the first overview."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The overview is being made. Try again in a moment.", retry_after_s=1
    )
