"""The demo's inbox, as the person at the laptop uses it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewPerson, NewWindow
from tests.end_to_end.demo import DemoProcess

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]


def test_an_email_is_listed_shown_whole_and_its_link_opens_the_shop(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson
) -> None:
    gil = new_person("Gil")
    gil.signs_up("/products/bucket-hat", "BH-SM")
    (email,) = gil.awaits_emails(1)

    page = new_window().new_page()
    page.goto(demo.inbox_url)
    row = page.get_by_role("listitem").filter(has_text=gil.mailbox)
    row.get_by_role("link").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(email.subject)
    expect(page.locator(".outgoing")).to_contain_text(gil.mailbox)
    expect(page.locator("pre")).to_contain_text(email.link("/api/confirm"))
    headers = page.locator(".headers")
    for name, value in email.headers.items():
        expect(headers.get_by_text(name, exact=True)).to_have_count(1)
        expect(headers.get_by_text(value, exact=True)).not_to_have_count(0)
    assert email.headers["Auto-Submitted"] == "auto-generated"

    shown = page.frame_locator("iframe")
    expect(shown.get_by_role("main")).to_contain_text("Bucket Hat")
    with page.context.expect_page() as opened:
        shown.locator("a[href*='/api/confirm']").click()
    expect(opened.value).to_have_url(re.compile(f"^{demo.shop_url}/api/confirm"))
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Confirm your alert")


def test_an_email_cannot_run_a_script_or_reach_the_page_around_it(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson
) -> None:
    hal = new_person("Hal")
    hal.signs_up("/products/bucket-hat", "BH-SM")
    (email,) = hal.awaits_emails(1)
    page = new_window().new_page()
    page.goto(f"{demo.inbox_url}/emails/{email.number}")
    sandbox = page.locator("iframe").get_attribute("sandbox") or ""
    assert "allow-scripts" not in sandbox
    assert "allow-same-origin" not in sandbox


def test_the_list_shows_an_email_that_comes_while_it_is_open(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson
) -> None:
    page, ida = new_window().new_page(), new_person("Ida")
    page.goto(demo.inbox_url)
    ida.signs_up("/products/bucket-hat", "BH-LXL")
    expect(page.get_by_text(f"to {ida.mailbox}")).to_be_visible(timeout=60_000)
