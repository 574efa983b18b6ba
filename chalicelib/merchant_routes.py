"""The API of the merchant's page: paths under /api/merchant, as a blueprint that app.py registers.

A view gets the request and the container, and imports what it needs when it is called: a shopper's request
pays for none of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from chalice.app import Blueprint, Chalice, Request, Response

from chalicelib.http.responses import json_answer

if TYPE_CHECKING:
    from chalicelib.container import Container

    View = Callable[[Request, Container], Response]
    Answering = Callable[[Callable[[Request], Response]], Callable[[], Response]]

READ = ("GET", "HEAD")
AUDIT_ROWS_MAX = 50


class Route(NamedTuple):
    """A path below /api/merchant, and the view that answers it."""

    path: str
    methods: Sequence[str]
    content_types: Sequence[str]
    view: "View"


ROUTES: list[Route] = []


def route(
    path: str, *, methods: Sequence[str], content_types: Sequence[str] = ("application/json",)
) -> "Callable[[View], View]":
    """Answer a path below /api/merchant by the view that follows."""

    def keep(view: "View") -> "View":
        ROUTES.append(Route(path, methods, content_types, view))
        return view

    return keep


def register(app: Chalice, answering: "Answering", container: "Callable[[], Container]") -> None:
    """Register each route with the app.

    Args:
        app: the app.
        answering: makes Chalice's view of a function of the request; its errors become answers.
        container: returns the container of now.
    """
    blueprint = Blueprint(__name__)
    for path, methods, content_types, view in ROUTES:
        blueprint.route(path, name=view.__name__, methods=list(methods), content_types=list(content_types))(
            answering(_of_request(view, container))
        )
    app.register_blueprint(blueprint, url_prefix="/merchant")


def _of_request(view: "View", container: "Callable[[], Container]") -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return view(request, container())

    answer.__name__ = view.__name__
    return answer


@route("/session", methods=READ)
def show_session(request: Request, container: "Container") -> Response:
    """Return who is signed in, and their role."""
    from chalicelib.http.merchant_session import signed_in

    session = signed_in(request, container)
    return json_answer({"email": session.email, "role": session.role})


@route("/audit", methods=READ)
def show_audit(request: Request, container: "Container") -> Response:
    """Return the newest actions of merchants, the newest first."""
    from chalicelib.http.merchant_session import signed_in

    signed_in(request, container)
    return json_answer({"actions": [asdict(row) for row in container.audit.recent(AUDIT_ROWS_MAX)]})
