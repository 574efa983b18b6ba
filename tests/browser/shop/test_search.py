"""Finding a product as a shopper does: the index comes when the field is used, and not before."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewWindow
from tests.end_to_end.demo import DemoProcess

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]


def test_words_find_products_as_they_are_typed(new_window: NewWindow, demo: DemoProcess) -> None:
    page = new_window().new_page()
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(f"{demo.shop_url}/search")
    assert not [url for url in fetched if url.endswith("/search.json")]
    field = page.get_by_label("What are you looking for?")
    field.fill("jumper")
    expect(page.get_by_role("status")).to_have_text("Found: 1")
    card = page.locator(".found li")
    expect(card.get_by_role("heading")).to_have_text("Fisherman’s Jumper")
    expect(card.locator(".price")).to_have_text(re.compile("£"))
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator(".browse")).to_be_hidden()
    field.fill("jumper raincoat")
    expect(page.get_by_role("status")).to_contain_text("Nothing found. Is it spelt right?")
    expect(page.locator(".browse")).to_be_visible()
    field.fill("")
    expect(page.locator(".browse")).to_be_visible()
    page.goto(f"{demo.shop_url}/de/search?q=GRUN%20woll")
    expect(page.get_by_role("status")).to_contain_text("Nichts gefunden.")
    page.get_by_label("Wonach suchst du?").fill("wolle mutze")
    page.get_by_role("link", name="Wachmütze").click()


def test_without_script_everything_there_is_is_listed(new_window: NewWindow, demo: DemoProcess) -> None:
    page = new_window(java_script_enabled=False).new_page()
    page.goto(f"{demo.shop_url}/search")
    page.get_by_label("What are you looking for?").fill("cap")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("noscript p")).to_be_visible()
    page.get_by_role("link", name="Watch Cap").click()
    expect(page).to_have_url(f"{demo.shop_url}/products/watch-cap")
