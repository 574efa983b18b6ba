"""The saved sources of releases, from which a rollback renders their pages.

A publish saves the source of each release in one object beside the theme; after a change of few products,
that has these products, and the manifest names the release whose source has the others. Pages are not saved:
a rollback renders them with the stock of then. Neither are assets: those of a kept release stay where they
are served from (see `spillway.publish.plan`).
"""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from chalicelib.storefront.theme import Theme
from spillway.errors import WorkFailed
from spillway.sitegen.feeds import RootFile
from spillway.sitegen.products import ImageVariant, ImageVariants, Products
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.related import related_of
from spillway.sitegen.release import ObjectKind, ReleaseSource, SiteObject

SOURCE_CONTENT_TYPE = "application/gzip"
# The source of ten thousand products compresses in a third of a second; a higher level takes three times as
# long and saves a tenth.
_COMPRESSION_LEVEL = 1
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError)


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
    return _packed(document)


def pack_change(products: Products, theme: Theme | None) -> bytes:
    """Serialize what a release has otherwise than the release that is its base.

    `theme` is the release's; None: it is the base's.
    """
    variants = products.image_variants
    document = {
        "theme": theme.to_json() if theme else None,
        "products": [row.packed.decode() for row in products.rows],
        "pictures": {name: _without_files(variants[name]) for name in sorted(variants)},
    }
    return _packed(document)


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
            products=_products(rows, _image_variants(document["pictures"]), theme),
            contents=tuple(ContentPage(**page) for page in document["contents"]),
            assets=tuple(
                SiteObject(key, b"", sha256, content_type, cache_control, ObjectKind.ASSET)
                for key, sha256, content_type, cache_control in document["assets"]
            ),
            redirects=tuple(Redirect(source, target) for source, target in document["redirects"]),
            root_files=tuple(
                RootFile(key, content_type, b64decode(body))
                for key, content_type, body in document["root_files"]
            ),
        )
    except _UNREADABLE as error:
        raise _kept_by_another_version(release, error) from error


def with_change(source: ReleaseSource, content: bytes, release: str) -> ReleaseSource:
    """Return `source` with the change that `pack_change` serialized, as the source of `release`.

    Raises:
        WorkFailed: another version of Spillway saved it in another format.
    """
    try:
        document = json.loads(gzip.decompress(content))
        named = replace(source.theme, release=release)
        theme = Theme.from_json(document["theme"]) if document["theme"] else named
        changed = [ProductRow.from_packed(row.encode()) for row in document["products"]]
        rows = {row.slug: row for row in (*source.products.rows, *changed)}
        variants = {**source.products.image_variants, **_image_variants(document["pictures"])}
        products = _products([rows[slug] for slug in sorted(rows)], variants, theme)
        return replace(source, theme=theme, products=products)
    except _UNREADABLE as error:
        raise _kept_by_another_version(release, error) from error


def _packed(document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), _COMPRESSION_LEVEL, mtime=0)


def _products(rows: Sequence[ProductRow], variants: ImageVariants, theme: Theme) -> Products:
    related = related_of(rows) if theme.editions[0].settings.related else {}
    return Products(rows, Path(), variants, related=related)


def _kept_by_another_version(release: str, error: Exception) -> WorkFailed:
    return WorkFailed(
        f"release {release} was kept by another version of Spillway: {type(error).__name__} {error}",
        hint="check out that version and roll back, or the shop's files of then and publish",
    )


def _without_files(variants: Iterable[ImageVariant]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in asdict(variant).items() if name != "file"} for variant in variants
    ]


def _image_variants(pictures: Mapping[str, Iterable[Mapping[str, Any]]]) -> ImageVariants:
    return {
        name: tuple(ImageVariant(**variant, file=Path()) for variant in variants)
        for name, variants in pictures.items()
    }
