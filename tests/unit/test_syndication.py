"""The sitemap for search engines and the Atom feed for feed readers."""

import xml.etree.ElementTree as ET
from pathlib import Path

from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop

ATOM = "{http://www.w3.org/2005/Atom}"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def text(release: Release, key: str) -> bytes:
    return next(object_ for object_ in release.objects if object_.key == key).read()


def test_the_feed_lists_what_is_new(small_release: Release) -> None:
    root = ET.fromstring(text(small_release, "feed.xml"))
    (entry,) = root.iter(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == "Field Jacket"
    assert entry.findtext(f"{ATOM}updated") == "2026-09-01T00:00:00Z"
    assert entry.findtext(f"{ATOM}id") == "https://www.heron.example/products/field-jacket"
    assert root.findtext(f"{ATOM}title") == "Heron & Daughters"
    assert root.findtext(f"{ATOM}id") == "https://www.heron.example/"


def test_a_shop_whose_products_have_no_dates_has_no_feed_and_no_link_to_one(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    jacket = shop.site / "products/field-jacket.toml"
    jacket.write_text(jacket.read_text().replace("released_on = 2026-09-01\n", ""))

    release = build(shop)

    assert "feed.xml" not in {object_.key for object_ in release.objects}
    assert b"feed.xml" not in text(release, "index.html")
    assert not [object_.key for object_ in release.objects if b"1970" in object_.read()]
