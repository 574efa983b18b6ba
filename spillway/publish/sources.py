"""Sites to publish: the shop's folder, or the saved source of a release that was live before.

A publish saves the source of each release in one object beside the theme. Pages are not saved: a rollback
renders them with the stock of then. Neither are assets: those of a kept release stay where they are served
from (see `spillway.publish.plan`).
"""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chalicelib.domain.tokens import FormTokens
from chalicelib.storefront.theme import Shop, Theme
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.publish.manifest import Kept, Manifest
from spillway.publish.target import Bucket, PublishTarget
from spillway.sitegen.feeds import RootFile
from spillway.sitegen.last_build import LastBuild
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.products import ImageVariant, ImageVariants, Products
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.related import related_of
from spillway.sitegen.release import Dates, Kind, OutputDir, Release, ReleaseSource, SiteObject
from spillway.sitegen.site import read_site, render_release, render_site

SOURCE_CONTENT_TYPE = "application/gzip"
# The source of ten thousand products compresses in a third of a second; a higher level takes three times as
# long and saves a tenth.
_COMPRESSION_LEVEL = 1


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A site in memory, to be rendered as often as its stock moves.

    Attributes:
        shop: the shop's settings.
        render: renders a release with a stock; its forms have tokens of `form_tokens`, its pages are
            dated.
    """

    shop: Shop
    render: Callable[[StockBySlug, FormTokens, Dates], Release]


def load_folder(
    project: Project, *, base_url: str | None = None, skip_broken_pictures: bool = False
) -> LoadedSite:
    """Read the shop's folder.

    Args:
        project: the folder.
        base_url: replaces the one in site.toml.
        skip_broken_pictures: leave out pictures that cannot be shown; otherwise they are mistakes.

    Raises:
        BadInput: the site has mistakes.
    """
    with _publish_hint():
        site = read_site(project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)

    def render(stock: StockBySlug, form_tokens: FormTokens, dates: Dates) -> Release:
        with _publish_hint():
            return render_site(project, site, stock=stock, form_tokens=form_tokens, dates=dates)

    return LoadedSite(site.source.theme.shop, render)


def load_kept(kept: Kept, project: Project, target: PublishTarget) -> LoadedSite:
    """Fetch the source of a release that was live before. The shop's folder is not read.

    Raises:
        WorkFailed: the source cannot be read, or one of its assets is gone; nothing was changed.
    """
    response = target.releases.get(source_key(kept.release))
    if response.status != 200:
        raise WorkFailed(f"what release {kept.release} was made from is gone", hint="go back to another")
    source = unpack(response.body, kept.release)
    source = replace(
        source, assets=_with_bodies(source.assets, target.manifest.read().manifest, target.pages)
    )

    def render(stock: StockBySlug, form_tokens: FormTokens, dates: Dates) -> Release:
        folder = project.cache / "rollback"
        with LastBuild(project, folder) as last:
            return render_release(
                source,
                OutputDir(folder, last),
                (),
                stock=stock,
                form_tokens=form_tokens,
                dates=dates,
                pool=WorkerPool(),
            )

    return LoadedSite(source.theme.shop, render)


def choose_kept(manifest: Manifest, release: str | None) -> Kept:
    """Return the kept release whose name begins with `release`; without one, the release before the live one.

    Raises:
        BadInput: no release matches, or several do.
    """
    if release is None:
        if len(manifest.kept) < 2:
            raise BadInput("no release was live before this one", hint="publish another first")
        return manifest.kept[1]
    matches = [kept for kept in manifest.kept if kept.release.startswith(release)]
    if len(matches) != 1:
        problem = "several releases begin so" if matches else "no release of that name is kept"
        raise BadInput(f"{release}: {problem}", hint="spillway rollback --list names them")
    return matches[0]


def source_key(release: str) -> str:
    """Return the key of a release's saved source."""
    return f"releases/{release}.json.gz"


def pack(source: ReleaseSource) -> bytes:
    """Serialize a source; equal sources give equal bytes."""
    products = source.products
    document = {
        "theme": source.theme.to_json(),
        "contents": [asdict(content) for content in source.contents],
        "products": [row.packed.decode() for row in products.rows],
        "pictures": {
            name: _without_files(products.image_variants[name]) for name in sorted(products.image_variants)
        },
        "redirects": [(redirect.source, redirect.target) for redirect in source.redirects],
        "root_files": [
            (file.key, file.content_type, b64encode(file.body).decode()) for file in source.root_files
        ],
        "assets": [
            (asset.key, asset.sha256, asset.content_type, asset.cache_control) for asset in source.assets
        ],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), _COMPRESSION_LEVEL, mtime=0)


def unpack(content: bytes, release: str) -> ReleaseSource:
    """Return the source that `pack` serialized. Its assets have no bodies.

    Raises:
        WorkFailed: another version of Spillway saved it in another format.
    """
    try:
        document = json.loads(gzip.decompress(content))
        theme = Theme.from_json(document["theme"])
        rows = [ProductRow.from_packed(row.encode()) for row in document["products"]]
        return ReleaseSource(
            theme=theme,
            products=Products(
                rows,
                Path(),
                _image_variants(document["pictures"]),
                related=related_of(rows) if theme.editions[0].settings.related else {},
            ),
            contents=tuple(ContentPage(**page) for page in document["contents"]),
            assets=tuple(
                SiteObject(key, b"", sha256, content_type, cache_control, Kind.ASSET)
                for key, sha256, content_type, cache_control in document["assets"]
            ),
            redirects=tuple(Redirect(source, target) for source, target in document["redirects"]),
            root_files=tuple(
                RootFile(key, content_type, b64decode(body))
                for key, content_type, body in document["root_files"]
            ),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise WorkFailed(
            f"release {release} was kept by another version of Spillway: {type(error).__name__} {error}",
            hint="check out that version and roll back, or the shop's files of then and publish",
        ) from error


@contextmanager
def _publish_hint() -> Iterator[None]:
    try:
        yield
    except CatalogueInvalid as error:
        raise BadInput(
            error.message, hint="correct them and publish again; the live shop is as it was"
        ) from error


def _with_bodies(assets: tuple[SiteObject, ...], live: Manifest, pages: Bucket) -> tuple[SiteObject, ...]:
    """Return the assets; those that may have to be put again get their bodies from the bucket."""
    live_keys = (live.objects.keys() | live.retired.keys()) - set(live.in_doubt)
    return tuple(
        asset if asset.key in live_keys else replace(asset, body=_fetch(asset, pages)) for asset in assets
    )


def _fetch(asset: SiteObject, pages: Bucket) -> bytes:
    response = pages.get(asset.key)
    if response.status != 200:
        raise WorkFailed(f"{asset.key} of that release is gone", hint="go back to another")
    return response.body


def _without_files(variants: Iterable[ImageVariant]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in asdict(variant).items() if name != "file"} for variant in variants
    ]


def _image_variants(pictures: Mapping[str, Iterable[Mapping[str, Any]]]) -> ImageVariants:
    return {
        name: tuple(ImageVariant(**variant, file=Path()) for variant in variants)
        for name, variants in pictures.items()
    }
