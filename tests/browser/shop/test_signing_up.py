"""A shopper asks for an email, confirms, and is on the list: with and without script, mouse or sight."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from chalicelib.domain.tokens import PERIOD_DAYS, VALID_DAYS
from spillway.local_cloud.shopper import Shopper
from tests.browser.conftest import PHONE, NewPerson, NewWindow, signed_form_token
from tests.browser.shop.kinds import BAD_ADDRESS
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Route

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

PRODUCT = "/products/field-jacket"
ADDRESS = "Your email address"
ASK = "Notify me when it is back"
CONFIRM = "Yes, email me when it is back"
TABS_MAX = 60
BUSY = "This did not work just now. What you typed is still here: please try again in a minute."
HTML = "<!doctype html><title>One moment</title><p>Checking your browser"
# Status 0 is no answer at all. AWS WAF's Challenge answers 202 and its CAPTCHA 405, with a page or without:
# https://docs.aws.amazon.com/waf/latest/developerguide/waf-captcha-and-challenge-actions.html
FOREIGN_ANSWERS = (
    (202, "text/html", HTML),
    (202, "text/plain", ""),
    (202, "application/json", "{}"),
    (202, "application/json", "null"),
    (200, "text/html", HTML),
    (200, "application/json", '{"status": "accepted"}'),
    (403, "text/html", HTML),
    (403, "application/json", '{"message": "Forbidden"}'),
    (405, "text/html", HTML),
    (429, "text/html", HTML),
    (429, "application/json", '{"message": "Too Many Requests"}'),
    (503, "text/html", HTML),
    (0, "", ""),
)


def test_without_script_the_form_works_by_itself(new_window: NewWindow, new_person: NewPerson) -> None:
    page, ada = new_window(java_script_enabled=False).new_page(), new_person("Ada")
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    page.get_by_label(ADDRESS).fill(ada.mailbox)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Now check your inbox")
    expect(page.get_by_role("main")).to_contain_text(
        f"You asked us to write to {ada.mailbox} when this is available:"
    )
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_text(["Field Jacket, Moss, M"])
    expect(page.get_by_role("main")).to_contain_text("not on the list until you press that link")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    _confirms(page, ada, lambda button: button.click())


def test_a_signup_is_undone_with_and_without_script(new_window: NewWindow, new_person: NewPerson) -> None:
    page, ira = new_window(java_script_enabled=False).new_page(), new_person("Ira")
    _asks(page, ira)
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(re.compile(r"/waitlist/undone$"))
    expect(page.get_by_role("main")).to_contain_text("What you just asked for is taken back.")

    page = new_window().new_page()
    _asks(page, ira)
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text(
        f"You asked us to write to {ira.mailbox} about Field Jacket, Moss, M."
    )
    terms = page.get_by_role("status").locator("span")
    expect(terms).to_contain_text("If it is on the list already, we say so by email")
    expect(terms).to_have_css("font-weight", "400")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status")).to_contain_text("What you just asked for is taken back.")
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    expect(page.get_by_label(ADDRESS)).to_have_value(ira.mailbox)
    # Undone, it counts again at once.
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_a_person_whose_program_filled_in_the_honeypot_is_signed_up(
    new_window: NewWindow, new_person: NewPerson
) -> None:
    fill = "document.querySelector('#waitlist [name=knot]').value = 'https://me.example'"
    page, jo = new_window().new_page(), new_person("Jo")
    _fills_in(page, jo)
    page.evaluate(fill)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    jo.awaits_emails(1)

    page, kim = new_window().new_page(), new_person("Kim")
    _fills_in(page, kim)
    page.evaluate(fill)
    # Sent by the form itself, as without the script.
    page.locator("#waitlist").evaluate("form => form.submit()")
    expect(page.get_by_role("main")).to_contain_text("Nothing has been sent yet: press the button.")
    page.get_by_role("button", name="Notify me when it is available").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Now check your inbox")
    kim.awaits_emails(1)


def test_offline_says_so_keeps_what_was_typed_and_sends_it_later(
    new_window: NewWindow, new_person: NewPerson
) -> None:
    window = new_window()
    page, lou = window.new_page(), new_person("Lou")
    _fills_in(page, lou)
    window.set_offline(True)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("status")).to_have_text(
        "You are offline. What you typed is still here: send it once you are connected."
    )
    expect(page.get_by_label(ADDRESS)).to_have_value(lou.mailbox)
    window.set_offline(False)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    lou.awaits_emails(1)


def test_with_script_the_answer_comes_in_place_and_is_announced(
    new_window: NewWindow, new_person: NewPerson
) -> None:
    page, ben = new_window().new_page(), new_person("Ben")
    page.goto(PRODUCT)
    _pick(page, "FJ-INK-M")
    page.get_by_label(ADDRESS).fill(ben.mailbox)
    # A screen reader may not announce words in a place that was hidden, or not there.
    expect(page.get_by_role("status")).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("")
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(page.get_by_role("status")).to_be_focused()
    expect(page).to_have_url(re.compile(PRODUCT))
    expect(page.get_by_label(ADDRESS)).to_be_hidden()
    _confirms(page, ben, lambda button: button.click())


def test_a_keyboard_is_enough(new_window: NewWindow, new_person: NewPerson) -> None:
    page, cleo = new_window().new_page(), new_person("Cleo")
    page.goto(PRODUCT)
    _tab_to(page, page.get_by_role("link", name="Skip to content"))
    page.keyboard.press("Enter")
    _tab_to(page, page.get_by_role("radio", name="Moss"))
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Ink")).to_be_checked()
    _tab_to(page, _box(page, "FJ-INK-S"))
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    # The keys walk over what is sold out without being carried off to the form.
    expect(_box(page, "FJ-INK-L")).to_be_focused()
    expect(_box(page, "FJ-INK-L")).to_be_checked()
    _tab_to(page, page.get_by_label(ADDRESS))
    page.keyboard.type(cleo.mailbox)
    _tab_to(page, page.get_by_role("button", name=ASK))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_be_focused()

    def press(button: "Locator") -> None:
        _tab_to(page, button)
        page.keyboard.press("Enter")

    _confirms(page, cleo, press)


def test_a_thumb_on_a_phone_is_enough(new_window: NewWindow, new_person: NewPerson) -> None:
    page, dan = new_window(**PHONE).new_page(), new_person("Dan")
    page.goto(PRODUCT)
    page.get_by_text("Sand", exact=True).tap()
    page.get_by_text("XL", exact=True).locator("visible=true").tap()
    expect(_box(page, "FJ-SAND-XL")).to_be_checked()
    expect(page.get_by_label(ADDRESS)).to_be_focused()
    expect(page.get_by_role("heading", name="Shall we email you")).to_be_in_viewport()
    page.keyboard.type(dan.mailbox)
    page.get_by_role("button", name=ASK).tap()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(page.get_by_role("status")).to_be_in_viewport()
    _confirms(page, dan, lambda button: button.tap())


def test_without_script_a_refused_form_says_why_and_leads_back(new_window: NewWindow, watch: Watch) -> None:
    page = new_window(java_script_enabled=False).new_page()
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    page.get_by_label(ADDRESS).fill(BAD_ADDRESS)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("That did not work yet")
    expect(page.locator(".problems li")).to_have_count(1)
    expect(page.locator(".problems li")).to_have_text("The part after the @ has no ending, such as .com.")
    page.get_by_role("link", name="Go back and try again").click()
    expect(page).to_have_url(re.compile(PRODUCT))
    assert watch.refused == [(400, "/api/waitlist")]
    watch.refused.clear()


def test_with_script_a_refusal_is_in_the_language_of_the_page(new_window: NewWindow, watch: Watch) -> None:
    page = new_window().new_page()
    page.goto(f"/de{PRODUCT}?sku=FJ-MOSS-M")
    field = page.locator("#waitlist-email")
    field.fill(BAD_ADDRESS)
    page.locator("#waitlist .fields button").click()
    expect(field).to_have_accessible_description(re.compile("Dem Teil nach dem @ fehlt eine Endung wie .de."))
    assert watch.refused == [(400, "/api/waitlist")]
    watch.refused.clear()


def test_with_script_a_refusal_stands_beside_its_field(
    new_window: NewWindow, new_person: NewPerson, watch: Watch
) -> None:
    page, eve = new_window().new_page(), new_person("Eve")
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    field = page.get_by_label(ADDRESS)
    field.fill(BAD_ADDRESS)
    page.get_by_role("button", name=ASK).click()
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(
        re.compile("The part after the @ has no ending, such as .com.")
    )
    expect(page).to_have_url(re.compile(PRODUCT))
    assert watch.refused == [(400, "/api/waitlist")]
    watch.refused.clear()

    field.fill(eve.mailbox)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_with_script_a_page_of_long_ago_signs_up_like_any_other(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson, watch: Watch
) -> None:
    page, gil = new_window().new_page(), new_person("Gil")
    page.goto(PRODUCT)
    old = signed_form_token(demo, "FJ-MOSS-M", days_ago=VALID_DAYS + PERIOD_DAYS + 1)
    page.locator("#waitlist [name=form_token]").evaluate("(field, old) => { field.value = old; }", old)
    _pick(page, "FJ-MOSS-M")
    page.get_by_label(ADDRESS).fill(gil.mailbox)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    gil.awaits_emails(1)
    assert watch.refused == [(400, "/api/waitlist")]
    watch.refused.clear()


def test_with_script_only_the_shops_own_answer_counts_as_accepted(
    new_window: NewWindow, new_person: NewPerson, watch: Watch
) -> None:
    page, hal = new_window().new_page(), new_person("Hal")
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    field, button = page.get_by_label(ADDRESS), page.get_by_role("button", name=ASK)
    field.fill(hal.mailbox)
    posts: list[str] = []
    page.on("request", lambda sent: posts.append(sent.url) if sent.method == "POST" else None)
    for status, content_type, body in FOREIGN_ANSWERS:
        posts.clear()
        page.route("**/api/waitlist", _answering(status, content_type, body), times=1)
        button.click()
        expect(page.get_by_role("status")).to_have_text(BUSY)
        expect(page.get_by_role("status")).to_have_class(re.compile("error"))
        expect(field).to_have_value(hal.mailbox)
        expect(button).to_be_enabled()
        expect(page).to_have_url(re.compile(PRODUCT))
        assert len(posts) == 1, f"{status} {content_type} {body}"
    assert watch.refused == [(status, "/api/waitlist") for status, _, _ in FOREIGN_ANSWERS if status >= 400]
    watch.refused.clear()
    button.click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    hal.awaits_emails(1)


@pytest.mark.parametrize("script", [True, False])
def test_the_picker_leads_to_buying_or_waiting_with_the_picture_of_the_colour(
    new_window: NewWindow, *, script: bool
) -> None:
    page = new_window(java_script_enabled=script).new_page()
    page.goto(PRODUCT)
    buy, ask = page.get_by_role("link", name="Buy", exact=True), page.get_by_role("button", name=ASK)
    expect(page.get_by_text("Choose a size").locator("visible=true")).to_have_count(1)
    expect(buy).to_have_count(0)
    expect(ask).to_be_hidden()
    _pick(page, "FJ-INK-S")
    expect(page.get_by_role("img", name="The jacket in dark blue")).to_be_visible()
    expect(page.get_by_role("img", name="A moss green jacket")).to_be_hidden()
    expect(buy).to_have_attribute("href", "/checkout?sku=FJ-INK-S")
    expect(ask).to_be_hidden()
    _pick(page, "FJ-INK-M")
    expect(buy).to_have_count(0)
    expect(ask).to_be_visible()
    page.get_by_role("radio", name="Sand").check()
    if script:
        expect(_box(page, "FJ-SAND-M")).to_be_checked()
        expect(page).to_have_url(re.compile(r"\?sku=FJ-SAND-M$"))
    else:
        # Nothing of this colour is picked, so that nothing of another is asked for.
        expect(page.get_by_text("Choose a size").locator("visible=true")).to_have_count(1)
        expect(ask).to_be_hidden()


@pytest.mark.parametrize("script", [True, False])
def test_a_link_of_an_email_leads_to_the_variant(new_window: NewWindow, *, script: bool) -> None:
    page = new_window(java_script_enabled=script).new_page()
    page.goto(f"{PRODUCT}?sku=FJ-SAND-S#v-FJ-SAND-S")
    expect(page.get_by_text("Sand, S", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("link", name="Buy", exact=True)).to_have_attribute(
        "href", "/checkout?sku=FJ-SAND-S"
    )
    if script:
        expect(_box(page, "FJ-SAND-S")).to_be_checked()
        expect(page.get_by_role("img", name="The jacket in sandy brown")).to_be_visible()


def test_a_slip_in_the_address_is_corrected_and_sent_by_one_press(new_window: NewWindow) -> None:
    page = new_window().new_page()
    posts: list[str] = []
    page.on("request", lambda sent: posts.append(sent.url) if sent.method == "POST" else None)
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    page.get_by_label(ADDRESS).fill("ada.slip@gmial.com")
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("heading", name="Did you mean ada.slip@gmail.com?")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("ada.slip@gmial.com")
    page.get_by_role("button", name="Yes, write to ada.slip@gmail.com").click()
    expect(page.get_by_role("heading", name="Now check your inbox")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("ada.slip@gmail.com about Field Jacket, Moss, M.")
    assert [url.partition("/api")[2] for url in posts] == ["/waitlist", "/waitlist/undo", "/waitlist"]


def _answering(status: int, content_type: str, body: str) -> "Callable[[Route], None]":
    """Answer in the place of the API; with status 0, break the connection."""

    def answer(route: "Route") -> None:
        if status:
            route.fulfill(status=status, content_type=content_type, body=body)
        else:
            route.abort()

    return answer


def _fills_in(page: Page, person: Shopper) -> None:
    page.goto(PRODUCT)
    _pick(page, "FJ-MOSS-M")
    page.get_by_label(ADDRESS).fill(person.mailbox)


def _asks(page: Page, person: Shopper) -> None:
    _fills_in(page, person)
    page.get_by_role("button", name=ASK).click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def _box(page: Page, sku: str) -> "Locator":
    return page.locator(f"input[value='{sku}']")


def _pick(page: Page, sku: str) -> None:
    colour = sku.split("-")[1].capitalize()
    page.get_by_role("radio", name=colour).check()
    _box(page, sku).check()


def _confirms(page: Page, person: Shopper, press: "Callable[[Locator], None]") -> None:
    """The email comes; its link opens a page that says how things stand; its button acts."""
    (email,) = person.awaits_emails(1)
    page.goto(email.link("/api/confirm"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm your alert")
    press(page.get_by_role("button", name=CONFIRM))
    expect(page).to_have_url(re.compile(r"/waitlist/confirmed$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("You are on the list")


def _tab_to(page: Page, wanted: "Locator") -> None:
    """Press Tab until `wanted` has the focus, and shows it."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            assert wanted.evaluate(SHOWS_FOCUS), f"nothing shows that {wanted} has the focus"
            return
    raise AssertionError(f"{TABS_MAX} times Tab do not lead to {wanted}")


# On the control itself, or on what stands for it beside it.
SHOWS_FOCUS = """element => [element, element.nextElementSibling].some(each => {
    if (!each) return false;
    const style = getComputedStyle(each);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 && style.opacity !== '0';
})"""
