"""A merchant acts on the page, by keyboard and on a phone: stock, pauses, shoppers, a file, failed jobs."""

import hashlib
import json
from collections.abc import Iterator
from itertools import count

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.entry import OptIn, Signup
from chalicelib.domain.ids import Sku
from chalicelib.domain.merchant import Role
from chalicelib.domain.stock import Availability
from chalicelib.http.merchant_session import BROWSER_DIGITS, COOKIE
from chalicelib.settings import clock_ms
from spillway.local_cloud.shopper import until
from spillway.stage import stage_named
from tests.browser.axe import require_no_violations
from tests.browser.conftest import PHONE, NewWindow
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess
from tests.support.merchants import add_merchant

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

# A signup is counted, and a wave begins, within seconds where nothing else runs on the machine.
SEEN_WITHIN_MS = 90_000
PEOPLE = count(1)
MERCHANTS = count(1)


@pytest.fixture
def watch(watch: Watch) -> Iterator[Watch]:
    """Records of the test's windows; a wrong field is refused on purpose."""
    yield watch
    watch.refused[:] = [(status, path) for status, path in watch.refused if status != 400]


@pytest.fixture(scope="module")
def container(demo: DemoProcess) -> Container:
    """The tables of the demo, as the commands open them."""
    return stage_named(demo.project, "local").container()


@pytest.fixture(scope="module")
def sold_out(container: Container) -> Iterator[Sku]:
    """Variants that are sold out, each for one test, the last of the catalogue first."""
    found = sorted(
        (
            sku
            for stocked in container.products.scan()
            for sku, stock in stocked.stock.items()
            if stock.availability is Availability.OUT_OF_STOCK and sku in stocked.product.skus
        ),
        reverse=True,
    )
    return iter(found)


def open_page(
    new_window: NewWindow, demo: DemoProcess, container: Container, role: Role = Role.ACT, **options: object
) -> Page:
    """Open the page in a window of a merchant who is signed in."""
    window = new_window(**options)
    page = window.new_page()
    agent = str(page.evaluate("navigator.userAgent"))
    sessions = container.merchant_sessions
    merchant = add_merchant(container, f"merchant{next(MERCHANTS)}@heron.example", role)
    browser = hashlib.sha256(agent.encode()).hexdigest()[:BROWSER_DIGITS]
    window.add_cookies(
        [
            {
                "name": COOKIE,
                "value": sessions.sign_in(sessions.link_token(merchant), browser),
                "url": demo.shop_url.replace("http:", "https:"),
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
        ]
    )
    page.goto("/merchant/")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible(timeout=SEEN_WITHIN_MS)
    return page


def join(container: Container, sku: Sku) -> str:
    """Let somebody wait for a variant, and return the address."""
    address = Address.parse(f"waits{next(PEOPLE)}@example.com")
    signup = Signup(
        address.shopper_id(container.keys.identity), address.mailbox, sku, "/", "c", opt_in=OptIn.SINGLE
    )
    container.entries.sign_up(signup, at_ms=clock_ms())
    return address.mailbox


def row_of(page: Page, sku: Sku) -> Locator:
    return page.locator(f"tr[data-sku='{sku}']")


def dialog(page: Page) -> Locator:
    return page.locator("dialog[open]")


def require_accessible(page: Page) -> None:
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    require_no_violations(page)


def test_stock_is_changed_in_two_steps_by_the_keyboard_and_the_page_shows_the_wave(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    sku = next(sold_out)
    for _ in range(3):
        join(container, sku)
    page = open_page(new_window, demo, container)
    row = row_of(page, sku)
    expect(row.locator("td.waiting b")).to_have_text("3", timeout=SEEN_WITHIN_MS)
    row.locator(".more").focus()
    page.keyboard.press("Enter")
    box = dialog(page)
    expect(box.get_by_label("Number in stock")).to_be_focused()
    require_accessible(page)
    page.keyboard.type("0")
    page.keyboard.press("Enter")
    expect(box.locator("#act-units-error")).to_have_text(
        "Nothing is in stock: mark it as sold out.", timeout=SEEN_WITHIN_MS
    )
    expect(box.get_by_label("Number in stock")).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("Control+A")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    button = box.get_by_role("button", name="Email 3 people")
    expect(button).to_be_focused(timeout=SEEN_WITHIN_MS)
    expect(box.locator(".seen")).to_contain_text("In stock · 5", timeout=SEEN_WITHIN_MS)
    require_accessible(page)
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("3 people are emailed.", timeout=SEEN_WITHIN_MS)
    expect(row.locator(".more")).to_be_focused()
    expect(page.locator(".waves li").filter(has_text="3")).not_to_have_count(0, timeout=SEEN_WITHIN_MS)
    expect(row.locator("td.stock")).to_contain_text("5", timeout=SEEN_WITHIN_MS)
    expect(page.locator(".log li").first).to_contain_text(f"Available{sku}")
    expect(page.locator(".log li").first).to_contain_text("Sold out 0 → In stock 5")


def test_a_pause_has_a_reason_an_undo_and_an_end(
    new_window: NewWindow, demo: DemoProcess, container: Container, watch: Watch
) -> None:
    assert watch
    page = open_page(new_window, demo, container)
    page.get_by_role("button", name="Pause emails").click()
    box = dialog(page)
    box.get_by_role("button", name="Pause emails").click()
    expect(box.locator("#act-reason-error")).to_have_text(
        "Say why sending is paused.", timeout=SEEN_WITHIN_MS
    )
    box.get_by_label("Reason").fill("a bad import")
    box.get_by_role("button", name="Pause emails").click()
    notice = page.locator(".notice.paused")
    expect(notice).to_contain_text("a bad import", timeout=SEEN_WITHIN_MS)
    page.get_by_role("button", name="Undo").click()
    expect(notice).to_be_hidden(timeout=SEEN_WITHIN_MS)
    container.sending_rate.pause("too many bounces")
    expect(notice).to_contain_text("too many bounces", timeout=SEEN_WITHIN_MS)
    notice.get_by_role("button", name="Resume emails").click()
    expect(notice).to_be_hidden(timeout=SEEN_WITHIN_MS)
    state = container.sending_rate.state()
    assert state is not None
    assert state.paused is None


def test_a_test_email_reaches_the_merchants_own_inbox(
    new_window: NewWindow, demo: DemoProcess, container: Container, watch: Watch
) -> None:
    assert watch
    page = open_page(new_window, demo, container, **PHONE)
    page.get_by_role("button", name="Send me a test email").click()
    expect(page.locator(".toast")).to_contain_text("on its way to your address", timeout=SEEN_WITHIN_MS)
    expect(page.locator(".log li").first).to_contain_text("Test email", timeout=SEEN_WITHIN_MS)
    require_accessible(page)
    own = page.locator(".log li").first.locator(".by").inner_text().split()[0]
    with httpx.Client(base_url=demo.inbox_url, trust_env=False, timeout=30) as inbox:

        def subject() -> str | None:
            emails = inbox.get("/emails.json").json()
            return next((str(email["subject"]) for email in emails if email["recipient"] == own), None)

        assert until(subject, "the test email", within_s=90) == "A test email from Ordinary Weather"


def test_a_wave_policy_is_set_for_one_product_and_undone(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    sku = next(sold_out)
    join(container, sku)
    slug = container.products.slug_of(sku)
    page = open_page(new_window, demo, container)
    row_of(page, sku).locator(".more").click(timeout=SEEN_WITHIN_MS)
    page.get_by_role("button", name="restock emails go out").click()
    box = dialog(page)
    expect(box.get_by_role("radio", name="As the shop")).to_be_checked()
    box.get_by_text("In waves").click()
    box.get_by_label("Minutes until the next wave").fill("2000")
    box.get_by_role("button", name="Save").click()
    expect(box.locator("#act-next_after_min-error")).to_have_text(
        "Use a whole number from 1 to 1440.", timeout=SEEN_WITHIN_MS
    )
    box.get_by_label("Minutes until the next wave").fill("45")
    box.get_by_role("button", name="Save").click()
    expect(page.locator(".toast")).to_contain_text("Saved.", timeout=SEEN_WITHIN_MS)
    policy = container.policies.own(slug)
    assert policy is not None
    assert (policy.emails_per_unit, policy.next_after_min) == (3, 45)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("Undone.", timeout=SEEN_WITHIN_MS)
    assert container.policies.own(slug) is None


def test_a_shopper_is_masked_then_shown_then_erased(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    sku = next(sold_out)
    mailbox = join(container, sku)
    page = open_page(new_window, demo, container, color_scheme="dark")
    page.get_by_role("button", name="Look a shopper up").click()
    box = dialog(page)
    box.get_by_label("Email address").fill(mailbox)
    page.keyboard.press("Enter")
    expect(box.locator(".seen")).to_contain_text("w…@e…", timeout=SEEN_WITHIN_MS)
    assert mailbox not in str(box.locator(".seen").text_content())
    expect(box.get_by_role("button", name="Show everything")).to_be_focused()
    require_accessible(page)
    page.keyboard.press("Enter")
    expect(box.locator(".seen")).to_contain_text(mailbox, timeout=SEEN_WITHIN_MS)
    expect(box.locator(".waitlists")).to_contain_text(sku)
    box.get_by_role("button", name="Erase").click()
    expect(box.locator(".note:visible")).to_contain_text("This cannot be undone.")
    require_accessible(page)
    box.get_by_role("button", name="Erase 1 waitlist and everything else").click()
    expect(page.locator(".toast")).to_contain_text("The shopper is erased.", timeout=SEEN_WITHIN_MS)
    shopper = Address.parse(mailbox).shopper_id(container.keys.identity)
    assert container.entries.get(shopper, sku) is None
    assert mailbox not in page.content()


def test_a_suppression_is_lifted_with_a_reason_and_a_spam_report_only_if_the_shopper_asked(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    mailbox = join(container, next(sold_out))
    shopper = Address.parse(mailbox).shopper_id(container.keys.identity)
    container.suppressions.suppress(shopper, reason="complained", at_ms=clock_ms())
    page = open_page(new_window, demo, container, **PHONE)
    page.get_by_role("button", name="Look a shopper up").click()
    box = dialog(page)
    box.get_by_label("Email address").fill(mailbox)
    page.keyboard.press("Enter")
    expect(box.locator(".seen")).to_contain_text("Gets no emailYes", timeout=SEEN_WITHIN_MS)
    box.get_by_role("button", name="Allow emails again").click()
    expect(box.get_by_label("Reason")).to_be_focused()
    require_accessible(page)
    page.keyboard.type("wrote to us on Monday")
    page.keyboard.press("Enter")
    expect(box.locator("#act-shopper_asked-error")).to_have_text(
        "Only where the shopper asked for emails in writing.", timeout=SEEN_WITHIN_MS
    )
    assert container.suppressions.among([shopper]) == {shopper}
    box.get_by_label("The shopper asked for emails in writing").check()
    box.get_by_role("button", name="Allow emails again").last.click()
    expect(page.locator(".toast")).to_contain_text("Emails are allowed again.", timeout=SEEN_WITHIN_MS)
    assert container.suppressions.among([shopper]) == frozenset()
    expect(page.locator(".log li").first).to_contain_text("wrote to us on Monday", timeout=SEEN_WITHIN_MS)
    assert mailbox not in page.content()


def test_a_stock_file_is_seen_whole_before_it_is_applied_on_a_phone(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    first, second = next(sold_out), next(sold_out)
    page = open_page(new_window, demo, container, **PHONE)
    page.get_by_role("button", name="Stock file").click()
    box = dialog(page)
    box.get_by_role("button", name="Preview").click()
    expect(box.locator("#act-file-error")).to_have_text("Choose a file.")
    text = f"sku,stock\n{first},7\n{second},0\nNO-SUCH,3\n"
    stock_file = {"name": "stock.csv", "mimeType": "text/csv", "buffer": text.encode()}
    box.get_by_label("File").set_input_files(files=[stock_file])
    box.get_by_role("button", name="Preview").click()
    expect(box.locator("tbody tr")).to_have_count(1, timeout=SEEN_WITHIN_MS)
    expect(box.locator("tbody tr")).to_contain_text(f"{first}Sold out")
    expect(box.locator(".mistakes")).to_contain_text("Line 4")
    require_accessible(page)
    box.get_by_role("button", name="Apply 1 change").click()
    expect(page.locator(".toast")).to_contain_text("1 change is applied.", timeout=SEEN_WITHIN_MS)
    assert container.products.selling([first])[first].stock[first].units == 7


def test_a_failed_job_is_seen_and_retried(
    new_window: NewWindow, demo: DemoProcess, container: Container, watch: Watch
) -> None:
    assert watch
    stage = stage_named(demo.project, "local")
    job = {"kind": "step", "restock_id": "long-gone", "sku": "FJ-INK-L", "shard": "FJ-INK-L#0", "hops": 12}
    dead = stage.outputs()["WavesDeadLetterQueue"]
    stage.client("sqs").send_message(QueueUrl=dead, MessageBody=json.dumps(job))
    page = open_page(new_window, demo, container)
    expect(page.locator(".notice.failing")).to_contain_text("1 job failed", timeout=SEEN_WITHIN_MS)
    line = page.locator(".failed li").filter(has_text="Restock emails")
    expect(line).to_contain_text("restock_id long-gone")
    require_accessible(page)
    line.get_by_role("button", name="Retry: Restock emails").click()
    expect(line).to_contain_text("1 put back, 0 failed again, 0 too old", timeout=SEEN_WITHIN_MS)
    expect(page.locator(".notice.failing")).to_be_hidden()


def test_a_merchant_who_may_only_see_is_offered_nothing_to_do(
    new_window: NewWindow, demo: DemoProcess, container: Container, sold_out: Iterator[Sku], watch: Watch
) -> None:
    assert watch
    sku = next(sold_out)
    join(container, sku)
    page = open_page(new_window, demo, container, Role.SEE)
    expect(row_of(page, sku)).to_be_visible(timeout=SEEN_WITHIN_MS)
    expect(row_of(page, sku).locator(".more")).to_be_hidden()
    expect(page.get_by_role("button", name="Pause emails")).to_be_hidden()
    expect(page.locator(".log")).to_be_visible()
