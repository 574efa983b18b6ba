"""Publishing: the catalogue to DynamoDB, the theme and the pages to S3, and the CDN told.

The order is assets, catalogue, theme, pages, index, removals, manifest. At no moment does a visible
page miss an asset, and a publish that dies is finished by the next one: the manifest is written last.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from chalicelib.domain.stock import StockedProduct
from chalicelib.storage.pages import Cdn
from chalicelib.storage.themes import THEME_KEY
from chalicelib.tables.products import ProductsTable
from spillway.build.release import Kind, Release
from spillway.build.site import build
from spillway.deploy.stage import Stage
from spillway.project import Project
from spillway.publish.manifest import MANIFEST_KEY, Manifest
from spillway.publish.plan import Plan, Upload, make_plan

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

UPLOADS_AT_ONCE = 16
PASSES_MAX = 3
# CloudFront takes 3,000 paths at once; past this, one wildcard is cheaper and surer.
INVALIDATED_PATHS_MAX = 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did."""

    release: str
    uploaded: int
    skipped: int
    removed: int
    abandoned: tuple[str, ...]
    """Products that are in the table but in the catalogue no more; shoppers may still wait for them."""


class Publisher:
    """Publishes to one stage. `clock` is in milliseconds; `progress` hears how many objects of how many."""

    def __init__(self, stage: Stage, clock: Callable[[], int], progress: Progress) -> None:
        names = stage.outputs()
        self._s3: S3Client = stage.client("s3")
        self._pages_bucket = names["PagesBucket"]
        self._release_bucket = names["ReleaseBucket"]
        self._products = ProductsTable(stage.client("dynamodb"), names["ProductsTable"])
        self._cdn = Cdn(stage.client("cloudfront"), names["DistributionId"])
        self._clock = clock
        self._progress = progress

    def plan(self, project: Project, *, base_url: str | None = None) -> Plan:
        """What publishing now would do.

        Raises:
            BadInput: the catalogue or a template is wrong.
        """
        return self._prepare(project, base_url, self._known())[1]

    def publish(self, project: Project, *, base_url: str | None = None) -> Published:
        """Bring the shop to what `project` holds now.

        Events go on while a publish runs. When the stock at the end is not what the pages were made
        with, the pages it concerns are made once more, so that no old page covers a turned one.

        Raises:
            BadInput: the catalogue or a template is wrong; nothing was changed.
        """
        known = self._known()
        release, plan = self._prepare(project, base_url, known)
        published = Published(
            release.id, len(plan.uploads), plan.skipped, len(plan.removals), _abandoned(known, release)
        )
        for _ in range(PASSES_MAX):
            self._execute(plan, release, known)
            before, known = known, self._known()
            if all(known[slug].stock == stocked.stock for slug, stocked in before.items()):
                break
            release, plan = self._prepare(project, base_url, known)
        return published

    def _prepare(
        self, project: Project, base_url: str | None, known: Mapping[str, StockedProduct]
    ) -> tuple[Release, Plan]:
        stock = {slug: stocked.stock for slug, stocked in known.items()}
        release = build(project, base_url=base_url, stock=stock)
        return release, make_plan(self._live_manifest(), release, at_ms=self._clock())

    def _execute(self, plan: Plan, release: Release, known: Mapping[str, StockedProduct]) -> None:
        self._upload(plan, Kind.ASSET)
        for entry in release.products:
            slug = entry.product.slug
            self._products.put_catalogue(entry.product, entry.stock, known=known.get(slug))
        self._put_release(THEME_KEY, release.theme.to_json())
        self._upload(plan, Kind.PAGE)
        self._upload(plan, Kind.INDEX)
        for removal in plan.removals:
            self._s3.delete_object(Bucket=self._pages_bucket, Key=removal.key)
        self._put_release(MANIFEST_KEY, plan.manifest.to_json())
        self._invalidate(plan)

    def _upload(self, plan: Plan, kind: Kind) -> None:
        uploads = [upload for upload in plan.uploads if upload.site_object.kind is kind]
        first = plan.uploads.index(uploads[0]) + 1 if uploads else 0
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            for number, _ in enumerate(pool.map(self._put, uploads), start=first):
                self._progress(number, len(plan.uploads))

    def _put(self, upload: Upload) -> None:
        each = upload.site_object
        self._s3.put_object(
            Bucket=self._pages_bucket,
            Key=each.key,
            Body=each.read(),
            ContentType=each.content_type,
            CacheControl=each.cache_control,
        )

    def _put_release(self, key: str, text: str) -> None:
        self._s3.put_object(
            Bucket=self._release_bucket, Key=key, Body=text.encode(), ContentType="application/json"
        )

    def _live_manifest(self) -> Manifest:
        try:
            answer = self._s3.get_object(Bucket=self._release_bucket, Key=MANIFEST_KEY)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return Manifest()
            raise
        return Manifest.from_json(answer["Body"].read().decode())

    def _invalidate(self, plan: Plan) -> None:
        paths = plan.pages_touched
        if paths:
            few = paths if len(paths) <= INVALIDATED_PATHS_MAX else ("/*",)
            self._cdn.invalidate(few, reference=f"{plan.manifest.release}-{self._clock()}")

    def _known(self) -> dict[str, StockedProduct]:
        return {stocked.product.slug: stocked for stocked in self._products.scan()}


def _abandoned(known: Mapping[str, StockedProduct], release: Release) -> tuple[str, ...]:
    return tuple(sorted(known.keys() - {entry.product.slug for entry in release.products}))
