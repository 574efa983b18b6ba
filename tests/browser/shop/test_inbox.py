"""The demo's inbox, as the person at the laptop uses it."""

import json
import re

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import expect

from spillway.__main__ import cli
from tests.browser.conftest import NewPerson, NewWindow
from tests.browser.watch import Watch
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


def test_test_emails_arrive_in_the_inbox(demo: DemoProcess) -> None:
    ran = CliRunner().invoke(cli, ["send-test", "gus@example.com", "--json"], obj=demo.project)
    assert ran.exit_code == 0, ran.output
    sent = [email["message_id"] for email in json.loads(ran.stdout)]

    emails = httpx.get(f"{demo.inbox_url}/emails.json", trust_env=False).json()
    numbers = [email["number"] for email in emails if email["recipient"] == "gus@example.com"]
    kept = [httpx.get(f"{demo.inbox_url}/emails/{number}.json", trust_env=False).json() for number in numbers]
    arrived = {dict(email["headers"])["Message-ID"].strip("<>") for email in kept}
    assert len(sent) == 16  # eight emails in two languages
    assert arrived == set(sent)


def test_an_email_cannot_run_a_script_or_reach_the_page_around_it(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson, watch: Watch
) -> None:
    hal = new_person("Hal")
    hal.signs_up("/products/bucket-hat", "BH-SM")
    (email,) = hal.awaits_emails(1)
    page = new_window().new_page()
    page.goto(f"{demo.inbox_url}/emails/{email.number}")
    # The frame is as high as the email: nothing of it is cut off.
    cut_off = "frame => frame.contentDocument.documentElement.offsetHeight - frame.clientHeight"
    page.wait_for_function(f"Math.abs(({cut_off})(document.querySelector('iframe'))) <= 1")
    # A script in it is refused by the sandbox.
    with page.expect_console_message() as complaint:
        title = page.evaluate(
            """() => {
                const inside = document.querySelector("iframe").contentDocument;
                const script = inside.createElement("script");
                script.textContent = "parent.document.title = 'reached'";
                inside.body.append(script);
                return document.title;
            }"""
        )
    assert title == email.subject
    assert "the document's frame is sandboxed" in complaint.value.text
    watch.complaints.clear()


def test_the_list_shows_an_email_that_comes_while_it_is_open(
    demo: DemoProcess, new_window: NewWindow, new_person: NewPerson
) -> None:
    page, ida = new_window().new_page(), new_person("Ida")
    page.goto(demo.inbox_url)
    ida.signs_up("/products/bucket-hat", "BH-LXL")
    expect(page.get_by_text(f"to {ida.mailbox}")).to_be_visible(timeout=60_000)
