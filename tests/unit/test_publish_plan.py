"""The plan of a publish, decided from the live release and the new one."""

from dataclasses import replace

from chalicelib.domain.stock import Availability, Stock, StockedProduct
from spillway.publish.manifest import KeptRelease, Manifest, PublishClaim
from spillway.publish.plan import RETIRED_KEPT_MS, Reason, diff, fingerprints, theme_digest
from spillway.sitegen.release import DatedDigest, ObjectKind, Release


def live(release: Release) -> Manifest:
    return Manifest(release.id, fingerprints(release.objects), theme=theme_digest(release.theme))


def test_a_first_publish_puts_everything_assets_first(small_release: Release) -> None:
    plan = diff(Manifest(), small_release, at_ms=0)
    kinds = [upload.site_object.kind for upload in plan.uploads]
    assert len(kinds) == len(small_release.objects)
    assert kinds == sorted(kinds, key=[ObjectKind.ASSET, ObjectKind.PAGE, ObjectKind.INDEX].index)
    assert {upload.reason for upload in plan.uploads} == {Reason.NEW}


def test_the_same_release_again_puts_nothing(small_release: Release) -> None:
    plan = diff(live(small_release), small_release, at_ms=0)
    assert (plan.uploads, plan.removals, plan.pages_touched) == ((), (), ())
    assert plan.skipped == len(small_release.objects)
    assert plan.empty


def test_a_changed_header_is_a_change(small_release: Release) -> None:
    first = small_release.objects[0]
    changed = replace(
        small_release, objects=(replace(first, cache_control="no-store"), *small_release.objects[1:])
    )
    (upload,) = diff(live(small_release), changed, at_ms=0).uploads
    assert (upload.site_object.key, upload.reason) == (first.key, Reason.CHANGED)


def test_a_page_that_changed_with_its_stock_says_so(small_release: Release) -> None:
    changed = replace(
        small_release,
        objects=tuple(replace(item, cache_control="no-store") for item in small_release.objects),
    )
    before = replace(live(small_release), kept=(KeptRelease("before", 1_000, 2, 9),))
    scarf = small_release.products.named("scarf").product

    def reasons(observed_at_ms: int) -> dict[str, Reason]:
        stock = {"SCARF": Stock(Availability.OUT_OF_STOCK, 0, observed_at_ms, "e")}
        plan = diff(before, changed, {"scarf": StockedProduct(scarf, stock)}, at_ms=3_000)
        return {upload.site_object.key: upload.reason for upload in plan.uploads}

    after = reasons(2_000)
    moved = {key for key, reason in after.items() if reason is Reason.STOCK}
    assert moved == {"products/scarf", "index.html", "shop/accessories", "shop/all", "sitemap.xml"}
    assert {after[key] for key in after.keys() - moved} == {Reason.CHANGED}
    assert set(reasons(500).values()) == {Reason.CHANGED}


def test_a_vanished_page_goes_at_once_and_a_vanished_asset_a_week_later(small_release: Release) -> None:
    rest = tuple(
        object_
        for object_ in small_release.objects
        if object_.key != "products/scarf" and not object_.key.startswith("pictures/scarf")
    )
    smaller = replace(small_release, objects=rest)
    pictures = {object_.key for object_ in small_release.objects if object_.key.startswith("pictures/scarf")}
    first = diff(live(small_release), smaller, at_ms=1000)
    assert [(removal.key, removal.reason) for removal in first.removals] == [("products/scarf", Reason.GONE)]
    assert first.pages_touched == ("/products/scarf",)
    assert first.manifest.retired.keys() == pictures
    soon = diff(first.manifest, smaller, at_ms=1000 + RETIRED_KEPT_MS - 1)
    assert soon.removals == ()
    later = diff(soon.manifest, smaller, at_ms=1000 + RETIRED_KEPT_MS)
    assert {removal.key for removal in later.removals} == pictures
    assert later.manifest.retired == {}


def test_an_asset_that_comes_back_is_neither_deleted_nor_put(small_release: Release) -> None:
    asset = next(object_ for object_ in small_release.objects if object_.kind is ObjectKind.ASSET)
    others = tuple(object_ for object_ in small_release.objects if object_ != asset)
    smaller = replace(small_release, objects=others)
    gone = diff(live(small_release), smaller, at_ms=0)
    back = diff(gone.manifest, small_release, at_ms=RETIRED_KEPT_MS)
    assert gone.manifest.retired.keys() == {asset.key}
    assert (back.removals, back.uploads) == ((), ())
    assert back.manifest.retired == {}


def test_release_sources_are_kept_again_where_an_overtaken_publish_may_have_deleted_them(
    small_release: Release,
) -> None:
    there = replace(live(small_release), kept=(KeptRelease(small_release.id, 4, 5, 6),))
    assert not diff(there, small_release, at_ms=0).saves_source
    doubtful = diff(there.with_doubts(()), small_release, at_ms=0)
    assert (doubtful.saves_source, doubtful.theme_changed, doubtful.uploads) == (True, True, ())


def test_a_manifest_comes_back_as_it_was_written(small_release: Release) -> None:
    kept, dates = (KeptRelease("r", 4, 5, 6),), {"/d": DatedDigest("7", 8)}
    manifest = Manifest("r", {"a": "1"}, {"b": 2}, "t", kept, dates, ("c",), PublishClaim("o", 3, "s"))
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_objects_that_an_unfinished_publish_may_have_written_are_put_again(small_release: Release) -> None:
    died = replace(
        live(small_release), in_doubt=("products/scarf", "products/never-ended"), claim=PublishClaim("o", 1)
    )
    plan = diff(died, small_release, at_ms=0)
    assert [(upload.site_object.key, upload.reason) for upload in plan.uploads] == [
        ("products/scarf", Reason.IN_DOUBT)
    ]
    assert [removal.key for removal in plan.removals] == ["products/never-ended"]
    assert plan.theme_changed


def test_a_manifest_of_before_there_were_kept_releases_is_read() -> None:
    assert Manifest.from_json('{"release": "r1", "objects": {"a": "f"}}') == Manifest("r1", {"a": "f"})
