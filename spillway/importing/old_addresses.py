"""Redirects of the shop whose page an import takes away: the build would refuse them."""

from collections.abc import Mapping, Sequence, Set
from typing import Any
from urllib.parse import unquote

from spillway.importing.judging import Judged
from spillway.importing.shop_files import Moved, Record, ShopFile
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.reading.slugs import tag_paths


def gone_pages(
    files: Sequence[ShopFile], record: Record, moved: Sequence[Moved], judged: Sequence[Judged]
) -> frozenset[str]:
    """Return the paths of product and tag pages that the shop no longer has after an import.

    Args:
        files: The products before it.
        record: Files of earlier imports; a file of theirs may have been deleted since.
        moved: The files that other pages take over.
        judged: Products that the import writes.
    """
    tags = {file.name: _tags(file.values) for file in files}
    pages = {f"/products/{file.slug}" for file in files}
    noted = {f"/products/{name.removesuffix('.toml')}" for name in record.files}
    before = pages | noted | tag_paths([*tags.values()])
    for each in moved:
        pages.discard(f"/products/{each.file.slug}")
        if not each.kept:
            tags.pop(each.file.name, None)
    for product in (each.product for each in judged):
        pages.add(f"/products/{product.slug}")
        tags[f"{product.slug}.toml"] = product.tags
    pages |= {f"/products/{each.slug}" for each in moved}
    return frozenset(before - pages - tag_paths([*tags.values()]))


def stale_redirects(redirects: Sequence[Redirect], new: Mapping[str, str], gone: Set[str]) -> dict[str, str]:
    """Return the redirects that lead to a page that is gone, by source, with that page.

    Args:
        redirects: The shop's lines.
        new: Redirects that the import adds. A chain that ends at a page leads there.
        gone: The paths of the pages.
    """
    targets = {redirect.source: redirect.target for redirect in redirects} | dict(new)
    stale = {}
    for redirect in redirects:
        here, seen = _page(redirect.target), {redirect.source}
        while here in targets and here not in seen:
            seen.add(here)
            here = _page(targets[here])
        # Each further language has its pages under a root of its own.
        if here in gone or here[here.find("/", 1) :] in gone:
            stale[redirect.source] = here
    return stale


def _page(target: str) -> str:
    return unquote(target.partition("?")[0].partition("#")[0]).rstrip("/")


def _tags(values: Mapping[str, Any]) -> tuple[str, ...]:
    tags = values.get("tags")
    return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()
