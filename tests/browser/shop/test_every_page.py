"""Every kind of page: axe finds nothing, it fits a small phone, it keeps to itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from chalicelib.domain.tokens import PERIOD_DAYS, VALID_DAYS
from spillway.sitegen.site import build
from tests.browser.axe import EVERY_RULE, RULES_OF_COLOUR, require_no_violations
from tests.browser.conftest import SEEN_WITHIN_MS, Post, signed_form_token
from tests.browser.shop.kinds import KINDS, SOLD_OUT_SKU, Place
from tests.browser.watch import Watch
from tests.end_to_end.demo import DemoProcess
from tests.support.small_shop import make_small_shop

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

PHONE_PX, DESK_PX = (360, 800), (1280, 900)
NARROW_PHONES_PX = (320, 360)
SEEN_BOTH_WAYS = ("home", "product, some variants sold out")
# Each has a page of the same template among the others: looked at by the slow tests.
ALIKE = frozenset(
    {
        "everything",
        "home, in German",
        "unsubscribed",
        "notified",
        "privacy",
        "product, one variant",
        "shipping",
        "undone",
    }
)


@pytest.fixture
def place(demo: DemoProcess, post: Post) -> Place:
    """The place of every kind of page."""
    old_form_token = signed_form_token(demo, SOLD_OUT_SKU, days_ago=VALID_DAYS + PERIOD_DAYS + 1)
    return Place(demo.shop_url, demo.inbox_url, post, old_form_token)


@pytest.fixture(scope="module")
def window(browser: Browser, demo: DemoProcess) -> Iterator[BrowserContext]:
    """One window for every kind of page: a new one costs as much CPU as a look at its page."""
    window = browser.new_context(base_url=demo.shop_url, locale="en-GB")
    window.set_default_timeout(SEEN_WITHIN_MS)
    window.new_page()
    yield window
    window.close()


@pytest.fixture
def page(window: BrowserContext, watch: Watch) -> Iterator[Page]:
    """A page of a phone's size, in light colours at first, with nothing of the page before."""
    (page,) = window.pages
    page.set_viewport_size({"width": PHONE_PX[0], "height": PHONE_PX[1]})
    page.emulate_media(color_scheme="light")
    watch.over(window)
    yield page
    page.evaluate("[localStorage, sessionStorage].forEach(store => store.clear())")
    window.clear_cookies()
    page.goto("about:blank")
    watch.leave(window)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in ALIKE else kind for kind in KINDS]
)
def test_it_fits_a_small_phone_and_axe_finds_nothing_in_light_or_dark(
    kind: str, page: Page, place: Place, watch: Watch
) -> None:
    _open(kind, page, place, watch)
    for width in NARROW_PHONES_PX:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for width, height in (PHONE_PX, DESK_PX) if kind in SEEN_BOTH_WAYS else (PHONE_PX,):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="light")
        require_no_violations(page, EVERY_RULE, f"{width} px, light")
        page.emulate_media(color_scheme="dark")
        require_no_violations(page, RULES_OF_COLOUR, f"{width} px, dark")


LONG_WORD = "Kinderfahrradanhängerregenschutzhülle"
WIDE_TABLE = f"""
| Größe | Rückenlänge | {LONG_WORD} | Besonderheiten |
|---|---|---|---|
| lang | schmal | mit Kapuze | keine |
"""


def test_long_words_and_wide_tables_do_not_widen_a_phone(browser: Browser, tmp_path: Path) -> None:
    """A long word breaks in headings and choices; in a table it stays whole, and the table scrolls."""
    shop = make_small_shop(tmp_path / "shop")
    product, about = shop.site / "products/field-jacket.toml", shop.site / "pages/privacy.md"
    text = product.read_text().replace("- four pockets", f"{WIDE_TABLE}\n- four pockets")
    product.write_text(text.replace("Field Jacket", LONG_WORD).replace("Moss", f"{LONG_WORD}{LONG_WORD}"))
    about.write_text(about.read_text() + WIDE_TABLE)
    build(shop, folder=tmp_path / "site")
    with browser.new_context(java_script_enabled=False) as window:
        page = window.new_page()
        for name in ("products/field-jacket", "privacy", "shop/all", "search"):
            page.set_content((tmp_path / "site" / name).read_text())
            for width in NARROW_PHONES_PX:
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            for table in page.locator("table").all():
                assert table.evaluate("table => table.scrollWidth > table.clientWidth")
                cell = table.get_by_text("lang", exact=True)
                assert cell.evaluate("cell => cell.clientHeight") < 50


def test_dark_colours_are_dark(page: Page, place: Place, watch: Watch) -> None:
    """Or else the checks above would look at the light page twice."""
    _open("home", page, place, watch)
    papers = []
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        papers.append(page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor"))
    assert papers[0] != papers[1]


def _open(kind: str, page: Page, place: Place, watch: Watch) -> None:
    """Go to a page of that kind, and see to it that it is the one."""
    KINDS[kind].go(page, place)
    page.wait_for_load_state("load")
    refused = [status for status, _ in watch.refused]
    assert refused == ([] if KINDS[kind].status == 200 else [KINDS[kind].status])
    watch.refused.clear()
