"""The API is what its description says: every route described, every answer among those described."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from chalice.test import Client
from hypothesis import HealthCheck, Phase, assume, settings

import app as application
from chalicelib.domain.ids import normal_sku
from chalicelib.domain.tokens import FORM_TOKEN_CHARS_MAX
from chalicelib.http.routing import ANY_TYPE
from tests.integration import test_app as playing_aws
from tests.support.aws import ROOT

DESCRIPTION = json.loads((ROOT / "chalicelib" / "http" / "openapi.json").read_text())
METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in DESCRIPTION["paths"].items()
    for method in operations
    if method in METHODS
]
Start = Callable[[str, list[tuple[str, str]]], object]

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.specs.openapi.schemas import OpenApiSchema

deployed = playing_aws.deployed
api = playing_aws.api


def test_every_route_is_described_and_nothing_else() -> None:
    for methods in application.app.routes.values():
        # HEAD is described once, for all.
        if "GET" in methods or "HEAD" in methods:
            assert methods["HEAD"].view_function is methods["GET"].view_function
    routes = {
        (path, method.lower(), entry.view_name): sorted(entry.content_types)
        for path, methods in application.app.routes.items()
        for method, entry in methods.items()
        if method != "HEAD"
    }
    described = {
        (path, method, operation["operationId"]): operation
        for path, operations in DESCRIPTION["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    }
    assert described.keys() == routes.keys()
    for route, operation in described.items():
        if routes[route] == ANY_TYPE:
            assert not operation["requestBody"]["required"]
        elif "requestBody" in operation:
            assert sorted(operation["requestBody"]["content"]) == routes[route]


def test_the_description_is_served(api: Client) -> None:
    answer = api.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json_body == DESCRIPTION


def wsgi(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """The API as a web server would run it, under the path it has behind the CDN."""
    if environ["REQUEST_METHOD"] == "OPTIONS":  # the gateway's own, which knows of no route for it
        start("405 ", [])
        return []
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    path, query = environ["PATH_INFO"].removeprefix("/api"), environ["QUERY_STRING"]
    with Client(application.app) as client:
        answer = client.http.request(
            environ["REQUEST_METHOD"], f"{path}?{query}" if query else path, headers=headers, body=body
        )
    start(f"{answer.status_code} ", [(name, str(value)) for name, value in answer.headers.items()])
    return [answer.body]


REFUSED = [400, 401, 405, 410, 413, 415]
# No schema separates a good address from a bad one, or a token that we signed from another.
ANSWERED = ["2xx", "3xx", 400, 401, 410]


@pytest.fixture(scope="module")
def schema() -> "OpenApiSchema":
    """The description as Schemathesis reads it, answered by the API. Its import is slow: only here."""
    import schemathesis
    from schemathesis.config import SchemathesisConfig

    config = SchemathesisConfig.from_dict(
        {
            "checks": {
                "negative_data_rejection": {"expected-statuses": REFUSED},
                "positive_data_acceptance": {"expected-statuses": ANSWERED},
            }
        }
    )
    schema = schemathesis.openapi.from_dict(DESCRIPTION, config=config)
    schema.app = wsgi
    return schema


def stamp_form(body: dict[str, Any]) -> None:
    """A form token cannot be guessed: put in the token of a page that offers the SKUs asked for."""
    form_token, asked = body.get("form_token"), body.get("sku")
    if isinstance(form_token, str) and len(form_token) <= FORM_TOKEN_CHARS_MAX:
        skus = [sku for sku in (asked if isinstance(asked, list) else [asked]) if isinstance(sku, str)]
        body["form_token"] = playing_aws.form_token(*(sku for sku in map(normal_sku, skus) if sku))


def described_answers(examples: int) -> Callable[..., None]:
    """Return a test that sends requests which Schemathesis made; each answer is one of those described."""
    from schemathesis.specs.openapi.checks import unsupported_method

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers_as_described(case: "Case[Any]") -> None:
        body = case.body if isinstance(case.body, dict) else {}
        # The test's own transport drops a field without a name: what arrives is in order.
        assume("" not in body)
        if case.path == "/waitlist":
            stamp_form(body)
        # Other methods never reach the API: its gateway knows the routes.
        case.call_and_validate(excluded_checks=[unsupported_method])

    return answers_as_described


# The same requests in each run; the slow tests send many more.
@pytest.mark.parametrize("examples", [8, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_one_of_those_described(
    deployed: object, schema: "OpenApiSchema", operation: str, examples: int
) -> None:
    """Schemathesis's pytest plugin makes all requests while tests are collected, in every process."""
    from schemathesis.checks import load_all_checks
    from schemathesis.generation.feedback import FeedbackSources
    from schemathesis.pytest._test_builder import build_operation_test
    from schemathesis.python._constants.orchestrator import make_constants_value_source

    load_all_checks()
    method, _, path = operation.partition(" ")
    build_operation_test(
        config=schema.config,
        operation=schema[path][method],
        test_func=described_answers(examples),
        given_kwargs={},
        feedback=FeedbackSources(constants_value_source=make_constants_value_source(schema)),
    )()
