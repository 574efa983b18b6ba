"""Old addresses and the merchant's own files at the root, as they are built, served and taken away."""

import re
from pathlib import Path

import pytest

from chalicelib.storage import invalidation_paths
from spillway.project import Project
from spillway.publish.manifest import Manifest
from spillway.publish.plan import Reason, diff
from spillway.publish.saved_sources import pack, unpack
from spillway.sitegen.feeds import ROOT_FILE_BYTES_MAX
from spillway.sitegen.preview import PreviewedShop
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.german_shop import make_german_shop
from tests.support.small_shop import make_small_shop
from tests.unit.test_preview import ask


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def redirect(shop: Project, *rows: str) -> None:
    (shop.site / "redirects.toml").write_text("[redirects]\n" + "\n".join(rows))


def put(shop: Project, key: str, body: bytes | str) -> None:
    file = shop.site / "root" / key
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body if isinstance(body, bytes) else body.encode())


def bodies(release: Release) -> dict[str, bytes]:
    return {object_.key: object_.read() for object_ in release.objects}


def leads_to(body: bytes) -> tuple[str, str, str]:
    """Return where a page leads by itself, by its link and by what it says to search engines."""
    text = body.decode()
    found = re.search(
        r'<meta http-equiv="refresh" content="0; url=([^"]*)">.*'
        r'<link rel="canonical" href="([^"]*)">.*<a href="([^"]*)">',
        text,
        re.DOTALL,
    )
    assert found, text
    assert "noindex" not in text
    return found[1], found[3], found[2]


def mistakes_of(shop: Project) -> list[str]:
    with pytest.raises(CatalogueInvalid) as caught:
        build(shop)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_an_old_address_leads_on_with_and_without_a_script(shop: Project) -> None:
    redirect(shop, '"/old/scarf" = "/products/scarf"', '"/gone.html" = "https://a.example/?x=1&y=2"')

    made = bodies(build(shop))

    for key in ("old/scarf", "old/scarf/"):
        assert leads_to(made[key]) == (
            "/products/scarf",
            "/products/scarf",
            "https://www.heron.example/products/scarf",
        )
    assert leads_to(made["gone.html"])[0] == "https://a.example/?x=1&amp;y=2"
    assert "gone.html/" not in made


def test_an_old_address_may_lie_under_a_page_and_have_any_signs(shop: Project) -> None:
    redirect(
        shop,
        '"/shop/outerwear/field-jacket/" = "/products/field-jacket"',
        '"/café/%F0%9F%A7%A5 a+b%25%3F" = "/privacy"',
        f'"/{"long/" * 150}x" = "/"',
    )

    made = bodies(build(shop))

    assert leads_to(made["shop/outerwear/field-jacket"])[0] == "/products/field-jacket"
    assert leads_to(made["café/🧥 a+b%?"])[0] == "/privacy"
    assert leads_to(made["café/🧥 a b%?"])[0] == "/privacy"
    assert leads_to(made["long/" * 150 + "x"])[0] == "/"


def test_a_renamed_product_keeps_its_old_address_in_every_language(tmp_path: Path) -> None:
    shop = make_german_shop(tmp_path)
    redirect(shop, '"/products/shawl" = "/products/scarf"', '"/about-us" = "/privacy"')

    made = bodies(build(shop))

    assert leads_to(made["products/shawl"])[0] == "/products/scarf"
    assert leads_to(made["de/products/shawl"])[0] == "/de/products/scarf"
    assert "Diese Seite ist umgezogen" in made["de/products/shawl"].decode()
    assert "de/about-us" not in made


def test_redirects_under_a_page_or_to_nowhere_are_mistakes(shop: Project) -> None:
    redirect(shop, '"/products/scarf" = "/privacy"', '"/x" = "/products/nothing"', '"/y" = "/ads.txt"')
    put(shop, "ads.txt", "google.com, pub-1, DIRECT")

    assert [item.partition(": expected")[0] for item in mistakes_of(shop)] == [
        "site/redirects.toml:2: \"/products/scarf\" = '/products/scarf'",
        "site/redirects.toml:3: \"/x\" = '/products/nothing'",
    ]


def test_a_redirect_whose_line_goes_is_removed_from_the_live_shop(shop: Project) -> None:
    redirect(shop, '"/old" = "/privacy"')
    first = diff(Manifest(), build(shop), at_ms=1)
    assert {"old", "old/"} <= set(first.keys)
    redirect(shop)

    plan = diff(first.manifest, build(shop), at_ms=2)

    assert [(removal.key, removal.reason) for removal in plan.removals] == [
        ("old", Reason.GONE),
        ("old/", Reason.GONE),
    ]
    assert {"/old", "/old/"} <= set(plan.pages_touched)


def test_an_old_address_of_odd_signs_is_invalidated_by_a_wildcard(shop: Project) -> None:
    redirect(shop, '"/é *" = "/privacy"')

    plan = diff(Manifest(), build(shop), at_ms=1)

    assert {"/é *", "/é */"} <= set(plan.pages_touched)
    assert invalidation_paths(plan.pages_touched) == ("/*",)


def test_the_preview_leads_on_and_serves_root_files(shop: Project) -> None:
    redirect(shop, '"/shop/accessories/ä b" = "/products/scarf"')
    put(shop, ".well-known/apple-app-site-association", '{"applinks": {}}')
    preview = PreviewedShop(shop, base_url="https://www.heron.example")
    preview.rebuild_if_changed()

    for path in ("/shop/accessories/%C3%A4%20b", "/shop/accessories/%C3%A4%20b/?utm=1"):
        answer = ask(preview, path)
        assert answer.status_code == 200
        assert leads_to(answer.content)[0] == "/products/scarf"
    answer = ask(preview, "/.well-known/apple-app-site-association")
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == b'{"applinks": {}}'


ROOT_FILES = {
    "ads.txt": (b"google.com, pub-1, DIRECT\r\n", "text/plain; charset=utf-8"),
    "google1234.html": (b"google-site-verification: google1234.html", "text/html; charset=utf-8"),
    ".well-known/security.txt": (b"Contact: mailto:a@b.example", "text/plain; charset=utf-8"),
    ".well-known/assetlinks.json": (b"[]", "application/json"),
    ".well-known/apple-developer-merchantid-domain-association": (b"7B227", "text/plain; charset=utf-8"),
    ".well-known/apple-app-site-association": (b"{}", "application/json"),
    "favicon.ico": (b"\0\0\1\0", "image/x-icon"),
    "blob": (b"\xff\xfe\0", "application/octet-stream"),
    "deep/er/x.WEBMANIFEST": (b"{}", "application/manifest+json"),
    "press/team.jpeg": (b"\xff\xd8\xff", "image/jpeg"),
    "press/turn.gif": (b"GIF89a\0\xff", "image/gif"),
    "widget.mjs": (b"export default 1", "text/javascript; charset=utf-8"),
    "prices.csv": (b"sku,price\n", "text/csv; charset=utf-8"),
}


def test_files_at_the_root_are_served_byte_for_byte_and_hidden_ones_are_not(shop: Project) -> None:
    hidden = (".DS_Store", ".git/config", ".well-known/.swp")
    for key, (body, _) in ROOT_FILES.items():
        put(shop, key, body)
    for key in hidden:
        put(shop, key, "secret")

    made = {object_.key: object_ for object_ in build(shop).objects}

    assert {key: (made[key].read(), made[key].content_type) for key in ROOT_FILES} == ROOT_FILES
    assert all(made[key].cache_control.startswith("public, max-age=0") for key in ROOT_FILES)
    assert not made.keys() & {*hidden}


def test_names_that_the_shop_has_itself_are_mistakes(shop: Project) -> None:
    keys = ["sitemap.xml", "products/scarf", "privacy/more.txt", "api/x.txt", "pictures/x.webp", "index.html"]
    # Folders of the output that are no pages; another host's file of redirects is called as one of them.
    keys += ["_redirects", "assets"]
    for key in keys:
        put(shop, key, "x")

    expected = "another name: the shop itself has a page or a file there"
    assert mistakes_of(shop) == [
        f"site/root/{key}: file = '{key}': expected {expected}" for key in sorted(keys)
    ]


def test_a_file_with_the_name_of_a_folder_of_pages_is_a_mistake(shop: Project) -> None:
    put(shop, "products", "x")

    assert mistakes_of(shop)[0].startswith("site/root/products: file = 'products': expected another name")


def test_links_and_large_files_are_mistakes(shop: Project) -> None:
    put(shop, "large.txt", bytes(ROOT_FILE_BYTES_MAX + 1))
    (shop.site / "root/link.txt").symlink_to("/etc/hostname")

    assert [item.partition(": expected ")[2] for item in mistakes_of(shop)] == [
        f"at most {ROOT_FILE_BYTES_MAX} bytes",
        "a file or a folder, not a link",
    ]


def test_lines_of_robots_txt_are_added_to_those_of_the_build(shop: Project) -> None:
    put(shop, "robots.txt", "User-agent: GPTBot\r\nDisallow: /\r\n")

    assert bodies(build(shop))["robots.txt"].decode() == (
        "User-agent: *\nDisallow: /api/\n\nSitemap: https://www.heron.example/sitemap.xml\n"
        "\nUser-agent: GPTBot\nDisallow: /\n"
    )


def test_a_release_that_can_be_gone_back_to_keeps_redirects_and_root_files(shop: Project) -> None:
    redirect(shop, '"/old" = "/privacy"')
    put(shop, "blob", b"\xff\0")
    source = build(shop).source

    kept = unpack(pack(source), source.theme.release)

    assert kept.root_files == source.root_files
    assert [(item.source, item.target) for item in kept.redirects] == [("/old", "/privacy")]
    redirect(shop)
    assert build(shop).id != source.theme.release
