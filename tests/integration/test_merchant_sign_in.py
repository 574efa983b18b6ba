"""Merchants sign in, are seen again by their cookie, and lose their rights at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse

import app as cloud
from chalicelib.domain.merchant import SESSION_S, SIGN_IN_WITHIN_S, MerchantTokens, Role, Session
from chalicelib.domain.tokens import LinkRefused
from chalicelib.http.merchant_session import COOKIE, MAY_NOT_ACT, NOT_SIGNED_IN, may_act, signed_in
from chalicelib.http.request import Problem
from chalicelib.services.merchants import Audit, AuditNotWritten, MerchantSessions
from chalicelib.tables.merchant import AuditRow, AuditTable
from tests.integration import test_app as playing_aws
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.merchants import NO_BROWSER, OWNER, add_merchant, signed_in_headers

deployed = playing_aws.deployed
api = playing_aws.api
JSON = {"accept": "application/json"}
FIREFOX, CHROME = "firefox", "chrome"


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


def test_signing_everybody_out_ends_sessions_and_links_of_before(
    sessions: MerchantSessions, clock: Clock
) -> None:
    owner = add_merchant(cloud.container)
    cookie, link = sessions.sign_in(sessions.link_token(owner), FIREFOX), sessions.link_token(owner)
    cloud.container.merchants.end_all(at_ms=clock())
    assert sessions.of(cookie, FIREFOX) is None
    with pytest.raises(LinkRefused):
        sessions.sign_in(link, FIREFOX)
    clock.pass_s(1)
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
