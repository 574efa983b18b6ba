"""A publish of a small change makes the bucket and the table what a publish of everything makes them."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.stock import Availability, Stock
from chalicelib.tables.products import ProductsTable
from spillway.errors import WorkFailed
from spillway.project import Project
from spillway.publish import change
from spillway.publish.run import Published, run_publish
from spillway.publish.sources import load_folder
from spillway.sitegen.site import build
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.damaged_database import damage_databases
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fake_s3 import S3Sink, running
from tests.support.german_shop import make_german_shop
from tests.support.publish_env import PublishEnv, sell_out
from tests.support.small_shop import make_small_shop
from tests.support.stocking import observe

# A test does not wait between an edit and the publish after it; the kernel's clock ticks in between.
FILES_SETTLE_AT_ONCE = ("spillway.sitegen.cache._UNSETTLED_NS", -(10**18))
MAKE_SHOP = (make_small_shop, make_german_shop)
Edit = tuple[str, str, str]


class Twins:
    """A shop published twice: by the command, and by a machine that compares everything each time."""

    def __init__(self, env: PublishEnv, whole: PublishEnv) -> None:
        self.env, self.whole = env, whole

    def publish(self) -> Published:
        """Publish by both, and compare what there is then."""
        published = self.env.publish()
        whole = run_publish(partial(load_folder, self.whole.project), self.whole.target)
        assert everything_of(self.env) == everything_of(self.whole)
        assert (published.release, published.uploaded, published.skipped) == (
            whole.release,
            whole.uploaded,
            whole.skipped,
        )
        assert published == whole
        return published

    def edit(self, *edits: Edit) -> None:
        for slug, old, new in edits:
            file = self.env.project.site / "products" / f"{slug}.toml"
            file.write_text(file.read_text().replace(old, new, 1))

    def pass_s(self, seconds: float) -> None:
        self.env.clock.pass_s(seconds)

    def observe(self, slug: str, sku: str, stock: Stock) -> None:
        for env in (self.env, self.whole):
            observe(env.products, slug, sku, stock)


@contextmanager
def twins(folder: Path, make_shop: Callable[[Path], Project]) -> Iterator[Twins]:
    shop = make_shop(folder / "shop")
    for number in range(1, 4):
        source = (shop.site / "products/field-jacket.toml").read_text()
        new = source.replace("FJ-", f"M{number}-").replace(
            'title = "Field Jacket"', f'title = "Coat {number}"'
        )
        (shop.site / f"products/m{number}.toml").write_text(new)
    (folder / "whole" / ".cache").mkdir(parents=True)
    (folder / "whole" / "site").symlink_to(shop.site)
    build(shop)
    (folder / "whole" / ".cache" / "pictures").symlink_to(shop.cache / "pictures")
    clock = Clock()
    with ExitStack() as stack:
        both = []
        for project in (shop, Project(folder / "whole")):
            client: Any = MemoryDynamoDb()
            table = ProductsTable(client, create_table(client, "ProductsTable"))
            sink = stack.enter_context(running(S3Sink()))
            both.append(PublishEnv(sink, table, project, clock=clock))
        yield Twins(*both)


def everything_of(env: PublishEnv) -> dict[str, Any]:
    """Return the pages, the live theme, the manifest, the table, and what a rollback would restore."""
    live = env.manifest.read().manifest
    kept = [(past.release, past.live_at_ms, past.products, past.pages) for past in live.kept]
    return {
        **env.content(),
        **{name: unnamed(env.sink.objects[f"release/{name}"]) for name in ("theme.json", "rules.json")},
        "manifest": (live.release, live.objects, live.dates, live.theme, live.retired, live.in_doubt, kept),
        "products": {stocked.product.slug: stocked for stocked in env.products.scan()},
    }


def unnamed(text: bytes) -> dict[str, Any]:
    """Return a document without the name of the release that wrote it."""
    return {name: value for name, value in json.loads(text).items() if name != "release"}


@pytest.fixture(autouse=True)
def files_settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)


@contextmanager
def nothing_whole() -> Iterator[None]:
    """Fail where the command publishes everything."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(change, "run_publish", None)
        yield


# In rounds: the file of a product, a text, and another one in its place.
EDITS = (
    [("scarf", 'summary = "', 'summary = "New: ')],
    [("field-jacket", '"Field Jacket"', '"Zip Jacket"'), ("m1", "Waxed cotton", "Waxed hemp")],
    [("m2", '"148.00"\n', '"12.00"\ncompare_at_price = "15.00"\nsale_ends_on = 2026-12-31\n')],
    [("m1", '"outerwear"', '"accessories"'), ("m2", '["waxed"]', "[]")],
    [("m3", "2026-09-01", "2026-10-02"), ("scarf", "stock = 2", "stock = 2  # counted")],
    [("field-jacket", "2026-09-01", "2026-11-02"), ("field-jacket", '"Feldjacke"', '"Jacke"')],
    [("scarf", "stock = 2  # counted", "stock = 2  # twice")],
)


@pytest.mark.parametrize("make_shop", MAKE_SHOP)
def test_an_edit_of_any_field_is_published_without_reading_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_shop: Callable[[Path], Project]
) -> None:
    # As in a large shop: the manifest is the changes of a base.
    monkeypatch.setattr("spillway.publish.bases.BASE_OBJECTS_MIN", 1)
    monkeypatch.setattr("spillway.publish.bases.CHANGES_SHARE_MAX", 10)
    with twins(tmp_path, make_shop) as both:
        both.publish()
        for edits in EDITS:
            both.pass_s(60)
            both.edit(*edits)
            with nothing_whole():
                both.publish()
        for past in both.env.manifest.read().manifest.kept:
            both.pass_s(60)
            assert [env.roll_back(past.release).release for env in (both.env, both.whole)] == [
                past.release
            ] * 2
            assert everything_of(both.env) == everything_of(both.whole)


def test_a_change_asks_for_few_objects_and_few_rows(tmp_path: Path) -> None:
    with twins(tmp_path, make_small_shop) as both:
        both.publish()
        both.pass_s(60)
        both.edit(("scarf", 'summary = "', 'summary = "New: '))
        sink = both.env.sink
        sink.asked.clear()
        with nothing_whole():
            published = both.env.publish()

    names = [name for _, name in sink.asked]
    assert names[:3] == [
        "pages/sitemap.xml",
        "release/manifest.json",
        f"release/releases/{published.release}.json.gz",
    ]
    assert names[3:-1] == ["pages/products/scarf", "pages/shop/accessories", "pages/sitemap.xml"]
    assert names[-1] == "release/manifest.json"
    (source,) = {name for name in sink.objects if published.release in name}
    assert len(sink.objects[source]) < 1000


def test_pages_show_the_stock_of_now_and_keep_the_dates_of_other_refreshes(tmp_path: Path) -> None:
    with twins(tmp_path, make_small_shop) as both:
        both.publish()
        both.pass_s(60)
        sold_out = Stock(Availability.OUT_OF_STOCK, 0, both.env.clock(), "e1")
        both.observe("scarf", "SCARF", sold_out)
        both.pass_s(60)
        both.edit(("scarf", 'summary = "', 'summary = "New: '))
        with nothing_whole():
            both.publish()


def test_stock_that_moves_meanwhile_is_published_by_a_whole_publish_after_it(tmp_path: Path) -> None:
    with twins(tmp_path, make_small_shop) as both:
        both.publish()
        both.pass_s(60)
        both.edit(("scarf", 'summary = "', 'summary = "New: '))
        moved: list[str] = []

        def sells(method: str, name: str) -> None:
            if not moved and name == "pages/products/scarf":
                moved.append(name)
                sell_out(both.env.products)

        both.env.sink.hears = sells
        both.env.publish()
        both.env.sink.hears = lambda method, name: None
        sell_out(both.whole.products)

        assert both.whole.publish().release
        assert both.env.content() == both.whole.content()


@pytest.mark.parametrize("dies_at", range(1, 9))
def test_a_change_that_dies_is_published_whole_by_the_next_publish(tmp_path: Path, dies_at: int) -> None:
    with twins(tmp_path, make_small_shop) as both:
        both.publish()
        both.pass_s(60)
        both.edit(("field-jacket", '"Field Jacket"', '"Zip Jacket"'))
        sink = both.env.sink
        sink.deaf_from = len(sink.asked) + dies_at
        with pytest.raises(WorkFailed):
            both.env.publish()
        sink.deaf_from = None

        both.env.publish()
        run_publish(partial(load_folder, both.whole.project), both.whole.target)

        ours, theirs = everything_of(both.env), everything_of(both.whole)
        assert ours == theirs


def test_a_damaged_database_is_made_again_by_a_whole_publish(tmp_path: Path) -> None:
    with twins(tmp_path, make_small_shop) as both:
        both.publish()
        both.pass_s(60)
        both.edit(("scarf", 'summary = "', 'summary = "New: '))
        damage_databases(both.env.project)

        both.publish()
        both.pass_s(60)
        both.edit(("scarf", 'summary = "New: ', 'summary = "Old: '))
        with nothing_whole():
            both.publish()


def test_a_release_published_from_another_machine_is_compared_in_full(
    env: PublishEnv, other: PublishEnv
) -> None:
    for machine in (env, other, env):
        machine.clock.now_ms = env.clock() + 60_000
        machine.publish()
    file = env.project.site / "products/scarf.toml"
    file.write_text(file.read_text().replace('summary = "', 'summary = "Mine: '))
    theirs = other.project.site / "products/field-jacket.toml"
    theirs.write_text(theirs.read_text().replace('summary = "', 'summary = "Theirs: '))
    other.publish()

    env.publish()

    assert "Mine: " in env.page("products/scarf")
    assert "Theirs: " not in env.page("products/field-jacket")


def test_a_release_that_was_rolled_back_and_restored_is_compared_whole(
    env: PublishEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = env.project.site / "products/scarf.toml"
    releases = []
    for words in ("First: ", "Second: "):
        file.write_text(file.read_text().replace('summary = "', f'summary = "{words}', 1))
        env.clock.pass_s(60)
        releases.append(env.publish().release)
    for release in releases:
        env.clock.pass_s(60)
        env.roll_back(release)
    whole: list[str] = []

    def publish_whole(*arguments: Any, **options: Any) -> Published:
        whole.append("published")
        return run_publish(*arguments, **options)

    monkeypatch.setattr(change, "run_publish", publish_whole)
    file.write_text(file.read_text().replace('summary = "', 'summary = "Third: ', 1))

    env.publish()

    assert whole == ["published"]
    assert "Third: Second: First: " in env.page("products/scarf")


def test_a_build_into_the_folder_of_a_publish_makes_the_next_one_whole(env: PublishEnv) -> None:
    env.publish()
    build(env.project)
    file = env.project.site / "products/scarf.toml"
    file.write_text(file.read_text().replace('summary = "', 'summary = "New: '))

    with nothing_whole(), pytest.raises(TypeError):
        env.publish()
    env.publish()

    assert "form_token" in env.page("products/field-jacket")
    assert "New: " in env.page("products/scarf")


KINDS: tuple[tuple[str, str], ...] = (
    ('summary = "', 'summary = "New '),
    ('"Field Jacket"', '"Zip Jacket"'),
    ('"148.00"', '"149.00"'),
    ('"outerwear"', '"accessories"'),
    ('["waxed"]', "[]"),
    ("stock = 2", "stock = 0"),
    ("2026-09-01", "2026-10-02"),
    ("Waxed cotton", "Waxed linen"),
    ('"45.00"', '"46.00"'),
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(2, 5))
def test_after_any_edits_and_events_it_is_what_a_whole_publish_makes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    chance = random.Random(seed)
    with twins(tmp_path_factory.mktemp("twins"), chance.choice(MAKE_SHOP)) as both:
        both.publish()
        for number in range(count):
            both.pass_s(chance.choice([0, 60, -30]))
            if chance.random() < 0.4:
                # Pages that show no edit are refreshed by the cloud alone, which no twin has.
                stock = Stock(chance.choice(list(Availability)[:2]), 3, both.env.clock(), f"e{number}")
                both.observe("scarf", "SCARF", stock)
                both.edit(("scarf", 'summary = "', 'summary = "Now '))
            slugs = chance.sample(["scarf", "field-jacket", "m1", "m2", "m3"], chance.randint(1, 2))
            for slug in slugs:
                file = both.env.project.site / f"products/{slug}.toml"
                file.write_text(file.read_text().replace(*chance.choice(KINDS), 1))
            both.publish()
