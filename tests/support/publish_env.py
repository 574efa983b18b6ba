"""An environment to publish a small shop from: a folder, a fake S3, a clock, an owner of claims."""

import re
from functools import partial
from typing import Any

from chalicelib.aws.signing import Credentials
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.tokens import FormTokens
from chalicelib.storage import Cdn
from chalicelib.tables.products import DomainListsTable, ProductsTable
from spillway.project import Project
from spillway.publish.change import publish_shop
from spillway.publish.live_manifest import Claimant, ManifestStore
from spillway.publish.plan import PublishPlan
from spillway.publish.run import Progress, Published, plan_publish, run_publish
from spillway.publish.s3 import S3Bucket
from spillway.publish.sources import LoadedSite, choose_kept, load_folder, load_kept
from spillway.publish.target import PublishTarget
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.fake_s3 import S3Sink
from tests.support.memory_cdn import MemoryCloudFront
from tests.support.stocking import observe


class PublishEnv:
    """A folder to publish from, an owner of claims, a clock."""

    def __init__(
        self,
        sink: S3Sink,
        products: ProductsTable,
        project: Project,
        owner: str = "me",
        clock: Clock | None = None,
    ) -> None:
        self.sink, self.project, self.products = sink, project, products
        self.clock, self.cdn = clock or Clock(), MemoryCloudFront()
        self.manifest = ManifestStore(
            self.bucket("release"), Claimant(owner), self.clock, project.cache / "publish" / f"{owner}.json"
        )

    @property
    def domain_lists(self) -> DomainListsTable:
        """Beside the products."""
        return DomainListsTable(self.products.table.client, self.products.table.name)

    def bucket(self, name: str) -> S3Bucket:
        return S3Bucket(
            name, REGION, lambda: Credentials("key", "secret"), endpoint=self.sink.url, backoff_s=0.0
        )

    @property
    def target(self) -> PublishTarget:
        cloudfront: Any = self.cdn
        return PublishTarget(
            pages=self.bucket("pages"),
            releases=self.bucket("release"),
            manifest=self.manifest,
            products=self.products,
            domain_lists=self.domain_lists,
            cdn=Cdn(cloudfront, "E1", sleep=lambda seconds: None),
            form_tokens=FormTokens.of(b"identity", at_ms=self.clock()),
            clock_ms=self.clock,
        )

    def plan(self) -> PublishPlan:
        return plan_publish(partial(load_folder, self.project), self.target)

    def publish(
        self, progress: Progress | None = None, *, delete_many: bool = False, everything: bool = False
    ) -> Published:
        """Publish the folder."""
        return publish_shop(
            self.project,
            self.target,
            progress=progress or _ignore,
            delete_many=delete_many,
            everything=everything,
        )

    def publish_release(self, release: Release) -> Published:
        """Publish a release that was built before, for any stock."""
        return run_publish(
            lambda: LoadedSite(release.theme.shop, lambda stock, form_tokens, dates: release), self.target
        )

    def roll_back(self, release: str | None = None, progress: Progress | None = None) -> Published:
        """Go back to a release."""
        kept = choose_kept(self.manifest.read().manifest, release)
        load = partial(load_kept, kept, self.project, self.target)
        return run_publish(load, self.target, progress=progress or _ignore)

    def page(self, key: str) -> str:
        return self.sink.objects[f"pages/{key}"].decode()

    def content(self) -> dict[str, bytes]:
        """Everything a shopper can ask for."""
        return {name: body for name, body in self.sink.objects.items() if name.startswith("pages/")}

    def built(self) -> dict[str, bytes]:
        """The release that a publish would make of the folder."""
        release = build(self.project, form_tokens=self.target.form_tokens)
        return {f"pages/{object_.key}": object_.read() for object_ in release.objects}

    def missing_assets(self) -> set[str]:
        """Objects that visible pages ask for and that are missing."""
        pages = [body.decode() for body in self.content().values() if b"<!doctype html>" in body[:20]]
        wanted = {asset for html in pages for asset in re.findall(r"/((?:assets|pictures)/[\w.-]+)", html)}
        return wanted - self.sink.keys("pages")


def sell_out(products: ProductsTable) -> None:
    """Somebody bought the last scarf."""
    observe(products, "scarf", "SCARF", Stock(Availability.OUT_OF_STOCK, 0, 5, "e1"))


def set_scarf_stock(products: ProductsTable, count: int) -> None:
    """Set the number of scarves in stock."""
    observe(products, "scarf", "SCARF", Stock(Availability.IN_STOCK, count, 5 + count, f"count{count}"))


def edit_privacy(project: Project) -> None:
    """One page says more than it did."""
    page = project.site / "pages" / "privacy.md"
    page.write_text(page.read_text() + "\nMore.\n")


def drop_scarf(project: Project) -> None:
    """The shop sells no scarf any more."""
    (project.site / "products" / "scarf.toml").unlink()
    site = (project.site / "site.toml").read_text().replace('"field-jacket", "scarf"', '"field-jacket"')
    (project.site / "site.toml").write_text(site)


def _ignore(done: int, total: int) -> None:
    pass


def write_notes(project: Project, count: int) -> None:
    """So many pages more."""
    for number in range(count):
        (project.site / "pages" / f"note-{number}.md").write_text(
            '+++\ntitle = "N"\ndescription = "N"\n+++\nWords.\n'
        )


def drop_notes(project: Project) -> None:
    """None of them any more."""
    for page in (project.site / "pages").glob("note-*.md"):
        page.unlink()
