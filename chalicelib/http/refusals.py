"""Refusals: every way a request can fail, as one answer in the form its sender can read."""

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from chalice.app import Request, Response

from chalicelib.aws.errors import code_of, passes
from chalicelib.domain.links import LinkRefused
from chalicelib.domain.locales import root_of
from chalicelib.http.language import root_asked
from chalicelib.http.problem import PROBLEM_TYPE, FieldError, Problem
from chalicelib.http.responses import NO_STORE, html_page, wants_html
from chalicelib.log import log, where

if TYPE_CHECKING:
    from chalicelib.storefront.renderer import Renderer

RETRY_AFTER_S_MIN, RETRY_AFTER_S_MAX = 2, 9
# The pages with forms that may be refused, in each edition.
FORM_PLACES = ("/products/", "/waitlist/my-waitlists")
BARE_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>That did not work yet</title><h1>That did not work yet</h1><p>{text}</p>"
)
LINK_GONE = "This link no longer works. Ask again from the product's page."


def problem_of(error: Exception, chance: Callable[[], float] = random.random) -> Problem:
    """Return the problem an error is to the sender of the request. Faults of our own are logged, not shown.

    `chance` gives a number in [0, 1): clients that were turned away at once come back in different seconds.
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


def refusal(request: Request, problem: Problem, renderer: "Callable[[], Renderer]") -> Response:
    """The problem as a page for a person, or as a document for a script."""
    if not wants_html(request):
        return problem_document(problem)
    try:
        spoken = renderer().under(root_asked(request) or root_of(problem.back_path))
        page, language = _page(problem, spoken), spoken.language
    except Exception as error:  # noqa: BLE001 - a person gets a page also where the theme cannot be had
        from html import escape  # its table of entities would be a part of every cold start

        log("problem_not_rendered", error=type(error).__name__)
        page, language = BARE_PAGE.format(text=escape(problem.detail)), "en"
    answer = html_page(page, language=language, status=problem.status.value)
    answer.headers.update(_retry(problem))
    return answer


def problem_document(problem: Problem) -> Response:
    """A problem in its own media type."""
    # RFC 9110, 15.5.2: who is asked for a key is told which kind.
    wanted = {"WWW-Authenticate": "Bearer"} if problem.status is HTTPStatus.UNAUTHORIZED else {}
    return Response(
        problem.document(),
        headers={**NO_STORE, **_retry(problem), **wanted, "Content-Type": PROBLEM_TYPE},
        status_code=problem.status.value,
    )


def in_problem_terms(response: Response) -> Response:
    """An answer of the framework's own (405, 415, ...) as a problem document; any other as it is."""
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
    problems = [_told(error, renderer) for error in problem.errors] or [renderer.say(problem.detail)]
    if problem.again:
        return renderer.page(
            "form-again.html", problems=problems, fields=problem.again, action="/api/waitlist"
        )
    # Where the form says it stands may be no page of this shop, and a link back must not lead nowhere.
    back_path = problem.back_path.removeprefix(renderer.edition.root)
    if not back_path.startswith(FORM_PLACES):
        back_path = "/"
    return renderer.page("form-problem.html", problems=problems, back_path=back_path)


def _told(error: FieldError, renderer: "Renderer") -> str:
    return error.detail if renderer.in_english else renderer.say(error.text) % error.values
