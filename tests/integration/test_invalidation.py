"""A stock event writes and invalidates: no path too many, and none too few, wherever it dies."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from chalicelib.domain.ids import Slug
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import FormTokens
from chalicelib.services.page_refresh import PageRefresh
from chalicelib.storage import (
    HOME_KEY,
    INVALIDATED_PATHS_MAX,
    Cdn,
    CdnBusy,
    PagesBucket,
    ThemeStore,
    invalidation_paths,
    object_key,
)
from chalicelib.tables.products import ProductsTable
from spillway.errors import WorkFailed
from spillway.preflight.amounts import Item
from spillway.preflight.bill import PRICES
from spillway.preflight.usage import REGIONAL_CACHES
from spillway.sitegen.listings import CARDS_MAX, pages_of_listing
from spillway.sitegen.release import Release
from tests.support.aws import ROOT, create_table
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.memory_cdn import MemoryCloudFront
from tests.support.memory_s3 import MemoryS3
from tests.support.publish_env import PublishEnv, edit_privacy
from tests.support.stocking import observe

FORM_TOKENS = FormTokens.of(b"identity", at_ms=0)
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
NOW_MS = 1_790_000_000_000
SCARF = {"index.html", "products/scarf", "shop/accessories", "shop/all", "sitemap.xml"}
SCARF_PATHS = ["/", *(f"/{key}" for key in sorted(SCARF))]


class FunctionDied(BaseException):
    """Ends the function there and then, as a timeout does."""


class Shop:
    """The small shop as published, a CDN whose caches are full, and the function that refreshes pages.

    Between any two calls of the function, visitors ask for every page: whatever is not invalidated after
    its last write stays old.
    """

    def __init__(self, release: Release) -> None:
        table: Any = MemoryDynamoDb()
        self.products = ProductsTable(table, create_table(table, "ProductsTable"))
        for entry in release.products:
            self.products.put_catalogue(entry.product, entry.stock, known=None)
        self.s3, self.theme, self.cloudfront = MemoryS3(), MemoryS3(), MemoryCloudFront()
        self.theme.put_object(Bucket="shop", Key="theme.json", Body=release.theme.to_json().encode())
        self.themes = ThemeStore(_any(self.theme), "release")
        for object_ in release.objects:
            headers = {"ContentType": object_.content_type, "CacheControl": object_.cache_control}
            headers |= {"ContentLanguage": object_.language} if object_.language else {}
            self.s3.put_object(Bucket="shop", Key=object_.key, Body=object_.read(), **headers)
        self.cached: dict[str, bytes] = {}
        self.cloudfront.forget = self._forget
        self.steps = 0
        # The first event of a shop whose form tokens are not the release's: every page as events make it.
        for slug in ("scarf", "field-jacket"):
            self.refresh(slug, "first")
        self.forget_history()

    def forget_history(self) -> None:
        self.s3.puts.clear()
        self.cloudfront.paths.clear()
        self.steps = 0

    def refresh(self, slug: str, event: str, *, dies_at: int | None = None, answered: bool = False) -> None:
        """React to an event, up to the call `dies_at`, which AWS may have answered."""
        s3, cloudfront = (
            _Watched(client, lambda: self._step(dies_at), answered) for client in (self.s3, self.cloudfront)
        )
        cdn = Cdn(_any(cloudfront), "E1", sleep=lambda seconds: None)
        PageRefresh(
            self.products, self.themes, PagesBucket(_any(s3), "pages"), cdn, lambda: FORM_TOKENS
        ).refresh(slug, reference=event)

    def observe(self, slug: str, sku: str, availability: Availability, units: int, event: str) -> None:
        at_ms = NOW_MS + int(event.strip("e"))
        assert observe(self.products, slug, sku, Stock(availability, units, at_ms, event))

    def old_paths(self) -> set[str]:
        """Paths at which visitors are still shown something else than what is stored."""
        return {path for path, body in self.cached.items() if body != self._stored(path)}

    def _step(self, dies_at: int | None) -> bool:
        self.visit()
        self.steps += 1
        return self.steps - 1 == dies_at

    def visit(self) -> None:
        for path in ("/", *(f"/{key}" for key in self.s3.objects)):
            self.cached.setdefault(path, self._stored(path))

    def _stored(self, path: str) -> bytes:
        return bytes(self.s3.objects[object_key(path)]["Body"])

    def _forget(self, paths: list[str]) -> None:
        for path in list(self.cached):
            if path in paths or "/*" in paths:
                del self.cached[path]


class _Watched:
    """A client; `step` is asked before each call whether the function dies at it."""

    def __init__(self, client: Any, step: Callable[[], bool], answered: bool) -> None:
        self._client, self._step, self._answered = client, step, answered

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**asked: Any) -> Any:
            dies = self._step()
            if dies and not self._answered:
                raise FunctionDied
            answer = getattr(self._client, name)(**asked)
            if dies:
                raise FunctionDied
            return answer

        return call


@pytest.fixture
def shop(small_release: Release) -> Shop:
    return Shop(small_release)


def test_an_event_that_changes_no_byte_writes_nothing_and_invalidates_nothing(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.IN_STOCK, 3, "e1")
    sitemap = shop.s3.objects["sitemap.xml"]
    shop.refresh("scarf", "e1")
    assert shop.s3.puts == []
    assert shop.cloudfront.paths == []
    assert shop.s3.objects["sitemap.xml"] is sitemap
    assert shop.steps == 4, "one HEAD a page, and no GET"


def test_an_event_writes_and_invalidates_what_it_changes_and_no_more(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    shop.refresh("scarf", "e1")
    assert set(shop.s3.puts) == SCARF
    assert shop.cloudfront.paths == [SCARF_PATHS]
    shop.forget_history()
    # One more size of many that can be bought: no card and no other page says so.
    shop.observe("field-jacket", "FJ-MOSS-M", Availability.IN_STOCK, 2, "e2")
    shop.refresh("field-jacket", "e2")
    assert sorted(shop.s3.puts) == ["products/field-jacket", "sitemap.xml"]
    assert shop.cloudfront.paths == [["/products/field-jacket", "/sitemap.xml"]]
    dated = shop.s3.objects["sitemap.xml"]["Body"].decode().split("<url>")
    (scarf,) = (item for item in dated if "/products/scarf" in item)
    (jacket,) = (item for item in dated if "/products/field-jacket" in item)
    (everything,) = (item for item in dated if "/shop/all" in item)
    assert "<lastmod>2026-09-21T14:13:20Z</lastmod>" in jacket
    assert "<lastmod>2026-09-21T14:13:20Z</lastmod>" in scarf
    assert "<lastmod>2026-09-21T14:13:20Z</lastmod>" in everything


def test_a_page_with_other_headers_is_written_though_its_bytes_are_the_same(shop: Shop) -> None:
    shop.s3.objects["products/scarf"]["CacheControl"] = "no-cache"
    shop.refresh("scarf", "e1")
    assert shop.s3.puts == ["products/scarf"]
    assert shop.s3.objects["products/scarf"]["CacheControl"].startswith("public, max-age=0, s-maxage=86400")
    assert shop.cloudfront.paths == [["/products/scarf"]]


@pytest.mark.parametrize("answered", [False, True], ids=["before-the-call", "after-the-call"])
def test_an_event_that_dies_at_any_call_leaves_no_old_page_once_it_is_repeated(
    small_release: Release, *, answered: bool
) -> None:
    whole = Shop(small_release)
    whole.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    whole.refresh("scarf", "e1")
    assert whole.steps == 11, (
        "a HEAD and a PUT for each of four pages, a GET and a PUT of the sitemap, the CDN"
    )
    for dies_at in range(whole.steps):
        shop = Shop(small_release)
        shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
        with pytest.raises(FunctionDied):
            shop.refresh("scarf", "e1", dies_at=dies_at, answered=answered)
        shop.refresh("scarf", "e1")
        assert shop.old_paths() == set(), f"died at call {dies_at}"
        assert sorted(shop.s3.puts) == sorted(SCARF), "each is written once"
        assert shop.cloudfront.paths == [SCARF_PATHS], "and invalidated once"


def test_the_repeat_of_an_event_that_was_done_is_the_same_invalidation(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    for _ in range(3):
        shop.refresh("scarf", "e1")
    assert shop.cloudfront.paths == [SCARF_PATHS]
    shop.refresh("scarf", "e2")
    assert shop.cloudfront.paths == [SCARF_PATHS], "another event has nothing to do"


def test_a_repeat_that_changes_other_pages_is_another_invalidation(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    shop.refresh("scarf", "e1")
    # A publish puts the home page meanwhile, with what was in stock when it began, and the event is repeated.
    home = shop.s3.objects[HOME_KEY]
    shop.s3.put_object(Bucket="shop", Key=HOME_KEY, **{**_headers(home), "Body": b"of a publish"})
    shop.visit()
    shop.refresh("scarf", "e1")
    assert shop.old_paths() == set()
    assert shop.cloudfront.paths == [SCARF_PATHS, SCARF_PATHS]


def test_a_repeat_that_writes_the_same_paths_again_is_another_invalidation(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    shop.refresh("scarf", "e1")
    for key in SCARF - {"sitemap.xml"}:
        shop.s3.put_object(
            Bucket="shop", Key=key, **{**_headers(shop.s3.objects[key]), "Body": b"of a publish"}
        )
    shop.visit()
    shop.refresh("scarf", "e1")
    assert shop.cloudfront.paths == [SCARF_PATHS, SCARF_PATHS]
    assert shop.old_paths() == set()


def test_two_products_with_a_listing_in_common_leave_no_old_page_when_one_dies(shop: Shop) -> None:
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    with pytest.raises(FunctionDied):
        shop.refresh("scarf", "e1", dies_at=10)
    for number, sku in enumerate(("FJ-MOSS-S", "FJ-MOSS-M", "FJ-SLATE-M"), start=2):
        shop.observe("field-jacket", sku, Availability.OUT_OF_STOCK, 0, f"e{number}")
    shop.refresh("field-jacket", "e4")
    shop.refresh("scarf", "e1")
    assert shop.old_paths() == set()


def test_paths_that_cloudfront_does_not_take_become_a_wildcard(shop: Shop) -> None:
    shop.cloudfront.paths_left = 5
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    shop.refresh("scarf", "e1")
    assert shop.cloudfront.paths == [["/*"]]
    assert shop.old_paths() == set()


def test_a_wildcard_that_cloudfront_does_not_take_waits_and_is_then_left_to_a_repeat(shop: Shop) -> None:
    shop.cloudfront.paths_left = shop.cloudfront.wildcards_left = 0
    waited: list[float] = []
    with pytest.raises(CdnBusy):
        Cdn(_any(shop.cloudfront), "E1", sleep=waited.append).invalidate(["/a"], reference="r")
    assert waited == [0, 1, 2]
    shop.observe("scarf", "SCARF", Availability.OUT_OF_STOCK, 0, "e1")
    for _ in range(8):
        with pytest.raises(CdnBusy):
            shop.refresh("scarf", "e1")
    assert shop.old_paths() == set(SCARF_PATHS)
    shop.cloudfront.wildcards_left = 1
    shop.refresh("scarf", "e1")
    assert shop.cloudfront.paths == [["/*"]]
    assert shop.old_paths() == set()


def test_a_reference_is_never_used_for_other_paths() -> None:
    cloudfront = MemoryCloudFront()
    cdn = Cdn(_any(cloudfront), "E1")
    for paths in (["/b", "/a"], ["/a", "/b"], ["/a"], ["/a", "/b", "/c"]):
        cdn.invalidate(paths, reference="e1")
    assert cloudfront.paths == [["/a", "/b"], ["/a"], ["/a", "/b", "/c"]]


def test_another_refusal_of_cloudfront_is_not_taken_for_a_busy_one() -> None:
    class Refuses:
        def create_invalidation(self, **asked: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "CreateInvalidation")

    with pytest.raises(ClientError, match="AccessDenied"):
        Cdn(_any(Refuses()), "E1").invalidate(["/a"], reference="r")


@pytest.mark.parametrize(
    ("paths", "invalidated"),
    [
        (["/products/scarf"], ("/products/scarf",)),
        (["/", "/"], ("/", "/index.html")),
        (["/de"], ("/de",)),
        (["/shop/all_2", "/sitemap-1.xml"], ("/shop/all_2", "/sitemap-1.xml")),
        (["/shop/all~2"], ("/*",)),
        (["/shop/hüte"], ("/*",)),
        ([f"/{n:02}" for n in range(INVALIDATED_PATHS_MAX)], tuple(f"/{n:02}" for n in range(20))),
        ([f"/{n}" for n in range(INVALIDATED_PATHS_MAX + 1)], ("/*",)),
        (["/", *(f"/{n}" for n in range(INVALIDATED_PATHS_MAX - 1))], ("/*",)),
    ],
)
def test_the_home_page_has_two_paths_and_many_paths_become_one(
    paths: list[str], invalidated: tuple[str, ...]
) -> None:
    assert invalidation_paths(paths) == invalidated


def test_the_second_page_of_a_listing_has_a_path_that_cloudfront_takes() -> None:
    slugs = [Slug(f"p{number}") for number in range(CARDS_MAX + 1)]
    paths = [item.path for item in pages_of_listing("/shop/all", "All", "All", slugs, None)]
    assert paths == ["/shop/all", "/shop/all_2"]
    assert invalidation_paths(paths) == ("/shop/all", "/shop/all_2")


def test_the_distribution_is_the_one_that_paths_and_bytes_are_counted_for() -> None:
    class Loader(yaml.SafeLoader):
        """Reads the tags of CloudFormation as what they stand before."""

    Loader.add_multi_constructor("!", lambda body_loader, tag, node: str(node.value))
    template = yaml.load((ROOT / ".chalice" / "resources" / "site.yaml").read_text(), Loader)
    distribution = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    assert distribution["DefaultRootObject"] == HOME_KEY
    (api,) = distribution["CacheBehaviors"]
    assert (api["PathPattern"], api["CachePolicyId"]) == ("/api/*", CACHING_DISABLED)
    assert "Compress" not in api, "without caching, CloudFront compresses nothing"


def test_as_many_paths_are_named_as_cost_no_more_than_a_wildcard_in_a_shop_of_18_000_objects() -> None:
    path_usd = PRICES[Item.INVALIDATIONS].of(1)
    cached_again_usd = PRICES[Item.S3_READS].of(REGIONAL_CACHES)
    objects = (INVALIDATED_PATHS_MAX - 1) * path_usd / cached_again_usd
    assert objects == pytest.approx(18_000, rel=0.02)


def test_a_publish_invalidates_both_paths_of_the_home_page(env: PublishEnv) -> None:
    env.publish()
    site = env.project.site / "site.toml"
    site.write_text(site.read_text().replace("Made for bad weather", "Made for rain"))
    env.clock.pass_s(60)
    env.publish()
    assert env.cdn.paths[-1] == ["/", "/index.html", "/sitemap.xml"]


def test_a_publish_that_dies_at_any_request_leaves_no_old_page_once_it_is_repeated(env: PublishEnv) -> None:
    env.publish()
    for dies_at in range(5):
        edit_privacy(env.project)
        env.clock.pass_s(60)
        env.cdn.paths.clear()
        env.sink.asked.clear()
        env.sink.deaf_from = dies_at
        with pytest.raises(WorkFailed):
            env.publish()
        # It may have written both, and invalidated them; visitors may have asked for them before it did.
        env.sink.deaf_from = None
        env.clock.pass_s(1)
        before = len(env.cdn.paths)
        env.publish()
        assert env.cdn.paths[before:] == [["/privacy", "/sitemap.xml"]], f"died at request {dies_at}"
        env.publish()
        assert len(env.cdn.paths) == before + 1


def test_a_publish_that_cloudfront_does_not_take_says_so_and_the_next_one_ends_it(env: PublishEnv) -> None:
    env.publish()
    edit_privacy(env.project)
    env.clock.pass_s(60)
    env.cdn.paths_left = env.cdn.wildcards_left = 0
    with pytest.raises(WorkFailed, match="too many invalidations in progress") as failed:
        env.publish()
    assert "publish again in a few minutes" in failed.value.hint
    env.cdn.paths_left = 3_000
    env.publish()
    assert env.cdn.paths[-1] == ["/privacy", "/sitemap.xml"]
    assert env.publish().uploaded == 0


def _headers(there: Mapping[str, Any]) -> dict[str, Any]:
    return {name: there[name] for name in ("ContentType", "CacheControl", "ContentLanguage")}


def _any(value: Any) -> Any:
    return value
