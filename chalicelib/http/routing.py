"""Routes in modules beside app.py, which registers their lists, and what is done around each request.

A view gets the request and the container, and imports what it needs when it is called: a signup pays for
none of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from chalice.app import BaseLambdaEvent, Blueprint, Chalice, Request, Response

from chalicelib.http.request import FORM_TYPE, JSON_TYPE
from chalicelib.http.responses import in_problem_terms
from chalicelib.log import begin_request, measure

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


def add_middleware(app: Chalice, clock_ms: Callable[[], int]) -> None:
    """Add what is done around each request, and around each batch of records.

    Args:
        app: the application.
        clock_ms: returns the time of now.
    """

    @app.middleware("http")
    def problem_documents(request: Request, get_response: Callable[[Request], Response]) -> Response:
        """Make problem documents of the framework's own refusals too."""
        return in_problem_terms(get_response(request))

    @app.middleware("http")
    def without_body(request: Request, get_response: Callable[[Request], Response]) -> Response:
        """Answer HEAD as GET, without the body."""
        response = get_response(request)
        if request.method == "HEAD":
            response.body = ""
        return response

    @app.middleware("http")
    def count_answers(request: Request, get_response: Callable[[Request], Response]) -> Response:
        """Log each answer, and count it by route and status."""
        begin_request(getattr(app.lambda_context, "aws_request_id", ""))
        response = get_response(request)
        route = f"{request.method} {request.context.get('resourcePath', '')}"
        by = {"route": route, "status": str(response.status_code)}
        measure("answered", {"answers": 1}, at_ms=clock_ms(), by=by)
        return response

    @app.middleware("dynamodb")
    @app.middleware("sqs")
    def traced(
        event: BaseLambdaEvent, get_response: Callable[[BaseLambdaEvent], dict[str, Any]]
    ) -> dict[str, Any]:
        """Name Lambda's request in each log line about its batch of records."""
        begin_request(getattr(event.context, "aws_request_id", ""))
        return get_response(event)
