"""Read a request strictly: its body, the viewer's address, the language asked for, and the page it is from.

A body has a size limit, known fields only, and text without control characters. Errors become problem
documents (RFC 9457), the content of every 4xx and 5xx answer.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from chalice.app import Request

from chalicelib.domain.locales import requested_root_of

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field of a form, in words for the person that filled it in.

    `text` is ours, translated by catalogues, with places for `values`. A library's more exact words, which
    are English only, are `particulars`.
    """

    name: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    particulars: str = ""

    @property
    def detail(self) -> str:
        """The error in English."""
        return self.particulars or self.text % self.values


class Problem(Exception):
    """A request that cannot be served, and what to do about it.

    `back_path` is the page a refused form came from; `retry_after_s` says when to try again. `again` are
    the fields of a form that is complete, and only has to be sent once more. `kind` is a URI that programs
    tell problems of one status apart by (RFC 9457, 3.1.1), `members` are further members of the document.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        *,
        back_path: str = "/",
        retry_after_s: int | None = None,
        again: tuple[tuple[str, str], ...] = (),
        kind: str = "about:blank",
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.members = members or {}
        self.kind = kind
        self.status = status
        self.detail = detail
        self.errors = errors
        self.back_path = back_path
        self.retry_after_s = retry_after_s
        self.again = again

    def document(self) -> dict[str, Any]:
        """Return the members of RFC 9457, the `errors` by field, and the fields to send `again`."""
        document: dict[str, Any] = {
            "type": self.kind,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"field": error.name, "detail": error.detail} for error in self.errors]
        if self.again:
            document["again"] = [{"field": name, "value": value} for name, value in self.again]
        return {**document, **self.members}


BODY_BYTES_MAX = 8 * 1024
FIELDS_MAX = 40
FORM_TYPE = "application/x-www-form-urlencoded"
JSON_TYPE = "application/json"

# Control characters and halves of a surrogate pair: no keyboard makes them.
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

# Values of Sec-Fetch-Site to accept: a page of the shop, and an address typed by the user.
OWN_SITES = frozenset({"same-origin", "none"})
# A shop without a domain is served under its distribution's name, which the API's function cannot know: the
# distribution is made from it. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/LinkFormat.html
DISTRIBUTIONS = ".cloudfront.net"

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The body of a request, with its media type."""

    content_type: str
    raw: bytes

    def refuse_large(self) -> None:
        """Check the size of the body.

        Raises:
            Problem: 413 too large.
        """
        if len(self.raw) > BODY_BYTES_MAX:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {BODY_BYTES_MAX} bytes."
            )

    def fields(self, known: frozenset[str]) -> Fields:
        """Return the fields of a form or of a flat JSON object, each with its values in order.

        Raises:
            Problem: 413 too large, 415 neither form nor JSON, 400 malformed or with unknown fields.
        """
        self.refuse_large()
        media_type = self.content_type.partition(";")[0].strip().lower()
        if media_type == FORM_TYPE:
            fields = _form_fields(self.raw)
        elif media_type == JSON_TYPE:
            fields = _text_fields(self.json_object())
        else:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send a form ({FORM_TYPE}) or an object ({JSON_TYPE})."
            )
        _check(fields, known)
        return fields

    def json_object(self) -> dict[str, Any]:
        """Return the JSON object that the body is, each of its names once.

        Raises:
            Problem: 413 too large, 400 no JSON object.
        """
        self.refuse_large()
        try:
            document = json.loads(
                self.raw.decode("utf-8"), object_pairs_hook=_no_repeats, parse_constant=_refuse
            )
        except (ValueError, RecursionError):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None
        if not isinstance(document, dict):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body must be one JSON object.")
        return document


def body_of(request: Request) -> RequestBody:
    """Return the body of a request."""
    raw = request.raw_body
    return RequestBody(request.headers.get("content-type", ""), raw.encode() if isinstance(raw, str) else raw)


def viewer_address(request: Request) -> str:
    """Return the IP address of the viewer as the distribution saw it; empty where no header names it.

    CloudFront appends it to the X-Forwarded-For that the viewer sent; API Gateway may append the address of
    CloudFront's own server, which it names as `sourceIp`. So it is the last of the others. Addresses before
    it may be forged.
    https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
    """
    peer = str((request.context.get("identity") or {}).get("sourceIp") or "")
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",")]
    if len(forwarded) > 1 and forwarded[-1] == peer:
        forwarded.pop()
    return forwarded[-1] or peer


def requested_root(request: Request) -> str:
    """Return the root of the locale that the address names as `lang`; empty for the shop's first locale."""
    query: Any = request.query_params or {}
    return requested_root_of(query.get("lang", ""))


def link_address(request: Request, token: str) -> str:
    """Return the address of an email's link, without the language in it."""
    return f"/api{request.context['resourcePath']}?token={quote(token, safe='')}"


def refuse_foreign(request: Request, shop_origin: str | None, base_url: Callable[[], str]) -> None:
    """Refuse a request that a browser sent from another site's page.

    Nothing here goes by a cookie, so a forged form could do no more than its author could do without one. But
    a page that a person only looks at must not sign them up.

    Browsers name the sender in Sec-Fetch-Site, older ones only in Origin. "null" there is a page without an
    origin, a sandboxed frame for example: none of ours is. `shop_origin` is None where the shop has no
    domain; then the origins of the live release's `base_url` and of a distribution count.

    Raises:
        Problem: 400 another site's page made it. Not 403, which the CDN takes for a missing page.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site:
        own = site in OWN_SITES
    elif origin is None:
        own = True
    elif shop_origin:
        own = origin == shop_origin
    else:
        own = _of_a_distribution(origin) or origin == base_url()
    if not own:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "This form was sent from another site. Send it from the shop's own page."
        )


def _of_a_distribution(origin: str) -> bool:
    try:
        address = urlsplit(origin)
    except ValueError:
        return False
    return origin == f"https://{address.hostname}" and str(address.hostname).endswith(DISTRIBUTIONS)


def _refuse_many(count: int) -> None:
    if count > FIELDS_MAX:
        raise Problem(HTTPStatus.BAD_REQUEST, f"A request has at most {FIELDS_MAX} fields, not {count}.")


def _form_fields(raw: bytes) -> Fields:
    _refuse_many(raw.count(b"&") + 1)
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form cannot be read: it is not UTF-8 text.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _text_fields(document: Mapping[str, Any]) -> Fields:
    _refuse_many(len(document))
    fields: dict[str, list[str]] = {}
    for name, value in document.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in values):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "The body must be an object of texts.",
                (FieldError(name, "Must be a text, or a list of texts."),),
            )
        fields[name] = values
    return fields


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check(fields: Fields, known: frozenset[str]) -> None:
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The request has fields that nothing here knows.",
            tuple(FieldError(name, "Unknown field.") for name in unknown),
        )
    for name, values in fields.items():
        if any(UNFIT.search(value) for value in values):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "The request has characters that no form can hold.",
                (FieldError(name, "Has a control character or half a character in it."),),
            )
