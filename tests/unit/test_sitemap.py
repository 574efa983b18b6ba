"""The sitemap: every page, and the time of its last change."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.sitemaps import part_key, parts_for, sitemaps, with_lastmod
from spillway.sitegen.release import DatedDigest, PageDates
from tests.unit.test_renderer_pages import theme

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
EDITION = theme().editions[0]
SHOP = "https://a.example"


def observed(at_ms: int) -> Stock:
    return Stock(Availability.IN_STOCK, 1, at_ms, "e")


def test_a_long_sitemap_goes_into_files_that_name_every_page_once() -> None:
    paths = [f"/products/{number}&more" for number in range(70)]
    files = sitemaps(SHOP, [(EDITION, dict.fromkeys(paths))], 3)
    index = ET.fromstring(files.pop("sitemap.xml"))
    assert index.tag == f"{SITEMAP}sitemapindex"
    assert [item.text for item in index.iter(f"{SITEMAP}loc")] == [f"{SHOP}/{key}" for key in files]
    listed = [item.text for file in files.values() for item in ET.fromstring(file).iter(f"{SITEMAP}loc")]
    assert sorted(map(str, listed)) == sorted(f"{SHOP}{path}" for path in paths)
    assert all(f"<loc>{SHOP}{path.replace('&', '&amp;')}<" in files[part_key(path, 3)] for path in paths)


def test_a_short_sitemap_is_one_file() -> None:
    assert list(sitemaps(SHOP, [(EDITION, {"/": None, "/about": "2026-09-01"})], 1)) == ["sitemap.xml"]
    assert [parts_for(pages) for pages in (0, 1, 10_000, 10_001, 50_000)] == [1, 1, 1, 2, 5]


@pytest.mark.parametrize(
    ("known", "changed", "then"),
    [
        (None, "2026-10-02T10:00:00Z", "2026-10-02T10:00:00Z"),
        ("2026-09-01", "2026-10-02T10:00:00Z", "2026-10-02T10:00:00Z"),
        ("2026-10-02T10:00:01Z", "2026-10-02T10:00:00Z", "2026-10-02T10:00:01Z"),
    ],
)
def test_a_refreshed_page_gets_a_later_date_and_never_an_earlier_one(
    known: str | None, changed: str, then: str
) -> None:
    def sitemap(date: str | None) -> str:
        dated = {"/a": "2026-01-01", "/a&b": date, "/c": None}
        return sitemaps(SHOP, [(EDITION, dated), (replace(EDITION, root="/de"), dated)], 1)["sitemap.xml"]

    edited = with_lastmod(sitemap(known), SHOP, ["/a&b", "/de/a&b", "/elsewhere"], changed)
    assert edited == sitemap(then)
    assert edited.count('hreflang="x-default"') == 6


def test_a_page_is_as_old_as_what_it_says() -> None:
    first = PageDates({}, 1_000_000)
    assert first.of("/a", "words", "2026-09-01") == "1970-01-01T00:16:40Z"
    second = PageDates(first.pages, 2_000_000)
    assert second.of("/a", "words", None) == "1970-01-01T00:16:40Z"
    assert second.of("/b", "words", None) == "1970-01-01T00:33:20Z"
    third = PageDates(second.pages, 3_000_000)
    assert third.of("/a", "other words", None) == "1970-01-01T00:50:00Z"
    assert third.pages["/a"] != DatedDigest(second.pages["/a"].digest, 3_000_000)


def test_a_page_is_as_old_as_the_stock_on_it() -> None:
    dates = PageDates({}, 1_000_000)
    assert dates.of("/a", "words", None, [observed(0), observed(1_060_000)]) == "1970-01-01T00:17:40Z"
    assert dates.of("/a", "words", None, [observed(0)]) == "1970-01-01T00:16:40Z"


def test_a_build_for_nobody_knows_only_the_merchants_own_dates() -> None:
    dates = PageDates()
    assert dates.of("/a", "words", "2026-09-01") == "2026-09-01"
    assert dates.of("/b", "words", None) is None
    assert dates.pages == {}
