"""A browser signs in to the merchant's page: the link, the button, the cookie, and their end."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.merchant import SESSION_S, MerchantTokens, Role, merchant_id
from chalicelib.http.merchant_session import COOKIE
from chalicelib.settings import clock_ms
from chalicelib.tables.merchant import MerchantRow
from spillway.local_cloud.shopper import Shopper
from spillway.stage import stage_named
from tests.browser.axe import require_no_violations
from tests.browser.conftest import PHONE, NewPerson, NewWindow
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

SESSION = """async () => {
  const answer = await fetch("/api/merchant/session", {headers: {accept: "application/json"}});
  return answer.ok ? (await answer.json()).role : answer.status;
}"""
# The first request to the API starts its function.
FIRST_ANSWER_WITHIN_MS = 60_000
NewMerchant = Callable[[Role], Shopper]


@pytest.fixture
def watch(watch: Watch) -> Iterator[Watch]:
    """Records of the test's windows, which are refused whenever nobody is signed in."""
    yield watch
    watch.refused[:] = [(status, path) for status, path in watch.refused if status != 401]


@pytest.fixture(scope="module")
def container(demo: DemoProcess) -> Container:
    """The tables of the demo, as the commands open them."""
    return stage_named(demo.project, "local").container()


@pytest.fixture(scope="module")
def new_merchant(new_person: NewPerson, container: Container) -> NewMerchant:
    """Makes people who may sign in, each with an inbox that is empty."""

    def make(role: Role) -> Shopper:
        person = new_person("Merchant")
        give_role(container, person, role)
        return person

    return make


def give_role(container: Container, person: Shopper, role: Role | None) -> None:
    id_ = merchant_id(Address.parse(person.mailbox), container.keys.identity)
    container.merchants.put(MerchantRow(id_, person.mailbox, role, clock_ms()))


def ask_for_link(page: Page, person: Shopper) -> str:
    """Ask for a link on the merchant's page by the keyboard; return the link that the inbox gets."""
    page.goto("/merchant/")
    page.locator("#merchant-email").fill(person.mailbox)
    with page.expect_navigation(url="**/merchant/sent", timeout=FIRST_ANSWER_WITHIN_MS):
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your inbox")
    return person.awaits_emails(1)[0].link("/api/merchant/sign-in")


def press_button(page: Page) -> None:
    """Press the one button of the link's page by the keyboard."""
    page.get_by_role("button", name="Sign in").focus()
    with page.expect_navigation(url="**/merchant/"):
        page.keyboard.press("Enter")


def sign_in(page: Page, person: Shopper) -> None:
    page.goto(ask_for_link(page, person))
    press_button(page)


def session_of(page: Page) -> object:
    """The role of the session that this browser has, or the status of the refusal."""
    return page.evaluate(SESSION)


def test_a_merchant_signs_in_on_a_phone_by_the_keyboard_and_out_again(
    new_window: NewWindow, new_merchant: NewMerchant, watch: Watch
) -> None:
    window = new_window(**PHONE)
    page = window.new_page()
    person = new_merchant(Role.SEE)
    link = ask_for_link(page, person)
    page.goto(link)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    require_no_violations(page)
    press_button(page)
    (cookie,) = [one for one in window.cookies() if one["name"] == COOKIE]
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (
        True,
        True,
        "Strict",
        "/",
    )
    assert SESSION_S - 60 < cookie["expires"] - clock_ms() / 1000 <= SESSION_S
    assert COOKIE not in page.evaluate("document.cookie")
    assert session_of(page) == "see"
    page.goto(link)
    expect(page.get_by_role("listitem").first).to_contain_text("older than 15 minutes, or was used")
    assert [status for status, _ in watch.refused if status != 401] == [410]
    watch.refused.clear()
    page.goto("/merchant/")
    with page.expect_navigation(url="**/merchant/"):
        page.get_by_role("button", name="Sign out").click()
    assert session_of(page) == 401
    assert not [one for one in window.cookies() if one["name"] == COOKIE]


def test_without_script_a_merchant_signs_in_too(new_window: NewWindow, new_merchant: NewMerchant) -> None:
    window = new_window(java_script_enabled=False)
    page = window.new_page()
    sign_in(page, new_merchant(Role.ACT))
    assert [one["name"] for one in window.cookies()] == [COOKIE]


def test_two_merchants_are_signed_in_at_once_and_one_loses_the_right_to_act(
    new_window: NewWindow, new_merchant: NewMerchant, container: Container
) -> None:
    owner, packer = new_merchant(Role.ACT), new_merchant(Role.ACT)
    pages = [new_window().new_page() for _ in range(2)]
    for page, person in zip(pages, (owner, packer), strict=True):
        sign_in(page, person)
    assert [session_of(page) for page in pages] == ["act", "act"]
    give_role(container, packer, Role.SEE)
    assert [session_of(page) for page in pages] == ["act", "see"]
    give_role(container, packer, None)
    assert [session_of(page) for page in pages] == ["act", 401]


def test_a_stolen_cookie_is_of_no_use_to_another_browser_and_shuts_the_session(
    new_window: NewWindow, new_merchant: NewMerchant
) -> None:
    window = new_window()
    page = window.new_page()
    sign_in(page, new_merchant(Role.ACT))
    thief = new_window(user_agent="Mozilla/5.0 (elsewhere)", storage_state=window.storage_state())
    stolen = thief.new_page()
    stolen.goto("/")
    assert session_of(stolen) == 401
    assert session_of(page) == 401


def aged(cookie: str, container: Container, age_s: int) -> str:
    """The cookie of the same session, as it would be if it had been made `age_s` seconds ago."""
    now, then = (
        MerchantTokens(container.keys.signing, clock)
        for clock in (clock_ms, lambda: clock_ms() - age_s * 1000)
    )
    return then.session(*now.read_session(cookie))


def test_an_expired_and_a_revoked_cookie_lead_back_to_the_sign_in(
    new_window: NewWindow, new_merchant: NewMerchant, container: Container, demo: DemoProcess
) -> None:
    window = new_window()
    page = window.new_page()
    sign_in(page, new_merchant(Role.ACT))
    (cookie,) = [one for one in window.cookies() if one["name"] == COOKIE]
    hour_ago, too_old = (aged(cookie["value"], container, age_s) for age_s in (3600, SESSION_S + 1))
    for value, role in ((hour_ago, "act"), (too_old, 401), (cookie["value"], "act")):
        window.clear_cookies()
        window.add_cookies(
            [
                {
                    "name": COOKIE,
                    "value": value,
                    "url": demo.shop_url.replace("http:", "https:"),
                    "secure": True,
                    "httpOnly": True,
                    "sameSite": "Strict",
                }
            ]
        )
        assert session_of(page) == role
    # A page that polls nothing: no answer from before the end is still on its way.
    page.goto("/")
    container.merchants.end_all()
    assert session_of(page) == 401
    with page.expect_response("**/api/merchant/overview*") as polled:
        page.goto("/merchant/")
    assert polled.value.status == 401
    expect(page.get_by_role("button", name="Email me a sign-in link")).to_be_visible()
