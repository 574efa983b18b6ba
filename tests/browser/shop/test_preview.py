"""The preview in a browser: edits show by themselves, mistakes in place, emails in frames of their height."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from spillway.local_cloud.processes import claim_port
from spillway.local_cloud.servers import BrowserGuard, hosts_of, served
from spillway.merchant.email_pages import EMAILS_PATH, EmailPages
from spillway.project import Project
from spillway.sitegen.preview import PreviewedShop
from tests.support.small_shop import make_small_shop

pytestmark = pytest.mark.browser
# A build takes a second, and far longer on a machine that is busy with other tests.
BUILT_WITHIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Serving:
    """A shop that `spillway serve` shows at `url`, and a page of a browser."""

    project: Project
    url: str
    page: Page


@pytest.fixture
def serving(tmp_path: Path, browser: Browser) -> Iterator[Serving]:
    project = make_small_shop(tmp_path)
    with claim_port(0, "the pages") as claimed:
        port = claimed.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        preview = PreviewedShop(project, base_url=url)
        preview.rebuild_if_changed()
        app = preview.app(*EmailPages(preview, lambda: 1_790_000_000_000).routes())
        stop = threading.Event()
        watching = threading.Thread(target=preview.watch, args=(stop,))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        with served(BrowserGuard(hosts_of(port)).around(app), claimed):
            watching.start()
            try:
                yield Serving(project, url, page)
            finally:
                page.close()
                stop.set()
                watching.join()


def test_an_edit_and_a_mistake_show_by_themselves(serving: Serving) -> None:
    page, scarf = serving.page, serving.project.site / "products/scarf.toml"
    right = scarf.read_text()
    page.goto(f"{serving.url}/products/scarf")
    expect(page.get_by_role("heading", level=1)).to_have_text("Wool Scarf")

    scarf.write_text(right.replace("Wool Scarf", "Long Scarf"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Long Scarf", timeout=BUILT_WITHIN_MS)
    scarf.write_text(right.replace('"45.00"', '"£45"'))
    expect(page.locator(".wrong")).to_contain_text('price = "£45"', timeout=BUILT_WITHIN_MS)
    scarf.write_text(right)
    expect(page.get_by_role("heading", level=1)).to_have_text("Wool Scarf", timeout=BUILT_WITHIN_MS)


def test_the_form_says_that_there_is_no_waitlist_here(serving: Serving) -> None:
    page = serving.page
    page.goto(f"{serving.url}/products/field-jacket?sku=FJ-MOSS-M")
    page.evaluate(
        """() => {
            const form = document.getElementById("waitlist");
            form.elements.email.value = "ada@example.com";
            for (const box of form.querySelectorAll("[name=sku]")) box.checked = true;
            form.requestSubmit();
        }"""
    )
    expect(page.locator("#waitlist [role=status]")).to_contain_text("Preview: no waitlist here")


@pytest.mark.parametrize("width", [360, 700])
def test_a_frame_is_as_high_as_its_email_and_as_wide_as_chosen(serving: Serving, width: int) -> None:
    page = serving.page
    page.goto(f"{serving.url}{EMAILS_PATH}/available?width={width}&scheme=dark")
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("main")).to_contain_text("Field Jacket is back")
    page.wait_for_function(
        """() => {
            const frame = document.querySelector("iframe");
            return frame.clientHeight === frame.contentDocument.documentElement.offsetHeight;
        }"""
    )
    frame = page.locator("iframe").bounding_box()
    assert frame is not None
    assert frame["width"] == width + 2
    # The dark mode was chosen; the browser's own is light.
    colour = inside.locator(".sheet").evaluate("sheet => getComputedStyle(sheet).backgroundColor")
    assert colour == "rgb(33, 30, 26)"
    picture = inside.locator("img").evaluate("img => [img.complete, img.naturalWidth > 0, img.width]")
    assert picture == [True, True, min(width, 600)]
