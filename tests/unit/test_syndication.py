"""What search engines and feed readers are told."""

import xml.etree.ElementTree as ET

from spillway.build.release import Release

ATOM = "{http://www.w3.org/2005/Atom}"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


def text(release: Release, key: str) -> bytes:
    return next(each for each in release.objects if each.key == key).read()


def test_the_feed_tells_of_what_is_new(small_release: Release) -> None:
    root = ET.fromstring(text(small_release, "feed.xml"))
    (entry,) = root.iter(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == "Field Jacket"
    assert entry.findtext(f"{ATOM}updated") == "2026-09-01T00:00:00Z"
    assert entry.findtext(f"{ATOM}id") == "https://www.heron.example/products/field-jacket"
    assert root.findtext(f"{ATOM}title") == "Heron & Daughters"
    assert root.findtext(f"{ATOM}id") == "https://www.heron.example/"
