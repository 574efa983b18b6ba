"""The panels "Reports" and "Order goods" of the merchant's page, over answers that a test plays."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from spillway.preflight.bill import traffic_prices
from tests.browser.axe import require_no_violations
from tests.browser.conftest import PHONE
from tests.browser.merchant import test_page as merchant_page
from tests.browser.merchant.test_page import BUSY, Answers, answering
from tests.browser.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.local_cloud]

played = merchant_page.played
RESTOCK = {
    "restock": "FJ-INK-L:900:e",
    "sku": "FJ-INK-L",
    "slug": "field-jacket",
    "title": "Field jacket",
    "label": "Ink, L",
    "opened_at_ms": 1_795_820_400_000,
    "notified": 1_240,
    "bounced": 2,
    "unsubscribed": 1,
    "clicks": 31,
    "clicks_per_email": 0.025,
    "orders": 9,
    "orders_by_click": 4,
    "units": 11,
    "revenue_minor": {"EUR": 9_900, "GBP": 1_041_600},
    "revenue_per_email_minor": {"EUR": 7.9839, "GBP": 840.0},
}
UNREPORTED = {
    "clicks": 0,
    "clicks_per_email": 0.0,
    "orders": 0,
    "units": 0,
    "revenue_minor": {},
    "revenue_per_email_minor": {},
}
REPORTS: dict[str, Any] = {
    "opened": "not measured",
    "counts_clicks": False,
    "currency": "GBP",
    "restocks": [RESTOCK, RESTOCK | UNREPORTED | {"title": None, "label": None, "sku": "OLD-SKU"}],
}
ADVICE = {
    "sku": "FJ-INK-L",
    "title": "Field jacket",
    "label": "Ink, L",
    "order_about": 118,
    "expected": 120.0,
    "waiting": 1_400,
    "stock": 2,
    "basis": "own",
    "reasons": [],
}
ORDERING: dict[str, Any] = {
    "variants": [
        ADVICE,
        ADVICE | {"sku": "OLD-SKU", "title": None, "label": None, "stock": 0, "basis": "default"},
    ]
}
TRAFFIC: dict[str, Any] = {
    "is_on": True,
    "since": "2026-11-26T13",
    "until": "2026-11-27T12",
    "requests": 120_000,
    "bytes_sent": 2_000_000_000,
    "views": 41_000,
    "visits": 9_400,
    "visitors": 8_200,
    "uncached": 3_000,
    "timeline": [*[3] * 100, 40, 2_310, 900, *[0] * 41],
    "peak": {"at": "2026-11-27T10:05", "requests": 2_310},
    "coverage": {"logged": 480, "counted": 500, "share": 0.96},
    "tables": {
        "pages": [["/products/field-jacket", 30_000], ["/", 9_000]],
        "referrers": [["news.example", 7_000]],
        "devices": [["phone", 33_000]],
        "programs": [],
    },
}
PANELS = {"Reports": REPORTS, "Order goods": ORDERING}
PATHS = {
    "Traffic": "**/api/merchant/traffic",
    "Reports": "**/api/merchant/reports",
    "Order goods": "**/api/merchant/ordering",
}


def open_panel(page: Page, title: str, document: dict[str, Any]) -> Locator:
    """Open a panel by the keyboard, over an answer that the test plays."""
    page.unroute(PATHS[title])
    page.route(PATHS[title], answering(document))
    page.locator("summary").filter(has_text=title).focus()
    page.keyboard.press("Enter")
    return page.get_by_role("region", name=title)


def figures(card: Locator) -> list[str]:
    return card.locator("dd").all_inner_texts()


def test_a_merchant_reads_the_reports_and_the_goods_to_order_on_a_phone_by_the_keyboard(
    played: Callable[..., Answers],
) -> None:
    page = played(BUSY | {"role": "see"}, **PHONE).page
    expect(page.locator("tbody tr")).to_have_count(3)
    reports, ordering = (open_panel(page, title, document) for title, document in PANELS.items())
    counted, gone = (reports.get_by_role("listitem").nth(place) for place in range(2))
    expect(counted.locator(".of b")).to_have_text("Field jacket")
    assert figures(counted) == ["1,240", "31 (2.5%)", "9", "11", "€99.00, £10,416.00", "€0.08, £8.40"]
    expect(gone.locator(".of")).to_contain_text("OLD-SKU No longer sold")
    assert figures(gone) == ["1,240", "–", "0", "0", "–", "–"]
    expect(reports.get_by_text("Opened emails are not measured")).to_be_visible()
    expect(reports.get_by_text("count_clicks in site.toml turns that on")).to_be_visible()
    own, default = (ordering.get_by_role("listitem").nth(place) for place in range(2))
    assert figures(own) == ["118", "1,400", "2"]
    expect(own.locator(".because")).to_have_text("8.6% buy: as sold for earlier emails about it.")
    expect(default.locator(".because")).to_contain_text("a rule of thumb")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    require_no_violations(page)


def test_the_traffic_of_a_day_is_read_on_a_phone_with_its_peak_its_coverage_and_the_bill(
    played: Callable[..., Answers],
) -> None:
    page = played(BUSY | {"role": "see"}, timezone_id="UTC", **PHONE).page
    expect(page.locator("tbody tr")).to_have_count(3)
    traffic = open_panel(page, "Traffic", TRAFFIC)
    day = traffic.get_by_role("listitem").first
    expect(day.locator(".peak")).to_have_text("At most 2,310 requests a minute, 27 Nov 2026, 10:05.")
    expect(day.locator(".covered")).to_have_text("The logs have 96% of 500 signups.")
    prices = traffic_prices()
    usd = sum(
        prices[name] * amount
        for name, amount in {
            "requests": 120_000,
            "bytes_sent": 2e9,
            "uncached": 2_520,
            "signups": 500,
        }.items()
    )
    assert figures(day) == ["8,200", "9,400", "41,000", "120,000", "97.5%", f"US${usd:.4f}".rstrip("0")]
    assert day.locator("path.now").get_attribute("d") == "M101 24V0h1V24z"
    assert traffic.locator("h3").all_inner_texts() == ["Pages", "Sites people come from", "Devices"]
    assert traffic.locator(".counts").first.inner_text().split() == [
        *("/products/field-jacket", "30,000", "/", "9,000")
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    require_no_violations(page)


def test_traffic_without_logs_says_how_to_turn_them_on_and_without_a_count_that_coverage_is_unknown(
    played: Callable[..., Answers],
) -> None:
    page = played(BUSY).page
    expect(page.locator("tbody tr")).to_have_count(3)
    nothing = TRAFFIC | {"is_on": False, "requests": 0, "peak": None}
    traffic = open_panel(page, "Traffic", nothing)
    expect(traffic.get_by_role("status")).to_contain_text("spillway deploy --param TrafficLogs=yes")
    open_panel(page, "Traffic", nothing | {"is_on": True})
    open_panel(page, "Traffic", nothing | {"is_on": True})
    expect(traffic.get_by_role("status")).to_have_text("No access log was counted in this time.")
    unknown = TRAFFIC | {"coverage": {"logged": 480, "counted": None, "share": None}}
    open_panel(page, "Traffic", unknown)
    open_panel(page, "Traffic", unknown)
    expect(traffic.locator(".covered")).to_have_text("How complete the logs are is not known yet.")


def test_a_panel_without_rows_or_an_answer_says_so_and_is_read_again_when_it_is_opened_again(
    played: Callable[..., Answers], watch: Watch
) -> None:
    page = played(BUSY).page
    expect(page.locator("tbody tr")).to_have_count(3)
    reports = open_panel(page, "Reports", REPORTS | {"restocks": []})
    expect(reports.get_by_role("status")).to_have_text("No restock has emailed anybody yet.")
    open_panel(page, "Reports", REPORTS)
    open_panel(page, "Reports", REPORTS | {"counts_clicks": True})
    expect(reports.get_by_role("listitem")).to_have_count(2)
    expect(reports.get_by_text("turns that on")).to_be_hidden()
    page.route(PATHS["Order goods"], lambda route: route.fulfill(status=500, json={}))
    page.locator("summary").filter(has_text="Order goods").click()
    expect(page.get_by_role("region", name="Order goods").get_by_role("status")).to_have_text(
        "The shop does not answer."
    )
    assert watch.refused == [(500, "/api/merchant/ordering")]


def test_a_session_that_ended_leaves_no_report_on_the_screen(played: Callable[..., Answers]) -> None:
    page = played(BUSY).page
    expect(page.locator("tbody tr")).to_have_count(3)
    reports = open_panel(page, "Reports", REPORTS)
    expect(reports.get_by_role("listitem")).to_have_count(2)
    page.route(PATHS["Order goods"], lambda route: route.fulfill(status=401, json={}))
    page.locator("summary").filter(has_text="Order goods").click()
    expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    assert "Field jacket" not in page.content().partition("<template")[0]
