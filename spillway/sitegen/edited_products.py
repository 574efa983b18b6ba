"""Read product files that were edited, and judge whether a small change can follow from them.

A file with a mistake, and an edit that changes something every page depends on, are left to a whole build.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.storefront.theme import Edition
from spillway.project import Project
from spillway.sitegen.known_shop import KnownProduct, KnownShop
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.checkout_mistakes import checkout_mistakes
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.text_file import text_of_file

if TYPE_CHECKING:
    from spillway.sitegen.reading.toml_input import InputError

# More files are worth every core, which a whole build uses.
_FILES_MAX = 20
_PRODUCT_FILE = re.compile(r"site/products/[^/]+\.(toml|md)")


class ProductEdit(NamedTuple):
    """A product before and after an edit of its file."""

    before: KnownProduct
    now: KnownProduct


def read_edits(
    project: Project, shop: KnownShop, changed: Sequence[str]
) -> Mapping[Slug, ProductEdit] | None:
    """Return the products of the changed files; None where a whole build has to look at them.

    Args:
        project: The shop.
        shop: The shop as the last build knew it.
        changed: The names of files from the shop's root.
    """
    if len(changed) > _FILES_MAX or not all(_PRODUCT_FILE.fullmatch(file) for file in changed):
        return None
    first, *others = shop.frame.theme.editions
    reader = ProductFile(
        pictures=project.site / "pictures",
        fraction_digits=first.money.fraction_digits,
        locales=tuple(edition.shop.locale for edition in others),
    )
    edits: dict[Slug, ProductEdit] = {}
    for file in changed:
        mistakes: list[InputError] = []
        slug = Slug(Path(file).stem)
        text = text_of_file(project.root, file, mistakes)
        row = reader.read(text, slug=slug, file=file, mistakes=mistakes) if text is not None else None
        before = shop.products([slug]).get(slug)
        if row is None or mistakes or before is None or before.row.file != file or slug in edits:
            return None
        # The report has a line for each link that leads to no page, with its place in the file.
        if not all(_leads_to_known_page(shop, link) for link in (*row.own_links, *before.row.own_links)):
            return None
        if before.row.digest != row.digest and not _follows(shop, before.row, row, len(changed)):
            return None
        if before.row.launches or row.launches:  # the report names the lines of launches
            return None
        products = Products([row], Path(), shop.image_variants([row]), related={})
        edits[slug] = ProductEdit(before, before._replace(row=row, digest=products.digest(slug)))
    skus = [sku for edit in edits.values() for sku in edit.now.row.skus]
    return edits if len(skus) == len(set(skus)) else None


def _follows(shop: KnownShop, before: ProductRow, now: ProductRow, edits: int) -> bool:
    """Return whether an edit is right in itself, and changes nothing that every page depends on."""
    theme = shop.frame.theme
    first = theme.editions[0]
    page_slugs = {page.slug for page in shop.frame.contents}
    return (
        # The feed is there with the first product that has a date, and the report has a line for each product
        # that is not in every language.
        (before.released_on is None) == (now.released_on is None)
        and [locale for locale, _ in before.titles] == [locale for locale, _ in now.titles]
        # The report has a line for each category without a product: none comes to be empty, none was.
        and all(shop.listing(f"/shop/{category}") for category in now.categories)
        and all(_stays_filled(shop, category, edits) for category in {*before.categories} - {*now.categories})
        and all(_is_plain_tag(shop, tag) for tag in {*before.tags} ^ {*now.tags})
        and not any(shop.has_sku(sku, but=now.slug) for sku in {*now.skus} - {*before.skus})
        # A rule may name an SKU that goes, which is a mistake then.
        and (not theme.rules or {*now.skus} >= {*before.skus})
        and not any(checkout_mistakes(theme.shop.checkout, [now], page_slugs))
        and _has_known_pictures(shop, before, now)
        and _has_the_same_letters(first, before, now)
    )


def _stays_filled(shop: KnownShop, category: str, edits: int) -> bool:
    """Return whether a category has a product left if each of `edits` products leaves it."""
    return len(shop.listing(f"/shop/{category}") or ()) > edits


def _leads_to_known_page(shop: KnownShop, link: str) -> bool:
    """Return whether a link leads to a page, a product or a listing; other pages are not looked for."""
    roots = [edition.root for edition in shop.frame.theme.editions if edition.root]
    root = next((root for root in roots if link.startswith(f"{root}/")), "")
    path = link.removeprefix(root)
    return (
        path in {page.path for page in shop.frame.contents}
        or shop.listing(path) is not None
        or bool(shop.products([Slug(path.removeprefix("/products/"))]))
    )


def _is_plain_tag(shop: KnownShop, tag: str) -> bool:
    """Return whether a tag has a page, and no other spelling, which could come to name it."""
    listing = shop.listing_of_tag(tag)
    return listing is not None and listing.tags == (tag,)


def _has_known_pictures(shop: KnownShop, before: ProductRow, now: ProductRow) -> bool:
    """Return whether the shop shows the same pictures as before, if at other places."""
    names, names_before = {*now.image_names}, {*before.image_names}
    return names - names_before <= shop.picture_names() and all(
        shop.has_picture(name, but=now.slug) for name in names_before - names
    )


def _has_the_same_letters(edition: Edition, before: ProductRow, now: ProductRow) -> bool:
    """Return whether fonts stay the same, which are cut to the characters that the shop uses."""
    texts = (before.packed, now.packed)
    ascii_alone = all(text.isascii() for text in texts)
    return not edition.settings.fonts or ascii_alone or len({frozenset(text.decode()) for text in texts}) == 1
