"""Merchants sign in, are seen again by their cookie, and lose their rights at once."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from chalice.test import Client, HTTPResponse

import app as cloud
from chalicelib.domain.address import Address
from chalicelib.domain.email import DeliveryOutcome, OutgoingEmail, RequestedEmail, SendRefused, SendResult
from chalicelib.domain.merchant import SESSION_S, SIGN_IN_WITHIN_S, MerchantTokens, Role, Session, merchant_id
from chalicelib.domain.tokens import LinkRefused
from chalicelib.events import send_requested
from chalicelib.http.merchant_session import (
    COOKIE,
    MAY_NOT_ACT,
    NOT_SIGNED_IN,
    may_act,
    signed_in,
)
from chalicelib.http.request import Problem
from chalicelib.merchant_action_routes import TEST_EMAILS_PER_HOUR_MAX
from chalicelib.services.merchants import (
    SIGN_INS_OF_MERCHANT_MAX,
    SIGN_INS_OF_NETWORK_MAX,
    Audit,
    AuditNotWritten,
    MerchantSessions,
)
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.tables.merchant import AuditRow, AuditTable
from spillway.local_cloud.shopper import forms_of
from tests.integration import test_app as playing_aws
from tests.integration.test_app import queued
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.merchants import NO_BROWSER, OWNER, add_merchant, signed_in_headers

deployed = playing_aws.deployed
api = playing_aws.api
JSON = {"accept": "application/json"}
FIREFOX, CHROME = "firefox", "chrome"
SCRIPT = playing_aws.SCRIPT
PERSON = playing_aws.PERSON
READER = {"accept": PERSON["accept"]}
NETWORK = {"x-forwarded-for": "1.2.3.4"}


@pytest.fixture
def clock(deployed: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of all that knows merchants, who are none at first."""
    _ = deployed
    clock = Clock(cloud.container.clock_ms())
    table = cloud.container.merchants.table
    for row in table.scan():
        table.delete({"kind": row["kind"], "key": row["key"]})
    monkeypatch.setattr(cloud.container, "clock_ms", clock)
    for name in ("merchant_sessions", "audit"):
        vars(cloud.container).pop(name, None)
    yield clock
    for name in ("merchant_sessions", "audit"):
        vars(cloud.container).pop(name, None)


@pytest.fixture
def sessions(clock: Clock) -> MerchantSessions:
    _ = clock
    return cloud.container.merchant_sessions


def session(api: Client, headers: dict[str, str]) -> HTTPResponse:
    return api.http.get("/merchant/session", headers=JSON | headers)


def test_a_merchant_who_signed_in_is_known_by_the_cookie(api: Client, clock: Clock) -> None:
    _ = clock
    answer = session(api, signed_in_headers(cloud.container, role=Role.SEE))
    assert (answer.status_code, answer.json_body) == (200, {"email": OWNER, "role": "see"})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "cookie",
    [
        None,
        "",
        "session=1",
        f"{COOKIE}=",
        f"{COOKIE}=forged",
        f"{COOKIE}=" + "x" * 2_000,
        "{cookie}; {cookie}",
        "spillway-merchant={value}",
    ],
)
def test_without_a_cookie_of_ours_nobody_is_signed_in(api: Client, clock: Clock, cookie: str | None) -> None:
    _ = clock
    good = signed_in_headers(cloud.container)["cookie"]
    text = cookie and cookie.replace("{cookie}", good).replace("{value}", good.partition("=")[2])
    answer = session(api, {} if text is None else {"cookie": text})
    assert (answer.status_code, answer.json_body["type"]) == (401, NOT_SIGNED_IN)


def test_a_session_ends_after_twelve_hours(sessions: MerchantSessions, clock: Clock) -> None:
    cookie = sessions.sign_in(sessions.link_token(add_merchant(cloud.container)), FIREFOX)
    clock.pass_s(SESSION_S)
    assert sessions.of(cookie, FIREFOX) is not None
    clock.pass_s(1)
    assert sessions.of(cookie, FIREFOX) is None


def test_a_cookie_that_turns_up_in_another_browser_ends_the_session(
    sessions: MerchantSessions, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = add_merchant(cloud.container)
    cookie = sessions.sign_in(sessions.link_token(owner), FIREFOX)
    capsys.readouterr()
    assert sessions.of(cookie, CHROME) is None
    assert [line["event"] for line in logged(capsys)] == ["session_in_another_browser"]
    assert sessions.of(cookie, FIREFOX) is None


def test_the_name_of_the_browser_is_what_the_request_says(api: Client, clock: Clock) -> None:
    _ = clock
    headers = signed_in_headers(cloud.container, browser="a49d4b83b7f7c0a0")
    assert session(api, headers).status_code == 401
    headers = signed_in_headers(cloud.container, browser=NO_BROWSER)
    assert session(api, headers | {"user-agent": "Other/1.0"}).status_code == 401


def test_signing_out_ends_the_session_also_for_a_copy_of_its_cookie(sessions: MerchantSessions) -> None:
    owner = add_merchant(cloud.container)
    here, there = (sessions.sign_in(sessions.link_token(owner), FIREFOX) for _ in range(2))
    sessions.sign_out(here)
    sessions.sign_out("forged")
    assert sessions.of(here, FIREFOX) is None
    assert sessions.of(there, FIREFOX) == Session(owner.id, Role.ACT, OWNER)


def test_signing_everybody_out_ends_sessions_and_links_of_before(sessions: MerchantSessions) -> None:
    owner = add_merchant(cloud.container)
    cookie, link = sessions.sign_in(sessions.link_token(owner), FIREFOX), sessions.link_token(owner)
    cloud.container.merchants.end_all()
    assert sessions.of(cookie, FIREFOX) is None
    with pytest.raises(LinkRefused):
        sessions.sign_in(link, FIREFOX)
    assert sessions.of(sessions.sign_in(sessions.link_token(owner), FIREFOX), FIREFOX) is not None


def test_a_removed_merchant_is_out_at_once_with_session_and_link(sessions: MerchantSessions) -> None:
    owner = add_merchant(cloud.container)
    cookie, link = sessions.sign_in(sessions.link_token(owner), FIREFOX), sessions.link_token(owner)
    add_merchant(cloud.container, role=None)
    assert sessions.of(cookie, FIREFOX) is None
    with pytest.raises(LinkRefused):
        sessions.sign_in(link, FIREFOX)


def test_a_role_counts_from_the_moment_it_changes(sessions: MerchantSessions) -> None:
    cookie = sessions.sign_in(sessions.link_token(add_merchant(cloud.container)), FIREFOX)
    for role in (Role.SEE, Role.ACT, Role.SEE):
        add_merchant(cloud.container, role=role)
        known = sessions.of(cookie, FIREFOX)
        assert known is not None
        assert known.role is role


def test_two_merchants_are_signed_in_at_once_each_with_their_own_role(api: Client, clock: Clock) -> None:
    _ = clock
    owner = signed_in_headers(cloud.container)
    packer = signed_in_headers(cloud.container, "packer@heron.example", Role.SEE)
    assert session(api, owner).json_body == {"email": OWNER, "role": "act"}
    assert session(api, packer).json_body == {"email": "packer@heron.example", "role": "see"}


def test_a_link_signs_in_once_and_for_a_quarter_of_an_hour(sessions: MerchantSessions, clock: Clock) -> None:
    owner = add_merchant(cloud.container)
    first, second, third = (sessions.link_token(owner) for _ in range(3))
    sessions.check_link(first)
    sessions.sign_in(first, FIREFOX)
    with pytest.raises(LinkRefused):
        sessions.sign_in(first, FIREFOX)
    clock.pass_s(SIGN_IN_WITHIN_S)
    sessions.sign_in(second, FIREFOX)
    clock.pass_s(1)
    for use in (sessions.check_link, lambda token: sessions.sign_in(token, FIREFOX)):
        with pytest.raises(LinkRefused):
            use(third)


def test_a_link_is_no_cookie_and_a_cookie_no_link(sessions: MerchantSessions) -> None:
    owner = add_merchant(cloud.container)
    link = sessions.link_token(owner)
    cookie = sessions.sign_in(sessions.link_token(owner), FIREFOX)
    assert sessions.of(link, FIREFOX) is None
    with pytest.raises(LinkRefused):
        sessions.check_link(cookie)


def test_a_cookie_that_another_key_signed_is_none(sessions: MerchantSessions, clock: Clock) -> None:
    owner = add_merchant(cloud.container)
    cookie = sessions.sign_in(sessions.link_token(owner), FIREFOX)
    tokens = MerchantTokens(["another"], clock)
    merchant, session_id = MerchantTokens(cloud.container.keys.signing, clock).read_session(cookie)
    assert sessions.of(tokens.session(merchant, session_id), FIREFOX) is None


def test_a_cookie_that_names_another_merchant_than_its_session_is_none(
    sessions: MerchantSessions, clock: Clock
) -> None:
    cookie = sessions.sign_in(sessions.link_token(add_merchant(cloud.container)), FIREFOX)
    tokens = MerchantTokens(cloud.container.keys.signing, clock)
    _, session_id = tokens.read_session(cookie)
    packer = add_merchant(cloud.container, "packer@heron.example")
    assert sessions.of(tokens.session(packer.id, session_id), FIREFOX) is None


def test_a_merchant_has_another_id_than_a_shopper_with_the_same_address() -> None:
    owner, key = Address.parse(OWNER), b"identity"
    assert merchant_id(owner, key) == merchant_id(Address.parse("Owner@HERON.example"), key)
    assert len({merchant_id(owner, key), owner.shopper_id(key), merchant_id(owner, b"another")}) == 3


def test_the_stack_names_the_first_merchants_and_a_command_overrules_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = clock
    names = "owner@heron.example, nobody, Second@heron.example"
    monkeypatch.setattr(cloud.container, "settings", _with(merchant_addresses=names))
    sessions = cloud.container.merchant_sessions
    owner = add_merchant(cloud.container)
    cloud.container.merchants.table.delete({"kind": "merchant", "key": owner.id})
    cookie = sessions.sign_in(sessions.link_token(owner), FIREFOX)
    assert sessions.of(cookie, FIREFOX) == Session(owner.id, Role.ACT, OWNER)
    add_merchant(cloud.container, role=Role.SEE)
    assert sessions.of(cookie, FIREFOX) == Session(owner.id, Role.SEE, OWNER)
    add_merchant(cloud.container, role=None)
    assert sessions.of(cookie, FIREFOX) is None


def _with(**changes: Any) -> Any:
    from dataclasses import replace

    return replace(cloud.container.settings, **changes)


class FakeRequest:
    """A request with a method and headers."""

    def __init__(self, method: str, **headers: str) -> None:
        self.method = method
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def asked(method: str, role: Role, **headers: str) -> Any:
    return FakeRequest(method, **signed_in_headers(cloud.container, role=role), **headers)


def test_a_merchant_who_may_only_see_acts_in_vain(clock: Clock) -> None:
    _ = clock
    assert may_act(asked("POST", Role.ACT), cloud.container).role is Role.ACT
    with pytest.raises(Problem) as refused:
        may_act(asked("POST", Role.SEE), cloud.container)
    assert (refused.value.status, refused.value.kind) == (401, MAY_NOT_ACT)
    with pytest.raises(Problem) as unknown:
        may_act(FakeRequest("POST"), cloud.container)
    assert unknown.value.kind == NOT_SIGNED_IN


@pytest.mark.parametrize("check", [signed_in, may_act])
def test_a_form_from_another_site_does_nothing_with_the_best_of_cookies(clock: Clock, check: Any) -> None:
    _ = clock
    for site in ("cross-site", "same-site"):
        with pytest.raises(Problem) as refused:
            check(asked("POST", Role.ACT, sec_fetch_site=site), cloud.container)
        assert refused.value.status == 400
    assert check(asked("POST", Role.ACT, sec_fetch_site="same-origin"), cloud.container).email == OWNER


def test_the_page_lists_what_merchants_did_the_newest_first(api: Client, clock: Clock) -> None:
    headers = signed_in_headers(cloud.container)
    who = cloud.container.merchant_sessions.of(headers["cookie"].partition("=")[2], NO_BROWSER)
    assert who is not None
    cloud.container.audit.record(who, "stock", "FJ-MOSS-M", "3", "5")
    clock.pass_s(1)
    cloud.container.audit.record(who, "pause", "sending", None, "a stock count")
    answer = api.http.get("/merchant/audit", headers=JSON | headers)
    newest, oldest = answer.json_body["actions"]
    assert newest.pop("id") != oldest.pop("id")
    assert newest == {
        "at_ms": clock(),
        "merchant": who.merchant,
        "email": OWNER,
        "action": "pause",
        "target": "sending",
        "before": None,
        "after": "a stock count",
    }
    assert (oldest["before"], oldest["after"]) == ("3", "5")
    assert api.http.get("/merchant/audit", headers=JSON).status_code == 401


def test_an_action_whose_row_cannot_be_written_raises_before_it_acts(clock: Clock) -> None:
    table = AuditTable(cloud.container.client("dynamodb"), cloud.container.settings.merchant_table)
    who = Session(add_merchant(cloud.container).id, Role.ACT, OWNER)
    audit = Audit(table, clock, lambda: "same")
    audit.record(who, "pause", "sending", None, "first")
    with pytest.raises(AuditNotWritten):
        audit.record(who, "resume", "sending", "first", None)
    assert audit.recent(5) == [
        AuditRow("same", clock(), who.merchant, OWNER, "pause", "sending", None, "first")
    ]


def test_no_log_line_has_an_address(
    api: Client, sessions: MerchantSessions, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = signed_in_headers(cloud.container)
    session(api, headers)
    session(api, headers | {"user-agent": "Other/1.0"})
    link = sessions.link_token(add_merchant(cloud.container))
    sessions.sign_out(sessions.sign_in(link, FIREFOX))
    with pytest.raises(LinkRefused):
        sessions.sign_in(link, FIREFOX)
    clock.pass_s(1)
    text = capsys.readouterr().out
    assert "merchant_signed_in" in text
    assert "@" not in text


def ask(api: Client, email: str, headers: dict[str, str] = SCRIPT, *, lang: str = "") -> HTTPResponse:
    path = f"/merchant/sign-in?lang={lang}" if lang else "/merchant/sign-in"
    return playing_aws.post(api, path, {"email": email}, headers)


class Outbox:
    """A sender that keeps the emails; with `refusal` it takes none."""

    def __init__(self) -> None:
        self.emails: list[OutgoingEmail] = []
        self.refusal: SendRefused | None = None

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        assert sender
        if self.refusal:
            raise self.refusal
        self.emails += emails
        return tuple(SendResult(DeliveryOutcome.ACCEPTED, f"m{number}") for number, _ in enumerate(emails))

    def link(self) -> str:
        """The path of the link of the newest email."""
        (url,) = [line for line in self.emails[-1].email.text.splitlines() if line.startswith("http")]
        return url.partition("/api")[2]


@pytest.fixture
def outbox(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    outbox = Outbox()
    emails = RequestedEmails(
        cloud.container.entries, cloud.container.recent_themes, cloud.container.links, outbox, clock, b"i"
    )
    monkeypatch.setitem(vars(cloud.container), "requested_emails", emails)
    vars(cloud.container).pop("sign_in_emails", None)
    return outbox


def deliver() -> None:
    """Send what the queue asks for, as the function does."""
    while messages := queued():
        for message in messages:
            send_requested(cloud.container, RequestedEmail(**message))


def test_a_merchant_signs_in_by_the_link_of_an_email_and_out_again(
    api: Client, outbox: Outbox, clock: Clock
) -> None:
    _ = clock
    add_merchant(cloud.container)
    asked = ask(api, "Owner@heron.example", PERSON)
    assert (asked.status_code, asked.headers["Location"]) == (303, "/merchant/sent")
    deliver()
    (email,) = outbox.emails
    assert (email.mailbox, email.email.subject) == (OWNER, "Sign in to Heron & Daughters")
    shown = api.http.get(outbox.link(), headers=READER)
    assert shown.status_code == 200
    (form,) = [form for form in forms_of(shown.body.decode()) if form.action.startswith("/api/merchant")]
    assert form.action == "/api/merchant/session"
    entered = playing_aws.post(api, "/merchant/session", {"token": form.choices("token")[0]}, PERSON)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/merchant/")
    cookie, _, attributes = entered.headers["Set-Cookie"].partition("; ")
    assert attributes == "Max-Age=43200; Path=/; Secure; HttpOnly; SameSite=Strict"
    headers = {"cookie": cookie}
    assert session(api, headers).json_body == {"email": OWNER, "role": "act"}
    left = playing_aws.post(api, "/merchant/sign-out", {}, PERSON | headers)
    assert (left.status_code, left.headers["Location"]) == (303, "/merchant/")
    assert left.headers["Set-Cookie"] == f"{COOKIE}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict"
    assert session(api, headers).status_code == 401


def test_a_script_signs_in_and_out_without_a_redirect(api: Client, sessions: MerchantSessions) -> None:
    token = sessions.link_token(add_merchant(cloud.container))
    entered = playing_aws.post(api, "/merchant/session", {"token": token})
    assert (entered.status_code, entered.json_body) == (200, {"status": "signed in"})
    headers = SCRIPT | {"cookie": entered.headers["Set-Cookie"].partition(";")[0]}
    left = playing_aws.post(api, "/merchant/sign-out", {}, headers)
    assert (left.status_code, left.json_body) == (200, {"status": "signed out"})
    again = playing_aws.post(api, "/merchant/sign-out", {})
    assert (again.status_code, "Set-Cookie" in again.headers) == (200, False)


def test_known_and_unknown_addresses_get_the_same_bytes_for_the_same_work(
    api: Client, outbox: Outbox
) -> None:
    add_merchant(cloud.container)
    for headers in (SCRIPT, PERSON):
        known, unknown = ask(api, OWNER, headers), ask(api, "mallory@heron.example", headers)
        assert known.body == unknown.body
        assert dict(known.headers) == dict(unknown.headers)
        assert known.status_code == unknown.status_code
    messages = queued()
    assert len(messages) == 4
    assert {frozenset(message) for message in messages} == {frozenset({"shopper", "sign_in_page"})}
    assert "@" not in str(messages)
    for message in messages:
        send_requested(cloud.container, RequestedEmail(**message))
    assert {email.mailbox for email in outbox.emails} == {OWNER}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("email", ["", "no address", "a@b", "ada@example.com\n"])
def test_a_text_that_is_no_address_is_refused_and_queues_nothing(api: Client, email: str) -> None:
    assert ask(api, email).status_code == 400
    assert ask(api, email, PERSON).status_code == 400
    assert queued() == []


def test_a_removed_merchant_gets_no_email(api: Client, outbox: Outbox) -> None:
    add_merchant(cloud.container)
    ask(api, OWNER)
    add_merchant(cloud.container, role=None)
    deliver()
    assert outbox.emails == []


def ask_test(api: Client, headers: dict[str, str], key: str, lang: str = "") -> HTTPResponse:
    """Ask for a test email, as a dialog with this key does."""
    path = f"/merchant/test-email{lang}"
    named = {"content-type": "application/json", "idempotency-key": key * 16}
    return api.http.post(path, headers=JSON | headers | named, body=b"{}")


def test_a_test_email_goes_once_to_the_merchant_who_asked_and_is_audited(
    api: Client, outbox: Outbox, clock: Clock
) -> None:
    headers = signed_in_headers(cloud.container)
    add_merchant(cloud.container, "second@heron.example")
    answers = [ask_test(api, headers, "a"), ask_test(api, headers, "a")]
    assert [(answer.status_code, answer.json_body) for answer in answers] == [(200, {"status": "queued"})] * 2
    deliver()
    (email,) = outbox.emails
    assert (email.mailbox, email.email.subject) == (OWNER, "A test email from Heron & Daughters")
    assert "https://www.heron.example/merchant/" in email.email.text.splitlines()
    (row,) = cloud.container.audit.recent(9)
    assert (row.action, row.target, row.email) == ("test email", "sending", OWNER)
    assert ask_test(api, headers, "b", "?lang=de").status_code == 200
    deliver()
    assert "https://www.heron.example/de/merchant/" in outbox.emails[-1].email.text.splitlines()
    answered = [ask_test(api, headers, str(number)).status_code for number in range(9)]
    assert answered == [200] * (TEST_EMAILS_PER_HOUR_MAX - 2) + [429]
    assert len(cloud.container.audit.recent(99)) == TEST_EMAILS_PER_HOUR_MAX
    queued()
    clock.pass_s(3600)
    assert ask_test(api, headers, "c").status_code == 200
    queued()


def test_a_merchant_who_lost_the_right_to_act_gets_no_test_email(api: Client, outbox: Outbox) -> None:
    headers = signed_in_headers(cloud.container)
    assert ask_test(api, headers, "a").status_code == 200
    add_merchant(cloud.container, role=Role.SEE)
    deliver()
    assert outbox.emails == []


def test_opening_a_link_changes_nothing_however_often(api: Client, outbox: Outbox) -> None:
    add_merchant(cloud.container)
    ask(api, OWNER)
    deliver()
    before = playing_aws.everything_stored()
    for method in ("GET", "HEAD", "GET"):
        answer = api.http.request(method, outbox.link(), headers=READER)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
    assert playing_aws.everything_stored() == before


def test_a_used_link_says_so_at_its_next_opening_and_signs_nobody_in(
    api: Client, sessions: MerchantSessions
) -> None:
    token = sessions.link_token(add_merchant(cloud.container))
    sessions.sign_in(token, FIREFOX)
    shown = api.http.get(f"/merchant/sign-in?token={quote(token)}", headers=READER)
    posted = playing_aws.post(api, "/merchant/session", {"token": token}, PERSON)
    assert (shown.status_code, posted.status_code) == (410, 410)
    assert "Set-Cookie" not in posted.headers
    for page in (shown, posted):
        assert b"older than 15 minutes, or was used" in page.body
        assert b'href="/merchant/"' in page.body


def test_the_email_and_its_page_are_in_the_language_of_the_form(api: Client, outbox: Outbox) -> None:
    add_merchant(cloud.container)
    asked = ask(api, OWNER, PERSON, lang="de")
    assert asked.headers["Location"] == "/de/merchant/sent"
    deliver()
    assert outbox.emails[0].email.subject == "Anmelden bei Heron & Daughters"
    shown = api.http.get(outbox.link(), headers=READER)
    assert shown.headers["Content-Language"] == "de"
    (form,) = [form for form in forms_of(shown.body.decode()) if "/api/merchant" in form.action]
    entered = playing_aws.post(
        api, form.action.removeprefix("/api"), {"token": form.choices("token")[0]}, PERSON
    )
    assert entered.headers["Location"] == "/de/merchant/"


def test_an_hour_has_ten_emails_of_a_merchant_and_five_of_a_network(
    api: Client, outbox: Outbox, clock: Clock
) -> None:
    add_merchant(cloud.container)
    add_merchant(cloud.container, "packer@heron.example")
    clock.now_ms -= clock.now_ms % 3_600_000
    for number in range(6):
        ask(api, OWNER if number % 2 else "packer@heron.example", SCRIPT | {"x-forwarded-for": "8.8.8.8"})
    deliver()
    assert len(outbox.emails) == SIGN_INS_OF_NETWORK_MAX == 5
    for number in range(12):
        ask(api, OWNER, SCRIPT | {"x-forwarded-for": f"8.8.{number}.8"})
    deliver()
    of_owner = [email for email in outbox.emails if email.mailbox == OWNER]
    assert len(of_owner) == SIGN_INS_OF_MERCHANT_MAX == 10
    clock.pass_s(3600)
    ask(api, OWNER, SCRIPT | {"x-forwarded-for": "8.8.8.8"})
    deliver()
    assert len(outbox.emails) == 14


def test_a_network_over_its_limit_uses_up_nothing_of_the_merchant(outbox: Outbox, clock: Clock) -> None:
    owner = add_merchant(cloud.container)
    clock.now_ms -= clock.now_ms % 3_600_000
    emails = cloud.container.sign_in_emails
    for _ in range(SIGN_INS_OF_NETWORK_MAX + 20):
        emails.send(owner.id, "/merchant/", "net4-x")
    for _ in range(20):
        emails.send(owner.id, "/merchant/", None)
    assert len(outbox.emails) == SIGN_INS_OF_MERCHANT_MAX


def test_an_email_that_could_not_be_sent_counts_for_nothing(outbox: Outbox) -> None:
    owner = add_merchant(cloud.container)
    emails = cloud.container.sign_in_emails
    outbox.refusal = SendRefused("busy")
    for _ in range(SIGN_INS_OF_MERCHANT_MAX + 1):
        with pytest.raises(SendRefused):
            emails.send(owner.id, "/merchant/", "net4-x")
    outbox.refusal = None
    for _ in range(SIGN_INS_OF_NETWORK_MAX):
        emails.send(owner.id, "/merchant/", "net4-x")
    assert len(outbox.emails) == SIGN_INS_OF_NETWORK_MAX


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("path", ["/merchant/sign-in", "/merchant/session", "/merchant/sign-out"])
def test_a_page_of_another_site_neither_asks_nor_signs_in_nor_out(api: Client, path: str) -> None:
    headers = signed_in_headers(cloud.container)
    token = cloud.container.merchant_sessions.link_token(add_merchant(cloud.container))
    form = {"/merchant/sign-in": {"email": OWNER}, "/merchant/session": {"token": token}}.get(path, {})
    for foreign in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        answer = playing_aws.post(api, path, form, PERSON | headers | foreign)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (400, False)
    assert queued() == []
    assert session(api, headers).status_code == 200


def test_the_session_is_in_the_browser_that_pressed_the_button(
    api: Client, sessions: MerchantSessions
) -> None:
    token = sessions.link_token(add_merchant(cloud.container))
    mine = {"user-agent": "Mine/1.0"}
    entered = playing_aws.post(api, "/merchant/session", {"token": token}, SCRIPT | mine)
    cookie = {"cookie": entered.headers["Set-Cookie"].partition(";")[0]}
    assert session(api, cookie | mine).status_code == 200
    assert session(api, cookie | {"user-agent": "Theirs/1.0"}).status_code == 401
    assert session(api, cookie | mine).status_code == 401


def test_nothing_about_signing_in_writes_an_address_into_a_log(
    api: Client, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    add_merchant(cloud.container)
    for email in (OWNER, "mallory@heron.example", "no address"):
        ask(api, email, SCRIPT | NETWORK)
    deliver()
    for _ in range(20):
        cloud.container.sign_in_emails.send(add_merchant(cloud.container).id, "/merchant/", "net4-x")
    text = capsys.readouterr().out
    assert {"email_sent", "sign_in_not_due", "sign_ins_of_the_hour_used_up"} <= {
        event for event in ("email_sent", "sign_in_not_due", "sign_ins_of_the_hour_used_up") if event in text
    }
    assert "@" not in text
    assert outbox.emails
