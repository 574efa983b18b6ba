"""A publish: decided first, then done in an order that never breaks a page."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.domain.stock import Availability, Stock
from chalicelib.tables.products import ProductsTable
from spillway.build.release import Kind, Release
from spillway.deploy.stage import Stage
from spillway.errors import BadInput
from spillway.project import Project
from spillway.publish.manifest import Manifest, fingerprints
from spillway.publish.plan import RETIRED_KEPT_MS, Reason, make_plan
from spillway.publish.publisher import Publisher
from tests.aws import REGION, create_table
from tests.clock import Clock
from tests.unit.small_shop import make_small_shop


def live(release: Release) -> Manifest:
    return Manifest(release.id, fingerprints(release.objects))


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


def test_an_asset_that_comes_back_is_not_deleted(small_release: Release) -> None:
    smaller = replace(small_release, objects=small_release.objects[1:])
    gone = make_plan(live(small_release), smaller, at_ms=0)
    back = make_plan(gone.manifest, small_release, at_ms=RETIRED_KEPT_MS)
    assert back.removals == ()
    assert [upload.site_object.key for upload in back.uploads] == [small_release.objects[0].key]


def test_a_manifest_comes_back_as_it_was_written(small_release: Release) -> None:
    manifest = Manifest("r", {"a": "1"}, {"b": 2})
    assert Manifest.from_json(manifest.to_json()) == manifest


@dataclass(frozen=True, slots=True)
class FakeStage(Stage):
    """A stage whose stack is what the test made by hand."""

    names: dict[str, str] = field(default_factory=dict)

    def outputs(self) -> dict[str, str]:
        """See `Stage.outputs`."""
        return self.names


@pytest.fixture
def stage() -> Iterator[Stage]:
    with mock_aws():
        s3, cloudfront = boto3.client("s3"), boto3.client("cloudfront")
        for bucket in ("pages", "release"):
            s3.create_bucket(Bucket=bucket)
        config: Any = {
            "CallerReference": "x",
            "Comment": "",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "o",
                        "DomainName": "pages.s3.us-east-1.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    }
                ],
            },
            "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "https-only"},
        }
        made = cloudfront.create_distribution(DistributionConfig=config)
        names = {
            "PagesBucket": "pages",
            "ReleaseBucket": "release",
            "ProductsTable": create_table(boto3.client("dynamodb"), "ProductsTable"),
            "DistributionId": made["Distribution"]["Id"],
        }
        yield FakeStage("test", REGION, boto3.Session(), names=names)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def publisher(stage: Stage) -> Publisher:
    return Publisher(stage, Clock(), lambda done, total: None)


def keys(bucket: str = "pages") -> set[str]:
    return {item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", ())}


def body(key: str) -> str:
    return boto3.client("s3").get_object(Bucket="pages", Key=key)["Body"].read().decode()


def products(stage: Stage) -> ProductsTable:
    return ProductsTable(stage.client("dynamodb"), stage.outputs()["ProductsTable"])


def test_a_publish_makes_the_shop_live_and_a_second_one_changes_nothing(
    stage: Stage, project: Project
) -> None:
    first = publisher(stage).publish(project)
    assert first.uploaded == len(keys())
    assert keys("release") == {"theme.json", "manifest.json"}
    assert products(stage).slug_of("SCARF") == "scarf"
    second = publisher(stage).publish(project)
    assert (second.uploaded, second.removed, second.release) == (0, 0, first.release)


def test_a_publish_shows_the_stock_that_events_own(stage: Stage, project: Project) -> None:
    publisher(stage).publish(project)
    products(stage).observe("scarf", "SCARF", Stock(Availability.OUT_OF_STOCK, 0, 5, "e1"))
    published = publisher(stage).publish(project)
    assert published.uploaded > 0
    assert 'id="waitlist"' in body("products/scarf")


def test_what_left_the_catalogue_is_reported(stage: Stage, project: Project) -> None:
    publisher(stage).publish(project)
    (project.site / "products" / "scarf.toml").unlink()
    site = (project.site / "site.toml").read_text().replace('"field-jacket", "scarf"', '"field-jacket"')
    (project.site / "site.toml").write_text(site)
    assert publisher(stage).publish(project).abandoned == ("scarf",)
    assert "products/scarf" not in keys()
    assert products(stage).get("scarf") is not None


def test_a_dry_run_writes_nothing(stage: Stage, project: Project) -> None:
    assert len(publisher(stage).plan(project).uploads) > 0
    assert keys() == keys("release") == set()


def test_a_broken_catalogue_publishes_nothing(stage: Stage, project: Project) -> None:
    publisher(stage).publish(project)
    before = keys()
    (project.site / "products" / "scarf.toml").write_text("title = 3")
    with pytest.raises(BadInput):
        publisher(stage).publish(project)
    assert keys() == before


def test_an_event_during_a_publish_is_not_covered_by_an_older_page(stage: Stage, project: Project) -> None:
    publisher(stage).publish(project)

    def sell_out(done: int, total: int) -> None:
        products(stage).observe("scarf", "SCARF", Stock(Availability.OUT_OF_STOCK, 0, 5, "e1"))

    page = project.site / "pages" / "privacy.md"
    page.write_text(page.read_text() + "\nMore.\n")
    Publisher(stage, Clock(), sell_out).publish(project)
    assert 'id="waitlist"' in body("products/scarf")


def test_a_publish_that_dies_anywhere_is_finished_by_the_next(stage: Stage, project: Project) -> None:
    class Died(Exception):
        pass

    def dying(after: int) -> Any:
        def progress(done: int, total: int) -> None:
            if done >= after:
                raise Died

        return progress

    total = len(publisher(stage).plan(project).uploads)
    for after in range(1, total, max(1, total // 8)):
        with pytest.raises(Died):
            Publisher(stage, Clock(), dying(after)).publish(project)
        visible = [key for key in keys() if key.startswith("products/")]
        for key in visible:
            for asset in _assets_of(body(key)):
                assert asset in keys()
    publisher(stage).publish(project)
    assert len(keys()) == total


def _assets_of(html: str) -> list[str]:
    parts = html.replace('"', " ").replace(",", " ").split()
    return [part.removeprefix("/") for part in parts if part.startswith(("/assets/", "/pictures/"))]
