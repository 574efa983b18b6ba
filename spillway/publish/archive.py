"""Releases kept to go back to: the source of each, in one object beside the theme.

Pages are not kept: they are made again, with the stock there is by then. Assets are not either: those
of a kept release stay where they are served from (`spillway.publish.plan`).
"""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chalicelib.storefront.theme import Theme
from spillway.errors import WorkFailed
from spillway.sitegen.products import ImageVariant, ImageVariants, Products
from spillway.sitegen.reading.catalogue import ContentPage, ProductRow
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.release import Kind, ReleaseSource, SiteObject
from spillway.sitegen.root_files import RootFile

KEPT_CONTENT_TYPE = "application/gzip"
# A shop of ten thousand products is packed in a third of a second; more would take thrice as long for
# a tenth less.
_COMPRESSION = 1


def kept_key(release: str) -> str:
    """Where the source of a release are kept."""
    return f"releases/{release}.json.gz"


def packed(source: ReleaseSource) -> bytes:
    """The source as one object; the same source always give the same bytes."""
    products = source.products
    document = {
        "theme": source.theme.to_json(),
        "contents": [asdict(content) for content in source.contents],
        "products": [row.packed.decode() for row in products.rows],
        "pictures": {
            name: _without_files(products.image_variants[name]) for name in sorted(products.image_variants)
        },
        "redirects": [(each.source, each.target) for each in source.redirects],
        "root_files": [
            (each.key, each.content_type, b64encode(each.body).decode()) for each in source.root_files
        ],
        "assets": [(each.key, each.sha256, each.content_type, each.cache_control) for each in source.assets],
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), _COMPRESSION, mtime=0)


def unpacked(content: bytes, release: str) -> ReleaseSource:
    """The source that `packed` made `content` of. Its assets have no bodies.

    Raises:
        WorkFailed: another version of Spillway kept it, of another form.
    """
    try:
        document = json.loads(gzip.decompress(content))
        return ReleaseSource(
            theme=Theme.from_json(document["theme"]),
            products=Products(
                [ProductRow.from_packed(each.encode()) for each in document["products"]],
                Path(),
                _image_variants(document["pictures"]),
            ),
            contents=tuple(ContentPage(**each) for each in document["contents"]),
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


def _without_files(variants: Iterable[ImageVariant]) -> list[dict[str, Any]]:
    return [{name: value for name, value in asdict(each).items() if name != "file"} for each in variants]


def _image_variants(pictures: Mapping[str, Iterable[Mapping[str, Any]]]) -> ImageVariants:
    return {
        name: tuple(ImageVariant(**each, file=Path()) for each in made) for name, made in pictures.items()
    }
