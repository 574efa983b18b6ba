"""A publish: decided first, then done in an order that never breaks a page."""

from pathlib import Path

import pytest

from chalicelib.domain.form_stamp import PERIOD_DAYS, FormStamps, Offer
from chalicelib.domain.locales import root_of
from chalicelib.tables.products import ProductsTable
from spillway.demo.shopper import forms_of
from spillway.errors import BadInput, WorkFailed
from spillway.publish.archive import kept_key
from spillway.publish.s3 import Request
from spillway.sitegen.release import Release
from tests.support.fake_s3 import S3Sink
from tests.support.german_shop import make_german_shop
from tests.support.publish_env import Desk, drop_notes, drop_scarf, edit_privacy, sell_out, write_notes


def test_a_publish_makes_the_shop_live_and_a_second_one_changes_nothing(desk: Desk) -> None:
    first = desk.publish()
    assert first.uploaded == len(desk.sink.keys("pages"))
    assert desk.sink.keys("release") == {*("theme.json", "manifest.json", kept_key(first.release))}
    assert desk.products.slug_of("SCARF") == "scarf"
    assert "products/scarf" in desk.sink.keys("pages")
    headers = desk.sink.headers["pages/products/scarf"]
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"].startswith("public, max-age=0")
    second = desk.publish()
    assert (second.uploaded, second.removed, second.release) == (0, 0, first.release)


def test_forms_are_stamped_and_put_anew_once_a_period(desk: Desk) -> None:
    def stamped() -> Offer:
        (form,) = (form for form in forms_of(desk.page("products/field-jacket")) if form.choices("stamp"))
        (stamp,) = form.choices("stamp")
        offer = FormStamps.of(b"identity", at_ms=desk.clock()).read(stamp)
        assert set(offer.sku_ids) == set(form.choices("sku"))
        return offer

    desk.publish()
    offered = stamped()
    desk.clock.pass_s(PERIOD_DAYS * 24 * 3600)
    again = desk.publish()
    # The scarf can be bought: nobody waits for it, and its page has no form.
    assert again.uploaded == 1
    assert stamped() == offered
    assert desk.publish().uploaded == 0


def test_the_domains_a_shop_does_not_take_are_there_before_a_form_names_them(desk: Desk) -> None:
    desk.publish()
    (desk.project.site / "thrown-away.txt").write_text("# one email each\nmailinator.com\n\nBÜCHER.example\n")
    site = desk.project.site / "site.toml"
    site.write_text(
        site.read_text().replace("[waitlist]", '[waitlist]\ndisposable_domains = "thrown-away.txt"')
    )
    desk.publish()
    (stamp,) = next(
        filter(None, (form.choices("stamp") for form in forms_of(desk.page("products/field-jacket"))))
    )
    name = FormStamps.of(b"identity", at_ms=desk.clock()).read(stamp).refused_domains
    stored = desk.domain_lists.named(name)
    assert stored == {"mailinator.com", "xn--bcher-kva.example"}
    assert desk.publish().uploaded == 0


def test_nothing_to_do_costs_one_request(desk: Desk) -> None:
    desk.publish()
    desk.sink.asked.clear()
    for file in desk.project.site.rglob("*"):
        file.touch()
    desk.publish()
    assert desk.sink.asked == [("GET", "release/manifest.json")]


def test_one_changed_page_costs_two_requests_beside_it_and_what_is_kept_of_it(desk: Desk) -> None:
    desk.publish()
    desk.sink.asked.clear()
    edit_privacy(desk.project)
    desk.clock.pass_s(60)
    published = desk.publish()
    assert published.uploaded == 2
    assert desk.sink.asked == [
        ("PUT", "release/manifest.json"),
        ("PUT", f"release/{kept_key(published.release)}"),
        ("PUT", "pages/privacy"),
        ("PUT", "pages/sitemap.xml"),
        ("PUT", "release/manifest.json"),
    ]
    assert desk.cdn.paths[-1] == ["/privacy", "/sitemap.xml"]


def test_a_publish_shows_the_stock_that_events_own(desk: Desk) -> None:
    desk.publish()
    sell_out(desk.products)
    assert desk.publish().uploaded > 0
    assert 'id="waitlist"' in desk.page("products/scarf")


def test_what_left_the_catalogue_is_reported(desk: Desk) -> None:
    desk.publish()
    drop_scarf(desk.project)
    assert desk.publish().abandoned == ("scarf",)
    assert "products/scarf" not in desk.sink.keys("pages")
    assert desk.products.get("scarf") is not None


def test_skus_that_are_no_longer_sold_are_named_before_and_once(desk: Desk) -> None:
    desk.publish()
    assert desk.plan().withdrawn == ()
    drop_scarf(desk.project)
    jacket = desk.project.site / "products" / "field-jacket.toml"
    jacket.write_text(jacket.read_text().replace('"FJ-MOSS-M"', '"FJ-MOSS-MEDIUM"'))
    assert desk.plan().withdrawn == ("FJ-MOSS-M", "SCARF")
    assert desk.publish().withdrawn == ("FJ-MOSS-M", "SCARF")
    assert desk.publish().withdrawn == ()


def test_a_sku_that_another_product_has_now_is_still_sold(desk: Desk) -> None:
    desk.publish()
    drop_scarf(desk.project)
    jacket = desk.project.site / "products" / "field-jacket.toml"
    jacket.write_text(jacket.read_text().replace('"FJ-MOSS-M"', '"SCARF"'))
    assert desk.publish().withdrawn == ("FJ-MOSS-M",)


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    assert len(desk.plan().uploads) > 0
    assert desk.sink.objects == {}


def test_a_broken_catalogue_publishes_nothing(desk: Desk) -> None:
    desk.publish()
    before = dict(desk.sink.objects)
    (desk.project.site / "products" / "scarf.toml").write_text("title = 3")
    with pytest.raises(BadInput, match=r"scarf\.toml") as refused:
        desk.publish()
    assert desk.sink.objects == before
    assert "the live shop is as it was" in refused.value.hint


def test_a_wrong_folder_does_not_empty_a_shop(desk: Desk) -> None:
    write_notes(desk.project, 30)
    desk.publish()
    before = dict(desk.sink.objects)
    drop_notes(desk.project)
    with pytest.raises(BadInput, match="30 pages"):
        desk.publish()
    assert desk.sink.objects == before
    desk.publish(delete_many=True)
    assert "note-1" not in desk.sink.keys("pages")


def test_what_a_shopper_does_on_a_page_of_a_dropped_locale_is_answered_in_the_first(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    bilingual = Desk(sink, products, make_german_shop(tmp_path / "german"))
    missing_translations = bilingual.publish().missing_translations
    assert "site/pages/checkout.de.md: not there" in missing_translations
    assert bilingual.publish().missing_translations == missing_translations, (
        "a merchant is told until it is there"
    )
    open_page = desk.page("de/products/field-jacket")
    assert 'name="page" value="/de/products/field-jacket"' in open_page
    thanks = f"{root_of('/de/products/field-jacket')}/waitlist/thanks".removeprefix("/")
    assert '<html lang="de">' in desk.page(thanks)
    desk.publish(delete_many=True)
    left = {key for key in sink.keys("pages") if key.startswith("de/")}
    answers = ("confirmed", "erased", "unsubscribed", "notified", "sent", "thanks", "undone", "my-waitlists")
    assert left == {f"de/waitlist/{name}" for name in answers}
    assert desk.page(thanks) == desk.page("waitlist/thanks")
    assert sink.headers[f"pages/{thanks}"]["content-language"] == "en-GB"
    assert desk.cdn.paths[-1] == ["/*"]
    again = desk.publish()
    assert (again.uploaded, again.removed) == (0, 0)
    bilingual.publish()
    assert '<html lang="de">' in desk.page(thanks)


def test_an_event_during_a_publish_is_not_covered_by_an_older_page(desk: Desk) -> None:
    desk.publish()
    edit_privacy(desk.project)
    desk.publish(lambda done, total: sell_out(desk.products))
    assert 'id="waitlist"' in desk.page("products/scarf")


def test_a_publish_that_dies_at_any_request_breaks_no_page_and_is_finished_by_the_next(
    desk: Desk, small_release: Release
) -> None:
    # The claim, the source, the theme, the manifest.
    steps = len(small_release.objects) + 4
    for dies_at in range(steps):
        desk.sink.asked.clear()
        desk.sink.deaf_from = dies_at
        with pytest.raises(WorkFailed):
            desk.bring(small_release)
        assert desk.missing_assets() == set()
        if dies_at % 3 == 0:
            desk.sink.objects.clear()
    desk.sink.deaf_from = None
    desk.bring(small_release)
    assert desk.content() == {f"pages/{each.key}": each.read() for each in small_release.objects}
    assert desk.bring(small_release).uploaded == 0


def test_what_a_dead_publish_changed_is_put_right_even_when_the_change_is_taken_back(desk: Desk) -> None:
    desk.publish()
    before = desk.content()
    page = desk.project.site / "pages" / "privacy.md"
    text = page.read_text()
    edit_privacy(desk.project)
    desk.sink.asked.clear()
    desk.sink.deaf_from = 3
    with pytest.raises(WorkFailed):
        desk.publish()
    assert desk.content() != before
    desk.sink.deaf_from = None
    page.write_text(text)
    desk.publish()
    assert desk.content() == before


def test_a_file_that_changed_after_it_was_counted_is_not_put(desk: Desk) -> None:
    with pytest.raises(WorkFailed, match="XAmzContentSHA256Mismatch"):
        desk.bucket("pages").send([Request("PUT", "a", {}, "0" * 64, lambda: b"other")])
    assert desk.sink.objects == {}
