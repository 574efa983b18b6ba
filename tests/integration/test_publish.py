"""A publish: decided first, then done in an order that never breaks a page."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from chalicelib.domain.locales import root_of
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import PERIOD_DAYS, FormTokens, Offer
from chalicelib.tables.products import ProductsTable
from spillway.errors import BadInput, WorkFailed
from spillway.local_cloud.shopper import forms_of
from spillway.publish.s3 import S3Request
from spillway.publish.saved_sources import source_key
from spillway.publish.sources import load_folder
from spillway.sitegen.release import Release
from tests.support.fake_s3 import S3Sink
from tests.support.german_shop import make_german_shop
from tests.support.publish_env import PublishEnv, drop_notes, drop_scarf, edit_privacy, sell_out, write_notes
from tests.support.stocking import observe


def test_a_publish_makes_the_shop_live_and_a_second_one_changes_nothing(env: PublishEnv) -> None:
    first = env.publish()
    assert first.uploaded == len(env.sink.keys("pages"))
    assert env.sink.keys("release") == {
        *("theme.json", "rules.json", "manifest.json", source_key(first.release))
    }
    assert env.products.slug_of("SCARF") == "scarf"
    assert "products/scarf" in env.sink.keys("pages")
    headers = env.sink.headers["pages/products/scarf"]
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"].startswith("public, max-age=0")
    second = env.publish()
    assert (second.uploaded, second.removed, second.release) == (0, 0, first.release)


def test_forms_have_a_token_that_changes_once_a_period(env: PublishEnv) -> None:
    def signed_offer() -> Offer:
        (form,) = (form for form in forms_of(env.page("products/field-jacket")) if form.choices("form_token"))
        (form_token,) = form.choices("form_token")
        offer = FormTokens.of(b"identity", at_ms=env.clock()).read(form_token)
        # Every variant can be picked; the token names the two that are sold out.
        assert set(form.choices("sku")) == {"FJ-MOSS-S", *offer.sku_ids}
        return offer

    env.publish()
    offered = signed_offer()
    env.clock.pass_s(PERIOD_DAYS * 24 * 3600)
    again = env.publish()
    # The scarf can be bought: nobody waits for it, and its page has no form.
    assert again.uploaded == 1
    assert signed_offer() == offered
    assert env.publish().uploaded == 0


def test_the_domains_a_shop_does_not_take_are_there_before_a_form_names_them(env: PublishEnv) -> None:
    env.publish()
    (env.project.site / "thrown-away.txt").write_text("# one email each\nmailinator.com\n\nBÜCHER.example\n")
    site = env.project.site / "site.toml"
    site.write_text(
        site.read_text().replace("[waitlist]", '[waitlist]\ndisposable_domains = "thrown-away.txt"')
    )
    env.publish()
    (form_token,) = next(
        filter(None, (form.choices("form_token") for form in forms_of(env.page("products/field-jacket"))))
    )
    name = FormTokens.of(b"identity", at_ms=env.clock()).read(form_token).refused_domains
    stored = env.domain_lists.named(name)
    assert stored == {"mailinator.com", "xn--bcher-kva.example"}
    assert env.publish().uploaded == 0


def test_nothing_to_do_costs_one_request(env: PublishEnv) -> None:
    env.publish()
    env.sink.asked.clear()
    for file in env.project.site.rglob("*"):
        file.touch()
    env.publish()
    assert env.sink.asked == [("GET", "release/manifest.json")]


def test_one_changed_page_costs_two_requests_beside_it_and_what_is_kept_of_it(env: PublishEnv) -> None:
    env.publish()
    env.sink.asked.clear()
    edit_privacy(env.project)
    env.clock.pass_s(60)
    published = env.publish()
    assert published.uploaded == 2
    assert env.sink.asked == [
        ("PUT", "release/manifest.json"),
        ("PUT", f"release/{source_key(published.release)}"),
        ("PUT", "pages/privacy"),
        ("PUT", "pages/sitemap.xml"),
        ("PUT", "release/manifest.json"),
    ]
    assert env.cdn.paths[-1] == ["/privacy", "/sitemap.xml"]


def test_a_publish_shows_the_stock_that_events_own(env: PublishEnv) -> None:
    env.publish()
    sell_out(env.products)
    assert env.publish().uploaded > 0
    assert 'id="waitlist"' in env.page("products/scarf")


def test_withdrawn_products_are_reported(env: PublishEnv) -> None:
    env.publish()
    drop_scarf(env.project)
    assert env.publish().abandoned == ("scarf",)
    assert "products/scarf" not in env.sink.keys("pages")
    assert env.products.get("scarf") is not None


def test_skus_that_are_no_longer_sold_are_named_before_and_once(env: PublishEnv) -> None:
    env.publish()
    assert env.plan().withdrawn == ()
    drop_scarf(env.project)
    jacket = env.project.site / "products" / "field-jacket.toml"
    jacket.write_text(jacket.read_text().replace('"FJ-MOSS-M"', '"FJ-MOSS-MEDIUM"'))
    assert env.plan().withdrawn == ("FJ-MOSS-M", "SCARF")
    assert env.publish().withdrawn == ("FJ-MOSS-M", "SCARF")
    assert env.publish().withdrawn == ()


def test_a_sku_that_another_product_has_now_is_still_sold(env: PublishEnv) -> None:
    env.publish()
    drop_scarf(env.project)
    jacket = env.project.site / "products" / "field-jacket.toml"
    jacket.write_text(jacket.read_text().replace('"FJ-MOSS-M"', '"SCARF"'))
    assert env.publish().withdrawn == ("FJ-MOSS-M",)


def test_a_dry_run_writes_nothing(env: PublishEnv) -> None:
    assert len(env.plan().uploads) > 0
    assert env.sink.objects == {}


def test_objects_changed_or_deleted_by_hand_return_when_everything_is_put(
    env: PublishEnv,
) -> None:
    env.publish()
    right = dict(env.sink.objects)
    picture = next(name for name in right if name.startswith("pages/pictures/"))
    for name in ("pages/index.html", picture, "release/theme.json"):
        del env.sink.objects[name]
    env.sink.objects["pages/products/scarf"] = b"changed by hand"
    assert env.publish().uploaded == 0
    assert env.content().keys() < right.keys()

    again = env.publish(everything=True)

    assert {**env.sink.objects, "release/manifest.json": b""} == {**right, "release/manifest.json": b""}
    assert (again.uploaded, again.skipped) == (len(env.content()), 0)
    assert env.publish().uploaded == 0


def test_a_broken_catalogue_publishes_nothing(env: PublishEnv) -> None:
    env.publish()
    before = dict(env.sink.objects)
    (env.project.site / "products" / "scarf.toml").write_text("title = 3")
    with pytest.raises(BadInput, match=r"scarf\.toml") as refused:
        env.publish()
    assert env.sink.objects == before
    assert "the live shop is as it was" in refused.value.hint


def test_a_wrong_folder_does_not_empty_a_shop(env: PublishEnv) -> None:
    write_notes(env.project, 30)
    env.publish()
    before = dict(env.sink.objects)
    drop_notes(env.project)
    with pytest.raises(BadInput, match="30 pages"):
        env.publish()
    assert env.sink.objects == before
    env.publish(delete_many=True)
    assert "note-1" not in env.sink.keys("pages")


def test_requests_from_a_page_of_a_dropped_locale_are_answered_in_the_first_locale(
    env: PublishEnv, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    bilingual = PublishEnv(sink, products, make_german_shop(tmp_path / "german"))
    missing_translations = bilingual.publish().missing_translations
    assert "site/pages/checkout.de.md: not there" in missing_translations
    assert bilingual.publish().missing_translations == missing_translations, (
        "every publish reports it until it is there"
    )
    open_page = env.page("de/products/field-jacket")
    assert 'name="page" value="/de/products/field-jacket"' in open_page
    thanks = f"{root_of('/de/products/field-jacket')}/waitlist/thanks".removeprefix("/")
    assert '<html lang="de">' in env.page(thanks)
    env.publish(delete_many=True)
    left = {key for key in sink.keys("pages") if key.startswith("de/")}
    answers = ("confirmed", "erased", "unsubscribed", "notified", "sent", "thanks", "undone", "my-waitlists")
    assert left == {f"de/waitlist/{name}" for name in answers}
    assert env.page(thanks) == env.page("waitlist/thanks")
    assert sink.headers[f"pages/{thanks}"]["content-language"] == "en-GB"
    assert env.cdn.paths[-1] == ["/*"]
    again = env.publish()
    assert (again.uploaded, again.removed) == (0, 0)
    bilingual.publish()
    assert '<html lang="de">' in env.page(thanks)


def test_an_event_during_a_publish_is_not_covered_by_an_older_page(env: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    env.publish(lambda done, total: sell_out(env.products))
    assert 'id="waitlist"' in env.page("products/scarf")


def test_an_event_about_a_product_that_this_publish_adds_is_not_covered_by_an_older_page(
    env: PublishEnv,
) -> None:
    env.publish()
    products = env.project.site / "products"
    hat = (products / "scarf.toml").read_text().replace("Wool Scarf", "Felt Hat").replace('"SCARF"', '"HAT"')
    (products / "hat.toml").write_text(hat)
    sold_out = Stock(Availability.OUT_OF_STOCK, 0, 5, "e1")

    def event(done: int, total: int) -> None:
        observe(env.products, "hat", "HAT", sold_out)

    env.publish(event)
    assert 'id="waitlist"' in env.page("products/hat")


OPENED: list[str] = []


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open":
        OPENED.append(str(arguments[0]))


def test_the_sites_folder_is_read_once_when_stock_moves_during_a_publish(env: PublishEnv) -> None:
    # An audit hook cannot be removed: it stays, and costs the tests after this one nothing that counts.
    sys.addaudithook(_note_opened)

    def files_read() -> Counter[str]:
        # A folder is opened to look at its files, each of which is read once.
        site = f"{env.project.site}/"
        found = (name for name in OPENED if name.startswith(site) and not Path(name).is_dir())
        return Counter(name.removeprefix(site) for name in found)

    env.publish()
    edit_privacy(env.project)
    OPENED.clear()
    load_folder(env.project)
    loaded = files_read()
    edit_privacy(env.project)
    OPENED.clear()
    env.publish(lambda done, total: sell_out(env.products))
    published = files_read()
    # A page is read for its text, and once more for places that are still to be filled in.
    assert published["pages/privacy.md"] == loaded["pages/privacy.md"] == 2
    assert {name: count for name, count in published.items() if count > loaded[name]} == {}
    assert 'id="waitlist"' in env.page("products/scarf")


def test_a_publish_that_dies_at_any_request_breaks_no_page_and_is_finished_by_the_next(
    env: PublishEnv, small_release: Release
) -> None:
    # The claim, the source, the theme, the manifest.
    steps = len(small_release.objects) + 4
    for dies_at in range(steps):
        env.sink.asked.clear()
        env.sink.deaf_from = dies_at
        with pytest.raises(WorkFailed):
            env.publish_release(small_release)
        assert env.missing_assets() == set()
        if dies_at % 3 == 0:
            env.sink.objects.clear()
    env.sink.deaf_from = None
    env.publish_release(small_release)
    assert env.content() == {f"pages/{object_.key}": object_.read() for object_ in small_release.objects}
    assert env.publish_release(small_release).uploaded == 0


def test_changes_of_a_killed_publish_are_repaired_even_after_the_edit_is_undone(env: PublishEnv) -> None:
    env.publish()
    before = env.content()
    page = env.project.site / "pages" / "privacy.md"
    text = page.read_text()
    edit_privacy(env.project)
    env.sink.asked.clear()
    env.sink.deaf_from = 3
    with pytest.raises(WorkFailed):
        env.publish()
    assert env.content() != before
    env.sink.deaf_from = None
    page.write_text(text)
    env.publish()
    assert env.content() == before


def test_a_file_that_changed_after_it_was_counted_is_not_put(env: PublishEnv) -> None:
    with pytest.raises(WorkFailed, match="XAmzContentSHA256Mismatch"):
        env.bucket("pages").send([S3Request("PUT", "a", {}, "0" * 64, lambda: b"other")])
    assert env.sink.objects == {}
