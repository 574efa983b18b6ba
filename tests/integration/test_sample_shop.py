"""Every page of the sample shop, as a checker, a search engine and a shopper who clicks everything see it."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import pytest

from spillway.preflight.amounts import Measured
from spillway.preflight.bill import bill, refresh_usd, story
from spillway.preflight.built_pages import mean_product_weight, page_refresh
from spillway.preflight.campaign import FOUNDING_STORY
from spillway.preflight.usage import usage
from spillway.project import Project
from spillway.sitegen.release import ObjectKind, Release
from spillway.sitegen.site import build
from tests.support.merchant_listing import checked, offers_of
from tests.support.shop_weight import SAMPLE_BYTES_MAX, SAMPLE_REQUESTS_MAX

ROOT = Path(__file__).parents[2]
CHECKER = ROOT / ".tools" / "npm" / "node_modules" / "vnu-jar" / "build" / "dist" / "vnu.jar"


class Page(HTMLParser):
    """The links of a page, the anchors in it, and its structured data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.files: list[str] = []
        self.ids: list[str] = []
        self.data: list[Any] = []
        self.pictures: list[dict[str, str]] = []
        self._script = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        if tag in {"a", "form"}:
            self.links += [values[name] for name in ("href", "action") if name in values]
        # A data URL is part of the page: no file is loaded for it.
        if values.get("src", "").startswith("data:"):
            return
        self.files += [values[name] for name in ("src",) if name in values]
        self.files += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        if tag == "link" and values.get("rel") == "icon" and not values["href"].startswith("data:"):
            self.files.append(values["href"])
        if tag == "img":
            self.pictures.append(values)
        self._script = values.get("type", "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._script == "application/ld+json" and data.strip():
            self.data.append(json.loads(data))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample") / "site"


@pytest.fixture(scope="module")
def release(site: Path) -> Release:
    return build(Project(ROOT), folder=site)


@pytest.fixture(scope="module")
def pages(release: Release) -> dict[str, str]:
    return {
        "/" if object_.key == "index.html" else f"/{object_.key}": object_.read().decode()
        for object_ in release.objects
        if object_.kind is not ObjectKind.ASSET and object_.content_type.startswith("text/html")
    }


def test_no_translation_is_missing_in_any_language(release: Release) -> None:
    assert release.missing_translations == ()


def test_every_link_and_anchor_leads_somewhere(release: Release, pages: dict[str, str]) -> None:
    read = {path: Page(html) for path, html in pages.items()}
    keys = {f"/{object_.key}" for object_ in release.objects}
    broken = []
    for path, page in read.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            target = target.partition("?")[0] or path
            if target.startswith(("https://", "mailto:", "/api/")):
                continue
            if (target not in read and target not in keys) or (anchor and anchor not in read[target].ids):
                broken.append((path, link))
        broken += [(path, file) for file in page.files if file not in keys]
    assert broken == []


def test_no_page_names_a_place_twice_or_asks_anybody_else_for_anything(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        page = Page(html)
        assert len(page.ids) == len(set(page.ids)), path
        assert all(file.startswith("/") and not file.startswith("//") for file in page.files), path
        assert "style=" not in html, path
        assert not re.search(r"\son[a-z]+=", html), path


def test_every_picture_has_its_size_and_its_words_and_waits_below_the_fold(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        shown = Page(html).pictures
        assert all(item["width"].isdigit() and item["height"].isdigit() for item in shown), path
        assert all("alt" in item for item in shown), path
        assert all(item.get("loading") == "lazy" for item in shown[2:]), path


def test_structured_data_is_what_search_engines_require(release: Release, pages: dict[str, str]) -> None:
    base_url = release.theme.shop.base_url
    for edition in release.theme.editions:
        for entry in release.products:
            path = edition.localized_path(entry.product.path)
            (document,) = Page(pages[path]).data
            offers = offers_of(checked(document))
            assert [sku for sku, _ in offers] == [variant.sku for variant in entry.product.variants]
            prices = [edition.money.plain(variant.price_minor) for variant in entry.product.variants]
            assert [offer["price"] for _, offer in offers] == prices
            skus = [f"?sku={variant.sku}" for variant in entry.product.variants]
            picks = skus if len(skus) > 1 else [""]
            assert [offer["url"] for _, offer in offers] == [f"{base_url}{path}{pick}" for pick in picks]


def test_every_page_that_may_be_listed_says_where_it_lives(release: Release, pages: dict[str, str]) -> None:
    root = ET.fromstring(next(object_ for object_ in release.objects if object_.key == "sitemap.xml").read())
    listed = [item.text or "" for item in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    for path in (url.removeprefix(release.theme.shop.base_url) for url in listed):
        canonical = f'<link rel="canonical" href="{release.theme.shop.base_url}{path}">'
        assert canonical in pages[path], path


@pytest.mark.skipif(
    not CHECKER.exists() or shutil.which("java") is None,
    reason="the Nu HTML checker is not installed: npm install --prefix .tools/npm vnu-jar, and Java",
)
@pytest.mark.parametrize("products_max", [3, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_nu_html_checker_finds_no_error(pages: dict[str, str], tmp_path: Path, products_max: int) -> None:
    products = sorted(path for path in pages if "/products/" in path)
    # Products are alike: a few of each language, and every other page.
    left_out = {path for path in products if products.index(path) % max(1, len(products) // products_max)}
    names = {}
    for number, (path, html) in enumerate(sorted(pages.items())):
        if path in left_out:
            continue
        names[f"{number}.html"] = path
        (tmp_path / f"{number}.html").write_text(html, encoding="utf-8")
    done = subprocess.run(
        [
            "java",
            # It runs for seconds: what a compiler of long runs would save costs more than it saves.
            *("-Xss4m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            "-jar",
            str(CHECKER),
            "--format",
            "json",
            "--errors-only",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [
        f"{names.get(Path(message.get('url', '')).name)}: {message['message']}"
        for message in json.loads(done.stderr)["messages"]
    ]
    assert found == []


def test_a_product_page_weighs_what_the_bill_is_held_to(site: Path, release: Release) -> None:
    weight = mean_product_weight(site)
    assert weight.requests <= SAMPLE_REQUESTS_MAX
    assert weight.bytes_sent <= SAMPLE_BYTES_MAX


def test_the_founding_story_in_the_docs_is_the_one_that_the_command_shows(site: Path) -> None:
    site_bytes = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
    refresh = page_refresh(site)
    weight = mean_product_weight(site)
    now = bill(usage(FOUNDING_STORY, weight, Measured.read(), site_bytes=site_bytes, refresh=refresh))
    found = {row.what: row.now_usd for row in story(now)}
    table = (ROOT / "docs" / "preflight.md").read_text().split("## The founding story")[1]
    rows = [row.split("|")[1:4] for row in table.splitlines() if row.startswith("|")][2:]
    assert len(rows) == 9
    for what, _, now_usd in rows:
        assert float(now_usd) == pytest.approx(found[what.strip()], abs=0.10), what
    prose = (ROOT / "docs" / "preflight.md").read_text().replace("\n", " ")
    assert f"{refresh.objects:.1f} pages and {refresh.paths:.1f} paths, {refresh_usd(refresh):.3f}" in prose
    # Thirty days of 1,000 changes, less the thousand paths that are free.
    assert f"about {round(30_000 * refresh_usd(refresh) - 5, -1):,.0f} dollars a month" in prose
