"""Routes in modules beside app.py: each module lists its views, and app.py registers the lists.

A view gets the request and the container, and imports what it needs when it is called: a signup pays for
none of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from chalice.app import Blueprint, Chalice, Request, Response

from chalicelib.http.request import FORM_TYPE, JSON_TYPE

View = TypeVar("View", bound=Callable[[Request, Any], Response])
Answering = Callable[[Callable[[Request], Response]], Callable[[], Response]]

# Lists, as Chalice asks for. RFC 9110, section 9.3.2: HEAD is answered as GET is, without the body.
READ = ["GET", "HEAD"]
POST = ["POST"]
FORMS = [FORM_TYPE, JSON_TYPE]
JSON = [JSON_TYPE]
ANY_TYPE = ["*/*"]


class Route(NamedTuple):
    """A path with its methods and content types, and the view that answers it."""

    path: str
    methods: list[str]
    content_types: list[str]
    view: Callable[[Request, Any], Response]


class Routes:
    """The routes of a module, under the path `prefix`."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._routes: list[Route] = []

    def route(
        self, path: str, *, methods: list[str], content_types: list[str] = JSON
    ) -> Callable[[View], View]:
        """Answer a path below the prefix by the view that follows."""

        def keep(view: View) -> View:
            self._routes.append(Route(f"{self._prefix}{path}", methods, content_types, view))
            return view

        return keep

    def register(self, app: Chalice, answering: Answering, container: Callable[[], Any]) -> None:
        """Register each route with the app.

        Args:
            app: the app.
            answering: makes Chalice's view of a function of the request; its errors become answers.
            container: returns the container of now.
        """
        blueprint = Blueprint(__name__)
        for path, methods, types, view in self._routes:
            register = blueprint.route(path, name=view.__name__, methods=methods, content_types=types)
            register(answering(_of_request(view, container)))
        app.register_blueprint(blueprint)


def _of_request(
    view: Callable[[Request, Any], Response], container: Callable[[], Any]
) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return view(request, container())

    answer.__name__ = view.__name__
    return answer
