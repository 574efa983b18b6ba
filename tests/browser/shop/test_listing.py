"""A category as a shopper looks through it: sorted, and without what does not fit."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NewWindow
from tests.end_to_end.demo import DemoProcess

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]


def _prices(page: Page) -> list[int]:
    return [
        int(card.get_attribute("data-price") or 0)
        for card in page.locator(".card").all()
        if card.is_visible()
    ]


def test_cards_are_sorted_and_filtered_and_counted(new_window: NewWindow, demo: DemoProcess) -> None:
    page = new_window().new_page()
    page.goto(f"{demo.shop_url}/shop/all")
    listed, total = _prices(page), page.locator(".card").count()
    status = page.locator(".sift").get_by_role("status")
    expect(status).to_have_text("")
    page.get_by_label("Sort by").select_option("Price, lowest first")
    expect(status).to_have_text(f"{total} of {total} shown")
    assert _prices(page) == sorted(listed)
    sold_in_m = page.locator(".card[data-options*='\"M\"']").count()
    assert 0 < sold_in_m < total
    page.get_by_label("Size").select_option("M")
    expect(status).to_have_text(f"{sold_in_m} of {total} shown")
    page.get_by_label("Size").select_option("Any")
    page.get_by_label("Sort by").select_option("Newest")
    assert _prices(page) == listed
    page.goto(f"{demo.shop_url}/de/shop/all")
    page.get_by_label("Sortieren nach").select_option("Name")
    expect(page.locator(".sift").get_by_role("status")).to_have_text(f"{total} von {total} zu sehen")


def test_without_script_a_listing_has_no_controls(new_window: NewWindow, demo: DemoProcess) -> None:
    page = new_window(java_script_enabled=False).new_page()
    page.goto(f"{demo.shop_url}/shop/all")
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator(".sift")).to_be_hidden()
