"""An event about availability, and the pages that follow it."""

import hashlib
import re
from dataclasses import replace
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import FormTokens
from chalicelib.services.page_refresh import PageRefresh
from chalicelib.storage import Cdn, PageContested, PagesBucket, ThemeStore
from chalicelib.tables.products import ProductsTable
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.log_lines import logged
from tests.support.memory_cdn import MemoryCloudFront
from tests.support.recorded_calls import scripted
from tests.support.small_shop import JACKET, make_small_shop
from tests.support.stocking import observe

FORM_TOKENS = FormTokens.of(b"identity", at_ms=0)


@pytest.fixture
def s3(aws: None) -> Any:
    client = boto3.client("s3")
    for bucket in ("pages", "release"):
        client.create_bucket(Bucket=bucket)
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    return client


@pytest.fixture
def products(small_release: Release) -> ProductsTable:
    client: Any = MemoryDynamoDb()
    products = ProductsTable(client, create_table(client, "ProductsTable"))
    for entry in small_release.products:
        products.put_catalogue(entry.product, entry.stock, known=None)
    return products


def put_theme(s3: Any, text: str) -> None:
    s3.put_object(Bucket="release", Key="theme.json", Body=text.encode())


def page_refresh(s3: Any, products: ProductsTable, cloudfront: Any) -> PageRefresh:
    cdn = Cdn(cloudfront, "E1")
    return PageRefresh(
        products, ThemeStore(s3, "release"), PagesBucket(s3, "pages"), cdn, lambda: FORM_TOKENS
    )


def page(s3: Any, key: str) -> str:
    return str(s3.get_object(Bucket="pages", Key=key)["Body"].read().decode())


def test_the_product_and_every_page_with_its_card_turn(
    s3: Any, products: ProductsTable, small_release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    put_theme(s3, small_release.theme.to_json())
    cdn = MemoryCloudFront()
    turn = page_refresh(s3, products, cdn)
    turn.refresh("field-jacket", reference="e1")
    before = page(s3, "products/field-jacket")
    for number, sku in enumerate(("FJ-MOSS-S", "FJ-MOSS-M", "FJ-SLATE-M")):
        observe(products, "field-jacket", sku, Stock(Availability.IN_STOCK, 3, 10, f"e{number}"))
    capsys.readouterr()
    turn.refresh("field-jacket", reference="e2")
    (line,) = logged(capsys, "pages_refreshed")
    assert (line["slug"], line["invalidated"]) == ("field-jacket", cdn.paths[-1])
    assert set(line["paths"]) == set(cdn.paths[-1])
    after = page(s3, "products/field-jacket")
    assert 'id="waitlist"' in before
    assert 'id="waitlist"' not in after
    assert {key["Key"] for key in s3.list_objects_v2(Bucket="pages")["Contents"]} == {
        "index.html",
        "products/field-jacket",
        "shop/all",
        "shop/outerwear",
    }
    paths = ["/", "/index.html", "/products/field-jacket", "/shop/all", "/shop/outerwear"]
    assert cdn.paths == [paths, ["/products/field-jacket"]], "its card says the same as before"


def test_a_turned_page_is_the_page_a_build_would_make(
    s3: Any, products: ProductsTable, small_release: Release, tmp_path: Path
) -> None:
    put_theme(s3, small_release.theme.to_json())
    page_refresh(s3, products, MemoryCloudFront()).refresh("field-jacket", reference="e1")
    built = {
        object_.key: object_ for object_ in build(make_small_shop(tmp_path), form_tokens=FORM_TOKENS).objects
    }
    for key in ("products/field-jacket", "shop/outerwear", "shop/all", "index.html"):
        head = s3.head_object(Bucket="pages", Key=key)
        assert page(s3, key).encode() == built[key].read()
        assert head["ContentType"] == built[key].content_type
        assert head["CacheControl"] == built[key].cache_control


def test_a_page_that_shows_other_products_is_the_page_a_build_would_make(s3: Any, tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path / "shop")
    for name in ("jacket2", "jacket3"):
        text = JACKET.replace("FJ-", f"{name.upper()}-").replace("Field Jacket", name.title())
        (shop.site / f"products/{name}.toml").write_text(text)
    release = build(shop, form_tokens=FORM_TOKENS)
    client: Any = MemoryDynamoDb()
    products = ProductsTable(client, create_table(client, "ProductsTable"))
    for entry in release.products:
        products.put_catalogue(entry.product, entry.stock, known=None)
    put_theme(s3, release.theme.to_json())
    page_refresh(s3, products, MemoryCloudFront()).refresh("field-jacket", reference="e1")
    (built,) = [item.read().decode() for item in release.objects if item.key == "products/field-jacket"]
    assert page(s3, "products/field-jacket") == built
    assert "<h3>Jacket3</h3>" in built
    # A product that is withdrawn in the meantime is not shown, and a theme of before asks for none.
    products.withdraw(release.products.named("jacket3").product)
    page_refresh(s3, products, MemoryCloudFront()).refresh("field-jacket", reference="e2")
    assert "<h3>Jacket3</h3>" not in page(s3, "products/field-jacket")
    put_theme(s3, re.sub('"related":true', '"related":false', release.theme.to_json()))
    page_refresh(s3, products, MemoryCloudFront()).refresh("field-jacket", reference="e3")
    assert "<h3>Jacket2</h3>" not in page(s3, "products/field-jacket")


def test_the_sitemap_dates_the_pages_that_turned_as_a_build_would(
    s3: Any, products: ProductsTable, small_release: Release, tmp_path: Path
) -> None:
    put_theme(s3, small_release.theme.to_json())
    sitemap = next(object_ for object_ in small_release.objects if object_.key == "sitemap.xml")
    s3.put_object(Bucket="pages", Key=sitemap.key, Body=sitemap.read(), ContentType=sitemap.content_type)
    stock = Stock(Availability.OUT_OF_STOCK, 0, 1_790_000_000_000, "e1")
    observe(products, "scarf", "SCARF", stock)
    cdn = MemoryCloudFront()
    page_refresh(s3, products, cdn).refresh("scarf", reference="e1")
    built = build(make_small_shop(tmp_path), stock={"scarf": {"SCARF": stock}})
    wanted = next(object_ for object_ in built.objects if object_.key == "sitemap.xml").read().decode()
    assert page(s3, "sitemap.xml") == wanted != sitemap.read().decode()
    head = s3.head_object(Bucket="pages", Key="sitemap.xml")
    assert (head["ContentType"], head["CacheControl"]) == (sitemap.content_type, sitemap.cache_control)
    assert "/sitemap.xml" in cdn.paths[0]


def test_two_edits_at_once_are_both_kept(s3: Any) -> None:
    pages = PagesBucket(s3, "pages")
    s3.put_object(Bucket="pages", Key="sitemap.xml", Body=b"-", ContentType="application/xml")
    others = [b"- theirs"]

    def ours(text: str) -> str:
        if others:
            s3.put_object(Bucket="pages", Key="sitemap.xml", Body=others.pop())
        return f"{text} ours"

    changed = pages.edit("/sitemap.xml", ours, event="e1")
    assert changed is not None
    assert page(s3, "sitemap.xml") == "- theirs ours"
    assert pages.edit("/sitemap.xml", lambda text: text, event="e1") == changed, "a repeat owes it still"
    assert pages.edit("/sitemap.xml", lambda text: text, event="e2") is None
    assert pages.edit("/not-there.xml", ours, event="e1") is None


def test_the_pages_of_every_language_turn(s3: Any, german_release: Release) -> None:
    client: Any = MemoryDynamoDb()
    products = ProductsTable(client, create_table(client, "ProductsTable"))
    for entry in german_release.products:
        products.put_catalogue(entry.product, entry.stock, known=None)
    put_theme(s3, german_release.theme.to_json())
    cdn = MemoryCloudFront()
    page_refresh(s3, products, cdn).refresh("scarf", reference="e1")
    built = {object_.key: object_ for object_ in german_release.objects}
    keys = ["index.html", "products/scarf", "shop/accessories", "shop/all"]
    german = ["de", *(f"de/{key}" for key in keys[1:])]
    for key in (*keys, *german):
        assert page(s3, key).encode() == built[key].read()
        assert s3.head_object(Bucket="pages", Key=key)["ContentLanguage"] == built[key].language
    assert cdn.paths == [sorted(["/", *(f"/{key}" for key in (*keys, *german))])]


def test_rows_of_no_product_of_the_catalogue_are_left_alone(
    s3: Any, products: ProductsTable, small_release: Release
) -> None:
    put_theme(s3, small_release.theme.to_json())
    cdn = MemoryCloudFront()
    page_refresh(s3, products, cdn).refresh("x", reference="e")
    assert cdn.paths == []


def test_a_product_that_is_gone_or_withdrawn_is_logged_and_its_pages_stay(
    s3: Any, products: ProductsTable, small_release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    put_theme(s3, small_release.theme.to_json())
    cdn = MemoryCloudFront()
    scarf = products.get("scarf")
    assert scarf is not None
    products.withdraw(scarf.product)
    for slug in ("x", "scarf"):
        page_refresh(s3, products, cdn).refresh(slug, reference="e")
        reason = "product is not in the catalogue"
        assert logged(capsys) == [{"event": "page_not_refreshed", "slug": slug, "reason": reason}]
    assert "Contents" not in s3.list_objects_v2(Bucket="pages")
    assert cdn.paths == []


def test_a_turn_is_logged_whole_and_names_its_very_writes_to_the_cdn(
    s3: Any, products: ProductsTable, small_release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    put_theme(s3, small_release.theme.to_json())
    sitemap = next(object_ for object_ in small_release.objects if object_.key == "sitemap.xml")
    s3.put_object(Bucket="pages", Key="sitemap.xml", Body=sitemap.read(), ContentType=sitemap.content_type)
    # A variant that nothing was observed of comes first.
    jacket = products.get("field-jacket")
    assert jacket is not None
    observe(products, "field-jacket", "FJ-SLATE-M", Stock(Availability.IN_STOCK, 3, 1_790_000_000_000, "e1"))
    cdn = MemoryCloudFront()
    page_refresh(s3, products, cdn).refresh("field-jacket", reference="e1")
    paths = ["/products/field-jacket", *sorted(["/", "/shop/all", "/shop/outerwear"]), "/sitemap.xml"]
    (line,) = logged(capsys)
    assert sorted(line.pop("paths")) == sorted(paths)
    invalidated = sorted([*paths, "/index.html"])
    assert line == {"event": "pages_refreshed", "slug": "field-jacket", "invalidated": invalidated}
    heads = {path: s3.head_object(Bucket="pages", Key=path[1:] or "index.html") for path in paths}
    versions = sorted(f"{path} {head.get('VersionId', '')} {head['ETag']}" for path, head in heads.items())
    writes = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
    asked = hashlib.sha256("\n".join(invalidated).encode()).hexdigest()[:16]
    assert list(cdn.references) == [f"e1-{writes}-{asked}"]
    page_refresh(s3, products, cdn).refresh("field-jacket", reference="e2")
    assert logged(capsys) == [
        {"event": "pages_refreshed", "slug": "field-jacket", "paths": [], "invalidated": []}
    ]
    assert len(cdn.references) == 1


def test_a_listing_shows_the_cards_it_has_by_now_without_products_that_are_gone(
    s3: Any, products: ProductsTable, small_release: Release
) -> None:
    put_theme(s3, small_release.theme.to_json())
    turn = page_refresh(s3, products, MemoryCloudFront())
    edition = turn._themes.live().theme.editions[0]
    listing = next(item for item in edition.listings if item.path == "/shop/outerwear")
    assert listing.slugs == ("field-jacket",)
    shown = turn._listing_page(edition.root, listing)
    # The product handed over is as old as the event; the theme says what is on the page.
    assert turn._listing_page(edition.root, replace(listing, slugs=("scarf",))) == shown
    unlisted = replace(listing, path="/shop/hats", slugs=("gone", "scarf"))
    html = turn._listing_page(edition.root, unlisted)
    assert 'href="/products/scarf"' in html
    assert 'href="/products/field-jacket"' not in html


def test_a_new_release_is_seen_at_the_next_refresh(s3: Any, small_release: Release) -> None:
    themes = ThemeStore(s3, "release")
    with pytest.raises(ClientError):
        themes.live()
    put_theme(s3, small_release.theme.to_json())
    first = themes.live()
    assert themes.live() is first
    put_theme(s3, small_release.theme.to_json().replace("Clothes for weather", "Clothes for sun"))
    assert themes.live().theme.shop.tagline == "Clothes for sun"


def test_where_a_moment_does_not_matter_the_theme_is_asked_for_once_in_a_while(
    s3: Any, small_release: Release, clock: Clock
) -> None:
    themes = ThemeStore(s3, "release", fresh_for_ms=10_000, clock_ms=clock)
    put_theme(s3, small_release.theme.to_json())
    first = themes.live()
    put_theme(s3, small_release.theme.to_json().replace("Clothes for weather", "Clothes for sun"))
    clock.now_ms += 9_999
    assert themes.live() is first
    clock.now_ms += 1
    assert themes.live().theme.shop.tagline == "Clothes for sun"


def test_an_older_turn_never_covers_a_newer_page(s3: Any) -> None:
    pages = PagesBucket(s3, "pages")
    written: list[str] = []

    def slow() -> str:
        if not written:
            written.append("a newer event, or a publish, in the meantime")
            s3.put_object(Bucket="pages", Key="products/x", Body=b"newer")
        return "made from " + page(s3, "products/x")

    pages.refresh("/products/x", slow, language="en", event="e1")
    assert page(s3, "products/x") == "made from newer"


def test_a_page_that_others_write_all_the_time_is_left_to_them(s3: Any) -> None:
    pages = PagesBucket(s3, "pages")
    pages.refresh("/products/x", lambda: "first", language="en", event="e1")
    turns = count()

    def contested() -> str:
        s3.put_object(Bucket="pages", Key="products/x", Body=f"theirs {next(turns)}".encode())
        return "ours"

    with pytest.raises(PageContested):
        pages.refresh("/products/x", contested, language="en", event="e1")
    assert page(s3, "products/x").startswith("theirs")


def test_a_page_that_cannot_be_rendered_stays_as_it_was(s3: Any) -> None:
    pages = PagesBucket(s3, "pages")
    pages.refresh("/products/x", lambda: "the old page", language="en", event="e1")

    def broken() -> str:
        raise ValueError("a template that fails")

    with pytest.raises(ValueError, match="a template that fails"):
        pages.refresh("/products/x", broken, language="en", event="e1")
    assert page(s3, "products/x") == "the old page"


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "GetObject")


def stored_theme(release: Release, etag: str) -> dict[str, Any]:
    return {"Body": BytesIO(release.theme.to_json().encode()), "ETag": etag}


ASKED_FOR_THEME = {"Bucket": "release", "Key": "theme.json"}


def test_a_theme_is_asked_for_again_with_what_is_known_of_it(small_release: Release) -> None:
    s3 = scripted(
        stored_theme(small_release, '"t1"'),
        refusal("304"),
        stored_theme(small_release, '"t2"'),
        refusal("304"),
    )
    themes = ThemeStore(s3, "release")
    first, same, other, again = (themes.live() for _ in range(4))
    assert same is first
    assert other is not first
    assert again is other
    conditions: list[dict[str, str]] = [
        {},
        {"IfNoneMatch": '"t1"'},
        {"IfNoneMatch": '"t1"'},
        {"IfNoneMatch": '"t2"'},
    ]
    assert s3.asked == [("get_object", {**ASKED_FOR_THEME, **condition}) for condition in conditions]


def test_a_theme_that_cannot_be_read_is_an_error(small_release: Release) -> None:
    with pytest.raises(ClientError, match="304"):
        ThemeStore(scripted(refusal("304")), "release").live()
    themes = ThemeStore(scripted(stored_theme(small_release, '"t1"'), refusal("AccessDenied")), "release")
    themes.live()
    with pytest.raises(ClientError, match="AccessDenied"):
        themes.live()


def test_a_theme_is_fresh_for_so_long_and_not_when_the_clock_goes_back(small_release: Release) -> None:
    now = [1_000]
    s3 = scripted(stored_theme(small_release, '"t1"'), refusal("304"))
    themes = ThemeStore(s3, "release", fresh_for_ms=100, clock_ms=lambda: now[0])
    asked = []
    for at_ms in (1_000, 1_000, 1_099, 1_100, 1_199, 1_150, 1_099, 1_198, 1_199):
        now[0] = at_ms
        themes.live()
        asked.append(len(s3.asked))
    assert asked == [1, 1, 1, 2, 2, 2, 3, 3, 4]
