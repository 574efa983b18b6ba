"""What search engines and feed readers are told."""

import xml.etree.ElementTree as ET

from spillway.build.release import Release
from spillway.build.syndication import sitemaps
from tests.unit.test_renderer_pages import theme

ATOM = "{http://www.w3.org/2005/Atom}"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
EDITIONS = theme().editions


def text(release: Release, key: str) -> bytes:
    return next(each for each in release.objects if each.key == key).read()


def test_a_sitemap_that_gets_too_long_is_split_and_loses_nothing() -> None:
    paths = [f"/products/{number}&more" for number in range(7)]
    files = dict(sitemaps("https://a.example", paths, EDITIONS, paths_max=3))
    index = ET.fromstring(files.pop("sitemap.xml"))
    assert index.tag == f"{SITEMAP}sitemapindex"
    assert [each.text for each in index.iter(f"{SITEMAP}loc")] == [
        f"https://a.example/{key}" for key in files
    ]
    listed = [each.text for file in files.values() for each in ET.fromstring(file).iter(f"{SITEMAP}loc")]
    assert listed == [f"https://a.example{path}" for path in paths]
    assert all(len(list(ET.fromstring(file))) <= 3 for file in files.values())


def test_a_short_sitemap_is_one_file() -> None:
    assert [key for key, _ in sitemaps("https://a.example", ["/"] * 3, EDITIONS, paths_max=3)] == [
        "sitemap.xml"
    ]


def test_the_feed_tells_of_what_is_new(small_release: Release) -> None:
    root = ET.fromstring(text(small_release, "feed.xml"))
    (entry,) = root.iter(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == "Field Jacket"
    assert entry.findtext(f"{ATOM}updated") == "2026-09-01T00:00:00Z"
    assert entry.findtext(f"{ATOM}id") == "https://www.heron.example/products/field-jacket"
    assert root.findtext(f"{ATOM}title") == "Heron & Daughters"
    assert root.findtext(f"{ATOM}id") == "https://www.heron.example/"
