"""From an HTTP request back to the call that was meant: service, operation and members.

botocore's models say how a call is sent; this reads them the other way around. Nothing is dropped on the
way: what the model does not know stays in the members, for the validation to find. Libraries that parse
requests for fakes (moto's among them) leave such members out.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import RpcV2CBORParser

from spillway.local_cloud.strict.limits import limit
from spillway.local_cloud.strict.validation import (
    AnyShape,
    MalformedRequest,
    as_object,
    from_form,
    from_json,
    from_text,
    from_xml,
)

# The names that services sign by, where botocore files them under another one.
SIGNED_AS = {
    "monitoring": "cloudwatch",
    "email": "ses",
    "states": "stepfunctions",
    "servicequotas": "service-quotas",
}
V2_PREFIX = "/v2/"
PLACEHOLDER = re.compile(r"\\{(\w+)(\\\+)?\\}")


TRACE_HEADER = "x-amzn-trace-id"
# Set for the request being answered: what the caller's SDK says of the chain it is part of.
request_trace: ContextVar[str] = ContextVar("request_trace", default="")


class UnknownOperation(LookupError):
    """No service that AWS documents, or no operation of it, takes this request."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came. Names of headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class AwsCall:
    """One call to AWS: `members` is what boto3 would be given."""

    service: str
    operation: str
    protocol: str
    shape: AnyShape
    members: dict[str, Any]
    request: HttpRequest


def read_call(signed_as: str, request: HttpRequest) -> AwsCall:
    """Return the call that a request signed for the service `signed_as` makes.

    Raises:
        UnknownOperation: AWS has no such service or operation.
        MalformedRequest: its body is not of the protocol that the service speaks.
    """
    service = _service_of(signed_as, request)
    model = service_model(service)
    protocol = _protocol_of(model, request)
    if protocol.startswith("rest"):
        operation, path_values = _routed(model, request)
    else:
        operation, path_values = _named(model, protocol, request), {}
    shape = operation.input_shape
    members: dict[str, Any] = {}
    if shape is not None:
        members = _members(protocol, shape, request, path_values)
    return AwsCall(service, operation.name, protocol, shape, members, request)


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service.

    Raises:
        UnknownOperation: botocore has none.
    """
    try:
        return _session().get_service_model(service)
    except UnknownServiceError:
        raise UnknownOperation(service) from None


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def _service_of(signed_as: str, request: HttpRequest) -> str:
    if signed_as == "ses" and request.path.startswith(V2_PREFIX):
        return "sesv2"
    if signed_as == "dynamodb" and request.headers.get("x-amz-target", "").startswith("DynamoDBStreams"):
        return "dynamodbstreams"
    return SIGNED_AS.get(signed_as, signed_as)


def _protocol_of(model: ServiceModel, request: HttpRequest) -> str:
    if "smithy-protocol" in request.headers:
        return "cbor"
    if "x-amz-target" in request.headers:
        return "json"
    protocol: str = model.metadata["protocol"]
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return "query" if form and not protocol.startswith("rest") else protocol


def _named(model: ServiceModel, protocol: str, request: HttpRequest) -> OperationModel:
    if protocol == "cbor":
        name = request.path.rpartition("/operation/")[2]
    elif protocol == "json":
        name = request.headers["x-amz-target"].rpartition(".")[2]
    else:
        name = dict(_pairs(request)).get("Action", "")
    if name not in model.operation_names:
        raise UnknownOperation(name)
    return _operation(model, name)


@cache
def _operation(model: ServiceModel, name: str) -> OperationModel:
    # Kept, for a model builds its shapes again for each operation that is asked for.
    operation = model.operation_model(name)
    if operation.input_shape is not None:
        limit(model.service_name, name, operation.input_shape)
    return operation


# ---------------------------------------------------------------------------------------------------
# REST: which operation a path is of


@dataclass(frozen=True, slots=True)
class _Route:
    """How one operation is recognised."""

    operation: OperationModel
    path: re.Pattern[str]
    literals: Mapping[str, str]
    """Query parameters that belong to the operation's address."""
    required: Mapping[str, frozenset[str]]
    """Names of query parameters and headers that must be there."""
    fixed: int
    """Segments of the path that are no placeholders."""

    def fits(self, request: HttpRequest, query: Mapping[str, str]) -> tuple[int, int, int] | None:
        """Return how well the request fits, comparably, or None when it does not."""
        if any(
            name not in query or (value and query[name] != value) for name, value in self.literals.items()
        ):
            return None
        there = [name in query for name in self.required["querystring"]]
        there += [name in request.headers for name in self.required["header"]]
        return (-there.count(False), len(self.literals) + there.count(True), self.fixed)


@cache
def _routes(model: ServiceModel) -> Mapping[str, Sequence[_Route]]:
    routes: dict[str, list[_Route]] = {}
    for name in model.operation_names:
        operation = _operation(model, name)
        path, _, query = operation.http["requestUri"].partition("?")
        literals = {key: value for key, value in parse_qsl(query, keep_blank_values=True) if key != "x-id"}
        shape: AnyShape = operation.input_shape
        required: dict[str, set[str]] = {"querystring": set(), "header": set()}
        for member in shape.metadata.get("required", []) if shape else []:
            place = shape.members[member].serialization
            if place.get("location") in required:
                required[place["location"]].add(
                    place["name"].lower() if place["location"] == "header" else place["name"]
                )
        pattern = PLACEHOLDER.sub(
            lambda found: f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})", re.escape(path)
        )
        routes.setdefault(operation.http["method"], []).append(
            _Route(
                operation,
                re.compile(pattern + "/?"),
                literals,
                {place: frozenset(names) for place, names in required.items()},
                sum(1 for segment in path.split("/") if segment and not segment.startswith("{")),
            )
        )
    return routes


def _routed(model: ServiceModel, request: HttpRequest) -> tuple[OperationModel, dict[str, str]]:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    best: tuple[tuple[int, int, int], _Route, re.Match[str]] | None = None
    for route in _routes(model).get(request.method, ()):
        found = route.path.fullmatch(request.path)
        fit = route.fits(request, query) if found else None
        if found and fit is not None and (best is None or fit > best[0]):
            best = (fit, route, found)
    if best is None:
        raise UnknownOperation(f"{request.method} {request.path}")
    return best[1].operation, {name: unquote(value) for name, value in best[2].groupdict().items()}


# ---------------------------------------------------------------------------------------------------
# Members


def _members(
    protocol: str, shape: AnyShape, request: HttpRequest, path_values: Mapping[str, str]
) -> dict[str, Any]:
    if protocol == "json":
        return as_object(from_json(shape, _json(request.body)))
    if protocol == "cbor":
        return as_object(_cbor(request.body))
    if protocol == "query":
        pairs = {name: value for name, value in _pairs(request) if name not in {"Action", "Version"}}
        return from_form(shape, pairs)
    members = _outside_the_body(shape, request, path_values)
    payload = shape.serialization.get("payload")
    if payload is None:
        members |= as_object(_body(protocol, shape, request.body))
    elif shape.members[payload].type_name in {"blob", "string"}:
        if request.body:
            members[payload] = (
                request.body if shape.members[payload].type_name == "blob" else request.body.decode()
            )
    elif request.body:
        members[payload] = _body(protocol, shape.members[payload], request.body)
    return members


def _outside_the_body(
    shape: AnyShape, request: HttpRequest, path_values: Mapping[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    for name, member in shape.members.items():
        place, sent_as = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "uri" and sent_as in path_values:
            found[name] = from_text(member, path_values[sent_as])
        elif place == "querystring" and member.type_name == "list":
            found |= (
                {name: [from_text(member.member, value) for value in query[sent_as]]}
                if sent_as in query
                else {}
            )
        elif place == "querystring" and sent_as in query:
            found[name] = from_text(member, query[sent_as][-1])
        elif place == "header" and sent_as.lower() in request.headers:
            value = request.headers[sent_as.lower()]
            is_list = member.type_name == "list"
            found[name] = [part.strip() for part in value.split(",")] if is_list else from_text(member, value)
        elif place == "headers":
            prefix = sent_as.lower()
            held = {
                key[len(prefix) :]: text for key, text in request.headers.items() if key.startswith(prefix)
            }
            found |= {name: held} if held else {}
    return found


def _body(protocol: str, shape: AnyShape, body: bytes) -> Any:
    if protocol == "rest-json":
        return from_json(shape, _json(body))
    if not body:
        return {}
    try:
        return from_xml(shape, ElementTree.fromstring(body))  # noqa: S314 - from a signed request, on this machine
    except ElementTree.ParseError as error:
        raise MalformedRequest(
            "The XML you provided was not well-formed or did not validate against our published schema"
        ) from error


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError as error:
        raise MalformedRequest("The request body is not JSON") from error


def _cbor(body: bytes) -> Any:
    if not body:
        return {}
    try:
        return RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
    except Exception as error:  # botocore raises whatever its reading comes upon
        raise MalformedRequest("The request body is not CBOR") from error


def _pairs(request: HttpRequest) -> list[tuple[str, str]]:
    text = request.query if request.method == "GET" else request.body.decode("utf-8", "replace")
    return parse_qsl(text, keep_blank_values=True)
