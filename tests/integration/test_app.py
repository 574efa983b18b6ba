"""The API, from the request a browser sends to the answer it gets, over AWS in memory."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from chalice.test import Client, HTTPResponse

import app as cloud
from chalicelib.aws.connections import AwsRefused
from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.entry import CONFIRM_WITHIN_S, DAY_MS, Arrival, EntryState, OptIn, Signup
from chalicelib.domain.tokens import PERIOD_DAYS, VALID_DAYS, FormTokens, LinkSubject, Offer, Purpose
from chalicelib.http.responses import problem_of
from chalicelib.tables.products import DomainListsTable
from chalicelib.tables.shards import Notified, ShardsTable
from spillway.local_cloud.shopper import forms_of
from spillway.merchant.intake import Move
from spillway.merchant.rows import EntryRows
from spillway.sitegen.release import Release
from tests.support.aws import create_table
from tests.support.memory_aws import MemoryAws
from tests.support.moto_server import AwsDoor, aws_door

if TYPE_CHECKING:
    from chalicelib.stores import ClientFactory

FORM = {"content-type": "application/x-www-form-urlencoded"}
PERSON = {**FORM, "accept": "text/html,application/xhtml+xml"}
SCRIPT = {**FORM, "accept": "application/json"}
SKU = "FJ-MOSS-M"


@contextmanager
def deployed_on(client: "ClientFactory", release: Release) -> Iterator[AwsDoor]:
    """Publish a release to tables and buckets of its own, which `client` opens, and run the API on them."""
    with pytest.MonkeyPatch.context() as patch:
        dynamodb, s3, secrets, sqs = (
            client(service) for service in ("dynamodb", "s3", "secretsmanager", "sqs")
        )
        s3.create_bucket(Bucket="release")
        s3.put_object(Bucket="release", Key="theme.json", Body=release.theme.to_json().encode())
        secret = secrets.create_secret(Name="keys", SecretString='{"root": "r"}')["ARN"]
        environment = {
            "ENTRIES_TABLE": create_table(dynamodb, "EntriesTable"),
            "PRODUCTS_TABLE": create_table(dynamodb, "ProductsTable"),
            "RESTOCKS_TABLE": create_table(dynamodb, "RestocksTable"),
            "SUPPRESSIONS_TABLE": create_table(dynamodb, "SuppressionsTable"),
            "SENDING_TABLE": create_table(dynamodb, "SendingTable"),
            "DEMAND_TABLE": create_table(dynamodb, "DemandTable"),
            "EVENTS_TABLE": create_table(dynamodb, "EventsTable"),
            "SOURCE_SECRETS": secrets.create_secret(Name="sources", SecretString="{}")["ARN"],
            "STOCK_ACCOUNTS_SECRET": secrets.create_secret(Name="accounts", SecretString="{}")["ARN"],
            "MERCHANT_TABLE": create_table(dynamodb, "MerchantTable"),
            "PAGES_BUCKET": "pages",
            "RELEASE_BUCKET": "release",
            "SIGNING_KEYS_SECRET": secret,
            "MERCHANT_KEYS_SECRET": secrets.create_secret(
                Name="merchant", SecretString='{"key": "merchants-own"}'
            )["ARN"],
            "CONFIRMATIONS_QUEUE_URL": sqs.create_queue(QueueName="confirmations")["QueueUrl"],
            "WEBHOOK_SECRETS": secrets.create_secret(Name="webhooks", SecretString="{}")["ARN"],
            "WEBHOOK_DELIVERIES_QUEUE_URL": sqs.create_queue(QueueName="deliveries")["QueueUrl"],
            "WAVES_QUEUE_URL": sqs.create_queue(QueueName="waves")["QueueUrl"],
            "CONFIGURATION_SET": "emails",
            "METRICS_NAMESPACE": "Spillway/spillway-test",
            "FEEDBACK_TOPIC": "arn:aws:sns:us-east-1:123456789012:feedback",
            "ALARMS_TOPIC": "arn:aws:sns:us-east-1:123456789012:alarms",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(cloud, "container", Container.of_lambda(client))
        for entry in release.products:
            cloud.container.products.put_catalogue(entry.product, entry.stock, known=None)
        with aws_door(lambda url: AwsDoor(url, client)) as door:
            # The clients are made already: a signup's calls alone go through the door.
            patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", door.url)
            patch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", door.url)
            yield door
            assert cloud.container.aws is not None
            cloud.container.aws.close()


@pytest.fixture(scope="module")
def deployed(german_release: Release) -> Iterator[AwsDoor]:
    """The small shop, which has a German edition, on AWS in memory; a signup's calls go over HTTP."""
    with deployed_on(MemoryAws().client, german_release) as door:
        yield door


@pytest.fixture
def api(deployed: AwsDoor) -> Iterator[Client]:
    """The API, with no entry and no message yet."""
    while queued():
        pass
    table, name = cloud.container.client("dynamodb"), cloud.container.settings.entries_table
    for item in table.scan(TableName=name)["Items"]:
        table.delete_item(TableName=name, Key={key: item[key] for key in ("shopper", "sku")})
    # The first request reads the keys: where AWS fails on purpose, they are there, whatever test ran before.
    _ = cloud.container.keys
    with Client(cloud.app) as client:
        yield client
    deployed.faults = lambda: None


def post(
    api: Client, path: str, form: Mapping[str, Any], headers: Mapping[str, str] = SCRIPT
) -> HTTPResponse:
    return api.http.post(path, headers=dict(headers), body=urlencode(form, doseq=True).encode())


def form_token(*skus: str, days_ago: int = 0, opt_in: OptIn = OptIn.DOUBLE, refused: str = "") -> str:
    """As the page has it that offers these."""
    at_ms = cloud.container.clock_ms() - days_ago * DAY_MS
    return FormTokens.of(cloud.container.keys.identity, at_ms=at_ms).sign(
        Offer.of(skus or (SKU,), opt_in, refused)
    )


def waitlist_form(**fields: Any) -> dict[str, Any]:
    """The fields that the form of the product's page sends."""
    page = "/products/field-jacket"
    return {
        "email": "ada@example.com",
        "sku": SKU,
        "page": page,
        "form_token": form_token(),
        "knot": "",
        **fields,
    }


def sign_up(api: Client, email: str = "ada@example.com", **fields: Any) -> HTTPResponse:
    return post(api, "/waitlist", waitlist_form(email=email, **fields))


def shopper(email: str = "ada@example.com") -> str:
    return Address.parse(email).shopper_id(cloud.container.keys.identity)


def token(purpose: Purpose, email: str = "ada@example.com") -> str:
    return cloud.container.links.sign(purpose, LinkSubject(shopper(email), SKU))


def state(email: str = "ada@example.com") -> EntryState | None:
    entry = cloud.container.entries.get(shopper(email), SKU)
    return entry.state if entry else None


def rows() -> int:
    return int(
        cloud.container.client("dynamodb").scan(TableName=cloud.container.settings.entries_table)["Count"]
    )


def location(answer: HTTPResponse) -> str:
    return str(answer.headers["Location"])


def test_a_signup_by_script_is_accepted_and_stored(api: Client) -> None:
    answer = sign_up(api)
    assert (answer.status_code, answer.json_body) == (202, {"status": "accepted"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert state() is EntryState.PENDING


def test_a_signup_by_a_plain_form_is_answered_by_a_page_that_says_what_was_asked_for(api: Client) -> None:
    answer = post(api, "/waitlist", waitlist_form(page="/"), PERSON)
    html = answer.body.decode()
    assert (answer.status_code, answer.headers["Content-Language"]) == (200, "en-GB")
    assert "You asked us to write to <strong>ada@example.com</strong> when this is available:" in html
    assert "<li>Field Jacket, Moss, M</li>" in html
    assert state() is EntryState.PENDING


def test_a_signup_may_be_json(api: Client) -> None:
    both = [SKU, "FJ-SLATE-M"]
    body = json.dumps({"email": "ada@example.com", "sku": both, "form_token": form_token(*both)}).encode()
    answer = api.http.post("/waitlist", headers={"content-type": "application/json"}, body=body)
    assert answer.status_code == 202
    assert rows() == 2


def test_the_answer_is_the_same_for_every_address(api: Client) -> None:
    new = sign_up(api)
    again = sign_up(api)
    cloud.container.waitlist.confirm(token(Purpose.CONFIRM))
    confirmed = sign_up(api)
    cloud.container.waitlist.unsubscribe(token(Purpose.UNSUBSCRIBE))
    left = sign_up(api)
    cloud.container.suppressions.suppress(shopper("eve@example.com"), reason="complaint", at_ms=1)
    suppressed = sign_up(api, "eve@example.com")
    answers = [
        (answer.status_code, answer.body, dict(answer.headers))
        for answer in (new, again, confirmed, left, suppressed)
    ]
    assert all(answer == answers[0] for answer in answers)


def test_a_signup_is_one_write_and_no_read_for_every_address(api: Client, deployed: AwsDoor) -> None:
    sign_up(api, "warm@example.com")
    deployed.calls.clear()
    sign_up(api)
    assert deployed.calls == ["UpdateItem"]
    sign_up(api)
    cloud.container.waitlist.confirm(token(Purpose.CONFIRM))
    sign_up(api)
    cloud.container.waitlist.unsubscribe(token(Purpose.UNSUBSCRIBE))
    sign_up(api)
    assert deployed.calls == ["UpdateItem"] * 4


def test_with_single_opt_in_a_signup_is_confirmed_by_its_one_write(api: Client, deployed: AwsDoor) -> None:
    double = sign_up(api, "warm@example.com")
    deployed.calls.clear()
    answer = sign_up(api, form_token=form_token(opt_in=OptIn.SINGLE))
    assert deployed.calls == ["UpdateItem"]
    assert (answer.status_code, answer.body) == (double.status_code, double.body)
    assert state() is EntryState.CONFIRMED
    kept = cloud.container.my_waitlists.export(yours_link())["entries"]
    assert kept[0]["consent"] == "one-email-when-available-at-once-2026-11"
    assert kept[0]["confirmed_at_ms"] == kept[0]["signed_up_at_ms"]


def test_an_address_that_is_thrown_away_is_refused_and_the_list_is_read_once(
    api: Client, deployed: AwsDoor, capsys: pytest.CaptureFixture[str]
) -> None:
    DomainListsTable(cloud.container.client("dynamodb"), cloud.container.settings.products_table).put(
        "l1", ["mailinator.com"]
    )
    deployed.calls.clear()
    listed = form_token(refused="l1")
    for email in ("eve@mailinator.com", "eve@post.MAILINATOR.com"):
        answer = sign_up(api, email, form_token=listed)
        assert answer.status_code == 400
        assert "thrown away" in answer.json_body["errors"][0]["detail"]
    for email in ("ada@example.com", "ada@notmailinator.com"):
        assert sign_up(api, email, form_token=listed).status_code == 202
    assert deployed.calls == ["GetItem", "UpdateItem", "UpdateItem"]
    deployed.faults = lambda: (400, "ThrottlingException") if deployed.calls[-1] == "GetItem" else None
    assert sign_up(api, "eve@mailinator.com", form_token=form_token(refused="l2")).status_code == 202
    deployed.faults = lambda: None
    assert "domains_not_read" in capsys.readouterr().out


def test_a_filled_honeypot_gets_a_script_the_same_answer_and_nothing_is_stored(
    api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    trapped = sign_up(api, "zoltan@example.com", knot="https://spam.example")
    assert rows() == 0
    taken = sign_up(api)
    assert (trapped.status_code, trapped.body, dict(trapped.headers)) == (
        202,
        taken.body,
        dict(taken.headers),
    )
    assert sign_up(api, "zoltan@example.com", knot="x", undo="1").json_body.keys() == {"status", "undo"}
    assert rows() == 1
    logged = capsys.readouterr().out
    assert "honeypot" in logged
    assert "zoltan" not in logged


def test_a_person_whose_program_filled_in_the_honeypot_sends_the_form_once_more(api: Client) -> None:
    asked = post(api, "/waitlist", waitlist_form(knot="https://ada.example"), PERSON)
    assert asked.status_code == 200
    assert "Nothing has been sent yet: press the button." in asked.body.decode()
    assert rows() == 0
    (form,) = forms_of(asked.body.decode())
    assert form.action == "/api/waitlist"
    sent = api.http.post("/waitlist", headers=PERSON, body=urlencode(form.filled({})).encode())
    assert "Now check your inbox" in sent.body.decode()
    assert state() is EntryState.PENDING


def test_the_fields_name_in_older_pages_says_nothing(api: Client) -> None:
    assert sign_up(api, website="https://ada.example").json_body == {"status": "accepted"}
    assert state() is EntryState.PENDING


def undo_form(answer: HTTPResponse) -> dict[str, list[str]]:
    """The form with which the page of a signup undoes it."""
    (form,) = [
        form for form in forms_of(answer.body.decode()) if form.action.startswith("/api/waitlist/undo")
    ]
    fields: dict[str, list[str]] = {}
    for name, value in form.filled({}):
        fields.setdefault(name, []).append(value)
    return fields


def test_a_signup_is_undone_by_its_page_and_nothing_is_left(api: Client) -> None:
    both = [SKU, "FJ-SLATE-M"]
    form = waitlist_form(sku=both, form_token=form_token(*both), page=GERMAN_PAGE)
    answer = post(api, "/waitlist", form, PERSON)
    assert (rows(), answer.headers["Content-Language"]) == (2, "de")
    assert re.findall("<li>(Feldjacke, .*)</li>", answer.body.decode()) == [
        "Feldjacke, Moos, M",
        "Feldjacke, Schiefer, M",
    ]
    for _ in range(2):
        undone = post(api, "/waitlist/undo?lang=de", undo_form(answer), PERSON)
        assert (undone.status_code, location(undone)) == (303, "/de/waitlist/undone")
        assert rows() == 0


def test_a_script_is_given_a_token_to_undo_by_where_it_asks_for_one(api: Client) -> None:
    token = sign_up(api, undo="1").json_body["undo"]
    undone = post(api, "/waitlist/undo", {"email": "ada@example.com", "sku": SKU, "undo": token})
    assert (undone.status_code, undone.json_body) == (200, {"status": "undone"})
    assert rows() == 0


def test_undoing_never_changes_what_was_there_before(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who types another's address can take back no more than they have put down."""
    at_ms = cloud.container.clock_ms()
    entries, ada = cloud.container.entries, shopper()
    signup = Signup(ada, "ada@example.com", SKU, "/", "c")
    undo = {"email": "ada@example.com", "sku": SKU}
    answers = []

    def asks_and_undoes() -> None:
        token = sign_up(api, undo="1").json_body["undo"]
        answer = post(api, "/waitlist/undo", {**undo, "undo": token})
        answers.append((answer.status_code, answer.body, dict(answer.headers)))

    asks_and_undoes()
    assert state() is None
    entries.sign_up(
        signup, at_ms=at_ms - 20 * 60_000
    )  # pending, and asked for long enough ago to count again
    asks_and_undoes()
    assert state() is EntryState.PENDING
    asks_and_undoes()  # too soon to count
    assert state() is EntryState.PENDING
    cloud.container.waitlist.confirm(token(Purpose.CONFIRM))
    asks_and_undoes()
    assert state() is EntryState.CONFIRMED
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)


def test_an_entry_confirmed_since_is_not_undone(api: Client) -> None:
    undo = sign_up(api, undo="1").json_body["undo"]
    # Later than the signup, however fast the test is: what is confirmed by the signup itself is undone.
    assert cloud.container.entries.confirm(shopper(), SKU, at_ms=cloud.container.clock_ms() + 1)
    post(api, "/waitlist/undo", {"email": "ada@example.com", "sku": SKU, "undo": undo})
    assert state() is EntryState.CONFIRMED


def test_a_signup_that_counts_at_once_is_undone_too(api: Client) -> None:
    undo = sign_up(api, form_token=form_token(opt_in=OptIn.SINGLE), undo="1").json_body["undo"]
    assert state() is EntryState.CONFIRMED
    post(api, "/waitlist/undo", {"email": "ada@example.com", "sku": SKU, "undo": undo})
    assert state() is None


def test_no_other_token_undoes(api: Client) -> None:
    undo = sign_up(api, undo="1").json_body["undo"]
    at_ms = int(undo.partition(".")[0])
    old = cloud.container.links.undo_token(shopper(), at_ms - 31 * 60_000)
    for bad in (
        "",
        "x",
        undo[:-1],
        undo + "x",
        f"{at_ms + 1}.{undo.partition('.')[2]}",
        old,
        "9" * 5000,
        "\u0663.x",
    ):
        refused = post(api, "/waitlist/undo", {"email": "ada@example.com", "sku": SKU, "undo": bad})
        assert (refused.status_code, refused.json_body["detail"]) == (
            410,
            "It is too late to undo this here. Each email has a way to leave the list.",
        )
    theirs = post(api, "/waitlist/undo", {"email": "eve@example.com", "sku": SKU, "undo": undo})
    assert theirs.status_code == 410
    assert state() is EntryState.PENDING


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "ada"}, "email"),
        ({"email": ""}, "email"),
        ({"email": ["a@example.com", "b@example.com"]}, "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "email"),
        ({"email": "a@example.com,b@example.com"}, "email"),
        ({"sku": []}, "sku"),
        ({"sku": "<script>"}, "sku"),
        ({"sku": "lower"}, "sku"),
        ({"sku": "NOT-OF-THIS-PAGE"}, "sku"),
        ({"sku": [SKU, "NOT-OF-THIS-PAGE"]}, "sku"),
        ({"form_token": ""}, "form_token"),
        ({"form_token": []}, "form_token"),
        ({"form_token": "20000.FJ-MOSS-M.AAAAAAAAAAAAAAAAAAAA"}, "form_token"),
        ({"form_token": "x" * 6000}, "form_token"),
        ({"sku": [f"S-{number}" for number in range(21)]}, "sku"),
        ({"page": "//evil.example"}, "page"),
        ({"page": "/\\evil"}, "page"),
        ({"page": "https://evil.example"}, "page"),
        ({"page": "/" + "a" * 300}, "page"),
        ({"admin": "1"}, "admin"),
        ({"page": "/\0"}, "page"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_stored(api: Client, fields: dict[str, Any], field: str) -> None:
    answer = sign_up(api, **fields) if "email" not in fields else sign_up(api, fields["email"])
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert field in [error["field"] for error in answer.json_body["errors"]]
    assert rows() == 0


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "text/plain"}, b"x", 415),
        ({"content-type": "application/json"}, b"[1]", 400),
        ({"content-type": "application/json"}, b"null", 400),
        ({"content-type": "application/json"}, b"NaN", 400),
        ({"content-type": "application/json"}, b'{"email": NaN}', 400),
        ({"content-type": "application/json"}, b'{"email": "a@example.com", "email": "b@example.com"}', 400),
        ({"content-type": "application/json"}, b'{"email": {"a": 1}}', 400),
        ({"content-type": "application/json"}, b'{"email": "\\ud800@example.com"}', 400),
        ({"content-type": "application/json"}, b"[" * 5000, 400),
        ({"content-type": "application/json"}, b'{"email": "' + b"a" * 9000 + b'"}', 413),
        ({"content-type": "text/html"}, b"", 415),
        (FORM, b"", 400),
        (FORM, b"email=%ff%fe&sku=A", 400),
        (FORM, b"&".join(b"a%d=1" % number for number in range(100)), 400),
        (FORM, b"a" * 9000, 413),
    ],
)
def test_a_body_that_is_no_form_is_a_problem_document(
    api: Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = api.http.post("/waitlist", headers=headers, body=body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["status"] == status
    assert rows() == 0


def test_a_form_of_an_old_page_is_good_once_it_is_sent_again(api: Client) -> None:
    old = form_token(days_ago=VALID_DAYS + PERIOD_DAYS + 1)
    answer = sign_up(api, form_token=old)
    assert (answer.status_code, answer.json_body["errors"][0]["field"]) == (400, "form_token")
    assert rows() == 0
    again = {item["field"]: item["value"] for item in answer.json_body["again"]}
    assert (again["email"], again["sku"], again["form_token"]) == ("ada@example.com", SKU, form_token())
    (form,) = forms_of(post(api, "/waitlist", waitlist_form(form_token=old), PERSON).body.decode())
    sent = api.http.post("/waitlist", headers=PERSON, body=urlencode(form.filled({})).encode())
    assert (sent.status_code, "Now check your inbox" in sent.body.decode()) == (200, True)
    assert state() is EntryState.PENDING


def test_an_old_page_gets_a_new_form_token_on_the_terms_of_now(api: Client) -> None:
    old = form_token(days_ago=VALID_DAYS + PERIOD_DAYS + 1, opt_in=OptIn.SINGLE, refused="3fa9c1d2e07b")
    again = {item["field"]: item["value"] for item in sign_up(api, form_token=old).json_body["again"]}
    assert again["form_token"] == form_token(opt_in=OptIn.DOUBLE)


def test_a_form_of_an_old_page_with_a_mistake_names_the_mistake(api: Client) -> None:
    answer = sign_up(api, "ada", form_token=form_token(days_ago=VALID_DAYS + PERIOD_DAYS + 1))
    assert [error["field"] for error in answer.json_body["errors"]] == ["email"]
    assert "again" not in answer.json_body


def test_too_many_fields_are_reported_as_such(api: Client) -> None:
    many = {f"a{number}": "1" for number in range(41)}
    by_answer = [
        post(api, "/waitlist", many),
        api.http.post(
            "/waitlist", headers={"content-type": "application/json"}, body=json.dumps(many).encode()
        ),
    ]
    details = {(answer.status_code, answer.json_body["detail"]) for answer in by_answer}
    assert details == {(400, "A request has at most 40 fields, not 41.")}


def test_a_person_sees_the_error_on_a_page_and_is_led_back(api: Client) -> None:
    answer = post(api, "/waitlist", waitlist_form(email="<script>x</script>"), PERSON)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'href="/products/field-jacket"' in answer.body
    assert b"<script>x" not in answer.body


def test_a_method_nobody_offers_is_named_as_such(api: Client) -> None:
    answer = api.http.delete("/waitlist")
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_link_shows_and_only_the_button_acts(api: Client) -> None:
    sign_up(api)
    link = token(Purpose.CONFIRM)
    shown = api.http.get(f"/confirm?token={link}", headers={"accept": "text/html"})
    assert shown.status_code == 200
    assert link.encode() in shown.body
    assert shown.headers["Referrer-Policy"] == "strict-origin"
    assert state() is EntryState.PENDING
    for _ in range(2):
        pressed = post(api, "/confirm", {"token": link}, PERSON)
        assert (pressed.status_code, location(pressed)) == (303, "/waitlist/confirmed")
        assert state() is EntryState.CONFIRMED


def test_a_used_link_says_what_is_and_offers_no_button_that_fails(api: Client) -> None:
    sign_up(api)
    link = token(Purpose.CONFIRM)
    post(api, "/confirm", {"token": link})
    again = api.http.get(f"/confirm?token={link}", headers={"accept": "text/html"})
    assert (again.status_code, location(again)) == (303, "/waitlist/confirmed")
    cloud.container.waitlist.unsubscribe(token(Purpose.UNSUBSCRIBE))
    left = api.http.get(f"/confirm?token={link}", headers={"accept": "text/html"})
    assert left.status_code == 410
    assert state() is EntryState.UNSUBSCRIBED


def test_a_shopper_can_unsubscribe_from_what_is_sold_no_more(api: Client) -> None:
    cloud.container.entries.sign_up(
        Signup(shopper(), "ada@example.com", "OLD", "/", "c"), at_ms=cloud.container.clock_ms()
    )
    link = cloud.container.links.sign(Purpose.UNSUBSCRIBE, LinkSubject(shopper(), "OLD"))
    assert api.http.get(f"/unsubscribe?token={link}", headers={"accept": "text/html"}).status_code == 200
    assert post(api, "/unsubscribe", {"token": link}, PERSON).status_code == 303


def test_the_leave_link_shows_and_only_the_button_acts(api: Client) -> None:
    sign_up(api)
    link = token(Purpose.UNSUBSCRIBE)
    shown = api.http.get(f"/unsubscribe?token={link}", headers={"accept": "text/html"})
    assert shown.status_code == 200
    assert state() is EntryState.PENDING
    pressed = post(api, "/unsubscribe", {"token": link}, PERSON)
    assert (pressed.status_code, location(pressed)) == (303, "/waitlist/unsubscribed")
    assert state() is EntryState.UNSUBSCRIBED


def moved(sku: str) -> None:
    """Move everybody to another SKU, as `spillway waitlist move` does."""
    entries = EntryRows.of(cloud.container)
    Move(entries, SKU, sku, Arrival.NEXT_RESTOCK, cloud.container.clock_ms()).carry_out(lambda _: None)


@pytest.mark.parametrize("by_button", [False, True])
def test_an_unsubscribe_link_ends_the_entry_it_was_moved_to(api: Client, *, by_button: bool) -> None:
    sign_up(api)
    link = token(Purpose.UNSUBSCRIBE)
    moved("FJ-SLATE-M")
    shown = api.http.get(f"/unsubscribe?token={link}", headers={"accept": "text/html"})
    assert (shown.status_code, link.encode() in shown.body) == (200, True)
    if by_button:
        pressed = post(api, "/unsubscribe", {"token": link}, PERSON)
        assert (pressed.status_code, location(pressed)) == (303, "/waitlist/unsubscribed")
    else:
        assert api.http.post(f"/unsubscribe?token={link}", body=b"List-Unsubscribe=One-Click").body == b""
    entries = cloud.container.entries.of_shopper(shopper())
    assert [(entry.sku, entry.state) for entry in entries] == [
        (SKU, EntryState.UNSUBSCRIBED),
        ("FJ-SLATE-M", EntryState.UNSUBSCRIBED),
    ]
    again = api.http.get(f"/unsubscribe?token={link}", headers={"accept": "text/html"})
    assert (again.status_code, location(again)) == (303, "/waitlist/unsubscribed")


MULTIPART = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
        ("multipart/form-data; boundary=b", MULTIPART),
        ("application/x-www-form-urlencoded", b"List%2DUnsubscribe=One%2DClick"),
        ("application/x-www-form-urlencoded; charset=UTF-16", b"\xff\xfe"),
        ("text/plain", b"List-Unsubscribe=One-Click"),
        ("text/plain; charset=utf-8", b""),
        ("application/json", b'{"List-Unsubscribe": "One-Click"}'),
        ("application/json", b"{"),
        ("application/octet-stream", b"\x00\xff"),
        ("no media type at all", b"unsubscribe me"),
        ("", b""),
        (None, b""),
        (None, b"List-Unsubscribe=One-Click"),
        ("application/x-www-form-urlencoded", b"token=another"),
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click" + b" " * 9000),
    ],
)
def test_any_post_to_the_headers_link_leaves_without_a_redirect(
    api: Client, content_type: str | None, body: bytes
) -> None:
    sign_up(api)
    headers = {} if content_type is None else {"content-type": content_type}
    for _ in range(2):
        path = f"/unsubscribe?token={token(Purpose.UNSUBSCRIBE)}"
        answer = api.http.post(path, headers=headers, body=body)
        assert (answer.status_code, answer.body) == (200, b"")
        assert "Location" not in answer.headers
        assert state() is EntryState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("content_type", "pattern"),
    [
        ("application/x-www-form-urlencoded", "token=%s"),
        ("application/x-www-form-urlencoded", "utm=x&token=%s&submit="),
        ("text/plain", "token=%s\r\n"),
        ("application/json", '{"token": "%s"}'),
        (
            "multipart/form-data; boundary=b",
            '--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n%s\r\n--b--',
        ),
    ],
)
def test_a_token_posted_in_any_kind_of_form_leaves_and_leads_to_the_page_that_says_so(
    api: Client, content_type: str, pattern: str
) -> None:
    sign_up(api)
    body = (pattern % token(Purpose.UNSUBSCRIBE)).encode()
    answer = api.http.post("/unsubscribe", headers={"content-type": content_type}, body=body)
    assert (answer.status_code, location(answer)) == (303, "/waitlist/unsubscribed")
    assert state() is EntryState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", b"", 400),
        ("", b"tokens=x", 400),
        ("", b"List-Unsubscribe=One-Click", 410),
        ("?token=", b"List-Unsubscribe=One-Click", 410),
        ("?token=x", b"", 410),
        ("?token=" + "a" * 600, b"", 410),
        ("", b"token=" + b"a" * 600, 410),
        ("", b"a" * 9000, 413),
    ],
)
def test_a_post_to_leave_without_a_token_of_ours_changes_nothing(
    api: Client, query: str, body: bytes, status: int
) -> None:
    sign_up(api)
    answer = api.http.post(f"/unsubscribe{query}", headers={"content-type": "text/plain"}, body=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert state() is EntryState.PENDING


def test_no_other_kind_of_token_leaves(api: Client) -> None:
    sign_up(api)
    for purpose in (Purpose.CONFIRM, Purpose.MY_WAITLISTS):
        assert api.http.post(f"/unsubscribe?token={token(purpose)}").status_code == 410
    assert state() is EntryState.PENDING


def test_a_valid_token_counts_beside_one_that_is_not(api: Client) -> None:
    sign_up(api)
    answer = api.http.post(f"/unsubscribe?token=x&token={token(Purpose.UNSUBSCRIBE)}")
    assert answer.status_code == 200
    assert state() is EntryState.UNSUBSCRIBED


def test_head_is_answered_as_get_and_neither_changes_anything(api: Client) -> None:
    sign_up(api)
    confirm, leave = token(Purpose.CONFIRM), token(Purpose.UNSUBSCRIBE)
    paths = {
        f"/confirm?token={confirm}": 200,
        "/confirm?token=x": 410,
        f"/unsubscribe?token={leave}": 200,
        f"/waitlists?token={yours_link()}": 200,
        f"/waitlists/export?token={yours_link()}": 200,
        "/merchant/sign-in?token=x": 410,
        "/merchant/session": 401,
        **dict.fromkeys(
            (
                *("/merchant/audit", "/merchant/failed", "/merchant/ordering", "/merchant/overview"),
                *("/merchant/reports", "/merchant/traffic", "/merchant/wave-policy"),
            ),
            401,
        ),
        "/click?token=x": 303,
        "/openapi.json": 200,
    }
    for path, status in paths.items():
        got, head = (
            api.http.request(method, path, headers={"accept": "text/html"}) for method in ("GET", "HEAD")
        )
        assert (got.status_code, head.status_code) == (status, status)
        assert dict(got.headers) == dict(head.headers)
        assert (bool(got.body), head.body) == (status != 303, b"")
        assert state() is EntryState.PENDING
    routes = {path.partition("?")[0] for path in paths}
    assert routes == {path for path, methods in cloud.app.routes.items() if "GET" in methods}


def everything_stored() -> dict[str, list[str]]:
    """Every row of every table, and what is in the queues."""
    tables = cloud.container.client("dynamodb")
    stored = {
        name: sorted(json.dumps(item, sort_keys=True) for item in tables.scan(TableName=name)["Items"])
        for name in tables.list_tables()["TableNames"]
    }
    return stored | {"queued": [json.dumps(element) for element in queued()]}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_scanner_that_follows_every_link_of_every_email_changes_not_one_row(
    api: Client, method: str
) -> None:
    scanner = {"accept": "text/html", "purpose": "prefetch", "sec-purpose": "prefetch"}
    sign_up(api)
    sign_up(api, "bob@example.com")
    assert cloud.container.waitlist.confirm(token(Purpose.CONFIRM, "bob@example.com"))
    queued()
    before = everything_stored()
    links = [
        f"{path}?token={link}{more}"
        for path in ("/confirm", "/unsubscribe", "/waitlists", "/waitlists/export", "/waitlist/undo")
        for email in ("ada@example.com", "bob@example.com")
        for link in (*(token(purpose, email) for purpose in Purpose), yours_link(email))
        for more in ("", f"&List-Unsubscribe=One-Click&sku={SKU}&lang=de")
    ]
    links += [f"/waitlists/{what}?token={yours_link()}&sku={SKU}" for what in ("leave", "erase")]
    links += [f"/waitlist?{urlencode(waitlist_form(email='eve@example.com'))}"]
    answered = {api.http.request(method, link, headers=scanner).status_code for link in links}
    assert answered == {200, 303, 405, 410}
    assert everything_stored() == before


@pytest.mark.parametrize("path", ["/confirm", "/unsubscribe"])
def test_every_bad_link_gets_the_same_answer(api: Client, path: str) -> None:
    sign_up(api)
    purpose, other = (
        (Purpose.CONFIRM, Purpose.UNSUBSCRIBE)
        if path == "/confirm"
        else (Purpose.UNSUBSCRIBE, Purpose.CONFIRM)
    )
    bad = ["", "x", token(purpose)[:-1], token(other), token(purpose) + "x", "a" * 600]
    shown = [api.http.get(f"{path}?token={link}", headers={"accept": "text/html"}) for link in bad]
    assert {(answer.status_code, answer.body) for answer in shown} == {(410, shown[0].body)}
    posted = [post(api, path, {"token": link}) for link in bad]
    assert {(answer.status_code, answer.body) for answer in posted} == {(410, posted[0].body)}
    assert state() is EntryState.PENDING


def test_a_form_without_a_token_is_a_bad_request(api: Client) -> None:
    assert post(api, "/confirm", {}).status_code == 400
    assert post(api, "/confirm", {"token": ["a", "b"]}).status_code == 400
    assert post(api, "/confirm", {"token": "x", "extra": "1"}).status_code == 400


def test_a_link_to_what_is_gone_is_gone(api: Client) -> None:
    answer = api.http.get(f"/confirm?token={token(Purpose.CONFIRM)}", headers={"accept": "application/json"})
    assert answer.status_code == 410


def test_a_throttled_table_says_when_to_try_again(api: Client, deployed: AwsDoor) -> None:
    deployed.faults = lambda: (400, "ProvisionedThroughputExceededException")
    answer = sign_up(api)
    deployed.faults = lambda: None
    assert answer.status_code == 503
    assert 2 <= int(answer.headers["Retry-After"]) <= 9
    assert rows() == 0


def test_clients_that_are_turned_away_at_once_come_back_spread_out_and_are_stored_once(
    api: Client, deployed: AwsDoor
) -> None:
    throttled = AwsRefused("ProvisionedThroughputExceededException", 400)
    chances = iter(number / 80 for number in range(80))
    waits_s = [problem_of(throttled, lambda: next(chances)).retry_after_s for _ in range(80)]
    assert {wait_s: waits_s.count(wait_s) for wait_s in waits_s} == dict.fromkeys(range(2, 10), 10)
    deployed.faults = lambda: (400, "ProvisionedThroughputExceededException")
    assert sign_up(api).status_code == 503
    deployed.faults = lambda: None
    # One client sends the same form again and again, since it missed the answers.
    answers = [sign_up(api) for _ in range(3)]
    assert {(answer.status_code, answer.body) for answer in answers} == {(202, answers[0].body)}
    assert (rows(), state()) == (1, EntryState.PENDING)


def test_a_browser_without_script_gets_a_page_on_a_503_with_the_form_as_it_was(
    api: Client, deployed: AwsDoor
) -> None:
    typed = waitlist_form()
    deployed.faults = lambda: (400, "ProvisionedThroughputExceededException")
    answer = post(api, "/waitlist", typed, PERSON)
    deployed.faults = lambda: None
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert 2 <= int(answer.headers["Retry-After"]) <= 9
    assert "Too many people at once. Try again in a moment." in answer.body.decode()
    (form,) = forms_of(answer.body.decode())
    api.http.post("/waitlist", headers=PERSON, body=urlencode(form.filled({})).encode())
    assert state() is EntryState.PENDING


def test_a_browser_gets_a_page_where_the_theme_cannot_be_had(
    api: Client, deployed: AwsDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise RuntimeError("no theme")

    monkeypatch.setitem(vars(cloud.container), "recent_themes", SimpleNamespace(live=missing))
    stored = post(api, "/waitlist", waitlist_form(), PERSON)
    assert (stored.status_code, location(stored)) == (303, "/waitlist/thanks")
    assert state() is EntryState.PENDING
    refused = post(api, "/waitlist", waitlist_form(email="<b>"), PERSON)
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert "<p>The form is not complete.</p>" in refused.body.decode()
    assert (
        location(post(api, "/unsubscribe?lang=de", {"token": token(Purpose.UNSUBSCRIBE)}))
        == "/waitlist/unsubscribed"
    )


def test_details_of_an_internal_error_are_not_shown(
    api: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret: ada@example.com")

    monkeypatch.setitem(vars(cloud.container), "signups", SimpleNamespace(decide=broken))
    answer = sign_up(api)
    assert answer.status_code == 500
    assert b"secret" not in answer.body
    logged = capsys.readouterr().out
    assert "RuntimeError" in logged
    assert "ada@example.com" not in logged


def test_no_address_and_no_token_reaches_the_log(api: Client, capsys: pytest.CaptureFixture[str]) -> None:
    # No hexadecimal id of a request can spell this name.
    sign_up(api, "zoltan@example.com")
    sign_up(api, "no address")
    link = token(Purpose.CONFIRM, "zoltan@example.com")
    post(api, "/confirm", {"token": link})
    post(api, "/confirm", {"token": link[:-1]})
    logged = "".join(capsys.readouterr())
    assert "zoltan" not in logged
    assert "no address" not in logged
    assert link not in logged


def test_a_flood_of_hostile_requests_leaves_no_address_and_no_token_in_any_line(
    api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "zoltan.zz"
    mailbox = f"{name}@example.com"
    link, undo = (
        token(Purpose.UNSUBSCRIBE, mailbox),
        cloud.container.links.undo_token(shopper(mailbox), cloud.container.clock_ms()),
    )
    hostile = (
        {"knot": mailbox},
        {"website": mailbox},
        {"page": f"/{name}"},
        {"page": f"//{mailbox}"},
        {"email": f"{mailbox},{mailbox}"},
        {"email": mailbox + "\r\nBcc: x"},
        {"sku": mailbox},
        {"form_token": mailbox},
        {mailbox: "1"},
    )
    for fields in hostile:
        for headers in (PERSON, SCRIPT, SCRIPT | {"origin": f"https://{name}.example"}):
            post(api, "/waitlist", {**waitlist_form(email=mailbox), **fields}, headers)
    for path in ("/waitlists", "/waitlist/undo", "/confirm", "/waitlists/erase"):
        for body in (
            mailbox,
            f"email={mailbox}&knot=x",
            f"token={link}",
            f"email={mailbox}&sku={SKU}&undo={undo}",
        ):
            api.http.post(path, headers=PERSON, body=body.encode())
    for query in (link, link[:-1], mailbox, link * 20):
        api.http.get(f"/confirm?token={query}&lang={name}")
        api.http.post(f"/unsubscribe?token={query}", headers={"content-type": mailbox}, body=mailbox.encode())
    logged = "".join(capsys.readouterr())
    assert logged.count('"answered"') > 40
    for secret in ("zoltan", link, link[:-1], undo, undo.partition(".")[2]):
        assert secret not in logged


def yours_link(email: str = "ada@example.com") -> str:
    return cloud.container.links.sign(Purpose.MY_WAITLISTS, LinkSubject(shopper(email)))


def queued() -> list[dict[str, str]]:
    """The emails asked for since the last look."""
    sqs, url = cloud.container.client("sqs"), cloud.container.settings.confirmations_queue_url
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def test_a_request_for_my_waitlists_has_the_same_answer_for_known_and_unknown_addresses(api: Client) -> None:
    sign_up(api)
    known = post(api, "/waitlists", {"email": "ada@example.com", "website": ""}, PERSON)
    unknown = post(api, "/waitlists", {"email": "eve@example.com"}, PERSON)
    assert (known.status_code, location(known)) == (303, "/waitlist/sent")
    assert (unknown.status_code, unknown.body) == (known.status_code, known.body)
    assert dict(unknown.headers) == dict(known.headers)
    assert [message["shopper"] for message in queued()] == [shopper(), shopper("eve@example.com")]
    assert post(api, "/waitlists", {"email": "eve@example.com", "knot": "x"}).status_code == 202
    asked = post(api, "/waitlists", {"email": "eve@example.com", "knot": "x"}, PERSON)
    (form,) = forms_of(asked.body.decode())
    assert (asked.status_code, form.action, form.filled({})) == (
        200,
        "/api/waitlists",
        [("email", "eve@example.com")],
    )
    assert post(api, "/waitlists", {"email": "eve"}).status_code == 400
    assert queued() == []


def test_the_lists_are_shown_left_taken_along_and_erased(api: Client) -> None:
    sign_up(api)
    link = yours_link()
    shown = api.http.get(f"/waitlists?token={link}", headers={"accept": "text/html"})
    assert shown.status_code == 200
    assert b"Field Jacket" in shown.body
    taken = api.http.get(f"/waitlists/export?token={link}")
    assert taken.json_body["entries"][0]["mailbox"] == "ada@example.com"
    assert "attachment" in str(taken.headers["Content-Disposition"])
    assert state() is EntryState.PENDING
    left = post(api, "/waitlists/leave", {"token": link, "sku": SKU}, PERSON)
    assert (left.status_code, location(left)) == (303, "/waitlist/unsubscribed")
    assert state() is EntryState.UNSUBSCRIBED
    for _ in range(2):
        erased = post(api, "/waitlists/erase", {"token": link}, PERSON)
        assert (erased.status_code, location(erased)) == (303, "/waitlist/erased")
        assert rows() == 0
    shown = api.http.get(f"/waitlists?token={link}", headers={"accept": "text/html"})
    assert b"There is nothing here" in shown.body


def test_the_lists_open_to_no_other_link(api: Client) -> None:
    sign_up(api)
    for link in ("", "x", token(Purpose.UNSUBSCRIBE), token(Purpose.CONFIRM), yours_link()[:-1]):
        assert api.http.get(f"/waitlists?token={link}").status_code == 410
        assert api.http.get(f"/waitlists/export?token={link}").status_code == 410
        assert post(api, "/waitlists/leave", {"token": link}).status_code == 410
        assert post(api, "/waitlists/erase", {"token": link}).status_code == 410
    refused = post(api, "/waitlists/leave", {"token": yours_link(), "sku": "a\u200bb"})
    assert refused.status_code == 400
    assert refused.json_body["errors"] == [
        {"field": "sku", "detail": "An SKU must not contain an invisible mark: U+200B ZERO WIDTH SPACE."}
    ]
    assert post(api, "/waitlists/leave", {"token": yours_link(), "sku": SKU.lower()}).status_code == 303
    assert state() is EntryState.PENDING


def test_every_answer_is_a_line_with_its_request_and_counted(
    api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_up(api)
    api.http.delete("/waitlist")
    sign_up(api, "no address")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = [line for line in lines if line["event"] == "answered"]
    assert [(line["route"], line["status"], line["answers"]) for line in answers] == [
        ("POST /waitlist", "202", 1),
        ("DELETE /waitlist", "405", 1),
        ("POST /waitlist", "400", 1),
    ]
    assert all(line["request"] for line in lines)
    (directive,) = answers[0]["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Spillway/spillway-test"
    assert directive["Dimensions"] == [["route", "status"]]
    assert directive["Metrics"] == [{"Name": "answers", "Unit": "Count"}]
    assert isinstance(answers[0]["_aws"]["Timestamp"], int)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin", "origin": "https://shop.example"}, 202),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 202),
        ({"origin": "https://shop.example"}, 202),
        ({"origin": "null"}, 400),
        ({"origin": ""}, 400),
        ({"sec-fetch-site": "cross-site", "origin": "null"}, 400),
        ({}, 202),
        ({"sec-fetch-site": "cross-site", "origin": "https://shop.example"}, 400),
        ({"sec-fetch-site": "same-site"}, 400),
        ({"origin": "https://evil.example"}, 400),
        ({"origin": "https://shop.example.evil.example"}, 400),
    ],
)
def test_a_form_of_another_site_is_refused(
    api: Client, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int
) -> None:
    own = replace(cloud.container.settings, shop_origin="https://shop.example")
    monkeypatch.setattr(cloud.container, "settings", own)
    assert post(api, "/waitlist", waitlist_form(), SCRIPT | headers).status_code == status
    assert rows() == (status == 202)
    assert post(api, "/confirm", {"token": "x"}, SCRIPT | headers).status_code == (
        410 if status == 202 else status
    )


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://www.heron.example", 202),
        ("https://d111111abcdef8.cloudfront.net", 202),
        ("https://evil.example", 400),
        ("null", 400),
        ("http://www.heron.example", 400),
        ("https://cloudfront.net.evil.example", 400),
        ("https://evil.example/.cloudfront.net", 400),
        ("https://[", 400),
    ],
)
def test_without_a_domain_the_origin_of_the_release_and_of_a_distribution_are_the_shops_own(
    api: Client, origin: str, status: int
) -> None:
    assert cloud.container.settings.shop_origin is None
    assert post(api, "/waitlist", waitlist_form(), SCRIPT | {"origin": origin}).status_code == status
    assert rows() == (status == 202)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://shop.example"])
def test_no_answer_of_any_route_lets_a_page_of_another_origin_read_it(api: Client, origin: str) -> None:
    sign_up(api)
    asked = {"origin": origin, "access-control-request-method": "POST", "cookie": "session=1", **SCRIPT}
    answers = [
        api.http.request(method, path.replace("{sku}", SKU), headers=asked)
        for path, methods in cloud.app.routes.items()
        for method in methods
    ]
    assert len(answers) == sum(len(methods) for methods in cloud.app.routes.values()) > 15
    names = {name.lower() for answer in answers for name in answer.headers}
    assert not [name for name in names if name.startswith("access-control-")]
    assert "set-cookie" not in names


def test_a_mail_program_may_unsubscribe_from_wherever_it_runs(api: Client) -> None:
    sign_up(api)
    headers = {**FORM, "sec-fetch-site": "cross-site", "origin": "https://mail.example"}
    path = f"/unsubscribe?token={token(Purpose.UNSUBSCRIBE)}"
    answer = api.http.post(path, headers=headers, body=b"List-Unsubscribe=One-Click")
    assert answer.status_code == 200
    assert state() is EntryState.UNSUBSCRIBED


def test_a_slip_of_the_finger_is_asked_about_and_accepted(api: Client) -> None:
    answer = sign_up(api, "ada@gmial.com")
    assert (answer.status_code, answer.json_body["suggestion"]) == (202, "ada@gmail.com")
    assert state("ada@gmial.com") is EntryState.PENDING


UNDO_TOKEN = re.compile(rb'(?<=name="undo" value=")[^"]+')


def test_without_script_a_slip_is_asked_about_on_a_page_and_accepted_as_well(api: Client) -> None:
    typed = waitlist_form(email="ada@gmial.com")
    asked = post(api, "/waitlist", typed, PERSON)
    assert asked.status_code == 200
    assert state("ada@gmial.com") is EntryState.PENDING
    # Known or not, it is the same page, but for the time in the token that undoes.
    for again in (typed, {**typed, "website": "x"}):
        answer = post(api, "/waitlist", again, PERSON)
        assert UNDO_TOKEN.subn(b"", answer.body) == UNDO_TOKEN.subn(b"", asked.body)
    assert b"<h2>Is ada@gmial.com right?</h2>" in asked.body
    form, _ = forms_of(asked.body.decode())
    corrected = api.http.post("/waitlist", headers=PERSON, body=urlencode(form.filled({})).encode())
    assert (corrected.status_code, "ada@gmail.com</strong>" in corrected.body.decode()) == (200, True)
    assert state("ada@gmail.com") is EntryState.PENDING


def test_a_slip_comes_back_escaped(api: Client) -> None:
    asked = post(api, "/waitlist", waitlist_form(email="a'&`b@gmial.com"), PERSON)
    assert asked.status_code == 200
    assert b"a&#39;&amp;`b@gmail.com" in asked.body
    assert b"a'&`b" not in asked.body


GERMAN_PAGE = "/de/products/field-jacket"


@pytest.mark.parametrize(
    ("page", "language", "root"),
    [
        (GERMAN_PAGE, "de", "/de"),
        ("/products/field-jacket", "en-GB", ""),
        ("/zz/products/x", "en-GB", ""),
        ("/fr-ca/products/x", "en-GB", ""),
        ("/about", "en-GB", ""),
    ],
)
def test_a_signup_is_answered_in_the_language_of_its_page_if_the_shop_has_it(
    api: Client, page: str, language: str, root: str
) -> None:
    answer = post(api, "/waitlist", waitlist_form(page=page), PERSON)
    assert (answer.status_code, answer.headers["Content-Language"]) == (200, language)
    asked = post(api, "/waitlist", waitlist_form(page=page, email="ada@gmial.com"), PERSON)
    assert f'href="{root}/shop/all"' in asked.body.decode()


@pytest.mark.parametrize("page", ["/zz/products/x", "/zz/about", "/nowhere", "/shop/none"])
def test_a_refused_form_never_leads_back_to_a_page_that_is_none(api: Client, page: str) -> None:
    refused = post(api, "/waitlist", waitlist_form(page=page, email="ada"), PERSON)
    assert refused.status_code == 400
    assert '<a class="button" href="/">' in refused.body.decode()


@pytest.mark.parametrize("lang", ["xyz", "zz", "en-gb", "fr-ca"])
def test_a_language_the_shop_has_not_leads_to_a_page_there_is(api: Client, lang: str) -> None:
    sign_up(api)
    confirmed = post(api, f"/confirm?lang={lang}", {"token": token(Purpose.CONFIRM)}, PERSON)
    assert location(confirmed) == "/waitlist/confirmed"
    again = api.http.get(f"/confirm?token={token(Purpose.CONFIRM)}&lang={lang}")
    assert location(again) == "/waitlist/confirmed"
    left = post(api, f"/unsubscribe?lang={lang}", {"token": token(Purpose.UNSUBSCRIBE)}, PERSON)
    assert location(left) == "/waitlist/unsubscribed"
    asked = post(api, f"/waitlists?lang={lang}", {"email": "ada@example.com"}, PERSON)
    assert location(asked) == "/waitlist/sent"
    erased = post(api, f"/waitlists/erase?lang={lang}", {"token": yours_link()}, PERSON)
    assert location(erased) == "/waitlist/erased"


def test_a_refused_form_is_answered_in_the_language_of_its_page(api: Client) -> None:
    skus = [f"SKU-{number}" for number in range(6)]
    wrong = waitlist_form(page=GERMAN_PAGE, email="ada@nowhere", sku=skus)
    answer = post(api, "/waitlist", wrong, PERSON)
    html = answer.body.decode()
    assert (answer.status_code, answer.headers["Content-Language"]) == (400, "de")
    assert "Dem Teil nach dem @ fehlt eine Endung wie .de." in html
    assert "Wähl höchstens 5 aus." in html
    assert f'<a class="button" href="{GERMAN_PAGE}">' in html
    by_field = {
        error["field"]: error["detail"] for error in post(api, "/waitlist", wrong).json_body["errors"]
    }
    assert by_field["email"] == "The part after the @ has no ending, such as .com."
    assert by_field["sku"] == "Choose at most 5."


def test_the_pages_behind_links_are_in_the_language_they_ask_for(api: Client) -> None:
    sign_up(api)
    for path, heading in (
        (f"/confirm?token={token(Purpose.CONFIRM)}", "Bestätige deine Benachrichtigung"),
        (f"/unsubscribe?token={token(Purpose.UNSUBSCRIBE)}", "Abmelden?"),
        (
            f"/waitlists?token={cloud.container.links.sign(Purpose.MY_WAITLISTS, LinkSubject(shopper()))}",
            "Deine Listen",
        ),
    ):
        answer = api.http.get(f"{path}&lang=de")
        html = answer.body.decode()
        assert (answer.status_code, answer.headers["Content-Language"]) == (200, "de")
        assert heading in html
        assert "Feldjacke" in html
        assert f'<a href="/api{path}" lang="en-GB"' in html
        assert re.findall(r'action="(/api/[^"]*)"', html)
        assert all(action.endswith("?lang=de") for action in re.findall(r'action="(/api/[^"]*)"', html))
        english = api.http.get(f"{path}&lang=xx").body.decode()
        assert "Field Jacket" in english
        assert f'<a href="/api{path}&amp;lang=de" lang="de"' in english
    gone = api.http.get("/confirm?token=x&lang=de", headers={"accept": "text/html"})
    assert (gone.status_code, "Dieser Link gilt nicht mehr" in gone.body.decode()) == (410, True)


@pytest.mark.parametrize("lang", ["", "//evil.example", "../..", "de/../x", "DE", "d" * 500])
def test_a_language_that_is_none_leads_to_the_shops_first(api: Client, lang: str) -> None:
    sign_up(api)
    query = urlencode({"lang": lang})
    answer = post(api, f"/confirm?{query}", {"token": token(Purpose.CONFIRM)})
    assert location(answer) == "/waitlist/confirmed"
    assert (
        location(post(api, "/confirm?lang=de", {"token": token(Purpose.CONFIRM)})) == "/de/waitlist/confirmed"
    )
    assert (
        location(post(api, "/unsubscribe?lang=de", {"token": token(Purpose.UNSUBSCRIBE)}))
        == "/de/waitlist/unsubscribed"
    )


THANKS = (
    "You asked us to write to {address} when this is available:",
    "If this address is not on the list yet, we email it a link, and it is not on the list until you press"
    " that link and confirm.",
    "If it is on the list already, we say so by email, once a day at most.",
    "One email has the link for all you asked for just now. We hold emails back when one address or network"
    " asks for too many, for items we no longer sell, and from addresses that returned our email or reported"
    " it as spam.",
)
DANKE = (
    "Du hast uns gebeten, an {address} zu schreiben, wenn das hier zu haben ist:",
    "Steht diese Adresse noch nicht auf der Liste, schicken wir ihr einen Link, und sie steht erst auf der"
    " Liste, wenn du darauf klickst und bestätigst.",
    "Steht sie schon auf der Liste, schreiben wir ihr das, höchstens einmal am Tag.",
    "Eine Mail hat den Link für alles, worum du gerade gebeten hast. Wir halten Mails zurück, wenn eine"
    " Adresse oder ein Netz zu viele anfordert, bei Artikeln, die wir nicht mehr verkaufen, und bei Adressen,"
    " von denen eine Mail zurückkam oder als Spam gemeldet wurde.",
)
# Words of a page, in English and in German.
TO_CONFIRM = (
    "Press the button, and we write to you once when it is back. You are not on the list before that.",
    "Klick auf den Knopf, dann schreiben wir dir einmal, wenn es wieder da ist. Vorher stehst du nicht"
    " auf der"
    " Liste.",
)
NOW = ("Can be ordered at this moment", "Lässt sich gerade bestellen")
ON_THE_LIST = (
    "When it is available we write to you once, in the order in which people asked. Whoever comes first is"
    " served first: being on the list does not put one aside for you. That email has a link to leave the"
    " list. If an email of ours comes back to us, or is reported as spam, we stop writing.",
    "Kommt eine Mail von uns zurück oder wird sie als Spam gemeldet, schreiben wir nicht mehr.",
)
WRITTEN_TO = (
    "You had confirmed already, and have been sent the one email since. You are not on the list any more",
    "Du stehst nicht mehr auf der Liste",
)
NO_LINK = ("It may be too old, used already, or have lost a piece", "Vielleicht ist er zu alt, schon benutzt")
NOT_LEFT_YET = (
    "You are still on the list: press the button to unsubscribe.",
    "Noch stehst du auf der Liste: Klick auf den Knopf, um dich abzumelden.",
)
SENT_ALREADY = (
    "We have sent you the one email you asked for. Nothing more comes unless you ask again",
    "Die eine Mail, um die du gebeten hast, haben wir dir geschickt. Mehr kommt nicht",
)
LEFT_IT = (
    "We will not write to you about it again. Changed your mind? Ask again from the product's page.",
    "Wir schreiben dir dazu nicht mehr. Doch anders überlegt?",
)
NOTHING_KEPT = (
    "There is nothing here: you wait for nothing, and we keep nothing of what you asked for.",
    "Hier ist nichts: Du wartest auf nichts, und wir speichern nichts von dem, worum du gebeten hast.",
)
IS_PENDING = (
    "Not yet confirmed: it counts once you press the link we email.",
    "Noch nicht bestätigt: Es zählt, sobald du auf den Link in unserer Mail klickst.",
)
IS_EXPIRED = ("Never confirmed: no longer on the list.", "Nie bestätigt: nicht mehr auf der Liste.")
IS_CONFIRMED = ("On the list.", "Auf der Liste.")
IS_NOTIFIED = ("We wrote to you once: it could be ordered.", "Wir haben dir einmal geschrieben")
HAS_LEFT = ("You have left.", "Du hast die Liste verlassen.")
NO_LONGER_SOLD = ("We no longer sell it.", "Wir verkaufen es nicht mehr.")
IN_STOCK = "FJ-MOSS-S"
SOLD_NO_MORE = "OLD"


def is_in_state(name: str, sku: str) -> None:
    """Ada's one entry, for `sku`, is in that state."""
    ada, now = shopper(), cloud.container.clock_ms()
    cloud.container.shoppers.erase(ada)
    signup = Signup(ada, "ada@example.com", sku, "/products/field-jacket", "c")
    if name == "unknown":
        return
    signed_up_at_ms = now - (CONFIRM_WITHIN_S + 60) * 1000 if name == "expired" else now - 60_000
    assert cloud.container.entries.sign_up(signup, at_ms=signed_up_at_ms)
    if name in {"pending", "expired"}:
        return
    assert cloud.container.entries.confirm(ada, sku, at_ms=signed_up_at_ms + 1)
    entry = cloud.container.entries.get(ada, sku)
    assert entry is not None
    if name == "notified":
        names = cloud.container.settings
        shards = ShardsTable(
            cloud.container.client("dynamodb"), names.entries_table, names.suppressions_table
        )
        assert shards.mark_batch([Notified(entry, "accepted", "m")], restock_id="r", at_ms=now) == 1
    elif name == "unsubscribed":
        cloud.container.entries.unsubscribe(ada, sku, at_ms=now)
    elif name in {"bounced", "complained"}:
        cloud.container.suppressions.suppress(ada, reason=name, at_ms=now)


# The state, the SKU, and what is said: by a confirm link opened, by its button, by a leave link opened, by
# the page of all that the shopper asked for.
STATES = [
    ("unknown", SKU, NO_LINK, NO_LINK, NO_LINK, NOTHING_KEPT),
    ("pending", SKU, TO_CONFIRM, ON_THE_LIST, NOT_LEFT_YET, IS_PENDING),
    ("pending", IN_STOCK, NOW, ON_THE_LIST, NOT_LEFT_YET, IS_PENDING),
    ("pending", SOLD_NO_MORE, NO_LINK, ON_THE_LIST, NOT_LEFT_YET, NO_LONGER_SOLD),
    ("expired", SKU, NO_LINK, NO_LINK, NO_LINK, IS_EXPIRED),
    ("confirmed", SKU, ON_THE_LIST, ON_THE_LIST, NOT_LEFT_YET, IS_CONFIRMED),
    ("confirmed", IN_STOCK, ON_THE_LIST, ON_THE_LIST, NOT_LEFT_YET, IS_CONFIRMED),
    ("confirmed", SOLD_NO_MORE, ON_THE_LIST, ON_THE_LIST, NOT_LEFT_YET, NO_LONGER_SOLD),
    ("notified", SKU, WRITTEN_TO, WRITTEN_TO, SENT_ALREADY, IS_NOTIFIED),
    ("unsubscribed", SKU, NO_LINK, NO_LINK, LEFT_IT, HAS_LEFT),
    ("bounced", SKU, ON_THE_LIST, ON_THE_LIST, NOT_LEFT_YET, IS_CONFIRMED),
    ("complained", SKU, ON_THE_LIST, ON_THE_LIST, NOT_LEFT_YET, IS_CONFIRMED),
]


def words_of(html: str) -> str:
    """The text of a page's main part, on one line."""
    main = html.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub("<[^>]*>", " ", re.sub("</?strong>", "", main))).split())


@pytest.mark.parametrize(("name", "sku", "opened", "pressed", "leaving", "listed"), STATES)
def test_every_page_says_what_is_true_in_every_state(
    api: Client,
    german_release: Release,
    name: str,
    sku: str,
    opened: tuple[str, str],
    pressed: tuple[str, str],
    leaving: tuple[str, str],
    listed: tuple[str, str],
) -> None:
    static = {
        f"/{object_.key}": object_.body for object_ in german_release.objects if "waitlist/" in object_.key
    }

    def said(answer: HTTPResponse) -> str:
        if answer.status_code == 303:
            body = static[location(answer)]
            return words_of(body.read_text() if isinstance(body, Path) else body.decode())
        assert answer.status_code in {200, 410}
        return words_of(answer.body.decode())

    for place, root in enumerate(("", "de")):
        lang = f"&lang={root}" if root else ""

        def got(path: str, link: str, lang: str = lang) -> str:
            return said(api.http.get(f"{path}?token={link}{lang}", headers={"accept": "text/html"}))

        def posted(path: str, link: str, lang: str = lang) -> str:
            return said(post(api, f"{path}?x=1{lang}", {"token": link}, PERSON))

        is_in_state(name, sku)
        subject = LinkSubject(shopper(), sku)
        confirm, leave = (
            cloud.container.links.sign(item, subject) for item in (Purpose.CONFIRM, Purpose.UNSUBSCRIBE)
        )
        assert opened[place] in got("/confirm", confirm)
        assert leaving[place] in got("/unsubscribe", leave)
        assert listed[place] in got("/waitlists", yours_link())
        for _ in range(2):
            assert pressed[place] in posted("/confirm", confirm)
        for _ in range(2):
            assert LEFT_IT[place] in posted("/unsubscribe", leave)
        assert NO_LINK[place] in posted("/confirm", confirm)
        is_in_state(name, sku)
        page = f"{'/de' if root else ''}/products/field-jacket"
        form = waitlist_form(sku=sku, form_token=form_token(sku), page=page)
        thanks = said(post(api, "/waitlist", form, PERSON))
        for sentence in (THANKS, DANKE)[place]:
            assert sentence.format(address="ada@example.com") in thanks
        assert post(api, "/waitlist", form).json_body == {"status": "accepted"}
    if name in {"bounced", "complained"}:
        cloud.container.client("dynamodb").delete_item(
            TableName=cloud.container.settings.suppressions_table, Key={"shopper": {"S": shopper()}}
        )


def test_the_page_with_script_says_the_same_as_the_page_without(german_release: Release) -> None:
    for key, sentences in (("products/field-jacket", THANKS), ("de/products/field-jacket", DANKE)):
        (body,) = (object_.body for object_ in german_release.objects if object_.key == key)
        html = body.read_text() if isinstance(body, Path) else body.decode()
        sent, terms = (
            unescape(html.partition(f'data-{name}="')[2].partition('"')[0]) for name in ("sent", "terms")
        )
        for sentence in sentences[2:]:
            assert sentence in terms
        assert "{address}" in sent
        assert "{item}" in sent


def test_one_confirm_link_shows_and_confirms_all_it_names_that_can_be(api: Client) -> None:
    skus = [SKU, "FJ-SLATE-M", IN_STOCK, SOLD_NO_MORE]
    sign_up(api, sku=skus, form_token=form_token(*skus))
    cloud.container.entries.unsubscribe(shopper(), "FJ-SLATE-M", at_ms=cloud.container.clock_ms())
    link = cloud.container.links.sign(Purpose.CONFIRM, LinkSubject.of(shopper(), skus))
    shown = words_of(api.http.get(f"/confirm?token={link}", headers={"accept": "text/html"}).body.decode())
    assert "Moss, M" in shown
    assert "Moss, S Can be ordered at this moment" in shown
    assert "Slate" not in shown
    assert "You are not on these lists before that." in shown
    assert location(post(api, "/confirm", {"token": link}, PERSON)) == "/waitlist/confirmed"
    states = {sku: cloud.container.entries.get(shopper(), sku) for sku in skus}
    assert {sku: entry.state for sku, entry in states.items() if entry} == {
        SKU: EntryState.CONFIRMED,
        "FJ-SLATE-M": EntryState.UNSUBSCRIBED,
        IN_STOCK: EntryState.CONFIRMED,
        SOLD_NO_MORE: EntryState.CONFIRMED,
    }


def test_asking_again_when_confirmed_is_the_same_one_write(api: Client, deployed: AwsDoor) -> None:
    sign_up(api)
    cloud.container.entries.confirm(shopper(), SKU, at_ms=cloud.container.clock_ms())
    deployed.calls.clear()
    answer = sign_up(api)
    assert (answer.status_code, answer.json_body) == (202, {"status": "accepted"})
    assert deployed.calls == ["UpdateItem"]
    assert state() is EntryState.CONFIRMED


def test_a_signup_keeps_which_network_asked_and_no_address(api: Client) -> None:
    headers = {**SCRIPT, "x-forwarded-for": "10.0.0.1, 81.2.69.142, 130.176.1.1"}
    for address in ("ada@example.com", "ben@example.com"):
        post(api, "/waitlist", waitlist_form(email=address), headers)
    table = cloud.container.client("dynamodb").scan(TableName=cloud.container.settings.entries_table)
    (source,) = {item["source"]["S"] for item in table["Items"]}
    assert source.startswith("net4-")
    assert "81.2.69" not in json.dumps(table["Items"])
    post(api, "/waitlists", {"email": "ada@example.com"}, headers)
    assert queued()[-1]["source"] == source


def test_a_name_that_stands_twice_in_json_is_refused_as_such(api: Client) -> None:
    fields = f'"sku": "{SKU}", "page": "/", "form_token": "{form_token()}"'
    json_type = {"content-type": "application/json"}
    twice = f'{{"email": "eve@example.com", "email": "ada@example.com", {fields}}}'.encode()
    refused = api.http.post("/waitlist", headers=json_type, body=twice)
    assert (refused.status_code, refused.json_body["detail"]) == (400, "The body is not valid JSON.")
    assert rows() == 0
    # The same without the repeat is good: nothing else was wrong.
    once = f'{{"email": "ada@example.com", {fields}}}'.encode()
    assert api.http.post("/waitlist", headers=json_type, body=once).status_code == 202


@pytest.mark.parametrize(
    "page", ["//evil.example", "/\\evil.example", "https://evil.example", "/%2F/evil.example"]
)
def test_no_page_of_another_site_is_taken_or_led_to(api: Client, page: str) -> None:
    refused = sign_up(api, page=page)
    assert refused.json_body["errors"] == [{"field": "page", "detail": "Must be a path of this shop."}]
    answer = post(api, "/waitlist", waitlist_form(page=page), PERSON)
    assert answer.status_code == 400
    assert "evil" not in answer.body.decode()
    assert "Location" not in answer.headers
    assert rows() == 0


def test_a_forwarded_host_changes_no_answer_and_none_is_kept(api: Client) -> None:
    headers = {**PERSON, "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    answer = post(api, "/waitlist", waitlist_form(), headers)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "evil" not in answer.body.decode() + str(dict(answer.headers))


def test_a_refused_merchants_request_is_logged_without_its_key(
    api: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    event = json.dumps({"sku": SKU, "availability": "InStock", "units": 1}).encode()
    headers = {"content-type": "application/json"}
    for key, status in ((None, 401), ("another-shops-key", 401), ("merchants-own", 200)):
        capsys.readouterr()
        asked = {**headers, **({"authorization": f"Bearer {key}"} if key else {})}
        api.http.post("/availability", headers=asked, body=event)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        counted = [(line["route"], line["status"]) for line in lines if "route" in line]
        assert counted == [("POST /availability", str(status))]
        assert not any(str(key) in json.dumps(line) for line in lines if key)
