"""Going back: a release that was live before is live again, with the stock of now."""

from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.rules.rule import RuleAction
from chalicelib.services.domain_events import rules_from_json
from spillway.commands.publish import show_kept
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.publish.manifest import KeptRelease, Manifest, PublishClaim
from spillway.publish.plan import RELEASES_KEPT_MAX, RETIRED_KEPT_MS, diff
from spillway.publish.saved_sources import pack, source_key, unpack
from spillway.publish.sources import choose_kept
from spillway.sitegen.release import ObjectKind, Release, ReleaseSource
from tests.support.publish_env import PublishEnv, drop_scarf, edit_privacy, sell_out
from tests.support.small_shop import make_small_shop, own_file


def edit_everything(project: Project) -> None:
    """A page, a product, the style and the emails change; the scarf goes."""
    edit_privacy(project)
    drop_scarf(project)
    jacket = project.site / "products" / "field-jacket.toml"
    jacket.write_text(jacket.read_text().replace("148.00", "151.00"))
    for name in ("static/shop.css", "emails/confirm/body.txt"):
        file = own_file(project, name)
        file.write_text(file.read_text() + "\n")


def test_a_rollback_restores_each_object_of_the_release_before(env: PublishEnv) -> None:
    first = env.publish()
    before, theme, catalogue = (
        env.content(),
        env.sink.objects["release/theme.json"],
        held(env),
    )
    edit_everything(env.project)
    env.clock.pass_s(60)
    second = env.publish()

    back = env.roll_back()

    assert back.release == first.release != second.release
    live_keys = set(before)
    sitemap = before.pop("pages/sitemap.xml").decode()
    assert sitemap.count("<lastmod>2026-09-21T14:13:20Z") == sitemap.count("<lastmod>")
    assert env.page("sitemap.xml").count("<lastmod>2026-09-21T14:14:20Z") == 7, "all that changed, twice"
    assert {key: env.content()[key] for key in before} == before
    assert env.content().keys() - live_keys == {
        f"pages/{key}" for key in env.manifest.read().manifest.retired
    }, "of the release that was left only assets are still there"
    assert env.sink.objects["release/theme.json"] == theme
    assert held(env) == catalogue


def test_going_back_restores_the_rules_of_then(env: PublishEnv) -> None:
    rules = env.project.site / "rules.toml"
    rules.write_text('[[rules]]\nname = "a"\non = "schedule"\ndo = "resume"\n')
    env.publish()
    before = rules_from_json(env.sink.objects["release/rules.json"].decode())
    rules.write_text(rules.read_text().replace('"resume"', '"pause"\nwith = { reason = "night" }'))
    env.clock.pass_s(60)
    env.publish()
    changed = rules_from_json(env.sink.objects["release/rules.json"].decode())

    env.roll_back()

    assert [rule.action for rule in (*before, *changed)] == [RuleAction.RESUME, RuleAction.PAUSE]
    assert rules_from_json(env.sink.objects["release/rules.json"].decode()) == before


def test_going_back_twice_is_where_one_was(env: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    second = env.publish()
    env.roll_back()

    assert env.roll_back().release == second.release
    assert "More." in env.page("privacy")


def test_a_release_keeps_its_assets_though_the_clock_of_the_publish_after_it_is_behind(
    env: PublishEnv,
) -> None:
    style = env.project.site / "static/extra.css"
    style.parent.mkdir()
    style.write_text("p{}")
    first = env.publish()
    env.clock.pass_s(-300)
    edit_privacy(env.project)
    env.publish()
    style.write_text("p{color:red}")
    env.publish()
    env.clock.pass_s(2 * RETIRED_KEPT_MS // 1000)
    edit_privacy(env.project)
    env.publish()
    assert env.roll_back(first.release).release == first.release
    assert env.missing_assets() == set()
    times_ms = [kept.live_at_ms for kept in env.manifest.read().manifest.kept]
    assert times_ms == sorted(times_ms, reverse=True)


def test_stock_is_of_now_and_stays(env: PublishEnv) -> None:
    env.publish()
    edit_everything(env.project)
    env.publish()
    sell_out(env.products)

    env.roll_back()

    assert 'id="waitlist"' in env.page("products/scarf")
    assert held(env)["scarf"].stock["SCARF"] == Stock(Availability.OUT_OF_STOCK, 0, 5, "e1")


def test_an_event_while_going_back_is_not_covered_by_an_older_page(env: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    env.publish()

    env.roll_back(progress=lambda done, total: sell_out(env.products))

    assert 'id="waitlist"' in env.page("products/scarf")


def test_nothing_of_the_folder_is_read(env: PublishEnv) -> None:
    first = env.publish()
    edit_privacy(env.project)
    env.publish()
    (env.project.site / "site.toml").write_text("broken")

    assert env.roll_back().release == first.release


def test_going_back_that_dies_at_any_request_breaks_no_page_and_is_finished_by_the_next(
    env: PublishEnv,
) -> None:
    first = env.publish()
    before = env.content()
    edit_everything(env.project)
    env.publish()
    after = dict(env.sink.objects)
    env.sink.asked.clear()
    env.roll_back()
    steps = len(env.sink.asked)
    assert steps > 8

    for dies_at in range(steps):
        env.sink.objects = dict(after)
        env.sink.asked.clear()
        env.sink.deaf_from = dies_at
        with pytest.raises(WorkFailed):
            env.roll_back(first.release)
        assert env.missing_assets() == set()
        env.sink.deaf_from = None
        env.roll_back(first.release)
        assert {key: env.content()[key] for key in before} == before
        assert env.missing_assets() == set()


def test_a_half_done_publish_can_be_left_by_going_back(env: PublishEnv) -> None:
    first = env.publish()
    before = env.content()
    edit_everything(env.project)
    env.sink.asked.clear()
    env.sink.deaf_from = 8
    with pytest.raises(WorkFailed):
        env.publish()
    env.sink.deaf_from = None

    env.roll_back(first.release)

    assert {key: env.content()[key] for key in before} == before
    kept = {key for key in env.sink.keys("release") if key.startswith("releases/")}
    assert kept == {source_key(first.release)}, "what the dead publish kept is dropped"


def test_a_release_that_was_not_finished_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    kept = (KeptRelease("b" * 16, 0, products=2, pages=9),)
    show_kept(Manifest(release="b" * 16, kept=kept, claim=PublishClaim("here", 0, "a" * 16)))
    assert f"{'a' * 16} was not finished" in capsys.readouterr().out

    show_kept(Manifest(release="b" * 16, kept=kept))
    assert "not ended" not in capsys.readouterr().out


def test_another_publish_under_way_is_not_disturbed(env: PublishEnv, tmp_path: Path) -> None:
    env.publish()
    edit_privacy(env.project)
    env.publish()
    other = PublishEnv(env.sink, env.products, make_small_shop(tmp_path / "other"), owner="other")
    seen = other.manifest.read()
    other.manifest.claim(seen, other.plan())

    with pytest.raises(WorkFailed, match="another publish is under way"):
        env.roll_back()

    assert "More." in env.page("privacy")


def test_only_the_last_releases_are_kept(small_release: Release) -> None:
    live = Manifest()
    for number in range(RELEASES_KEPT_MAX + 2):
        plan = diff(live, named(small_release, f"r{number}"), at_ms=number)
        live = plan.manifest
    assert [item.release for item in live.kept] == [f"r{number}" for number in range(11, 1, -1)]
    assert plan.dropped_releases == ("r1",)
    again = diff(live, named(small_release, "r5"), at_ms=99)
    newest = again.manifest.kept[0]
    assert (newest.release, newest.live_at_ms, newest.products) == ("r5", 99, 2)
    assert (again.saves_source, again.dropped_releases) == (False, ())


def test_objects_of_a_kept_release_stay_and_are_deleted_with_it(small_release: Release) -> None:
    asset = next(object_ for object_ in small_release.objects if object_.kind is ObjectKind.ASSET)
    others = tuple(object_ for object_ in small_release.objects if object_ is not asset)
    live = diff(Manifest(), small_release, at_ms=0).manifest
    removed_by: list[str] = []
    for number in range(RELEASES_KEPT_MAX):
        later = replace(named(small_release, f"r{number}"), objects=others)
        plan = diff(live, later, at_ms=(number + 1) * RETIRED_KEPT_MS)
        removed_by += [later.id for removal in plan.removals if removal.key == asset.key]
        live = plan.manifest
    assert removed_by == [f"r{RELEASES_KEPT_MAX - 1}"]


def test_kept_release_sources_come_back_as_they_were(small_release: Release) -> None:
    source = small_release.source
    back = unpack(pack(source), small_release.id)
    assert pack(back) == pack(source)
    assert (back.theme, back.contents) == (source.theme, source.contents)
    assert [product.product for product in back.products] == [product.product for product in source.products]
    assert ReleaseSource.of(back.theme, back.products, back.contents, back.assets).theme == source.theme


def test_release_sources_of_another_form_are_reported(env: PublishEnv) -> None:
    first = env.publish()
    edit_privacy(env.project)
    env.publish()
    env.sink.objects[f"release/{source_key(first.release)}"] = b"something else"
    with pytest.raises(WorkFailed, match="another version of Spillway"):
        env.roll_back()
    del env.sink.objects[f"release/{source_key(first.release)}"]
    with pytest.raises(WorkFailed, match="is gone"):
        env.roll_back()


@pytest.mark.parametrize(
    ("asked", "message"),
    [("zz", "zz: no release of that name is kept"), ("a", "a: several releases begin so")],
)
def test_a_release_is_named_by_how_it_begins(asked: str, message: str) -> None:
    manifest = Manifest("ab1", kept=tuple(KeptRelease(name, 0, 1, 1) for name in ("ab1", "ac2", "bd3")))
    assert choose_kept(manifest, "b").release == "bd3"
    assert choose_kept(manifest, None).release == "ac2"
    with pytest.raises(BadInput, match=message):
        choose_kept(manifest, asked)


def test_before_a_second_publish_there_is_nothing_to_go_back_to(env: PublishEnv) -> None:
    env.publish()
    with pytest.raises(BadInput, match="no release was live before this one"):
        env.roll_back()


def named(release: Release, name: str) -> Release:
    """The same release under another name."""
    theme = replace(release.theme, release=name)
    return replace(release, source=replace(release.source, theme=theme))


def held(env: PublishEnv) -> dict[str, StockedProduct]:
    """The products table."""
    return {row.product.slug: row for row in env.products.scan()}
