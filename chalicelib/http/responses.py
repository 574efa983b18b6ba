"""Answers to requests: documents for a script, pages for a person whose browser sent a plain form.

Every error becomes a problem document (RFC 9457) or a page that says what to do.
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.aws.connections import code_of, passes
from chalicelib.domain.locales import root_of
from chalicelib.domain.tokens import LinkRefused
from chalicelib.http.request import JSON_TYPE, PROBLEM_TYPE, FieldError, Problem, requested_root
from chalicelib.log import log, where

if TYPE_CHECKING:
    from chalicelib.storefront.renderer import Renderer


# No cache may keep an answer of the API.
NO_STORE: dict[str, str | list[str]] = {"Cache-Control": "no-store"}
HTML_TYPE = "text/html; charset=utf-8"
RETRY_AFTER_S_MIN, RETRY_AFTER_S_MAX = 2, 9
# The paths of pages with forms, in each edition.
FORM_PLACES = ("/products/", "/waitlist/my-waitlists", "/merchant/")
HOME = "/"
BARE_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>That did not work yet</title><h1>That did not work yet</h1><p>{text}</p>"
)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
LINK_GONE = "This link no longer works. Ask again from the product's page."


def wants_html(request: Request) -> bool:
    """Return whether a person reads the answer: browsers name text/html when they navigate."""
    return "text/html" in request.headers.get("accept", "")


def accepted(suggestion: str | None = None, undo: str | None = None) -> Response:
    """Return the one answer to every signup by script; it does not show what was known before.

    `suggestion` is the address that the shopper may have meant; `undo` is a token, if the script wants one.
    """
    facts = {"suggestion": suggestion, "undo": undo}
    document = {"status": "accepted"} | {name: value for name, value in facts.items() if value}
    return json_answer(document, status=HTTPStatus.ACCEPTED)


def see_other(path: str) -> Response:
    """Lead to a page of the shop; by 303, the browser does not post the form again."""
    return Response("", headers={**NO_STORE, "Location": path, "Content-Type": HTML_TYPE}, status_code=303)


def see_page(request: Request, path: str, theme: "Callable[[], Renderer]") -> Response:
    """Lead to one of the shop's pages, in the language of the request or in the shop's first."""
    root = ""
    if requested_root(request):
        try:
            root = theme().for_root(requested_root(request)).edition.root
        except Exception as error:  # noqa: BLE001 - the request is done: the shop's first language will do
            log("language_not_known", error=type(error).__name__)
    return see_other(root if root and path == HOME else f"{root}{path}")


def html_page(html: str, *, language: str, status: int = 200) -> Response:
    """Return a page made for this request alone, in `language`."""
    # The URL has a token, so no other site may get it as a referrer; `refuse_foreign` needs our own origin.
    headers: dict[str, str | list[str]] = {
        **NO_STORE,
        "Content-Type": HTML_TYPE,
        "Content-Language": language,
        "Referrer-Policy": "strict-origin",
    }
    return Response(html, headers=headers, status_code=status)


def undone() -> Response:
    """Return the answer to a signup that is undone, if it stored anything."""
    return json_answer({"status": "undone"})


def json_answer(document: object, *, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a document for a script."""
    return Response(document, headers={**NO_STORE, "Content-Type": JSON_TYPE}, status_code=status.value)


def json_file(document: object, *, name: str) -> Response:
    """Return a document that a browser saves under `name`."""
    headers: dict[str, str | list[str]] = {
        **NO_STORE,
        "Content-Type": JSON_TYPE,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(document, headers=headers, status_code=200)


def description() -> Response:
    """Return the API's own description (OpenAPI 3.1); a test compares it with the routes."""
    document = Path(__file__).with_name("openapi.json").read_text(encoding="utf-8")
    headers: dict[str, str | list[str]] = {
        "Cache-Control": "public, max-age=300",
        "Content-Type": JSON_TYPE,
    }
    return Response(document, headers=headers, status_code=200)


def done() -> Response:
    """Answer a one-click request: no page, no redirect (RFC 8058, section 3.1)."""
    return Response("", headers={**NO_STORE, "Content-Type": "text/plain"}, status_code=200)


def problem_of(error: Exception, chance: Callable[[], float] = random.random) -> Problem:
    """Return an error as the problem that the request's sender sees; log our own faults.

    `chance` returns a number in [0, 1): clients that were refused together come back in different seconds.
    """
    match error:
        case Problem():
            return error
        case LinkRefused():
            return Problem(HTTPStatus.GONE, LINK_GONE)
        case _ if passes(error):
            log("request_put_off", error=type(error).__name__, code=code_of(error))
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Too many people at once. Try again in a moment.",
                retry_after_s=RETRY_AFTER_S_MIN + int(chance() * (RETRY_AFTER_S_MAX + 1 - RETRY_AFTER_S_MIN)),
            )
    log("request_failed", error=type(error).__name__, at=where(error))
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This did not work, and it is our fault. Try again.")


@contextmanager
def form_kept(page: str, fields: tuple[tuple[str, str], ...]) -> Iterator[None]:
    """Turn an error in the block into a problem with the form's `fields`, to be sent again.

    Raises:
        Problem: the error, with `page` as the page to go back to.
    """
    try:
        yield
    except Exception as error:
        problem = problem_of(error)
        problem.back_path, problem.again = page, fields
        raise problem from error


def refusal(request: Request, problem: Problem, renderer: "Callable[[], Renderer]") -> Response:
    """Return the problem as a page for a person, or as a document for a script in the language it names."""
    if not wants_html(request):
        return _localized_document(request, problem, renderer)
    try:
        localized = renderer().for_root(requested_root(request) or root_of(problem.back_path))
        page, language = _page(problem, localized), localized.language
    except Exception as error:  # noqa: BLE001 - a person gets a page also where the theme cannot be read
        from html import escape  # its table of entities would be a part of every cold start

        log("problem_not_rendered", error=type(error).__name__)
        page, language = BARE_PAGE.format(text=escape(problem.detail)), "en"
    answer = html_page(page, language=language, status=problem.status.value)
    answer.headers.update(_retry(problem))
    return answer


def problem_document(problem: Problem) -> Response:
    """Return a problem document."""
    # RFC 9110, 15.5.2: a 401 names the kind of key.
    wanted = {"WWW-Authenticate": "Bearer"} if problem.status is HTTPStatus.UNAUTHORIZED else {}
    return Response(
        problem.document(),
        headers={**NO_STORE, **_retry(problem), **wanted, "Content-Type": PROBLEM_TYPE},
        status_code=problem.status.value,
    )


def _localized_document(request: Request, problem: Problem, renderer: "Callable[[], Renderer]") -> Response:
    """Return a problem document in the one language that the header Accept-Language names.

    The scripts of our pages name that of their page. It is English where the shop has no such language, and
    for a list of languages, which is what browsers send of their own: an answer in English reads no theme.
    """
    language = request.headers.get("accept-language", "")
    if not _LANGUAGE.fullmatch(language) or language.partition("-")[0] == "en":
        return problem_document(problem)
    try:
        localized = next((one for one in renderer().editions if one.language == language), None)
        if localized is None:
            return problem_document(problem)
        document = {**problem.document(), "detail": localized.gettext(problem.detail)}
        if problem.errors:
            document["errors"] = [
                {"field": error.name, "detail": _localized(error, localized)} for error in problem.errors
            ]
    except Exception as error:  # noqa: BLE001 - a script gets its document also where the theme cannot be read
        log("problem_not_localized", error=type(error).__name__)
        return problem_document(problem)
    answer = problem_document(problem)
    answer.body = document
    answer.headers["Content-Language"] = language
    return answer


def in_problem_terms(response: Response) -> Response:
    """Return an answer of the framework's own (405, 415, ...) as a problem document; any other unchanged."""
    if not (isinstance(response.body, dict) and "Code" in response.body):
        return response
    status = HTTPStatus(response.status_code)
    document = problem_document(Problem(status, status.description or status.phrase))
    if "Allow" in response.headers:
        document.headers["Allow"] = response.headers["Allow"]
    return document


def _retry(problem: Problem) -> dict[str, str]:
    return {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}


def _page(problem: Problem, renderer: "Renderer") -> str:
    if problem.status is HTTPStatus.GONE and problem.detail == LINK_GONE:
        return renderer.page("link-problem.html")
    problems = [_localized(error, renderer) for error in problem.errors] or [renderer.gettext(problem.detail)]
    if problem.again:
        return renderer.page(
            "form-again.html", problems=problems, fields=problem.again, action="/api/waitlist"
        )
    # The form may name a page that this shop does not have, and a link back must lead to a page.
    back_path = problem.back_path.removeprefix(renderer.edition.root)
    if not back_path.startswith(FORM_PLACES):
        back_path = "/"
    return renderer.page("form-problem.html", problems=problems, back_path=back_path)


def _localized(error: FieldError, renderer: "Renderer") -> str:
    return error.detail if renderer.in_english else renderer.gettext(error.text) % error.values
