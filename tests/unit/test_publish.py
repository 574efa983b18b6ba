"""A publish: decided first, then done in an order that never breaks a page."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from chalicelib.domain.form_stamp import PERIOD_DAYS, FormStamps, Offer
from chalicelib.domain.locales import root_of
from chalicelib.tables.products import ProductsTable
from spillway.build.dates import Dated
from spillway.build.release import Kind, Release
from spillway.demo.forms import forms_of
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.publish.archive import kept_key
from spillway.publish.live import CLAIM_MS
from spillway.publish.manifest import Claim, Kept, Manifest, fingerprints
from spillway.publish.plan import RETIRED_KEPT_MS, Reason, make_plan, theme_digest
from spillway.publish.s3 import Request
from tests.aws import create_table
from tests.desk import Desk, drop_scarf, edit_privacy, sell_out
from tests.dynamodb import MemoryDynamoDb
from tests.s3_sink import S3Sink, running
from tests.unit.german_shop import make_german_shop
from tests.unit.small_shop import make_small_shop


def live(release: Release) -> Manifest:
    return Manifest(release.id, fingerprints(release.objects), theme=theme_digest(release.theme))


def test_a_first_publish_puts_everything_assets_first(small_release: Release) -> None:
    plan = make_plan(Manifest(), small_release, at_ms=0)
    kinds = [upload.site_object.kind for upload in plan.uploads]
    assert len(kinds) == len(small_release.objects)
    assert kinds == sorted(kinds, key=[Kind.ASSET, Kind.PAGE, Kind.INDEX].index)
    assert {upload.reason for upload in plan.uploads} == {Reason.NEW}


def test_the_same_release_again_puts_nothing(small_release: Release) -> None:
    plan = make_plan(live(small_release), small_release, at_ms=0)
    assert (plan.uploads, plan.removals, plan.pages_touched) == ((), (), ())
    assert plan.skipped == len(small_release.objects)
    assert plan.empty


def test_a_changed_header_is_a_change(small_release: Release) -> None:
    first = small_release.objects[0]
    changed = replace(
        small_release, objects=(replace(first, cache_control="no-store"), *small_release.objects[1:])
    )
    (upload,) = make_plan(live(small_release), changed, at_ms=0).uploads
    assert (upload.site_object.key, upload.reason) == (first.key, Reason.CHANGED)


def test_a_vanished_page_goes_at_once_and_a_vanished_asset_a_week_later(small_release: Release) -> None:
    rest = tuple(
        each
        for each in small_release.objects
        if each.key != "products/scarf" and not each.key.startswith("pictures/scarf")
    )
    smaller = replace(small_release, objects=rest)
    pictures = {each.key for each in small_release.objects if each.key.startswith("pictures/scarf")}
    first = make_plan(live(small_release), smaller, at_ms=1000)
    assert [(removal.key, removal.reason) for removal in first.removals] == [("products/scarf", Reason.GONE)]
    assert first.pages_touched == ("/products/scarf",)
    assert first.manifest.retired.keys() == pictures
    soon = make_plan(first.manifest, smaller, at_ms=1000 + RETIRED_KEPT_MS - 1)
    assert soon.removals == ()
    later = make_plan(soon.manifest, smaller, at_ms=1000 + RETIRED_KEPT_MS)
    assert {removal.key for removal in later.removals} == pictures
    assert later.manifest.retired == {}


def test_an_asset_that_comes_back_is_neither_deleted_nor_put(small_release: Release) -> None:
    asset = next(each for each in small_release.objects if each.kind is Kind.ASSET)
    others = tuple(each for each in small_release.objects if each != asset)
    smaller = replace(small_release, objects=others)
    gone = make_plan(live(small_release), smaller, at_ms=0)
    back = make_plan(gone.manifest, small_release, at_ms=RETIRED_KEPT_MS)
    assert gone.manifest.retired.keys() == {asset.key}
    assert (back.removals, back.uploads) == ((), ())
    assert back.manifest.retired == {}


def test_a_manifest_comes_back_as_it_was_written(small_release: Release) -> None:
    kept, dates = (Kept("r", 4, 5, 6),), {"/d": Dated("7", 8)}
    manifest = Manifest("r", {"a": "1"}, {"b": 2}, "t", kept, dates, ("c",), Claim("o", 3, "s"))
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_what_a_publish_that_never_ended_may_have_touched_is_put_again(small_release: Release) -> None:
    died = replace(
        live(small_release), unsure=("products/scarf", "products/never-ended"), claim=Claim("o", 1)
    )
    plan = make_plan(died, small_release, at_ms=0)
    assert [(each.site_object.key, each.reason) for each in plan.uploads] == [
        ("products/scarf", Reason.UNSURE)
    ]
    assert [removal.key for removal in plan.removals] == ["products/never-ended"]
    assert plan.theme_changed


@pytest.fixture
def sink() -> Iterator[S3Sink]:
    with running(S3Sink()) as sink:
        yield sink


@pytest.fixture
def products() -> ProductsTable:
    client: Any = MemoryDynamoDb()
    return ProductsTable(client, create_table(client, "ProductsTable"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


@pytest.fixture
def desk(sink: S3Sink, products: ProductsTable, project: Project) -> Desk:
    return Desk(sink, products, project)


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
        assert set(offer.skus) == set(form.choices("sku"))
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
    (desk.project.site / "thrown-away.txt").write_text(
        "# one letter each\nmailinator.com\n\nBÜCHER.example\n"
    )
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
    assert desk.cdn.paths[-2:] == ["/privacy", "/sitemap.xml"]


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
    assert "the live shop is as it was" in refused.value.way_out


def write_notes(project: Project, count: int) -> None:
    for number in range(count):
        (project.site / "pages" / f"note-{number}.md").write_text(
            '+++\ntitle = "N"\ndescription = "N"\n+++\nWords.\n'
        )


def test_a_wrong_folder_does_not_empty_a_shop(desk: Desk) -> None:
    write_notes(desk.project, 30)
    desk.publish()
    before = dict(desk.sink.objects)
    for page in (desk.project.site / "pages").glob("note-*.md"):
        page.unlink()
    with pytest.raises(BadInput, match="30 pages"):
        desk.publish()
    assert desk.sink.objects == before
    desk.publish(delete_many=True)
    assert "note-1" not in desk.sink.keys("pages")


def test_what_a_shopper_does_on_a_page_of_a_dropped_locale_is_answered_in_the_first(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    bilingual = Desk(sink, products, make_german_shop(tmp_path / "german"))
    untold = bilingual.publish().untold
    assert "site/pages/checkout.de.md: not there" in untold
    assert bilingual.publish().untold == untold, "a merchant is told until it is there"
    open_page = desk.page("de/products/field-jacket")
    assert 'name="page" value="/de/products/field-jacket"' in open_page
    thanks = f"{root_of('/de/products/field-jacket')}/waitlist/thanks".removeprefix("/")
    assert '<html lang="de">' in desk.page(thanks)
    desk.publish(delete_many=True)
    left = {key for key in sink.keys("pages") if key.startswith("de/")}
    answers = ("confirmed", "erased", "left", "sent", "thanks", "yours")
    assert left == {f"de/waitlist/{name}" for name in answers}
    assert desk.page(thanks) == desk.page("waitlist/thanks")
    assert sink.headers[f"pages/{thanks}"]["content-language"] == "en-GB"
    assert f"/{thanks}" in desk.cdn.paths
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
    # The claim, the makings, the theme, the manifest.
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


def test_what_another_machine_published_since_is_seen_before_anything_is_decided(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    desk.publish()
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    edit_privacy(other.project)
    other.publish()
    theirs = desk.content()
    # Nothing to do, by what this machine saw last; then something, by that; then nothing again.
    assert desk.publish().uploaded > 0
    assert desk.content() != theirs
    other.publish()
    assert desk.content() == theirs
    edit_privacy(desk.project)
    assert desk.publish().uploaded == 0
    assert desk.content() == theirs


def test_a_claim_that_ended_since_it_was_seen_stops_nobody(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    desk.publish()
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    edit_privacy(other.project)
    plan = other.plan()
    claimed = other.live.claim(other.live.read(), plan)
    assert desk.live.read().manifest.claim == claimed.manifest.claim
    with pytest.raises(WorkFailed, match="another publish is under way"):
        desk.publish()
    other.live.finish(claimed, plan)
    edit_privacy(desk.project)
    assert desk.publish().release == plan.manifest.release


def test_many_pages_gone_are_counted_by_what_is_live(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    write_notes(desk.project, 30)
    desk.publish()
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    other.publish(delete_many=True)
    for page in (desk.project.site / "pages").glob("note-*.md"):
        page.unlink()
    assert desk.publish().removed == 0


def test_of_two_publishers_one_wins_and_the_other_is_told(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    desk.publish()
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    edit_privacy(desk.project)
    drop_scarf(other.project)
    told: list[str] = []

    def publish_too() -> None:
        with pytest.raises(WorkFailed, match="another publish is under way") as caught:
            other.publish()
        told.append(caught.value.message)

    def meanwhile(done: int, total: int) -> None:
        elsewhere = Thread(target=publish_too)
        elsewhere.start()
        elsewhere.join()

    desk.publish(meanwhile)
    assert len(told) == 1
    assert "More." in desk.page("privacy")
    assert "products/scarf" in sink.keys("pages")


def test_two_who_read_the_same_manifest_cannot_both_claim_it(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    desk.publish()
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    edit_privacy(desk.project)
    plan = desk.plan()
    mine, theirs = desk.live.read(), other.live.read()
    desk.live.claim(mine, plan)
    with pytest.raises(WorkFailed, match="another publish is under way"):
        other.live.claim(theirs, plan)


def test_a_claim_that_somebody_died_with_is_given_up_and_its_owner_is_told(
    desk: Desk, sink: S3Sink, products: ProductsTable, tmp_path: Path
) -> None:
    desk.publish()
    edit_privacy(desk.project)
    plan = desk.plan()
    claimed = desk.live.claim(desk.live.read(), plan)
    other = Desk(sink, products, make_small_shop(tmp_path / "other"), owner="other")
    other.clock.pass_s(CLAIM_MS // 1000)
    other.publish()
    with pytest.raises(WorkFailed, match="another publish took over"):
        desk.live.finish(claimed, plan)
    assert "More." not in desk.page("privacy")


def test_a_file_that_changed_after_it_was_counted_is_not_put(desk: Desk) -> None:
    with pytest.raises(WorkFailed, match="XAmzContentSHA256Mismatch"):
        desk.bucket("pages").send([Request("PUT", "a", {}, "0" * 64, lambda: b"other")])
    assert desk.sink.objects == {}
