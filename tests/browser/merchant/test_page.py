"""The merchant's page: signing in, the live overview, its states, by keyboard and on a phone."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from chalicelib.container import Container
from chalicelib.domain.merchant import Role
from spillway.stage import stage_named
from tests.browser.axe import EVERY_RULE, RULES_OF_COLOUR, require_no_violations
from tests.browser.conftest import NewPerson, NewWindow, signed_form_token
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess
from tests.support.merchants import add_merchant

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

PAGE = "/merchant/"
API = "**/api/merchant/overview*"
# The panels below the overview read these.
PANELS: dict[str, Any] = {"**/api/merchant/failed": {"queues": []}, "**/api/merchant/audit": {"actions": []}}
SKU = "FJ-SAND-M"
# Five seconds, where nothing else runs on the machine.
SEEN_WITHIN_MS = 60_000
PHONES_PX = (320, 390)
HOURS = [0, 0, 1, 4, 2, 0, 0, 3, 9, 12, 7, 5, 4, 4, 8, 9, 14, 20, 31, 28, 22, 19, 25, 40]


@pytest.fixture(scope="module")
def container(demo: DemoProcess) -> Container:
    """The demo's own tables."""
    return stage_named(demo.project, "local").container()


def sign_in(page: Page, demo: DemoProcess, container: Container, email: str, role: Role) -> None:
    """Sign a merchant in as a person does: the form, the email, its link, the button."""
    add_merchant(container, email, role)
    # The page asks for the overview and is refused: a form that is sent earlier would end the request.
    with page.expect_response(API):
        page.goto(PAGE)
    page.locator("#merchant-email").fill(email)
    page.get_by_role("button", name="Email me a sign-in link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your inbox", timeout=SEEN_WITHIN_MS)
    page.goto(link_in_inbox(demo, email))
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible(timeout=SEEN_WITHIN_MS)


def link_in_inbox(demo: DemoProcess, email: str) -> str:
    """Return the link of the newest sign-in email to an address, as soon as it is there."""
    with httpx.Client(base_url=demo.inbox_url, trust_env=False) as inbox:
        for _ in range(120):
            sent = [mail for mail in inbox.get("/emails.json").json() if mail["recipient"] == email]
            if sent:
                text = str(inbox.get(f"/emails/{sent[0]['number']}.json").json()["text"])
                return next(word for word in text.split() if "/api/merchant/sign-in" in word)
            time.sleep(0.5)
    raise AssertionError(f"no sign-in email to {email}")


def row(sku: str, waiting: int, **facts: Any) -> dict[str, Any]:
    """Return a row as the API answers it."""
    names = {
        "sku": sku,
        "slug": "field-jacket",
        "title": f"Jacket {sku}",
        "label": "Moss, M",
        "picture": None,
    }
    demand = {"waiting": waiting, "pending": 2, "signups_24h": sum(HOURS), "hours": HOURS}
    stock = {"availability": "OutOfStock", "stock": 0, "low": False, "withdrawn": False}
    return {**names, **demand, "waiting_since_day": 20_780, **stock, "last_wave": None, **facts}


def overview(*rows: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return an overview as the API answers it."""
    names = ("waiting", "pending", "signups_24h", "signups_1h", "variants", "variants_waiting", "sold_out")
    totals = dict.fromkeys(names, sum(found["waiting"] for found in rows))
    return {
        "made_at_ms": 1_795_824_000_000,
        "role": "act",
        "hour": 498_840,
        "day": 20_785,
        "paused": None,
        "totals": totals | {"hours": HOURS, "emails_today": 0},
        "waves": [],
        "rows": list(rows),
        "matched": len(rows),
        **facts,
    }


WAVE = {
    "sku": "B",
    "title": "Jacket B",
    "label": "Moss, M",
    "picture": None,
    "state": "sending",
    "opened_at_ms": 1_795_823_900_000,
    "notified": 300,
    "waiting": 100,
    "rate_per_min": 840.0,
    "left_s": 172,
    "next_wave_at_ms": None,
    "rejected": 0,
    "bounced": 3,
    "complained": 1,
    "unsubscribed": 2,
}
SHOPPER = {"known": True, "entries": 1, "suppressed": False, "token": "t"}
QUIET = {"bounced": 0, "complained": 0, "unsubscribed": 0}
BUSY = overview(
    row("A", 1_400, last_wave={"opened_at_ms": 1_795_700_000_000, "notified": 1_240}),
    row("B", 100, availability="InStock", stock=3, low=True),
    row("C", 0, pending=0, waiting_since_day=None, withdrawn=True),
    waves=[
        WAVE,
        WAVE | QUIET | {"sku": "A", "state": "between", "left_s": None, "next_wave_at_ms": 1_795_824_900_000},
    ],
)
PAUSED = BUSY | {"paused": "2026-11-27: 14 complaints of 3,120 emails", "waves": [WAVE | {"state": "paused"}]}


def answering(document: dict[str, Any]) -> Callable[[Route], None]:
    """Return a handler that answers each request with a document."""
    return lambda route: route.fulfill(json=document)


@dataclass
class Answers:
    """The answers of an API that a test plays; `asked` are the requests."""

    page: Page
    document: dict[str, Any]
    status: int = 200

    def __post_init__(self) -> None:
        """Stand in the place of the API."""
        self.asked: list[str] = []
        self.page.route(API, self._answer)
        for path, document in PANELS.items():
            self.page.route(path, answering(document))

    def _answer(self, route: Route) -> None:
        self.asked.append(route.request.url)
        if self.status == 0:
            route.abort()
        else:
            route.fulfill(status=self.status, content_type="application/json", body=json.dumps(self.document))

    def now(self, document: dict[str, Any]) -> None:
        """Answer this from now on, and let the page ask."""
        self.document = document
        self.page.evaluate("merchant.refresh()")


@pytest.fixture
def played(new_window: NewWindow, watch: Watch) -> Iterator[Callable[..., Answers]]:
    """Opens the page over answers that the test plays."""

    def play(document: dict[str, Any], path: str = PAGE, **window: Any) -> Answers:
        page = new_window(**window).new_page()
        answers = Answers(page, document)
        page.goto(path)
        return answers

    yield play
    watch.refused.clear()
    watch.complaints[:] = [line for line in watch.complaints if "Failed to fetch" not in line]


def test_a_merchant_signs_in_by_email_and_sees_a_signup_within_seconds(
    demo: DemoProcess, container: Container, new_window: NewWindow, new_person: NewPerson, watch: Watch
) -> None:
    page, lou = new_window().new_page(), new_person("Lou")
    page.set_default_timeout(SEEN_WITHIN_MS)
    sign_in(page, demo, container, "anna@example.com", Role.ACT)
    # Before that, the page asked and was refused.
    assert {*watch.refused} == {(401, "/api/merchant/overview")}
    watch.refused.clear()
    expect(page.locator(".totals .pending b")).not_to_have_text("–", timeout=SEEN_WITHIN_MS)
    before = int(page.locator(".totals .pending b").inner_text().replace(",", ""))
    form = {"email": lou.mailbox, "sku": SKU, "form_token": signed_form_token(demo, SKU)}
    lou.shop.post("/api/waitlist", data=form).raise_for_status()
    expect(page.locator(".totals .pending b")).to_have_text(str(before + 1), timeout=SEEN_WITHIN_MS)
    expect(page.locator(f"tr[data-sku={SKU}] .pending span").first).not_to_have_text(
        "0", timeout=SEEN_WITHIN_MS
    )
    # No address but those of merchants, in the log of what they did.
    merchants = {text.split()[0] for text in page.locator(".log .by").all_inner_texts()}
    assert {word for word in page.locator("#overview").inner_text().split() if "@" in word} <= merchants
    # Paused by a person, in the demo's own tables.
    container.sending_rate.pause("the link is wrong")
    expect(page.locator(".notice.paused p")).to_have_text(
        "Sending is paused. the link is wrong", timeout=SEEN_WITHIN_MS
    )
    container.sending_rate.resume()
    expect(page.locator(".notice.paused")).to_be_hidden(timeout=SEEN_WITHIN_MS)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible(timeout=SEEN_WITHIN_MS)
    watch.refused.clear()


# Records each address that an image of the page gets.
RECORD_SOURCES = """
window.sources = [];
const image = HTMLImageElement.prototype, src = Object.getOwnPropertyDescriptor(image, "src");
Object.defineProperty(image, "src", { ...src, set(url) { sources.push(url); src.set.call(this, url); } });
"""


def test_an_image_is_made_for_a_picture_and_none_for_a_variant_without_one(
    played: Callable[..., Answers],
) -> None:
    shown, without = row("A", 2, picture="/pictures/a.webp"), row("B", 1)
    answers = played(overview(shown, without, waves=[WAVE]))
    answers.page.add_init_script(RECORD_SOURCES)
    # The shop has no such picture: its answer would come before or after the test's end.
    answers.page.route("**/pictures/a.webp", lambda route: route.fulfill(content_type="image/webp", body=b""))
    answers.page.goto(PAGE)
    expect(answers.page.locator("tbody tr")).to_have_count(2, timeout=SEEN_WITHIN_MS)
    expect(answers.page.locator(".waves li")).to_have_count(1, timeout=SEEN_WITHIN_MS)
    assert answers.page.evaluate("sources") == ["/pictures/a.webp"]


def test_axe_finds_nothing_and_no_phone_scrolls_sideways(played: Callable[..., Answers]) -> None:
    answers = played(BUSY, viewport={"width": PHONES_PX[-1], "height": 844})
    page = answers.page
    for name, document in {"busy": BUSY, "paused": PAUSED, "empty": overview()}.items():
        answers.now(document)
        expect(page.locator("tbody tr")).to_have_count(len(document["rows"]))
        _is_in_order(page, name)
    answers.status = 401
    answers.now({})
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    _is_in_order(page, "signed out")


def _is_in_order(page: Page, name: str) -> None:
    for width in PHONES_PX:
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    looks = [(PHONES_PX[-1], "light"), (PHONES_PX[-1], "dark"), (1280, "light")]
    for width, scheme in looks if name == "busy" else looks[:2]:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        rules = RULES_OF_COLOUR if scheme == "dark" else EVERY_RULE
        require_no_violations(page, rules, f"{name}, {width} px, {scheme}")


def test_a_poll_moves_nothing_and_a_new_order_keeps_the_focus_where_it_is(
    played: Callable[..., Answers],
) -> None:
    answers = played(BUSY, viewport={"width": 1280, "height": 900})
    page = answers.page
    expect(page.locator("tbody tr")).to_have_count(3)
    # The panels are drawn once, after the first overview.
    expect(page.locator(".log .well")).not_to_be_empty()
    page.evaluate(
        """() => {
        window.moved = [];
        new PerformanceObserver(list => window.moved.push(...list.getEntries().map(entry => entry.value)))
          .observe({ type: "layout-shift" });
        window.changed = [];
        new MutationObserver(list => window.changed.push(...list.map(({ target }) => target.textContent)))
          .observe(document.getElementById("overview"),
            { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    rows = [row("A", 1_401, last_wave=BUSY["rows"][0]["last_wave"]), *BUSY["rows"][1:]]
    answers.now(BUSY | {"rows": rows})
    expect(page.locator("tr[data-sku=A] td.waiting b")).to_have_text("1,401")
    assert page.evaluate("window.moved") == []
    assert [text for text in page.evaluate("window.changed") if "Updated" not in text] == ["1,401"]
    link = page.locator("tr[data-sku=B] a")
    link.focus()
    line = page.locator("tr[data-sku=B]").element_handle()
    answers.now(BUSY | {"rows": [row("B", 9_000), row("A", 1_400), row("D", 5)]})
    expect(page.locator("tr[data-sku=B] td.waiting b")).to_have_text("9,000")
    expect(page.locator("tbody th b")).to_have_text(["Jacket B", "Jacket A", "Jacket D"])
    expect(link).to_be_focused()
    assert page.evaluate("line => line === document.querySelector('tr[data-sku=B]')", line)


def test_search_and_filter_work_by_keyboard_and_stand_in_the_address(played: Callable[..., Answers]) -> None:
    answers = played(BUSY)
    page = answers.page
    search = page.get_by_role("searchbox")
    search.focus()
    page.keyboard.type("moss")
    page.wait_for_url("**/merchant/?q=moss")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="All")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/merchant/?q=moss&filter=waiting")
    expect(page.get_by_role("radio", name="Waiting")).to_be_checked()
    page.wait_for_timeout(50)
    assert answers.asked[-1].endswith("/api/merchant/overview?q=moss&filter=waiting")
    answers.now(overview(row("A", 3)) | {"rows": [], "matched": 0})
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_a_merchant_who_may_only_see_has_no_button_to_act(played: Callable[..., Answers]) -> None:
    answers = played(BUSY)
    more = answers.page.get_by_role("button", name="Actions for Jacket A, Moss, M")
    expect(more).to_be_visible()
    answers.now(BUSY | {"role": "see"})
    expect(more).to_be_hidden()


def test_a_session_that_ended_leaves_no_figure_on_the_screen(played: Callable[..., Answers]) -> None:
    answers = played(BUSY)
    page = answers.page
    expect(page.get_by_text("Jacket A")).to_be_visible()
    page.route("**/api/merchant/shopper", answering({"address": "lou@example.com", **SHOPPER}))
    page.get_by_role("button", name="Look a shopper up").click()
    page.locator("dialog[open]").get_by_label("Email address", exact=True).fill("lou@example.com")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_contain_text("lou@example.com")
    answers.status = 401
    answers.now({})
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.get_by_role("status").filter(has_text="Your session is over. Sign in again.")).to_be_visible()
    expect(page.locator("#merchant-email")).to_be_focused()
    assert "Jacket" not in page.content().partition("<template")[0]
    assert "lou@example.com" not in page.content()


def test_a_shop_that_does_not_answer_is_said_so_until_it_does(played: Callable[..., Answers]) -> None:
    answers = played(BUSY)
    page = answers.page
    expect(page.get_by_text("Jacket A")).to_be_visible()
    answers.status = 500
    for _ in range(2):
        with page.expect_response(API):
            answers.now(BUSY)
        page.wait_for_timeout(100)
    expect(page.locator(".trouble")).to_contain_text("The shop does not answer. These figures are from")
    expect(page.get_by_text("Jacket A")).to_be_visible()
    answers.status = 200
    answers.now(BUSY)
    expect(page.locator(".trouble")).to_be_hidden()


def test_nobody_is_polled_for_while_the_page_is_hidden(played: Callable[..., Answers]) -> None:
    answers = played(BUSY)
    page = answers.page
    expect(page.get_by_text("Jacket A")).to_be_visible()
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked = len(answers.asked)
    page.wait_for_timeout(3_500)
    assert len(answers.asked) == asked
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert len(answers.asked) == asked + 1


def test_without_script_the_form_stands_alone(new_window: NewWindow) -> None:
    page = new_window(java_script_enabled=False).new_page()
    page.goto(PAGE)
    expect(page.get_by_role("button", name="Email me a sign-in link")).to_be_visible()
    # Chromium without script, as Playwright runs it, still leaves out what stands in <noscript>.
    assert "The overview itself needs one: turn scripts on" in page.content()
    expect(page.locator("#overview")).to_be_hidden()


def test_times_and_numbers_are_in_the_language_of_the_page(played: Callable[..., Answers]) -> None:
    page = played(BUSY, path="/de/merchant/", viewport={"width": PHONES_PX[-1], "height": 844}).page
    expect(page.locator("tr[data-sku=A] td.waiting b")).to_have_text("1.400")
    expect(page.locator("tr[data-sku=A] td.longest span").last).to_have_text("5 Tage")
    expect(page.get_by_role("heading", level=1, name="Übersicht")).to_be_visible()
    # German words are longer.
    for width in PHONES_PX:
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == width
