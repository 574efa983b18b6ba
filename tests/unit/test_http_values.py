"""Whole values at the edge of the API: each answer, problem and log line with every one of its parts."""

import hashlib
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    ReadTimeoutError,
    SSLError,
)
from chalice.app import MultiDict, Response

from chalicelib.aws.connections import AwsRefused
from chalicelib.domain.address import Address, AddressFault
from chalicelib.domain.entry import DAY_MS, OptIn, Signup
from chalicelib.domain.ids import Sku
from chalicelib.domain.signup import Accepted, Honeypot, Rejected, SignupForm, Stale
from chalicelib.domain.stock import (
    AHEAD_MS_MAX,
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    EventOutcome,
    EventResult,
    Stock,
)
from chalicelib.domain.tokens import PERIOD_DAYS, VALID_DAYS, FormTokens, LinkRefused, Offer
from chalicelib.http import responses
from chalicelib.http.link_forms import (
    TOKEN_CHARS_MAX,
    UnsubscribeTokens,
    asking_address,
    link_token,
    posted_token,
    unsubscribe_by_any,
    unsubscribe_choice,
    unsubscribe_tokens,
)
from chalicelib.http.merchant_requests import (
    MerchantKeys,
    availability_event,
    event_by_key,
    event_by_signature,
    ignored_fields,
    outcome_answer,
)
from chalicelib.http.request import (
    BODY_BYTES_MAX,
    FIELDS_MAX,
    FORM_TYPE,
    JSON_TYPE,
    FieldError,
    Problem,
    RequestBody,
    link_address,
    refuse_foreign,
    requested_root,
    viewer_address,
)
from chalicelib.http.signup import (
    ADDRESS_ERRORS,
    PAGE_CHARS_MAX,
    once_more_page,
    parse_signup,
    signed_up_page,
    signup_problem,
    undo_form,
    undo_refused,
)
from chalicelib.inbound.authenticity import OWN_SIGNATURES_MAX, check_own_signature, own_signature
from chalicelib.inbound.readings import Unauthentic
from chalicelib.services.signups import Signups
from chalicelib.storefront.renderer import Renderer as ShopRenderer
from chalicelib.tables.entries import EntriesTable
from spillway.sitegen.release import Release
from tests.support.log_lines import logged

HTML_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Type": "text/html; charset=utf-8",
    "Content-Language": "de",
    "Referrer-Policy": "strict-origin",
}
JSON_HEADERS = {"Cache-Control": "no-store", "Content-Type": "application/json"}
PROBLEM_HEADERS = {"Cache-Control": "no-store", "Content-Type": "application/problem+json"}


def asked(
    headers: dict[str, str] | None = None,
    query: list[tuple[str, str]] | None = None,
    context: Mapping[str, Any] | None = None,
) -> Any:
    """Return a request as chalice has it; names of headers are in lower case."""
    params: dict[str, list[str]] = {}
    for name, value in query or []:
        params.setdefault(name, []).append(value)
    return SimpleNamespace(
        headers=headers or {}, query_params=MultiDict(params) if query else None, context=context or {}
    )


def whole(answer: Response) -> tuple[int, dict[str, Any], Any]:
    return answer.status_code, dict(answer.headers), answer.body


def problem(refused: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as caught:
        refused()
    return caught.value


def shown(refused: Callable[[], object]) -> dict[str, Any]:
    """Return every part of the problem that a call ends with."""
    caught = problem(refused)
    return {
        "status": caught.status,
        "detail": caught.detail,
        "errors": [(item.name, item.text, dict(item.values), item.particulars) for item in caught.errors],
        "back_path": caught.back_path,
        "retry_after_s": caught.retry_after_s,
        "again": caught.again,
    }


def bad(
    detail: str,
    *errors: tuple[str, str, dict[str, Any], str],
    status: HTTPStatus = HTTPStatus.BAD_REQUEST,
    back_path: str = "/",
    retry_after_s: int | None = None,
    again: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    return {
        "status": status,
        "detail": detail,
        "errors": list(errors),
        "back_path": back_path,
        "retry_after_s": retry_after_s,
        "again": again,
    }


def error(name: str, text: str, particulars: str = "", **values: Any) -> tuple[str, str, dict[str, Any], str]:
    return name, text, values, particulars


def form(fields: Any, content_type: str = FORM_TYPE) -> RequestBody:
    return RequestBody(content_type, urlencode(fields, doseq=True).encode())


def as_json(document: Any) -> RequestBody:
    return RequestBody(JSON_TYPE, json.dumps(document).encode())


# ---- answers ----


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (responses.accepted(), (202, JSON_HEADERS, {"status": "accepted"})),
        (
            responses.accepted("ada@gmail.com", "token"),
            (202, JSON_HEADERS, {"status": "accepted", "suggestion": "ada@gmail.com", "undo": "token"}),
        ),
        (
            responses.see_other("/waitlist/thanks"),
            (
                303,
                {
                    "Cache-Control": "no-store",
                    "Location": "/waitlist/thanks",
                    "Content-Type": "text/html; charset=utf-8",
                },
                "",
            ),
        ),
        (responses.html_page("<p>", language="de"), (200, HTML_HEADERS, "<p>")),
        (responses.html_page("<p>", language="de", status=410), (410, HTML_HEADERS, "<p>")),
        (responses.undone(), (200, JSON_HEADERS, {"status": "undone"})),
        (
            responses.json_file({"a": 1}, name="all.json"),
            (200, {**JSON_HEADERS, "Content-Disposition": 'attachment; filename="all.json"'}, {"a": 1}),
        ),
        (responses.done(), (200, {"Cache-Control": "no-store", "Content-Type": "text/plain"}, "")),
    ],
)
def test_an_answer_has_its_status_headers_and_body(answer: Response, expected: tuple[Any, ...]) -> None:
    assert whole(answer) == expected


def test_the_description_of_the_api_is_the_file_and_may_be_kept_for_five_minutes() -> None:
    file = Path(responses.__file__).with_name("openapi.json")
    headers = {"Cache-Control": "public, max-age=300", "Content-Type": "application/json"}
    assert whole(responses.description()) == (200, headers, file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("headers", "html"),
    [
        ({}, False),
        ({"accept": "application/json"}, False),
        ({"accept": "application/xhtml+xml,text/html;q=0.9"}, True),
    ],
)
def test_a_person_is_recognised_by_the_types_that_the_browser_accepts(
    headers: dict[str, str], html: bool
) -> None:
    assert responses.wants_html(asked(headers)) is html


# ---- bodies ----

KNOWN = frozenset({"a", "b"})


def test_fields_are_read_from_a_form_and_from_json_alike() -> None:
    expected = {"a": ["1", ""], "b": ["ü"]}
    assert form([("a", "1"), ("a", ""), ("b", "ü")], " Application/X-WWW-Form-Urlencoded ; charset=x").fields(
        KNOWN
    ) == (expected)
    assert as_json({"a": ["1", ""], "b": "ü"}).fields(KNOWN) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            RequestBody(FORM_TYPE, b"a" * (BODY_BYTES_MAX + 1)),
            bad("A request has at most 8192 bytes.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ),
        (
            RequestBody("text/plain", b"a=1"),
            bad(
                "Send a form (application/x-www-form-urlencoded) or an object (application/json).",
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            ),
        ),
        (RequestBody(FORM_TYPE, b"&" * FIELDS_MAX), bad("A request has at most 40 fields, not 41.")),
        (
            as_json({str(number): "" for number in range(FIELDS_MAX + 1)}),
            bad("A request has at most 40 fields, not 41."),
        ),
        (RequestBody(FORM_TYPE, b"a=\xff"), bad("The form cannot be read: it is not UTF-8 text.")),
        (RequestBody(FORM_TYPE, b"a=%FF"), bad("The form cannot be read: it is not UTF-8 text.")),
        (RequestBody(JSON_TYPE, b"{"), bad("The body is not valid JSON.")),
        (RequestBody(JSON_TYPE, b'{"a": "1", "a": "2"}'), bad("The body is not valid JSON.")),
        (RequestBody(JSON_TYPE, b'{"a": NaN}'), bad("The body is not valid JSON.")),
        (RequestBody(JSON_TYPE, b"[]"), bad("The body must be one JSON object.")),
        (
            as_json({"b": "x", "a": ["1", 2]}),
            bad("The body must be an object of texts.", error("a", "Must be a text, or a list of texts.")),
        ),
        (
            form({"z": "1", "y": "2", "a": "3"}),
            bad(
                "The request has fields that nothing here knows.",
                error("y", "Unknown field."),
                error("z", "Unknown field."),
            ),
        ),
        (
            form({"b": "fine", "a": ["fine", "\x1f"]}),
            bad(
                "The request has characters that no form can hold.",
                error("a", "Has a control character or half a character in it."),
            ),
        ),
    ],
)
def test_a_body_that_is_no_form_is_reported_as_such(body: RequestBody, expected: dict[str, Any]) -> None:
    assert shown(lambda: body.fields(KNOWN)) == expected


def test_a_body_may_be_as_large_and_have_as_many_fields_as_the_limits_say() -> None:
    largest = RequestBody(FORM_TYPE, b"a=" + b"x" * (BODY_BYTES_MAX - 2))
    assert len(largest.fields(KNOWN)["a"][0]) == BODY_BYTES_MAX - 2
    many = [("a", str(number)) for number in range(FIELDS_MAX)]
    assert len(form(many).fields(KNOWN)["a"]) == FIELDS_MAX
    names = frozenset(str(number) for number in range(FIELDS_MAX))
    assert as_json(dict.fromkeys(names, "1")).fields(names).keys() == names


def test_a_problem_says_nothing_it_does_not_know() -> None:
    least = Problem(HTTPStatus.GONE, "It is gone.")
    assert (str(least), least.errors, least.back_path, least.retry_after_s, least.again) == (
        "It is gone.",
        (),
        "/",
        None,
        (),
    )
    assert least.document() == {
        "type": "about:blank",
        "title": "Gone",
        "status": 410,
        "detail": "It is gone.",
    }
    most = Problem(
        HTTPStatus.BAD_REQUEST,
        "It is wrong.",
        (FieldError("sku", "At most %(most)s.", {"most": 5}), FieldError("a", "No.", particulars="Not 1.")),
        again=(("email", "ada@example.com"),),
    )
    assert most.document() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "It is wrong.",
        "errors": [{"field": "sku", "detail": "At most 5."}, {"field": "a", "detail": "Not 1."}],
        "again": [{"field": "email", "value": "ada@example.com"}],
    }


# ---- languages, viewers, origins ----


@pytest.mark.parametrize(
    ("query", "root"), [(None, ""), ([("token", "x")], ""), ([("lang", "de")], "/de"), ([("lang", "DE")], "")]
)
def test_an_address_of_the_api_may_name_a_language(query: list[tuple[str, str]] | None, root: str) -> None:
    assert requested_root(asked(query=query)) == root


def test_the_address_of_a_link_has_its_token_quoted_and_no_language() -> None:
    request = asked(query=[("lang", "de")], context={"resourcePath": "/confirm"})
    assert link_address(request, "a/b+c=") == "/api/confirm?token=a%2Fb%2Bc%3D"


@pytest.mark.parametrize(
    ("forwarded", "peer", "viewer"),
    [
        (None, "192.0.2.1", "192.0.2.1"),
        (None, None, ""),
        ("198.51.100.7", None, "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "192.0.2.1", "198.51.100.7"),
        ("203.0.113.9,198.51.100.7 , 192.0.2.1", "192.0.2.1", "198.51.100.7"),
        ("198.51.100.7, 192.0.2.1", "192.0.2.1", "198.51.100.7"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("203.0.113.9,", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_viewer_is_the_last_address_that_the_distribution_saw(
    forwarded: str | None, peer: str | None, viewer: str
) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    nobody: list[dict[str, Any]] = [{}, {"identity": None}, {"identity": {}}]
    for context in [{"identity": {"sourceIp": peer}}] if peer else nobody:
        assert viewer_address(asked(headers, context=context)) == viewer


def test_a_form_of_another_site_is_answered_with_the_page_to_send_it_from() -> None:
    expected = bad("This form was sent from another site. Send it from the shop's own page.")
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        for shop_origin in ("https://shop.example", None):
            assert (
                shown(lambda: refuse_foreign(asked(headers), shop_origin, lambda: "https://shop.example"))  # noqa: B023
                == expected
            )


# ---- availability events ----

EVENT: dict[str, Any] = {"sku": "A", "units": 3}
NOW_MS = 1_790_000_000_000
WORDS = "The event is not complete."
ID_WORDS = "An id of 1 to 100 letters, digits and signs without spaces"
NAMES = "One of InStock, OutOfStock, PreOrder, BackOrder, Discontinued"
TIME_WORDS = "A time with its offset as 2026-11-23T17:00:00Z"
SAY_SOMETHING = error("availability", "Say what is available, or how many units there are.")


def event(document: Any) -> AvailabilityEvent:
    return availability_event(as_json(document), default_id="default", default_at_ms=5, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (EVENT, AvailabilityEvent("default", "A", Availability.IN_STOCK, 3, 5, True, True)),
        (
            {"sku": " B c ", "availability": " PreOrder ", "event_id": "e", "units": None},
            AvailabilityEvent("e", "B c", Availability.PRE_ORDER, None, 5, True, False),
        ),
        (
            {"sku": 42, "units": 0, "event_id": -7, "availability": None},
            AvailabilityEvent("-7", "42", Availability.OUT_OF_STOCK, 0, 5, True, True),
        ),
        (
            {"sku": 0, "units": 0, "availability": "https://schema.org/OutOfStock"},
            AvailabilityEvent("default", "0", Availability.OUT_OF_STOCK, 0, 5, True, False),
        ),
        (
            {"sku": "A", "units": 1, "availability": "InStock", "observed_at": "1970-01-01t01:00:01.5+01:00"},
            AvailabilityEvent("default", "A", Availability.IN_STOCK, 1, 1500, False, False),
        ),
        (
            {"sku": "A", "units": UNITS_MAX, "observed_at": "2026-09-21T14:18:20Z"},
            AvailabilityEvent(
                "default", "A", Availability.IN_STOCK, UNITS_MAX, NOW_MS + AHEAD_MS_MAX, False, True
            ),
        ),
        (
            {"sku": "A", "units": -1, "event_id": "x" * 100, "observed_at": None},
            AvailabilityEvent("x" * 100, "A", Availability.OUT_OF_STOCK, 0, 5, True, True),
        ),
    ],
)
def test_an_event_is_read_with_all_its_parts(document: Any, expected: AvailabilityEvent) -> None:
    assert event(document) == expected


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        (
            {},
            [
                error("sku", "Name an SKU.", "An SKU has 1 to 64 characters; this one is empty."),
                SAY_SOMETHING,
            ],
        ),
        ({"sku": -1, "units": 1}, [error("sku", "Write the SKU as a text, in quotes.")]),
        ({"sku": True, "units": 1}, [error("sku", "Write the SKU as a text, in quotes.")]),
        ({"sku": None, "units": 1}, [error("sku", "Write the SKU as a text, in quotes.")]),
        ({**EVENT, "event_id": True}, [error("event_id", f"{ID_WORDS}.", f"{ID_WORDS}, not true.")]),
        ({**EVENT, "event_id": ""}, [error("event_id", f"{ID_WORDS}.", f'{ID_WORDS}, not "".')]),
        (
            {**EVENT, "event_id": "ü" + "x" * 52},
            [error("event_id", f"{ID_WORDS}.", f'{ID_WORDS}, not "\\u00fc' + "x" * 52 + '".')],
        ),
        (
            {**EVENT, "event_id": "ü" + "x" * 101},
            [error("event_id", f"{ID_WORDS}.", f'{ID_WORDS}, not "\\u00fc' + "x" * 53 + "....")],
        ),
        (
            {"sku": "A", "units": UNITS_MAX + 1},
            [
                error(
                    "units",
                    "A whole number up to 1000000.",
                    "A whole number up to 1000000, not 1000001.",
                )
            ],
        ),
        ({"sku": "A", "availability": "no"}, [error("availability", f"{NAMES}.", f'{NAMES}, not "no".')]),
        ({"sku": "A", "availability": 1}, [error("availability", f"{NAMES}.", f"{NAMES}, not 1.")]),
        (
            {"sku": "A", "availability": "http://schema.org/http://schema.org/InStock"},
            [
                error(
                    "availability",
                    f"{NAMES}.",
                    f'{NAMES}, not "http://schema.org/http://schema.org/InStock".',
                )
            ],
        ),
        (
            {"sku": "A", "availability": "InStock", "units": 0},
            [error("units", "InStock and no units do not go together.")],
        ),
        (
            {**EVENT, "observed_at": "2026-11-23T17:00:00"},
            [error("observed_at", f"{TIME_WORDS}.", f'{TIME_WORDS}, not "2026-11-23T17:00:00".')],
        ),
        ({**EVENT, "observed_at": 5}, [error("observed_at", f"{TIME_WORDS}.", f"{TIME_WORDS}, not 5.")]),
        (
            {**EVENT, "observed_at": "2026-09-21T14:18:20.001Z"},
            [
                error(
                    "observed_at",
                    "This time is still to come.",
                    'This time is still to come, not "2026-09-21T14:18:20.001Z".',
                )
            ],
        ),
    ],
)
def test_an_event_that_is_none_says_all_that_is_wrong(document: Any, errors: list[Any]) -> None:
    assert shown(lambda: event(document)) == bad(WORDS, *errors)


def test_at_most_twenty_unknown_fields_are_named_by_sixty_characters_each() -> None:
    known = dict.fromkeys(("event_id", "sku", "availability", "units", "observed_at"), 1)
    unknown = {"x" * 61: 1, "y" * 60: 1, **{f"f{number}": 1 for number in range(19)}}
    expected = ("x" * 60, "y" * 60, *(f"f{number}" for number in range(18)))
    assert ignored_fields(as_json({**known, **unknown})) == expected


# ---- the merchant ----

KEYS = MerchantKeys(("new ü", "old"))


def test_keys_are_read_newest_first() -> None:
    assert MerchantKeys.from_json('{"key": "a"}') == MerchantKeys(("a",))
    assert MerchantKeys.from_json('{"key": "a", "older": ["b", "c"]}') == MerchantKeys(("a", "b", "c"))


@pytest.mark.parametrize(
    ("authorization", "good"),
    [
        ("Bearer old", True),
        ("bearer  new ü ", True),
        ("Basic old", False),
        ("Bearer", False),
        ("old", False),
        ("Bearer older", False),
    ],
)
def test_a_bearer_shows_one_of_the_keys(authorization: str, good: bool) -> None:
    if good:
        KEYS.check_bearer(authorization)
    else:
        with pytest.raises(Unauthentic):
            KEYS.check_bearer(authorization)


def test_a_signature_is_the_hmac_of_its_second_and_the_body() -> None:
    assert (
        own_signature("key", 12, b"body")
        == "207315d59098aa7f7eda7f2b5ea2bb7fde0990a5248266262dc02564b4a4efe7"
    )


@pytest.mark.parametrize(
    ("signed_at", "now_s", "others", "good"),
    [
        ("1000", 1000 - 300, 0, True),
        ("1000", 1000 + 300, OWN_SIGNATURES_MAX - 1, True),
        ("1000", 1000 - 301, 0, False),
        ("1000", 1000 + 301, 0, False),
        ("1000", 1000, OWN_SIGNATURES_MAX, False),
        ("00000001000", 1000, 0, True),
        ("000000001000", 1000, 0, False),
        ("١٠٠٠", 1000, 0, False),
        ("+1000", 1000, 0, False),
        ("", 1000, 0, False),
    ],
)
def test_a_signature_is_good_for_five_minutes_and_beside_seven_others(
    signed_at: str, now_s: int, others: int, good: bool
) -> None:
    parts = [f"t={signed_at}", *["v1=00"] * others, f"v1={own_signature('old', 1000, b'body').upper()}"]
    signature = " , ".join(parts)
    if good:
        assert check_own_signature(signature, b"body", KEYS.keys, now_ms=now_s * 1000) == 1000
    else:
        with pytest.raises(Unauthentic):
            check_own_signature(signature, b"body", KEYS.keys, now_ms=now_s * 1000)


def test_an_event_by_key_has_a_new_id_and_the_time_of_its_arrival() -> None:
    request = asked({"authorization": "Bearer old"})
    assert event_by_key(request, as_json(EVENT), KEYS, lambda: NOW_MS, lambda: "new") == AvailabilityEvent(
        "new", "A", Availability.IN_STOCK, 3, NOW_MS, True, True
    )
    ahead = as_json({**EVENT, "observed_at": "2026-09-21T14:18:20Z"})
    assert event_by_key(request, ahead, KEYS, lambda: NOW_MS, lambda: "new").observed_at_ms == (
        NOW_MS + AHEAD_MS_MAX
    )


def test_an_event_by_signature_is_named_by_all_that_was_signed() -> None:
    body, at_s = as_json(EVENT), NOW_MS // 1000 - 300
    request = asked({"spillway-signature": f"t={at_s},v1={own_signature('old', at_s, body.raw)}"})
    digest = hashlib.sha256(b"%d." % at_s + body.raw).hexdigest()
    assert event_by_signature(request, body, KEYS, lambda: NOW_MS + 999) == (
        AvailabilityEvent(digest[:32], "A", Availability.IN_STOCK, 3, NOW_MS + 999, True, True),
        digest,
    )


@pytest.mark.parametrize(
    ("context", "path"), [({}, ""), ({"resourcePath": "/availability"}, "/availability")]
)
def test_a_stranger_is_refused_and_logged_by_the_route_alone(
    capsys: pytest.CaptureFixture[str], context: dict[str, Any], path: str
) -> None:
    expected = bad("Show the merchant's key, or sign the request with it.", status=HTTPStatus.UNAUTHORIZED)
    for headers in ({}, {"authorization": "Bearer x"}):
        request = asked(headers, context=context)
        assert shown(lambda: event_by_key(request, as_json(EVENT), KEYS, lambda: 0, lambda: "")) == expected  # noqa: B023
        assert shown(lambda: event_by_signature(request, as_json(EVENT), KEYS, lambda: 0)) == expected  # noqa: B023
    assert logged(capsys) == [{"event": "merchant_refused", "path": path}] * 4


STOCK = Stock(Availability.BACK_ORDER, 2, 1500, "e0")
TAKEN = AvailabilityEvent("e1", "A", Availability.IN_STOCK, 3, 5)


def test_the_answer_to_an_event_is_the_outcome_and_what_is_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document: dict[str, Any] = {
        "outcome": "older",
        "sku": "A",
        "stock": {
            "availability": "BackOrder",
            "units": 2,
            "observed_at": "1970-01-01T00:00:01.500Z",
            "event_id": "e0",
        },
    }
    assert whole(outcome_answer(TAKEN, EventResult(EventOutcome.OLDER, STOCK))) == (
        200,
        {"Cache-Control": "no-store"},
        document,
    )
    assert outcome_answer(TAKEN, EventResult(EventOutcome.OLDER, STOCK), ("a", "b")).body == {
        **document,
        "ignored": ["a", "b"],
    }
    line = {"event": "availability_event", "sku": "A", "id": "e1", "outcome": "older"}
    assert logged(capsys) == [line, line]


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (
            EventResult(EventOutcome.UNKNOWN_SKU),
            bad(WORDS, error("sku", "This shop sells nothing under that name.")),
        ),
        (
            EventResult(EventOutcome.REPLAYED, STOCK),
            bad("This very request was applied before. It changes nothing now.", status=HTTPStatus.CONFLICT),
        ),
        *(
            (
                taken,
                bad(
                    "Too many events about this SKU at once. Nothing of this one is stored; send it again.",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    retry_after_s=1,
                ),
            )
            for taken in (EventResult(EventOutcome.BUSY, STOCK), EventResult(EventOutcome.CHANGED))
        ),
    ],
)
def test_an_event_that_was_not_taken_in_is_a_problem(taken: EventResult, expected: dict[str, Any]) -> None:
    assert shown(lambda: outcome_answer(TAKEN, taken)) == expected


# ---- refusals ----


class Renderer:
    """Notes what is rendered, in German unless it is in English."""

    def __init__(self, language: str = "de") -> None:
        self.language = language
        self.in_english = language == "en"
        self.edition = SimpleNamespace(root="/de")
        self.asked: list[Any] = []

    def for_root(self, root: str) -> "Renderer":
        self.asked.append(root)
        return self

    def gettext(self, text: str) -> str:
        return f"auf Deutsch: {text}"

    def page(self, name: str, **values: Any) -> str:
        self.asked.append((name, values))
        return "<page>"

    def localize(self, product: Any) -> Any:
        return product


LINK_GONE = "This link no longer works. Ask again from the product's page."


@pytest.mark.parametrize(
    ("failure", "expected", "line"),
    [
        (LinkRefused(), bad(LINK_GONE, status=HTTPStatus.GONE), None),
        *(
            (
                AwsRefused(code, 400),
                bad(
                    "Too many people at once. Try again in a moment.",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    retry_after_s=6,
                ),
                {"event": "request_put_off", "error": "AwsRefused", "code": code},
            )
            for code in ("ThrottlingException", "RequestThrottled")
        ),
        # The SDK's own, after its attempts; the endpoint is not logged.
        *(
            (
                silence(
                    endpoint_url="https://dynamodb.eu-west-1.amazonaws.com",
                    error="x",
                    actual_bytes=1,
                    expected_bytes=2,
                ),
                bad(
                    "Too many people at once. Try again in a moment.",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                    retry_after_s=6,
                ),
                {"event": "request_put_off", "error": silence.__name__, "code": ""},
            )
            for silence in (
                ConnectionClosedError,
                ConnectTimeoutError,
                EndpointConnectionError,
                IncompleteReadError,
                ReadTimeoutError,
                SSLError,
            )
        ),
        (
            RuntimeError("secret"),
            bad(
                "This did not work, and it is our fault. Try again.",
                status=HTTPStatus.INTERNAL_SERVER_ERROR,
            ),
            {"event": "request_failed", "error": "RuntimeError", "at": []},
        ),
    ],
)
def test_an_error_is_a_problem_to_its_sender_and_a_line_in_the_log(
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    expected: dict[str, Any],
    line: dict[str, Any] | None,
) -> None:
    def refused() -> None:
        raise responses.problem_of(failure, lambda: 0.5)

    assert shown(refused) == expected
    assert logged(capsys) == ([line] if line else [])


def test_the_place_of_an_error_is_logged_and_a_problem_stays_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = Problem(HTTPStatus.GONE, "x")
    assert responses.problem_of(kept) is kept
    with pytest.raises(RuntimeError) as caught:
        never()
    responses.problem_of(caught.value)
    (line,) = logged(capsys)
    assert [place.partition(":")[0] for place in line["at"]] == [
        "test_the_place_of_an_error_is_logged_and_a_problem_stays_as_it_is",
        "never",
    ]
    busy = AwsRefused("ThrottlingException", 400)
    chances = iter((0.0, 0.124, 0.125, 0.999))
    waits = [responses.problem_of(busy, lambda: next(chances)).retry_after_s for _ in range(4)]
    assert waits == [2, 2, 3, 9]
    waits = [responses.problem_of(busy).retry_after_s for _ in range(20)]
    assert set(waits) <= set(range(2, 10))


def never() -> Any:
    raise RuntimeError("no page is asked for")


def test_a_script_is_answered_by_a_document() -> None:
    busy = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Later.", retry_after_s=0)
    assert whole(responses.refusal(asked(), busy, never)) == (
        503,
        {**PROBLEM_HEADERS, "Retry-After": "0"},
        busy.document(),
    )
    stranger = Problem(HTTPStatus.UNAUTHORIZED, "Who is it?")
    assert whole(responses.problem_document(stranger)) == (
        401,
        {**PROBLEM_HEADERS, "WWW-Authenticate": "Bearer"},
        stranger.document(),
    )


PERSON = {"accept": "text/html"}
WRONG = (
    FieldError("sku", "At most %(most)s.", {"most": 5}),
    FieldError("email", "Is it right?", particulars="It has no @."),
)


@pytest.mark.parametrize(
    ("problem", "language", "rendered"),
    [
        (Problem(HTTPStatus.GONE, LINK_GONE), "de", ("link-problem.html", {})),
        (
            Problem(HTTPStatus.GONE, "Too late."),
            "de",
            ("form-problem.html", {"problems": ["auf Deutsch: Too late."], "back_path": "/"}),
        ),
        (
            Problem(HTTPStatus.BAD_REQUEST, LINK_GONE, back_path="/de/products/x"),
            "de",
            ("form-problem.html", {"problems": [f"auf Deutsch: {LINK_GONE}"], "back_path": "/products/x"}),
        ),
        (
            Problem(HTTPStatus.BAD_REQUEST, "Wrong.", WRONG, back_path="/waitlist/my-waitlists"),
            "de",
            (
                "form-problem.html",
                {
                    "problems": ["auf Deutsch: At most 5.", "auf Deutsch: Is it right?"],
                    "back_path": "/waitlist/my-waitlists",
                },
            ),
        ),
        (
            Problem(HTTPStatus.BAD_REQUEST, "Wrong.", WRONG, back_path="/shop/all"),
            "en",
            ("form-problem.html", {"problems": ["At most 5.", "It has no @."], "back_path": "/"}),
        ),
        (
            Problem(HTTPStatus.BAD_REQUEST, "Old.", again=(("email", "a"),)),
            "de",
            (
                "form-again.html",
                {
                    "problems": ["auf Deutsch: Old."],
                    "fields": (("email", "a"),),
                    "action": "/api/waitlist",
                },
            ),
        ),
    ],
)
def test_a_person_sees_the_error_on_a_page(problem: Problem, language: str, rendered: Any) -> None:
    renderer: Any = Renderer(language)
    answer = responses.refusal(asked(PERSON), problem, lambda: renderer)
    assert whole(answer) == (problem.status.value, {**HTML_HEADERS, "Content-Language": language}, "<page>")
    root = "/de" if problem.back_path.startswith("/de/") else ""
    assert renderer.asked == [root, rendered]


def test_the_language_of_a_refusal_is_that_of_the_address_before_that_of_the_page() -> None:
    renderer: Any = Renderer()
    wrong = Problem(HTTPStatus.BAD_REQUEST, "Wrong.", back_path="/fr/products/x", retry_after_s=3)
    answer = responses.refusal(asked(PERSON, query=[("lang", "de")]), wrong, lambda: renderer)
    assert whole(answer) == (400, {**HTML_HEADERS, "Retry-After": "3"}, "<page>")
    assert renderer.asked[0] == "/de"


def test_a_person_gets_a_bare_page_where_none_can_be_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Problem(HTTPStatus.BAD_REQUEST, 'No "<b>".', retry_after_s=3)
    status, headers, body = whole(responses.refusal(asked(PERSON), wrong, never))
    assert (status, headers) == (400, {**HTML_HEADERS, "Content-Language": "en", "Retry-After": "3"})
    assert body == responses.BARE_PAGE.replace("{text}", "No &quot;&lt;b&gt;&quot;.")
    assert logged(capsys) == [{"event": "problem_not_rendered", "error": "RuntimeError"}]


def test_answers_of_the_framework_are_problems_and_others_stay_as_they_are() -> None:
    theirs = Response({"Code": "MethodNotAllowedError"}, headers={"Allow": "GET"}, status_code=405)
    document = {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Specified method is invalid for this resource",
    }
    assert whole(responses.in_problem_terms(theirs)) == (
        405,
        {**PROBLEM_HEADERS, "Allow": "GET"},
        document,
    )
    unnamed = Response({"Code": "x"}, headers={}, status_code=422)
    assert whole(responses.in_problem_terms(unnamed)) == (
        422,
        PROBLEM_HEADERS,
        {
            "type": "about:blank",
            "title": HTTPStatus(422).phrase,
            "status": 422,
            "detail": HTTPStatus(422).description or HTTPStatus(422).phrase,
        },
    )
    for body in ("Code", {"code": 1}):
        ours = Response(body, status_code=400)
        assert responses.in_problem_terms(ours) is ours


# ---- the waitlist's form ----

FORM_TOKENS = FormTokens.of(b"identity", at_ms=NOW_MS)
OFFERED = Offer.of([Sku(str(number)) for number in range(6)])
FORM_TOKEN = FORM_TOKENS.sign(OFFERED)
ADA = Address.parse("ada@example.com")


def skus(numbers: str) -> tuple[Sku, ...]:
    return tuple(map(Sku, numbers))


class NoEntries(EntriesTable):
    """Stores nothing."""

    def __init__(self) -> None:
        pass

    def sign_up(self, signup: Signup, *, at_ms: int) -> bool:
        return True


def read(terms: Offer = OFFERED, **fields: Any) -> SignupForm:
    complete = {"email": "ada@example.com", "sku": ["1"], "form_token": FORM_TOKENS.sign(terms), **fields}
    given = {name: value for name, value in complete.items() if value is not None}
    parsed = parse_signup(form(given), FORM_TOKENS)
    lists = {"l1": frozenset({"bad.example"})}
    signups = Signups(
        NoEntries(),
        b"identity",
        lambda: 5,
        refused_domains=lists.__getitem__,
        renew_form_token=lambda offer: FORM_TOKENS.sign(OFFERED),
    )
    decision = signups.decide(parsed)
    if isinstance(decision, Stale | Rejected):
        raise signup_problem(parsed, decision)
    assert decision == (Honeypot(5) if parsed.honeypot else Accepted(5))
    return parsed


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, SignupForm(ADA, skus("1"), "/", FORM_TOKEN, OFFERED)),
        (
            {"sku": list("11234"), "page": "/" + "a" * (PAGE_CHARS_MAX - 1), "undo": "1", "knot": "x"},
            SignupForm(
                ADA,
                skus("1234"),
                "/" + "a" * (PAGE_CHARS_MAX - 1),
                FORM_TOKEN,
                OFFERED,
                honeypot=True,
                wants_undo=True,
            ),
        ),
        (
            {"email": "  ada@example.com ", "page": "/", "undo": "", "knot": "", "website": "x"},
            SignupForm(ADA, skus("1"), "/", FORM_TOKEN, OFFERED),
        ),
    ],
)
def test_a_signup_is_read_with_all_its_parts(fields: dict[str, Any], expected: SignupForm) -> None:
    assert read(**fields) == expected


def test_a_signup_says_what_was_agreed_to_and_is_sent_again_for_another_address() -> None:
    single = read(Offer(OFFERED.sku_ids, OptIn.SINGLE), sku=["1", "2"], page="/p")
    assert (single.opt_in, single.consent) == (
        OptIn.SINGLE,
        "one-email-when-available-at-once-2026-11",
    )
    assert read().consent == "one-email-when-available-2026-11"
    assert single.fields_for("eve@example.com") == (
        ("email", "eve@example.com"),
        ("sku", "1"),
        ("sku", "2"),
        ("page", "/p"),
        ("form_token", single.form_token),
    )


NOT_COMPLETE = "The form is not complete."
NO_EMAIL = error("email", "Enter your email address.")
ONE_ONLY = "Give one, not several."


@pytest.mark.parametrize(
    ("fields", "errors", "back_path"),
    [
        (
            {"email": None, "sku": None, "form_token": None},
            [
                NO_EMAIL,
                error("form_token", "Send this form from the product's page of this shop."),
                error("sku", "Choose what you are waiting for."),
            ],
            "/",
        ),
        ({"email": " ", "page": "/p/q"}, [NO_EMAIL], "/p/q"),
        (
            {"email": "ada"},
            [error("email", "An email address has an @ in it: name@example.com.")],
            "/",
        ),
        ({"email": ["ada@example.com", "eve@example.com"]}, [error("email", ONE_ONLY)], "/"),
        ({"sku": list("012345")}, [error("sku", "Choose at most %(most)s.", most=5)], "/"),
        (
            {"sku": ["1", ""]},
            [
                error(
                    "sku",
                    "This shop sells nothing under that name.",
                    "An SKU has 1 to 64 characters; this one is empty.",
                )
            ],
            "/",
        ),
        (
            {"sku": ["1", "7"]},
            [error("sku", "This page does not offer that. Choose from what it shows.")],
            "/",
        ),
        (
            {"page": "/" + "a" * PAGE_CHARS_MAX},
            [error("page", "Must be a path of this shop.")],
            "/" + "a" * PAGE_CHARS_MAX,
        ),
        ({"page": "//evil"}, [error("page", "Must be a path of this shop.")], "/"),
        ({"page": ["/a", "/b"]}, [error("page", ONE_ONLY)], "/a"),
        (
            {"terms": Offer(OFFERED.sku_ids, refused_domains="l1"), "email": "eve@post.bad.example"},
            [error("email", "Addresses there are thrown away. Use one that you will read later.")],
            "/",
        ),
    ],
)
def test_a_signup_that_is_not_complete_names_each_field(
    fields: dict[str, Any], errors: list[Any], back_path: str
) -> None:
    assert shown(lambda: read(**fields)) == bad(NOT_COMPLETE, *errors, back_path=back_path)


def test_a_form_of_an_old_page_comes_back_with_a_token_on_the_terms_of_now() -> None:
    old = FormTokens.of(b"identity", at_ms=NOW_MS - (VALID_DAYS + PERIOD_DAYS + 1) * DAY_MS).sign(OFFERED)
    assert shown(lambda: read(form_token=old, page="/p")) == bad(
        "The form is from an old page.",
        error("form_token", "This page had been open for very long. Nothing is lost: send it once more."),
        back_path="/p",
        again=(("email", "ada@example.com"), ("sku", "1"), ("page", "/p"), ("form_token", FORM_TOKEN)),
    )


def test_the_form_that_undoes_a_signup_is_read_whole_or_says_what_is_missing() -> None:
    fields = {"email": "ada@example.com", "sku": ["1", "9"], "undo": "token"}
    assert undo_form(form(fields)) == (ADA, ("1", "9"), "token")
    assert shown(lambda: undo_form(form({**fields, "email": ""}))) == bad(NOT_COMPLETE, NO_EMAIL)
    assert shown(lambda: undo_form(form({**fields, "undo": ["a", "b"]}))) == bad(
        NOT_COMPLETE, error("undo", ONE_ONLY)
    )
    assert shown(lambda: undo_form(form({"x": "1"}))) == bad(
        "The request has fields that nothing here knows.", error("x", "Unknown field.")
    )

    def refused() -> None:
        raise undo_refused()

    assert shown(refused) == bad(
        "It is too late to undo this here. Each email has a way to leave the list.", status=HTTPStatus.GONE
    )


# ---- pages that answer a signup ----


def test_each_page_that_answers_a_signup_is_given_what_it_says() -> None:
    signup = SignupForm(ADA, skus("123"), "/p", "form_token", OFFERED)
    labels = SimpleNamespace(title="Jacke", variant={"1": SimpleNamespace(label="M")}.__getitem__)
    plain = SimpleNamespace(title="Schal", variant=lambda sku: SimpleNamespace(label=""))
    products: Any = {"1": labels, "2": plain}
    renderer: Any = Renderer()
    pages = [
        signed_up_page(signup, "token", renderer, products, meant="ada@gmail.com"),
        signed_up_page(signup, "token", renderer, products),
        once_more_page("/api/waitlist", [("a", "1")], renderer),
    ]
    assert [whole(page) for page in pages] == [(200, HTML_HEADERS, "<page>")] * 3
    fields = [("sku", "1"), ("sku", "2"), ("sku", "3")]
    assert renderer.asked == [
        (
            "did-you-mean.html",
            {
                "items": ["Jacke, M", "Schal", "3"],
                "mailbox": "ada@example.com",
                "fields": (("email", "ada@example.com"), *fields, ("undo", "token")),
                "meant": "ada@gmail.com",
                "meant_fields": (
                    ("email", "ada@gmail.com"),
                    *fields,
                    ("page", "/p"),
                    ("form_token", "form_token"),
                ),
            },
        ),
        (
            "signed-up.html",
            {
                "items": ["Jacke, M", "Schal", "3"],
                "mailbox": "ada@example.com",
                "fields": (("email", "ada@example.com"), *fields, ("undo", "token")),
            },
        ),
        (
            "form-again.html",
            {
                "action": "/api/waitlist",
                "problems": [
                    "auf Deutsch: A field that nobody sees was filled in, perhaps by a program that fills in"
                    " forms for you. Nothing has been sent yet: press the button."
                ],
                "fields": (("a", "1"),),
            },
        ),
    ]


# ---- links ----

LONGEST = "t" * TOKEN_CHARS_MAX
ONE_TOKEN = "The form must have one token."


@pytest.mark.parametrize(
    ("query", "token"),
    [
        (None, ""),
        ([("lang", "de")], ""),
        ([("token", LONGEST)], LONGEST),
        ([("token", f"{LONGEST}t")], ""),
    ],
)
def test_the_token_of_a_link_is_bounded(query: list[tuple[str, str]] | None, token: str) -> None:
    assert link_token(asked(query=query)) == token


def test_a_button_posts_one_token() -> None:
    assert posted_token(form({"token": LONGEST})) == LONGEST
    assert posted_token(form({"token": f"{LONGEST}t"})) == ""
    for tokens in ([], ["a", "b"]):
        assert shown(lambda: posted_token(form({"token": tokens}))) == bad(ONE_TOKEN)  # noqa: B023
    assert shown(lambda: posted_token(form({"x": "1"}))) == bad(
        "The request has fields that nothing here knows.", error("x", "Unknown field.")
    )


@pytest.mark.parametrize(
    ("query", "raw", "expected"),
    [
        (
            [("token", "a"), ("token", ""), ("token", "b")],
            b"",
            UnsubscribeTokens(("a", "b"), by_button=False),
        ),
        ([("token", f"{LONGEST}t")], b"token=c", UnsubscribeTokens(("", "c"), by_button=False)),
        (None, b"List-Unsubscribe=One-Click", UnsubscribeTokens(("",), by_button=False)),
        (None, b"List-Unsubscribe%3DOne-Click&token=c", UnsubscribeTokens(("c",), by_button=False)),
        (None, b'name="List-Unsubscribe"', UnsubscribeTokens(("",), by_button=False)),
        ([("lang", "de")], b"token=c", UnsubscribeTokens(("c",), by_button=True)),
        (None, b'{"token": "c"}', UnsubscribeTokens(("c",), by_button=True)),
        (None, b"\xfftoken=c", UnsubscribeTokens(("c",), by_button=True)),
        (None, b"token=" + LONGEST.encode() + b"t", UnsubscribeTokens(("",), by_button=True)),
        ([("token", "a")], b"&token=c" * BODY_BYTES_MAX, UnsubscribeTokens(("a",), by_button=False)),
    ],
)
def test_every_token_of_a_request_to_leave_is_found(
    query: list[tuple[str, str]] | None, raw: bytes, expected: UnsubscribeTokens
) -> None:
    assert unsubscribe_tokens(asked(query=query), RequestBody("", raw)) == expected


def test_a_request_to_leave_needs_a_token_somewhere() -> None:
    assert shown(lambda: unsubscribe_tokens(asked(), RequestBody("", b""))) == bad(ONE_TOKEN)
    assert shown(lambda: unsubscribe_tokens(asked(), RequestBody("", b"x" * (BODY_BYTES_MAX + 1)))) == bad(
        "A request has at most 8192 bytes.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    )
    exactly = b"token=c&" + b"x" * (BODY_BYTES_MAX - 8)
    assert unsubscribe_tokens(asked(query=[("token", "a")]), RequestBody("", exactly)).tokens == ("a", "c")


@pytest.mark.parametrize(("bad_ones", "refused"), [("", False), ("a", False), ("abc", True)])
def test_each_token_is_tried_and_one_of_ours_is_enough(bad_ones: str, refused: bool) -> None:
    tried: list[str] = []

    def leave(token: str) -> None:
        tried.append(token)
        if token in bad_ones:
            raise LinkRefused

    if refused:
        with pytest.raises(LinkRefused):
            unsubscribe_by_any("abc", leave)
    else:
        unsubscribe_by_any("abc", leave)
    assert tried == ["a", "b", "c"]


def test_a_request_for_my_waitlists_needs_an_address() -> None:
    assert asking_address(form({"email": "ada@example.com"})) == (ADA, False)
    assert asking_address(form({"email": "ada@example.com", "website": "x", "knot": ""})) == (ADA, False)
    assert asking_address(form({"email": "ada@example.com", "knot": "x"})) == (ADA, True)
    assert shown(lambda: asking_address(form({}))) == bad(
        NOT_COMPLETE, NO_EMAIL, back_path="/waitlist/my-waitlists"
    )


NO_CHOICE = "The form must have one token, and at most one SKU."


def test_an_unsubscribe_from_my_waitlists_names_the_token_and_at_most_one_sku() -> None:
    assert unsubscribe_choice(form({"token": LONGEST, "sku": " A "})) == (LONGEST, "A")
    assert unsubscribe_choice(form({"token": f"{LONGEST}t"})) == ("", None)
    for fields in ({"sku": "A"}, {"token": ["a", "b"]}, {"token": "a", "sku": ["A", "B"]}):
        assert shown(lambda: unsubscribe_choice(form(fields))) == bad(NO_CHOICE)  # noqa: B023
    assert shown(lambda: unsubscribe_choice(form({"token": "a", "sku": ""}))) == bad(
        NO_CHOICE,
        error(
            "sku",
            "This shop sells nothing under that name.",
            "An SKU has 1 to 64 characters; this one is empty.",
        ),
    )


@pytest.mark.parametrize(
    ("language", "answered", "detail", "text"),
    [
        ("de", "de", "Das Formular ist nicht vollständig.", ADDRESS_ERRORS[AddressFault.NO_AT].text),
        ("en-GB", None, "The form is not complete.", None),
        ("fr", None, "The form is not complete.", None),
        ("de,en;q=0.8", None, "The form is not complete.", None),
        ("", None, "The form is not complete.", None),
    ],
)
def test_a_script_reads_an_error_in_the_language_of_its_page(
    german_release: Release, language: str, answered: str | None, detail: str, text: str | None
) -> None:
    error = ADDRESS_ERRORS[AddressFault.NO_AT]
    problem = Problem(HTTPStatus.BAD_REQUEST, "The form is not complete.", (error,))
    renderer = ShopRenderer(german_release.theme)
    headers = {"accept": "application/json", "accept-language": language}
    answer = responses.refusal(asked(headers), problem, lambda: renderer)
    said = renderer.for_root("/de").gettext(text) if text else error.detail
    body: Any = answer.body
    assert (answer.headers.get("Content-Language"), body["detail"]) == (answered, detail)
    assert body["errors"] == [{"field": "email", "detail": said}]
    assert (said == error.text) == (text is None)


def test_a_script_reads_an_error_in_english_where_the_theme_cannot_be_read_or_need_not_be() -> None:
    problem = Problem(HTTPStatus.BAD_REQUEST, "Wrong.", WRONG)
    for language in ("de", "en", ""):
        answer = responses.refusal(asked({"accept-language": language}), problem, never)
        assert answer.body == problem.document()
